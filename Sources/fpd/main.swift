// SPDX-License-Identifier: Apache-2.0
import Configuration
import Control
import Datapath
import Glibc
import Usage

func complain(_ error: Any) {
  for line in String(describing: error).split(separator: "\n") {
    let bytes = Array("fpd: \(line)\n".utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
  }
}

/// Runs fpd; the status is the process's.
func start() -> Int32 {
  // They are read from /proc. Without it, as in a chroot, every invocation would look like one without options, and
  // `fpd --version` would begin to work on the network.
  guard !CommandLine.arguments.isEmpty else {
    complain("what fpd was called with cannot be read: /proc is not mounted")
    return 1
  }
  let words = Array(CommandLine.arguments.dropFirst())
  let options: DaemonOptions
  do throws(UsageError) {
    switch try DaemonInvocation(words, version: version) {
    case .show(let text):
      print(text, terminator: "")
      return 0
    case .run(let given): options = given
    }
  } catch {
    complain(error)
    return 2
  }
  do {
    try Capability.giveUpTheRest()
    try Daemon(options, try Configuration.load(options)).run()
    return 0
  } catch {
    complain(error)
    return 1
  }
}

exit(start())
