// SPDX-License-Identifier: Apache-2.0
import Netlink

// The blobs of iptables' matches: `struct xt_*_info` of the kernel's uapi headers. They come alike in
// the rules of iptables-legacy and in the `match` expressions of iptables-nft.

extension Match {
  /// Decodes the blob of a match by its name and revision. What is unknown, or not of the length
  /// and with the flags it should have, is `.unknown`, never guessed.
  package static func xtables(
    _ name: String, revision: UInt8, _ info: Bytes, family: RuleFamily
  ) -> Match {
    // ebtables and arptables have matches of the same names that are others.
    (family == .ip || family == .ip6 ? decode(name, revision, info, family) : nil)
      ?? .unknown(UnknownExtension(name, revision: revision, info))
  }

  private static func decode(
    _ name: String, _ revision: UInt8, _ info: Bytes, _ family: RuleFamily
  ) -> Match? {
    // Each with the size of its structure.
    switch (name, revision) {
    case ("tcp", 0): info.sized(12).flatMap(tcp)
    case ("udp", 0), ("udplite", 0): info.sized(10).flatMap(udp)
    case ("conntrack", 2): info.sized(156).flatMap(conntrack)
    case ("conntrack", 3): info.sized(164).flatMap(conntrack)
    case ("state", 0): info.sized(4).flatMap(state)
    case ("comment", 0): info.sized(256).map { .comment($0.string) }
    case ("multiport", 1): info.sized(48).flatMap(multiport)
    case ("set", 1...2): info.sized(4).flatMap { set($0, flags: $0[3].map(returnsNoMatch)) }
    case ("set", 3): countless(info, 8, 24).flatMap { set($0, flags: $0.load(40)) }
    case ("set", 4): countless(info, 16, 32).flatMap { set($0, flags: $0.load(40)) }
    case ("mark", 1): info.sized(12).flatMap(masked).map(Match.mark)
    case ("connmark", 1): info.sized(12).flatMap(masked).map(Match.connectionMark)
    case ("addrtype", 1): info.sized(8).flatMap(addressType)
    case ("addrtype", 0): info.sized(12).flatMap(oldAddressType)
    case ("icmp", 0): info.sized(4).flatMap { icmp($0, six: false) }
    case ("icmp6", 0): info.sized(4).flatMap { icmp($0, six: true) }
    case ("sctp", 0): info.sized(292).flatMap(sctp)
    case ("iprange", 1): info.sized(68).flatMap { addressRange($0, six: family == .ip6) }
    case ("mac", 0): info.sized(12).flatMap(mac)
    case ("pkttype", 0): info.sized(8).flatMap(packetType)
    case ("length", 0): info.sized(6).flatMap(length)
    case ("ttl", 0), ("hl", 0): info.sized(2).flatMap(ttl)
    case ("dscp", 0): info.sized(2).flatMap(dscp)
    case ("tos", 1): info.sized(3).flatMap(tos)
    case ("physdev", 0): info.sized(66).flatMap(physdev)
    default: nil
    }
  }

  private static func range(_ info: Bytes, _ offset: Int) -> PortRange? {
    guard let low = info.load(offset, as: UInt16.self),
      let high = info.load(offset + 2, as: UInt16.self)
    else { return nil }
    return PortRange(low, high)
  }

  private static func tcp(_ info: Bytes) -> Match? {
    guard let source = range(info, 0), let destination = range(info, 4), let option = info[8],
      let mask = info[9], let value = info[10], let inverted = info[11], inverted & ~0xf == 0
    else { return nil }
    return .tcp(
      TCPMatch(
        source: source, destination: destination, option: option, flagMask: mask, flagValue: value,
        inverted: .init(rawValue: inverted)))
  }

  private static func udp(_ info: Bytes) -> Match? {
    guard let source = range(info, 0), let destination = range(info, 4), let inverted = info[8],
      inverted & ~3 == 0
    else { return nil }
    return .udp(
      UDPMatch(source: source, destination: destination, inverted: .init(rawValue: inverted)))
  }

