// SPDX-License-Identifier: Apache-2.0
import CNetlink

// Which condition a comparison of a packet field is.

extension PacketField {
  /// The match that compares the field, or `nil` where there is none.
  func match(_ comparison: Comparison, _ value: RegisterValue, _ context: PacketContext) -> Match? {
    let equality = comparison == .equal || comparison == .notEqual
    if case .meta(let key) = source, let match = interface(key, comparison, value) { return match }
    guard value.count == length else { return nil }
    if !equality {
      guard mask == nil else { return nil }
      return ordered(comparison, value.number, context)
    }
    let negated = comparison == .notEqual
    return switch source {
    case .meta(let key): meta(key, value, negated)
    case .conntrack(let key, _): conntrack(key, value, negated)
    case .payload(let base, let offset):
      switch Int(base) {
      case NFT_PAYLOAD_LL_HEADER: link(offset, value, negated)
      case NFT_PAYLOAD_NETWORK_HEADER: network(offset, value, negated, context)
      case NFT_PAYLOAD_TRANSPORT_HEADER: transport(offset, value, negated, context)
      default: nil
      }
    }
  }

  /// The match for a range, both ends included.
  func match(
    _ low: RegisterValue, _ high: RegisterValue, _ negated: Bool, _ context: PacketContext
  ) -> Match? {
    mask == nil ? range(low.number, high.number, negated, context) : nil
  }

  /// Less and greater are ranges from the least or to the greatest value there is.
  private func ordered(
    _ comparison: Comparison, _ number: UInt128, _ context: PacketContext
  ) -> Match? {
    if case .payload(1, let offset) = source, length == 1,
      (context.network == .ip && offset == 8) || (context.network == .ip6 && offset == 7)
    {
      return .ttl(comparison, UInt8(truncatingIfNeeded: number))
    }
    let greatest = RegisterValue(onesOf: length).number
    return switch comparison {
    case .less where number > 0: range(0, number - 1, false, context)
    case .lessOrEqual: range(0, number, false, context)
    case .greater where number < greatest: range(number + 1, greatest, false, context)
    case .greaterOrEqual: range(number, greatest, false, context)
    default: nil
    }
  }

  private func range(
    _ low: UInt128, _ high: UInt128, _ negated: Bool, _ context: PacketContext
  ) -> Match? {
    guard case .payload(let base, let offset) = source else { return nil }
    let short = (UInt16(truncatingIfNeeded: low), UInt16(truncatingIfNeeded: high))
    switch (Int(base), offset, length) {
    case (2, 0, 2) where context.hasPorts:
      return .sourcePort(PortRange(short.0, short.1), negated: negated)
    case (2, 2, 2) where context.hasPorts:
      return .destinationPort(PortRange(short.0, short.1), negated: negated)
    case (1, 2, 2) where context.network == .ip:
      return .length(short.0, short.1, negated: negated)
    case (1, 12, 4) where context.network == .ip, (1, 8, 16) where context.network == .ip6:
      let side = AddressRangeMatch.Side(low: low, high: high, negated: negated)
      return .addressRange(AddressRangeMatch(six: length == 16, source: side, destination: nil))
    case (1, 16, 4) where context.network == .ip, (1, 24, 16) where context.network == .ip6:
      let side = AddressRangeMatch.Side(low: low, high: high, negated: negated)
      return .addressRange(AddressRangeMatch(six: length == 16, source: nil, destination: side))
    default: return nil
    }
  }

  // MARK: What the kernel knows of the packet

  /// Names are compared up to their NUL, or without it as a prefix.
  private func interface(_ key: UInt32, _ comparison: Comparison, _ value: RegisterValue) -> Match?
  {
    let input = key == NFT_META_IIFNAME.rawValue
    guard input || key == NFT_META_OIFNAME.rawValue, mask == nil,
      comparison == .equal || comparison == .notEqual, let (name, terminated) = value.text,
      !name.isEmpty
    else { return nil }
    let interface = InterfaceMatch(
      name, wildcard: !terminated, negated: comparison == .notEqual)
    return input ? .input(interface) : .output(interface)
  }

  private func meta(_ key: UInt32, _ value: RegisterValue, _ negated: Bool) -> Match? {
    if key == NFT_META_MARK.rawValue { return masked(value, negated).map(Match.mark) }
    guard mask == nil else { return nil }
    switch Int(key) {
    case NFT_META_IIF: return value.host32.map { .inputIndex($0, negated: negated) }
    case NFT_META_OIF: return value.host32.map { .outputIndex($0, negated: negated) }
    case NFT_META_L4PROTO: return .transport(value[0], negated: negated)
    case NFT_META_NFPROTO: return .family(value[0], negated: negated)
    case NFT_META_PKTTYPE: return .packetType(value[0], negated: negated)
    case NFT_META_PROTOCOL: return .etherType(value.big16, negated: negated)
    default: return nil
    }
  }

  private func masked(_ value: RegisterValue, _ negated: Bool) -> MaskedMatch? {
    guard let number = value.host32, let mask = mask.map(\.host32) ?? .max else { return nil }
    return MaskedMatch(value: number, mask: mask, negated: negated)
  }

