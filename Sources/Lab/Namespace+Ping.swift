// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

extension Namespace {
  /// Sends ICMP echoes from this namespace until one is answered: the TTL the answer came with, or nil
  /// when none came in time.
  public func ping(_ address: IPv4Address, within limit: Duration = .seconds(3)) throws -> UInt8? {
    try inside {
      let raw = socket(
        AF_INET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), Int32(IPPROTO_ICMP))
      if raw < 0 { throw LabError("opening a raw socket in \(name)", code: errno) }
      let descriptor = Descriptor(owning: raw)
      let identifier = UInt16(truncatingIfNeeded: getpid())
      let deadline = Instant.now + limit
      var sequence: UInt16 = 0
      while Instant.now < deadline {
        sequence &+= 1
        Self.sendEcho(descriptor.raw, to: address, identifier, sequence)
        let next = min(deadline, .now + .milliseconds(200))
        if let ttl = Self.reply(descriptor.raw, from: address, identifier, by: next) { return ttl }
      }
      return nil
    }
  }

  private static func sendEcho(
    _ socket: Int32, to address: IPv4Address, _ identifier: UInt16, _ sequence: UInt16
  ) {
    let bytes = Transport.echo(identifier: identifier, sequence: sequence)
      .bytes(pseudoHeader: [])
    var target = sockaddr_in()
    target.sin_family = sa_family_t(AF_INET)
    target.sin_addr.s_addr = address.value.bigEndian
    _ = withUnsafePointer(to: &target) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(socket, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  private static func reply(
    _ socket: Int32, from address: IPv4Address, _ identifier: UInt16, by deadline: Instant
  ) -> UInt8? {
    var buffer = [UInt8](repeating: 0, count: 2048)
    while true {
      var wait = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      if poll(&wait, 1, deadline.pollTimeout) == 0 { return nil }
      let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      guard count >= 28, buffer[20] == 0 else { continue }
      let same = Array(buffer[24..<26]) == identifier.bigEndianBytes
      if same && Array(buffer[12..<16]) == address.bytes { return buffer[8] }
    }
  }
}
