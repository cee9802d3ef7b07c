// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// A UDP or TCP socket of a host in the lab, for what only the kernel's own sockets send: frames whose
/// checksum is left to the device, and segments larger than the MTU.
public final class HostSocket: Sendable {
  public enum Kind: Sendable { case udp, tcp }

  private let descriptor: Int32
  private let what: String

  /// Bound to an address of the namespace.
  public init(_ kind: Kind, _ address: IPv4Address, port: UInt16, in namespace: Namespace) throws {
    let type = kind == .udp ? SOCK_DGRAM : SOCK_STREAM
    what = "\(kind) socket \(address):\(port) in \(namespace.name)"
    let (raw, code) = try namespace.inside { () -> (Int32, Int32) in
      let raw = socket(AF_INET, Int32(type.rawValue | SOCK_CLOEXEC.rawValue), 0)
      return (raw, errno)
    }
    if raw < 0 { throw LabError("opening a \(what)", code: code) }
    descriptor = raw
    var one: Int32 = 1
    setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    try Self.check(Self.with(address, port) { bind(raw, $0, $1) }, "binding the \(what)")
  }

  private init(owning descriptor: Int32, _ what: String) {
    self.descriptor = descriptor
    self.what = what
  }

  deinit { close(descriptor) }

  private static func check(_ result: Int32, _ doing: String) throws {
    if result < 0 { throw LabError(doing, code: errno) }
  }

  private static func with<Result>(
    _ address: IPv4Address, _ port: UInt16,
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = address.value.bigEndian
    return withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  private func wait(_ events: Int32, by deadline: Instant) -> Bool {
    var wait = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    return poll(&wait, 1, deadline.pollTimeout) > 0
  }

  /// Sends one datagram.
  public func send(_ bytes: [UInt8], to address: IPv4Address, port: UInt16) throws {
    let count = Self.with(address, port) { sendto(descriptor, bytes, bytes.count, 0, $0, $1) }
    if count < 0 { throw LabError("sending from the \(what)", code: errno) }
  }

  /// Has each message cut into datagrams of `size` bytes, by the device where it can: UDP_SEGMENT.
  public func segment(by size: Int32) throws {
    var size = size
    let result = setsockopt(
      descriptor, Int32(IPPROTO_UDP), 103, &size, socklen_t(MemoryLayout<Int32>.size))
    try Self.check(result, "having the \(what) cut what it sends")
  }

  /// What comes next; nil when nothing did in time.
  public func receive(within limit: Duration = .seconds(1)) -> [UInt8]? {
    guard wait(POLLIN, by: .now + limit) else { return nil }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    return count < 0 ? nil : Array(buffer[..<count])
  }

  public func listen() throws { try Self.check(Glibc.listen(descriptor, 4), "listening") }

  /// Connects; throws when that takes longer than `limit`.
  public func connect(
    to address: IPv4Address, port: UInt16, within limit: Duration = .seconds(3)
  ) throws {
    setNonBlocking()
    let result = Self.with(address, port) { Glibc.connect(descriptor, $0, $1) }
    if result < 0 && errno != EINPROGRESS { throw LabError("connecting the \(what)", code: errno) }
    var code: Int32 = ETIMEDOUT
    var size = socklen_t(MemoryLayout<Int32>.size)
    if wait(POLLOUT, by: .now + limit) {
      getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
    }
    if code != 0 { throw LabError("connecting the \(what) to \(address):\(port)", code: code) }
  }

  public func accept(within limit: Duration = .seconds(3)) throws -> HostSocket {
    guard wait(POLLIN, by: .now + limit) else { throw LabError("nobody connected to the \(what)") }
    let raw = Glibc.accept(descriptor, nil, nil)
    if raw < 0 { throw LabError("accepting from the \(what)", code: errno) }
    let accepted = HostSocket(owning: raw, "connection of the \(what)")
    accepted.setNonBlocking()
    return accepted
  }

  private func setNonBlocking() {
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }

  /// Streams `count` bytes to the other end and reads them there: how many came, and their sum.
  public func stream(
    _ count: Int, to other: HostSocket, within limit: Duration = .seconds(10)
  ) throws -> (bytes: Int, sum: UInt64) {
    let chunk = (0..<1 << 16).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    var (sent, came, sum) = (0, 0, UInt64(0))
    let deadline = Instant.now + limit
    while came < count {
      if sent < count {
        let start = sent % chunk.count
        let size = min(chunk.count - start, count - sent)
        let piece = Array(chunk[start..<start + size])
        let written = Glibc.send(descriptor, piece, size, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
        if written < 0 && errno != EAGAIN { throw LabError("streaming from \(what)", code: errno) }
        sent += max(0, written)
      }
      guard other.wait(POLLIN, by: sent < count ? .now + .milliseconds(1) : deadline) else {
        if Instant.now >= deadline { return (came, sum) }
        continue
      }
      let read = recv(other.descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if read == 0 { return (came, sum) }
      if read < 0 { continue }
      for byte in buffer[..<read] { sum = sum &* 31 &+ UInt64(byte) }
      came += read
    }
    return (came, sum)
  }
}
