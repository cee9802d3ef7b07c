// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// A child process in a process group of its own.
final class Spawned: Sendable {
  let pid: pid_t
  /// Readable once the process has ended.
  let pidfd: Int32

  /// Starts `arguments[0]`, found through PATH; descriptors of -1 stand for /dev/null.
  init(
    _ arguments: [String], namespace: String?, input: Int32 = -1, output: Int32 = -1,
    errors: Int32 = -1, ownSys: Bool = false, environment extra: [String] = []
  ) throws {
    guard let name = arguments.first else { throw LabError("there is no command to run") }
    guard let program = Self.find(name) else {
      throw LabError("`\(name)` is not installed (looked in PATH); is the set-up script done?")
    }
    var pid: pid_t = -1
    var step: UnsafePointer<CChar>?
    let code = Self.withCStrings(arguments) { argv in
      Self.withCStrings(Command.environment + extra) { environment in
        program.withCString { program in
          withOptionalCString(namespace) { path in
            var spawn = lab_spawn(
              program: program, arguments: argv, environment: environment, namespace_path: path,
              input: input, output: output, errors: errors, own_sys: ownSys ? 1 : 0)
            return lab_spawn(&spawn, &pid, &step)
          }
        }
      }
    }
    if code != 0 {
      if pid > 0 { waitpid(pid, nil, 0) }
      let what = step.map { String(cString: $0) } ?? "starting"
      throw LabError(
        "\(what), for `\(Command.line(arguments))`\(namespace.map { " in \($0)" } ?? "")",
        code: code, hint: code == EPERM ? "this needs root" : "")
    }
    self.pid = pid
    pidfd = fpd_pidfd_open(pid)
    if pidfd < 0 {
      let code = errno
      kill(-pid, SIGKILL)
      waitpid(pid, nil, 0)
      throw LabError("watching process \(pid)", code: code)
    }
  }

  deinit { close(pidfd) }

  var hasEnded: Bool { ended(by: Instant.now) }

  /// Waits until the process has ended; false when the deadline passes first. Does not reap it.
  func ended(by deadline: Instant) -> Bool {
    while true {
      var wait = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
      let ready = poll(&wait, 1, deadline.pollTimeout)
      if ready >= 0 { return ready > 0 }
      if errno != EINTR { return false }
    }
  }

  func killGroup() {
    kill(-pid, SIGKILL)
    kill(pid, SIGKILL)
  }

  /// Reaps the process, waiting for its end: its exit status, 128 + n for signal n.
  @discardableResult func wait() -> Int32 {
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 {
      if errno != EINTR { return -1 }
    }
    let signal = status & 0x7f
    return signal == 0 ? (status >> 8) & 0xff : 128 + signal
  }

  private static func find(_ name: String) -> String? {
    if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
    let path = Command.environment[0].dropFirst("PATH=".count)
    return path.split(separator: ":").lazy.map { "\($0)/\(name)" }
      .first { access($0, X_OK) == 0 }
  }

  private static func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
  ) -> Result {
    var pointers = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeBufferPointer { buffer in
      // An array with at least its closing nil has an address.
      var end: UnsafeMutablePointer<CChar>?
      return buffer.baseAddress.map(body) ?? body(&end)
    }
  }
}

private func withOptionalCString<Result>(
  _ string: String?, _ body: (UnsafePointer<CChar>?) -> Result
) -> Result {
  if let string { string.withCString { body($0) } } else { body(nil) }
}
