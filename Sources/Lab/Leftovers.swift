// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Synchronization

/// What this process has made in the kernel and on disk and not yet removed. Everything in it is
/// removed when the process exits or is told to end; what a killed process left behind is removed when
/// the next one starts.
public enum Leftovers {
  /// The name every namespace and directory of the lab starts with; then come pid, number and a word.
  static let prefix = "fpd-"

  struct State {
    var namespaces: [String] = []
    var directories: [String] = []
    /// Directories that are meant to last as long as the process.
    var lasting: [String] = []
    var processes: [pid_t] = []
    var number = 0
    var ready = false
    var strict = false
  }

  private static let state = Mutex(State())

  /// A name nobody else uses: `fpd-<pid>-<n>-<word>`.
  static func uniqueName(_ word: String) throws -> String {
    let first = state.withLock { state in
      defer { state.ready = true }
      return !state.ready
    }
    if first { try prepare() }
    return state.withLock { state in
      state.number += 1
      return "\(prefix)\(getpid())-\(state.number)-\(word)"
    }
  }

  private static func prepare() throws {
    Residue.begin()
    sweep()
    atexit { Leftovers.atExit() }
    let code = lab_clean_on_signal { Leftovers.removeAll() }
    if code != 0 { throw LabError("arranging the clean-up on signals", code: code) }
  }

  static func add(namespace: String) { state.withLock { $0.namespaces.append(namespace) } }
  static func add(directory: String) { state.withLock { $0.directories.append(directory) } }
  static func add(lasting directory: String) { state.withLock { $0.lasting.append(directory) } }
  static func add(process: pid_t) { state.withLock { $0.processes.append(process) } }

  static func forget(namespace: String) {
    state.withLock { $0.namespaces.removeAll { $0 == namespace } }
  }
  static func forget(directory: String) {
    state.withLock { $0.directories.removeAll { $0 == directory } }
  }
  static func forget(process: pid_t) {
    state.withLock { $0.processes.removeAll { $0 == process } }
  }

  /// What is still there, in words.
  public static var present: [String] {
    state.withLock {
      $0.namespaces.map { "namespace \($0)" } + $0.directories.map { "directory \($0)" }
        + $0.processes.map { "process \($0)" }
    }
  }

  /// From now on the process fails at its exit when something was not removed by then.
  public static func failOnExit() {
    Residue.begin()
    state.withLock { $0.strict = true }
  }

  private static func atExit() {
    let forgotten = present
    removeAll()
    guard state.withLock({ $0.strict }) else { return }
    let left = forgotten + Residue.find()
    if left.isEmpty { return }
    let text = "left behind at the end:\n" + left.map { "  \($0)\n" }.joined()
    _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) }
    _exit(1)
  }

  /// Removes everything this process has made: processes, then namespaces, then directories.
  public static func removeAll() {
    let all = state.withLock { state in
      defer {
        state.namespaces = []
        state.directories = []
        state.lasting = []
        state.processes = []
      }
      return state
    }
    // Not yet reaped, hence still ours: the numbers cannot have gone to somebody else.
    for pid in all.processes {
      kill(-pid, SIGKILL)
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    for name in all.namespaces { removeNamespace(name) }
    for path in all.directories + all.lasting { removeTree(path) }
  }

  /// Removes what lab processes that no longer live have left, and the processes in their namespaces.
  public static func sweep() {
    for name in entries(of: Namespace.directory) where isOrphan(name) {
      for pid in Namespace.processes(inNamespaceAt: "\(Namespace.directory)/\(name)") {
        kill(pid, SIGKILL)
      }
      removeNamespace(name)
    }
    for name in entries(of: TemporaryDirectory.parent) where isOrphan(name) {
      removeTree("\(TemporaryDirectory.parent)/\(name)")
    }
  }

  private static func isOrphan(_ name: String) -> Bool {
    guard let owner = owner(of: name) else { return false }
    return kill(owner, 0) < 0 && errno == ESRCH
  }

  /// The pid in a name of the lab's making; nil for any other name.
  static func owner(of name: String) -> pid_t? {
    guard name.hasPrefix(prefix) else { return nil }
    let parts = name.dropFirst(prefix.count).split(
      separator: "-", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, let pid = pid_t(parts[0]), pid > 1, Int(parts[1]) != nil else {
      return nil
    }
    return pid
  }

  static func removeNamespace(_ name: String) {
    let path = "\(Namespace.directory)/\(name)"
    umount2(path, Int32(MNT_DETACH))
    unlink(path)
  }

  /// The names in a directory.
  package static func entries(of directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  static func removeTree(_ path: String) {
    var information = stat()
    if lstat(path, &information) < 0 { return }
    if information.st_mode & S_IFMT == S_IFDIR {
      for name in entries(of: path) { removeTree("\(path)/\(name)") }
      // What a killed test had mounted there.
      if rmdir(path) < 0, errno == EBUSY, umount2(path, Int32(MNT_DETACH)) == 0 { rmdir(path) }
    } else {
      unlink(path)
    }
  }
}
