// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// clang, run as a supervised child.
package struct Compiler: Sendable {
  package let path: String
  package let timeLimit: Duration
  static let flags = [
    "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-c",
  ]

  /// The compiler `configured`, a path or a name to be looked up on PATH, else the first `clang` there;
  /// `nil` when there is none.
  package init?(configured: String?, timeLimit: Duration = .seconds(60)) {
    let named = configured ?? "clang"
    guard let found = named.contains("/") ? named : Self.search(named) ?? configured else {
      return nil
    }
    path = found
    self.timeLimit = timeLimit
  }

  /// What distinguishes this compiler's output from another's.
  package var identity: String {
    var status = stat()
    guard stat(path, &status) == 0 else { return path }
    return "\(path) \(status.st_size) \(status.st_mtim.tv_sec) \(Self.flags.joined(separator: " "))"
  }

  private static func search(_ name: String) -> String? {
    let places = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    return places.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
  }

  /// Compiles one file into an object, in a scratch directory of its own.
  package func compile(_ source: String) throws(DatapathError) -> [UInt8] {
    var template = Array("/tmp/fpd-clang-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw DatapathError("making a directory for clang in /tmp", String(cString: strerror(errno)))
    }
    let directory = template.withUnsafeBufferPointer { buffer in
      String(decoding: buffer.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
    let object = directory + "/out.o"
    let log = directory + "/log"
    defer {
      unlink(object)
      unlink(log)
      rmdir(directory)
    }
    try run([path] + Self.flags + [source, "-o", object], log: log, what: source)
    guard let bytes = readFile(object), !bytes.isEmpty else {
      throw DatapathError("compiling \(source)", "clang said it succeeded and left no object")
    }
    return bytes
  }

  private func run(_ words: [String], log: String, what: String) throws(DatapathError) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var child: pid_t = 0
    let failure = posix_spawn(&child, path, &actions, nil, arguments, environ)
    if failure != 0 {
      throw DatapathError("starting \(path)", String(cString: strerror(failure)))
    }
    guard let status = wait(for: child) else {
      throw DatapathError("compiling \(what)", "clang took longer than \(timeLimit) and was ended")
    }
    if let end = Self.failure(status) {
      let words = readFile(log).map { String(decoding: $0, as: UTF8.self) } ?? ""
      throw DatapathError("compiling \(what)", end, log: words)
    }
  }

  /// How clang ended, by what `waitpid()` says of it; `nil` when all is well.
  static func failure(_ status: Int32) -> String? {
    let signal = status & 0x7f
    if signal != 0 { return "clang was killed by signal \(signal)" }
    return status == 0 ? nil : "clang failed with status \(status >> 8 & 0xff)"
  }

  /// What `waitpid()` says of the child, `nil` when it had to be ended.
  private func wait(for child: pid_t) -> Int32? {
    let descriptor = fpd_pidfd_open(child)
    defer { if descriptor >= 0 { close(descriptor) } }
    var late = false
    if descriptor >= 0 {
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let limit = Int32(clamping: timeLimit.components.seconds * 1000)
      late = poll(&waiting, 1, limit) == 0
      if late { kill(child, SIGKILL) }
    }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    return late ? nil : status
  }
}

/// The whole of a file, `nil` when it cannot be read or, with `onlyOurs`, when somebody else than our
/// user or root could have written it.
package func readFile(_ path: String, onlyOurs: Bool = false) -> [UInt8]? {
  // Non-blocking, or a FIFO would hold fpd up for ever.
  let only = onlyOurs ? O_NOFOLLOW | O_NONBLOCK : 0
  let file = open(path, O_RDONLY | O_CLOEXEC | only)
  guard file >= 0 else { return nil }
  defer { close(file) }
  if onlyOurs {
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      [0, geteuid()].contains(status.st_uid), status.st_mode & 0o022 == 0
    else { return nil }
  }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 1 << 14)
  while true {
    let count = read(file, &piece, piece.count)
    if count < 0, errno == EINTR { continue }
    guard count >= 0 else { return nil }
    if count == 0 { return bytes }
    bytes.append(contentsOf: piece[..<count])
  }
}
