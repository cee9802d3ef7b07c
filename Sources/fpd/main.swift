// SPDX-License-Identifier: Apache-2.0
import Configuration
import Control
import Datapath
import Glibc
import Usage

func complain(_ error: any Error) {
  for line in String(describing: error).split(separator: "\n") {
    let bytes = Array("fpd: \(line)\n".utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
  }
}

/// Runs fpd; the status is the process's.
func start() -> Int32 {
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