  private func conntrack(_ key: UInt32, _ value: RegisterValue, _ negated: Bool) -> Match? {
    switch Int(key) {
    case NFT_CT_MARK: return masked(value, negated).map(Match.connectionMark)
    case NFT_CT_STATE, NFT_CT_STATUS:
      // `ct state new,established` asks whether any of these bits is set.
      let state = key == NFT_CT_STATE.rawValue
      guard value.isZero, let bits = mask?.host32.flatMap(UInt16.init(exactly:)),
        let states = state ? ConntrackMatch.States(bits: bits) : .some([])
      else { return nil }
      let condition = state ? ConntrackMatch.state : ConntrackMatch.status
      return .conntrack(
        ConntrackMatch(
          conditions: condition, inverted: negated ? 0 : condition,
          states: states, status: state ? 0 : bits))
    case NFT_CT_DIRECTION where mask == nil && value.number <= 1:
      let isReply = (value.number == 1) != negated
      return .conntrack(
        ConntrackMatch(
          conditions: ConntrackMatch.direction, inverted: isReply ? ConntrackMatch.direction : 0,
          states: [], status: 0))
    default: return nil
    }
  }

  // MARK: What the packet holds

  private func link(_ offset: UInt32, _ value: RegisterValue, _ negated: Bool) -> Match? {
    guard mask == nil, length == 6 else { return nil }
    return switch offset {
    case 0: .destinationMAC(value.bytes, negated: negated)
    case 6: .sourceMAC(value.bytes, negated: negated)
    default: nil
    }
  }

  private func network(
    _ offset: UInt32, _ value: RegisterValue, _ negated: Bool, _ context: PacketContext
  ) -> Match? {
    switch context.network {
    case .ip: network4(offset, value, negated)
    case .ip6: network6(offset, value, negated)
    default: nil
    }
  }

  private func network4(_ offset: UInt32, _ value: RegisterValue, _ negated: Bool) -> Match? {
    switch (offset, length) {
    case (12, 1...4), (16, 1...4):
      let (address, mask) = address(value, size: 4)
      let match = AddressMatch.ipv4(
        UInt32(truncatingIfNeeded: address), mask: UInt32(truncatingIfNeeded: mask),
        negated: negated)
      return offset == 12 ? .source(match) : .destination(match)
    case (9, 1) where mask == nil: return .transport(value[0], negated: negated)
    case (8, 1) where mask == nil: return .ttl(negated ? .notEqual : .equal, value[0])
    case (2, 2) where mask == nil: return .length(value.big16, value.big16, negated: negated)
    case (1, 1) where mask?.number == 0xfc && value[0] & 3 == 0:
      return .dscp(value[0] >> 2, negated: negated)
    case (1, 1): return .tos(value: value[0], mask: mask?[0] ?? 0xff, negated: negated)
    case (6, 2) where mask?.number == 0x1fff && value.isZero:
      return .fragment(negated: !negated)
    default: return nil
    }
  }

  private func network6(_ offset: UInt32, _ value: RegisterValue, _ negated: Bool) -> Match? {
    switch (offset, length) {
    case (8, 1...16), (24, 1...16):
      let (address, mask) = address(value, size: 16)
      let match = AddressMatch.ipv6(address, mask: mask, negated: negated)
      return offset == 8 ? .source(match) : .destination(match)
    case (7, 1) where mask == nil: return .ttl(negated ? .notEqual : .equal, value[0])
    case (0, 2) where mask?.number == 0x0fc0 && value.big16 & ~0x0fc0 == 0:
      return .dscp(UInt8(value.big16 >> 6), negated: negated)
    default: return nil
    }
  }

  /// A prefix may be loaded without the bytes behind it, which is the same as masking them.
  private func address(_ value: RegisterValue, size: UInt8) -> (UInt128, UInt128) {
    let mask = mask ?? RegisterValue(onesOf: value.count)
    let shift = UInt128(size - min(size, value.count)) * 8
    return (value.number << shift, mask.number << shift)
  }

  private func transport(
    _ offset: UInt32, _ value: RegisterValue, _ negated: Bool, _ context: PacketContext
  ) -> Match? {
    switch (offset, length) {
    case (0, 2) where mask == nil && context.hasPorts:
      return .sourcePort(PortRange(value.big16, value.big16), negated: negated)
    case (2, 2) where mask == nil && context.hasPorts:
      return .destinationPort(PortRange(value.big16, value.big16), negated: negated)
    case (13, 1) where context.transport == 6:
      return .tcpFlags(mask: mask?[0] ?? 0xff, value: value[0], negated: negated)
    case (0, 1) where mask == nil && (context.transport == 1 || context.transport == 58):
      return .icmpType(value[0], six: context.transport == 58, negated: negated)
    case (1, 1) where mask == nil && (context.transport == 1 || context.transport == 58):
      return .icmpCode(value[0], six: context.transport == 58, negated: negated)
    default: return nil
    }
  }
}

extension PacketContext {
  /// Whether the transport header is known to begin with ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
  var hasPorts: Bool {
    switch transport {
    case 6, 17, 33, 132, 136: true
    default: false
    }
  }
}

extension RegisterValue {
  /// Of a value of two bytes.
  fileprivate var big16: UInt16 { UInt16(truncatingIfNeeded: number) }
}
