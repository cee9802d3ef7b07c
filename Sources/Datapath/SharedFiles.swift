// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What programs are made of must not be easier to change than fpd itself: whose the templates and `fpm/` are.
package struct SharedFiles {
  /// Whoever can write these could put another fpd in this one's place.
  private let users: Set<uid_t>
  private let group: gid_t?
  private let mayOthers: Bool

  private static let groupMayWrite: mode_t = 0o020
  private static let othersMayWrite: mode_t = 0o002
  private static let deepest = 8

  /// `share` is the directory that holds both, `executable` is fpd. In a source tree that it was built in, who may
  /// change the tree may change it.
  init(share: String, executable: String, at link: String) throws(DatapathError) {
    let program = try Self.status(of: link)
    var users: Set<uid_t> = [0, geteuid(), program.st_uid]
    var group = program.st_mode & Self.groupMayWrite != 0 ? program.st_gid : nil
    var mayOthers = program.st_mode & Self.othersMayWrite != 0
    if executable.hasPrefix("\(share)/") {
      let tree = try Self.status(of: share)
      users.insert(tree.st_uid)
      if tree.st_mode & Self.groupMayWrite != 0 { group = tree.st_gid }
      mayOthers = mayOthers || tree.st_mode & Self.othersMayWrite != 0
    }
    (self.users, self.group, self.mayOthers) = (users, group, mayOthers)
  }

  /// Throws for the first directory or file that others could change.
  package static func check(_ share: String) throws(DatapathError) {
    try check(share, executable: ownExecutable ?? "", at: link)
  }

  /// The executable's path may lead to another one by now, `link` does not.
  package static func check(
    _ share: String, executable: String, at link: String
  ) throws(DatapathError) {
    let files = try SharedFiles(share: share, executable: executable, at: link)
    _ = try files.look(at: share)
    for name in ["fpm", "templates"] { try files.walk("\(share)/\(name)", depth: 0) }
  }

  private static let link = "/proc/self/exe"

  /// The running program, as it was called when it was started; `nil` where that is not told.
  static var ownExecutable: String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes { raw in
      raw.baseAddress.map {
        readlink(link, $0.assumingMemoryBound(to: CChar.self), raw.count)
      } ?? -1
    }
    guard count > 0, count < buffer.count else { return nil }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }

  private func walk(_ path: String, depth: Int) throws(DatapathError) {
    guard try look(at: path), depth < Self.deepest else { return }
    for name in (directoryEntries(path) ?? []).sorted() {
      try walk("\(path)/\(name)", depth: depth + 1)
    }
  }

  /// Whether it is a directory.
  private func look(at path: String) throws(DatapathError) -> Bool {
    let status = try Self.status(of: path)
    let isGroups = status.st_mode & Self.groupMayWrite != 0 && status.st_gid != group
    let isOthers = status.st_mode & Self.othersMayWrite != 0 && !mayOthers
    guard users.contains(status.st_uid), !isGroups, !isOthers else {
      let who =
        !users.contains(status.st_uid)
        ? "user \(status.st_uid)" : isGroups ? "group \(status.st_gid)" : "everybody"
      throw DatapathError(
        "making programs",
        "\(path) can be changed by \(who), who cannot change fpd: chown or chmod it")
    }
    return status.st_mode & S_IFMT == S_IFDIR
  }

  /// Of what a symbolic link leads to.
  private static func status(of path: String) throws(DatapathError) -> stat {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw DatapathError("looking at \(path)", String(cString: strerror(errno)))
    }
    return status
  }
}
