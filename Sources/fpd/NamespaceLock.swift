// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// Held by the one fpd of a network namespace. Abstract Unix sockets belong to the namespace and vanish
/// with their process, so nothing is ever left locked.
final class NamespaceLock {
  private let descriptor: Int32

  init() throws(StartError) {
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if descriptor < 0 { throw StartError("opening a socket", errno) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let name = Array("\0fpd/namespace".utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
    let bound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
    }
    if bound != 0 {
      let code = errno
      close(descriptor)
      throw code == EADDRINUSE
        ? StartError("another fpd is running in this network namespace")
        : StartError("locking the network namespace", code)
    }
  }

  deinit { close(descriptor) }

  /// The number that tells one network namespace from another.
  static func inode() -> UInt32 {
    var status = stat()
    return stat("/proc/self/ns/net", &status) == 0 ? UInt32(truncatingIfNeeded: status.st_ino) : 0
  }
}
