// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// A descriptor that is closed with its owner.
struct Descriptor: ~Copyable {
  let number: Int32
  init(_ number: Int32) { self.number = number }
  deinit { close(number) }
}

/// The address of a Unix socket; a leading "@" names the abstract space, as systemd writes it.
struct UnixAddress {
  static let longest = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

  private var address = sockaddr_un()
  private var size: socklen_t

  /// Nil when the path is empty, too long or holds a zero byte.
  init?(_ path: String) {
    let bytes = Array(path.utf8)
    guard !bytes.isEmpty, bytes.count <= Self.longest, !bytes.contains(0) else { return nil }
    address.sun_family = sa_family_t(AF_UNIX)
    let isAbstract = bytes[0] == UInt8(ascii: "@")
    withUnsafeMutableBytes(of: &address.sun_path) { place in
      place.copyBytes(from: bytes)
      if isAbstract { place[0] = 0 }
    }
    // A path's terminating zero belongs to it; an abstract name ends where its length says.
    let head = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
    size = socklen_t(head + bytes.count + (isAbstract ? 0 : 1))
  }

  /// Calls `connect`, `bind` or their like with the address; answers the errno, 0 when it went well.
  func apply(
    _ descriptor: Int32, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    var address = address
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(descriptor, $0, size) }
    }
    return result == 0 ? 0 : errno
  }
}

func unixSocket(_ kind: __socket_type, nonBlocking: Bool) -> Int32 {
  let flags = nonBlocking ? SOCK_NONBLOCK.rawValue : 0
  return socket(AF_UNIX, Int32(kind.rawValue | SOCK_CLOEXEC.rawValue | flags), 0)
}

/// Milliseconds on a clock that never jumps.
func monotonicMilliseconds() -> Int64 {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}