  private static func sctp(_ info: Bytes) -> Match? {
    // dpts, spts, chunkmap[64], chunk_match_type, flag_info[4][3], flag_count, flags, invflags
    guard let destination = range(info, 0), let source = range(info, 4),
      let flags = info.load(284, as: UInt32.self), let inverted = info.load(288, as: UInt32.self),
      flags & ~3 == 0, inverted & ~flags == 0
    else { return nil }
    return .sctp(
      SCTPMatch(
        source: flags & 1 != 0 ? source : nil, destination: flags & 2 != 0 ? destination : nil,
        inverted: .init(rawValue: UInt8(truncatingIfNeeded: inverted))))
  }

  private static func icmp(_ info: Bytes, six: Bool) -> Match? {
    guard let type = info[0], let low = info[1], let high = info[2], let inverted = info[3],
      inverted & ~1 == 0
    else { return nil }
    return .icmp(
      ICMPMatch(six: six, type: type, lowCode: low, highCode: high, negated: inverted & 1 != 0))
  }

  private static func multiport(_ info: Bytes) -> Match? {
    guard let side = info[0].flatMap(MultiportMatch.Side.init), let count = info[1], count <= 15,
      let inverted = info[47], inverted & ~1 == 0
    else { return nil }
    var ports: [PortRange] = []
    var index = 0
    while index < Int(count) {
      guard let low = info.load(2 + 2 * index, as: UInt16.self), let more = info[32 + index] else {
        return nil
      }
      var high = low
      if more != 0 {  // a range: the next port is its end
        index += 1
        guard index < Int(count), let end = info.load(2 + 2 * index, as: UInt16.self) else {
          return nil
        }
        high = end
      }
      ports.append(PortRange(low, high))
      index += 1
    }
    return .multiport(MultiportMatch(side: side, ports: ports, negated: inverted & 1 != 0))
  }

  private static func addressRange(_ info: Bytes, six: Bool) -> Match? {
    guard let flags = info[64], flags & ~0x33 == 0 else { return nil }
    func side(_ offset: Int, _ bit: UInt8) -> AddressRangeMatch.Side? {
      guard flags & bit != 0 else { return nil }
      let size = six ? 16 : 4
      guard let low = info.slice(offset, size)?.bigNumber,
        let high = info.slice(offset + 16, size)?.bigNumber
      else { return nil }
      return .init(low: low, high: high, negated: flags & (bit << 4) != 0)
    }
    return .addressRange(
      AddressRangeMatch(six: six, source: side(0, 1), destination: side(32, 2)))
  }

  private static func mac(_ info: Bytes) -> Match? {
    guard let address = info.slice(0, 6), let inverted = info.load(8, as: Int32.self) else {
      return nil
    }
    return .sourceMAC(address.array, negated: inverted != 0)
  }

  private static func masked(_ info: Bytes) -> MaskedMatch? {
    guard let value = info.load(0, as: UInt32.self), let mask = info.load(4, as: UInt32.self),
      let inverted = info[8]
    else { return nil }
    return MaskedMatch(value: value, mask: mask, negated: inverted != 0)
  }

  private static func addressType(_ info: Bytes) -> Match? {
    guard let source = info.load(0, as: UInt16.self), let to = info.load(2, as: UInt16.self),
      let flags = info.load(4, as: UInt32.self), flags & ~0xf == 0
    else { return nil }
    return .addressType(
      AddressTypeMatch(
        source: source, destination: to, flags: .init(rawValue: UInt8(truncatingIfNeeded: flags))))
  }

  private static func oldAddressType(_ info: Bytes) -> Match? {
    guard let source = info.load(0, as: UInt16.self), let to = info.load(2, as: UInt16.self),
      let invertSource = info.load(4, as: UInt32.self),
      let invertTo = info.load(8, as: UInt32.self)
    else { return nil }
    var flags: AddressTypeMatch.Flags = []
    if invertSource != 0 { flags.insert(.invertSource) }
    if invertTo != 0 { flags.insert(.invertDestination) }
    return .addressType(AddressTypeMatch(source: source, destination: to, flags: flags))
  }

