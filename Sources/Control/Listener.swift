// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// The listening socket and its name in the file system, which goes with it.
package struct Listener: ~Copyable {
  let path: String
  private let socket: Descriptor
  private let identity: FileIdentity

  package var descriptor: Int32 { socket.number }

  private init(path: String, socket: consuming Descriptor, identity: FileIdentity) {
    self.path = path
    self.socket = socket
    self.identity = identity
  }

  /// Takes the name `path`, unless somebody answers on it, and listens.
  package static func open(path: String, access: Access) throws(ControlError) -> Listener {
    guard let address = UnixAddress(path), !path.hasPrefix("@") else {
      let why = "must be a file's, of 1 to \(UnixAddress.longest) bytes"
      throw .badPath(path: path, why: why)
    }
    try makeDirectories(above: path)
    let lock = try NameLock.take(path + ".lock")
    try clearStale(path, address)
    let listener = try bound(to: path, address)
    try listener.admit(access)
    if listen(listener.descriptor, 128) != 0 {
      throw .system(what: "listening on \(path)", code: errno, hint: "")
    }
    lock.release()
    return listener
  }

  private static func bound(
    to path: String, _ address: UnixAddress
  ) throws(ControlError) -> Listener {
    let socket = Descriptor(unixSocket(SOCK_STREAM, nonBlocking: true))
    // The mode of the unbound socket limits that of its name: nobody gets in before it is set right.
    guard socket.number >= 0, fchmod(socket.number, 0o600) == 0 else {
      throw .system(what: "opening a Unix socket", code: errno, hint: "")
    }
    let code = address.apply(socket.number, bind)
    guard code == 0, let identity = FileIdentity(path) else {
      throw .system(
        what: "binding the socket \(path)", code: code == 0 ? errno : code,
        hint: "choose another --socket")
    }
    return Listener(path: path, socket: socket, identity: identity)
  }

  deinit {
    if FileIdentity(path) == identity { unlink(path) }
  }

  /// Lets root and the readers' group reach the socket.
  package func admit(_ access: Access) throws(ControlError) {
    guard chown(path, uid_t.max, access.readers ?? getegid()) == 0, chmod(path, 0o660) == 0 else {
      throw .system(
        what: "giving the socket \(path) to its group", code: errno,
        hint: "fpd needs root, or membership in that group")
    }
  }
}

/// Tells a file from another that took its name.
struct FileIdentity: Equatable {
  private let device: dev_t
  private let inode: ino_t
  let isSocket: Bool

  init?(_ path: String) {
    var seen = stat()
    guard lstat(path, &seen) == 0 else { return nil }
    self.init(seen)
  }

  init(_ seen: stat) {
    device = seen.st_dev
    inode = seen.st_ino
    isSocket = seen.st_mode & S_IFMT == S_IFSOCK
  }
}

/// Held while one fpd takes a socket's name, so that two that start together cannot both find the old
/// socket stale and each remove the other's. Leaves no file behind.
private struct NameLock: ~Copyable {
  private let path: String
  private let file: Descriptor

  private init(path: String, file: consuming Descriptor) {
    self.path = path
    self.file = file
  }

  static func take(_ path: String) throws(ControlError) -> NameLock {
    while true {
      let file = Descriptor(open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o600))
      guard file.number >= 0, flock(file.number, LOCK_EX) == 0 else {
        throw .system(
          what: "locking \(path)", code: errno,
          hint: "fpd needs a directory for its socket that it may write to")
      }
      var held = stat()
      // Its last holder may have removed the file between open and flock: then it locks nothing.
      if fstat(file.number, &held) == 0, FileIdentity(path) == FileIdentity(held) {
        return NameLock(path: path, file: file)
      }
    }
  }

  consuming func release() {}

  deinit { unlink(path) }
}

/// Removes what an fpd that was killed left behind; refuses when somebody is there.
private func clearStale(_ path: String, _ address: UnixAddress) throws(ControlError) {
  guard let old = FileIdentity(path) else { return }
  guard old.isSocket else {
    throw .badPath(
      path: path, why: "names something that is no socket; remove it or choose another")
  }
  let probe = Descriptor(unixSocket(SOCK_STREAM, nonBlocking: true))
  let code = address.apply(probe.number, connect)
  switch code {
  case 0: throw .taken(path: path, pid: Peer(of: probe.number)?.pid ?? 0)
  case EAGAIN: throw .taken(path: path, pid: 0)
  case ECONNREFUSED:
    if unlink(path) == 0 || errno == ENOENT { return }
    throw .system(what: "removing the stale socket \(path)", code: errno, hint: "")
  default:
    throw .system(
      what: "asking who holds the socket \(path)", code: code, hint: "choose another --socket")
  }
}

private func makeDirectories(above path: String) throws(ControlError) {
  var place = ""
  for part in path.split(separator: "/", omittingEmptySubsequences: false).dropLast() {
    place += place.isEmpty && !path.hasPrefix("/") ? part : "/\(part)"
    if part.isEmpty { continue }
    if mkdir(place, 0o755) == 0 {
      // A tight umask must not keep fpctl from finding the socket.
      chmod(place, 0o755)
    } else if errno != EEXIST {
      throw .system(
        what: "making the directory \(place)", code: errno,
        hint: "create it, or choose another --socket")
    }
  }
}
