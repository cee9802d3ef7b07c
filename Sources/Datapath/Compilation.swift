// SPDX-License-Identifier: Apache-2.0
import CBPF
import CSystem
import Glibc

/// The directories that sources include from, and what tells their contents from others.
package struct Includes: Sendable {
  package let directories: [String]
  /// Differs when any header below any of the directories does.
  package let identity: String

  /// Reads every header once; what changes on disk later is not noticed.
  package init(_ directories: [String]) throws(DatapathError) {
    self.directories = directories
    var digest = Digest()
    for directory in directories {
      for name in try Self.headers(below: directory, depth: 0) {
        guard let text = readFile("\(directory)/\(name)") else {
          throw DatapathError("reading \(directory)/\(name)", String(cString: strerror(errno)))
        }
        digest.add("\(name)\0\(text.count)\0".utf8)
        digest.add(text)
      }
      digest.add([0xff])
    }
    identity = digest.description
  }

  private static func headers(below directory: String, depth: Int) throws(DatapathError) -> [String]
  {
    guard depth < 8, let entries = directoryEntries(directory) else {
      throw DatapathError("listing \(directory)", String(cString: strerror(errno)))
    }
    var found: [String] = []
    for name in entries.sorted() {
      var status = stat()
      guard stat("\(directory)/\(name)", &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        found += try headers(below: "\(directory)/\(name)", depth: depth + 1).map {
          "\(name)/\($0)"
        }
      } else if name.hasSuffix(".h") {
        found.append(name)
      }
    }
    return found
  }
}

/// A compiler at work beside the caller. Source, object and messages are files in memory: nothing is
/// left on disk, whatever ends it.
package final class Compilation {
  /// Readable when the compiler has ended.
  package let descriptor: Int32
  private let child: pid_t
  private let object: Int32
  private let log: Int32
  private let attempt: String
  private var reaped = false

  /// Starts on C text that is called `name` in messages.
  package init(
    of text: String, name: String, includes: Includes, by compiler: Compiler
  ) throws(DatapathError) {
    attempt = "compiling \(name)"
    let source = fpd_memory_file("fpd-source")
    defer { close(source) }
    object = fpd_memory_file("fpd-object")
    log = fpd_memory_file("fpd-log")
    let named = "#line 1 \"\(name)\"\n" + text
    guard source >= 0, object >= 0, log >= 0, Self.fill(source, Array(named.utf8)) else {
      let answer = String(cString: strerror(errno))
      if object >= 0 { close(object) }
      if log >= 0 { close(log) }
      throw DatapathError("giving \(name) to the compiler", answer)
    }
    var words = [compiler.path] + Compiler.flags
    for directory in includes.directories { words += ["-I", directory] }
    words += ["-x", "c", "-", "-o", "-"]
    do throws(DatapathError) {
      child = try Self.start(words, source, object, log)
    } catch {
      close(object)
      close(log)
      throw error
    }
    descriptor = fpd_pidfd_open(child)
    if descriptor < 0 {
      let answer = String(cString: strerror(errno))
      cancel()
      throw DatapathError("watching the compiler", answer)
    }
  }

  deinit {
    cancel()
    if descriptor >= 0 { close(descriptor) }
    close(object)
    close(log)
  }

  /// The object, once the compiler has ended: waits for that if need be.
  package func finish() throws(DatapathError) -> [UInt8] {
    guard !reaped else { throw DatapathError(attempt, "it was ended before") }
    if let end = Compiler.failure(reap()) {
      let words = Self.contents(log).map { String(decoding: $0, as: UTF8.self) } ?? ""
      throw DatapathError(attempt, end, log: words)
    }
    guard let bytes = Self.contents(object), !bytes.isEmpty else {
      throw DatapathError(attempt, "clang said it succeeded and left no object")
    }
    return bytes
  }

  /// Ends the compiler if it still runs.
  package func cancel() {
    if reaped { return }
    kill(-child, SIGKILL)
    _ = reap()
  }

  private func reap() -> Int32 {
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    reaped = true
    return status
  }

  private static func start(
    _ words: [String], _ source: Int32, _ object: Int32, _ log: Int32
  ) throws(DatapathError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, source, 0)
    posix_spawn_file_actions_adddup2(&actions, object, 1)
    posix_spawn_file_actions_adddup2(&actions, log, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // A group of its own, so that a wrapper's children end with it; and no signal of ours blocked.
    var nothing = sigset_t()
    sigemptyset(&nothing)
    posix_spawnattr_setsigmask(&attributes, &nothing)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var child: pid_t = 0
    let failure = fpd_spawn_limited(
      &child, words[0], &actions, &attributes, arguments, environ, Capability.ofCompilers)
    if failure != 0 {
      throw DatapathError("starting \(words[0])", String(cString: strerror(failure)))
    }
    return child
  }

  private static func fill(_ file: Int32, _ bytes: [UInt8]) -> Bool {
    var written = 0
    while written < bytes.count {
      let count = bytes[written...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      written += count
    }
    return lseek(file, 0, SEEK_SET) == 0
  }

  private static func contents(_ file: Int32) -> [UInt8]? {
    let size = lseek(file, 0, SEEK_END)
    guard size >= 0, size < 1 << 26 else { return nil }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    var place = 0
    while place < bytes.count {
      let count = bytes[place...].withUnsafeMutableBytes {
        pread(file, $0.baseAddress, $0.count, off_t(place))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return nil }
      place += count
    }
    return bytes
  }
}

/// The names in a directory; `nil` when it cannot be listed.
func directoryEntries(_ path: String) -> [String]? {
  guard let directory = opendir(path) else { return nil }
  defer { closedir(directory) }
  var names: [String] = []
  while let entry = readdir(directory) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names
}
