// SPDX-License-Identifier: Apache-2.0

/// What an IP packet carries.
public enum Transport: Sendable {
  case udp(from: UInt16, to: UInt16, [UInt8] = [], checksum: ChecksumChoice = .right)
  case tcp(TCP)
  /// An echo request (or reply), of the kind that fits the IP version.
  case echo(identifier: UInt16 = 1, sequence: UInt16 = 1, reply: Bool = false, [UInt8] = [])
  /// Any ICMP message: the four bytes after the checksum, then its body.
  case icmp(type: UInt8, code: UInt8, rest: UInt32 = 0, [UInt8] = [])
  case icmpv6(type: UInt8, code: UInt8, rest: UInt32 = 0, [UInt8] = [])
  /// Bytes as they are, of any protocol: also the later fragments of a packet.
  case raw(protocol: UInt8, [UInt8])

  public enum ChecksumChoice: Sendable { case right, wrong, none }

  /// A TCP segment.
  public struct TCP: Sendable {
    public struct Flags: OptionSet, Sendable {
      public let rawValue: UInt8
      public init(rawValue: UInt8) { self.rawValue = rawValue }
      public static let fin = Flags(rawValue: 1)
      public static let syn = Flags(rawValue: 2)
      public static let rst = Flags(rawValue: 4)
      public static let psh = Flags(rawValue: 8)
      public static let ack = Flags(rawValue: 16)
      public static let urg = Flags(rawValue: 32)
    }

    public var source: UInt16
    public var destination: UInt16
    public var flags: Flags
    public var sequence: UInt32 = 1
    public var acknowledgement: UInt32 = 0
    public var window: UInt16 = 65535
    /// Padded to a multiple of four.
    public var options: [UInt8] = []
    public var payload: [UInt8] = []
    public var checksum = ChecksumChoice.right

    public init(
      from source: UInt16, to destination: UInt16, _ flags: Flags,
      _ adjust: (inout TCP) -> Void = { _ in }
    ) {
      self.source = source
      self.destination = destination
      self.flags = flags
      adjust(&self)
    }

    var bytes: [UInt8] {
      let options = options + [UInt8](repeating: 0, count: (4 - options.count % 4) % 4)
      return source.bigEndianBytes + destination.bigEndianBytes + sequence.bigEndianBytes
        + acknowledgement.bigEndianBytes
        + [UInt8(truncatingIfNeeded: (20 + options.count) / 4) << 4, flags.rawValue]
        + window.bigEndianBytes + [0, 0, 0, 0] + options + payload
    }
  }

  /// The protocol's number.
  var number: UInt8 {
    switch self {
    case .udp: 17
    case .tcp: 6
    case .echo, .icmp: 1
    case .icmpv6: 58
    case .raw(let number, _): number
    }
  }

  /// As it follows an IPv6 header: an echo is ICMPv6 there.
  var forIPv6: Transport {
    guard case .echo(let identifier, let sequence, let reply, let data) = self else { return self }
    return .icmpv6(
      type: reply ? 129 : 128, code: 0, rest: UInt32(identifier) << 16 | UInt32(sequence), data)
  }

  /// The bytes with their checksum, over the addresses of the IP header around it where it wants them.
  func bytes(pseudoHeader addresses: [UInt8]) -> [UInt8] {
    switch self {
    case .udp(let source, let destination, let payload, let choice):
      let length = UInt16(truncatingIfNeeded: 8 + payload.count)
      let bytes =
        source.bigEndianBytes + destination.bigEndianBytes + length.bigEndianBytes + [0, 0]
        + payload
      return Self.seal(bytes, at: 6, choice, addresses, number: 17)
    case .tcp(let segment):
      return Self.seal(
        segment.bytes, at: 16, segment.checksum, addresses, number: 6)
    case .echo(let identifier, let sequence, let reply, let data):
      return Transport.icmp(
        type: reply ? 0 : 8, code: 0, rest: UInt32(identifier) << 16 | UInt32(sequence), data
      ).bytes(pseudoHeader: addresses)
    case .icmp(let type, let code, let rest, let body):
      var bytes = [type, code, 0, 0] + rest.bigEndianBytes + body
      bytes.replaceSubrange(2..<4, with: Checksum.of(bytes).bigEndianBytes)
      return bytes
    case .icmpv6(let type, let code, let rest, let body):
      let bytes = [type, code, 0, 0] + rest.bigEndianBytes + body
      return Self.seal(bytes, at: 2, .right, addresses, number: 58)
    case .raw(_, let bytes): return bytes
    }
  }

  private static func seal(
    _ bytes: [UInt8], at place: Int, _ choice: ChecksumChoice, _ addresses: [UInt8], number: UInt8
  ) -> [UInt8] {
    if choice == .none { return bytes }
    var sum = Checksum.of(
      Checksum.pseudoHeader(addresses, length: bytes.count, number: number) + bytes)
    if sum == 0 && number == 17 { sum = 0xffff }  // 0 says "no checksum" in UDP.
    if choice == .wrong { sum ^= 0x5555 }
    var bytes = bytes
    bytes.replaceSubrange(place..<place + 2, with: sum.bigEndianBytes)
    return bytes
  }
}

/// The Internet checksum (RFC 1071).
public enum Checksum {
  public static func of(_ bytes: some Collection<UInt8>) -> UInt16 {
    var sum: UInt64 = 0
    var high: UInt8?
    for byte in bytes {
      if let first = high {
        sum += UInt64(first) << 8 | UInt64(byte)
        high = nil
      } else {
        high = byte
      }
    }
    if let high { sum += UInt64(high) << 8 }
    while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
    return ~UInt16(sum)
  }

  /// What TCP, UDP and ICMPv6 add to their own bytes: the same sum serves IPv4 and IPv6.
  static func pseudoHeader(_ addresses: [UInt8], length: Int, number: UInt8) -> [UInt8] {
    addresses + UInt32(truncatingIfNeeded: length).bigEndianBytes + [0, 0, 0, number]
  }
}