  private static func packetType(_ info: Bytes) -> Match? {
    guard let type = info.load(0, as: Int32.self).flatMap(UInt8.init(exactly:)),
      let inverted = info.load(4, as: Int32.self)
    else { return nil }
    return .packetType(type, negated: inverted != 0)
  }

  private static func length(_ info: Bytes) -> Match? {
    guard let range = range(info, 0), let inverted = info[4] else { return nil }
    return .length(range.low, range.high, negated: inverted != 0)
  }

  private static func ttl(_ info: Bytes) -> Match? {
    let modes: [Comparison] = [.equal, .notEqual, .less, .greater]
    guard let mode = info[0], let value = info[1], mode < modes.count else { return nil }
    return .ttl(modes[Int(mode)], value)
  }

  private static func dscp(_ info: Bytes) -> Match? {
    guard let value = info[0], let inverted = info[1] else { return nil }
    return .dscp(value, negated: inverted != 0)
  }

  private static func tos(_ info: Bytes) -> Match? {
    guard let mask = info[0], let value = info[1], let inverted = info[2] else { return nil }
    return .tos(value: value, mask: mask, negated: inverted != 0)
  }

  private static func physdev(_ info: Bytes) -> Match? {
    guard let inverted = info[64], let conditions = info[65], conditions & ~0x1f == 0,
      let input = info.interface(0, mask: 16, negated: inverted & 1 != 0),
      let output = info.interface(32, mask: 48, negated: inverted & 2 != 0)
    else { return nil }
    return .bridgePort(
      BridgePortMatch(
        input: conditions & 1 != 0 ? input : nil, output: conditions & 2 != 0 ? output : nil,
        conditions: conditions, inverted: inverted))
  }

  /// From revision 3 on there are conditions on the element's packets and bytes, whose operators
  /// are at these offsets; 0 is none.
  private static func countless(_ info: Bytes, _ packets: Int, _ bytes: Int) -> Bytes? {
    info.sized(48).flatMap { $0[packets] == 0 && $0[bytes] == 0 ? $0 : nil }
  }

  /// IPSET_RETURN_NOMATCH, which stands beside the dimensions there, as a flag.
  private static func returnsNoMatch(_ sides: UInt8) -> UInt32 { UInt32(sides & 0x80) }

  private static func set(_ info: Bytes, flags: UInt32?) -> Match? {
    guard let index = info.load(0, as: UInt16.self), let dimensions = info[2], dimensions <= 3,
      let sides = info[3], let flags
    else { return nil }
    return .set(
      SetMatch(
        index: index, dimensions: (0..<dimensions).map { sides & (2 << $0) != 0 },
        negated: sides & 1 != 0, flags: flags))
  }

  private static func state(_ info: Bytes) -> Match? {
    guard let mask = info.load(0, as: UInt32.self).flatMap(UInt16.init(exactly:)),
      let states = ConntrackMatch.States(bits: mask)
    else { return nil }
    return .conntrack(
      ConntrackMatch(conditions: ConntrackMatch.state, inverted: 0, states: states, status: 0))
  }

  private static func conntrack(_ info: Bytes) -> Match? {
    let known =
      ConntrackMatch.state | ConntrackMatch.status | ConntrackMatch.direction
      | ConntrackMatch.alias
    guard let conditions = info.load(146, as: UInt16.self), conditions & ~known == 0,
      let inverted = info.load(148, as: UInt16.self), let states = info.load(150, as: UInt16.self),
      let status = info.load(152, as: UInt16.self)
    else { return nil }
    return .conntrack(
      ConntrackMatch(
        conditions: conditions, inverted: inverted, states: .init(rawValue: states),
        status: status))
  }
}

extension Bytes {
  /// The bytes when they are as many as a structure of `size` has, or as it is padded to.
  fileprivate func sized(_ size: Int) -> Bytes? {
    size <= count && count <= (size + 7) & ~7 ? self : nil
  }
}
