// SPDX-License-Identifier: Apache-2.0
import Introspection

// The matches of iptables. Each function cites what the kernel does where it is not plain.

extension Translator {
  func step(_ match: Match, _ met: Conjunction) -> Step {
    switch match {
    case .comment: .alternatives([met])
    case .input(let interface): one(met) { $0.require(.interface(.input, interface)) }
    case .output(let interface): output(interface, met)
    case .inputIndex(let index, let negated):
      one(met) { $0.require(.interfaceIndex(.input, index, negated: negated)) }
    case .outputIndex(let index, let negated):
      hook == .prerouting
        ? unknown("oif", met)
        : one(met) { $0.require(.interfaceIndex(.output, index, negated: negated)) }
    case .source(let address): self.address(address, .source, met)
    case .destination(let address): self.address(address, .destination, met)
    case .transport(let number, let negated): transport(number, negated, met)
    case .family(let number, let negated): constant((number == family.rawValue) != negated, met)
    case .etherType(let number, let negated):
      constant((number == (family == .ip ? 0x0800 : 0x86dd)) != negated, met)
    case .fragment(let negated):
      one(met) { require(&$0, .laterFragment, ValueSet(negated ? 0 : 1)) }
    case .tcp, .udp, .sctp, .icmp, .sourcePort, .destinationPort, .tcpFlags, .icmpType, .icmpCode,
      .multiport:
      transportHeader(match, met)
    case .addressRange(let ranges): self.ranges(ranges, met)
    case .sourceMAC(let address, let negated):
      hook == .postrouting
        ? unknown("mac", met)
        : one(met) { $0.require(.late(.sourceMAC(address, negated: negated))) }
    case .destinationMAC: unknown("ether daddr", met)
    case .mark(let mark): masked(.mark, UInt128(mark.value), UInt128(mark.mask), mark.negated, met)
    case .addressType(let types): addressType(types, met)
    // Only what is for this host is forwarded (ip_forward), and nothing changes that before.
    case .packetType(let type, let negated): constant((type == 0) != negated, met)
    case .length(let low, let high, let negated):
      one(met) { require(&$0, .length, values(.length, low, high, negated)) }
    case .ttl(let comparison, let value):
      one(met) { require(&$0, .ttl, values(.ttl, comparison, value)) }
    case .dscp(let value, let negated):
      one(met) {
        let range = ValueSet(UInt128(value) * 4...UInt128(value) * 4 + 3)
        require(&$0, .tos, negated ? range.complement(upTo: 0xff) : range)
      }
    case .tos(let value, let mask, let negated):
      one(met) {
        require(&$0, .tos, Self.bytes(value: value, mask: mask, negated: negated))
      }
    case .bridgePort: unknown("physdev", met)
    case .set(let set): ipset(set, met)
    case .conntrack(let match): connection(match, met)
    case .connectionMark(let mark): connectionMark(mark, met)
    case .lookup(let lookup): unknown("set \(lookup.set)", met)
    case .unknown(let kept):
      .unknown(
        Effects.cause(kept.name), [met], Self.harmless.contains(kept.name) ? .none : .any)
    }
  }

  /// Matches that look, and neither remember anything nor drop the packet (`hotdrop`).
  static let harmless: Set<String> = [
    "conntrack", "state", "connmark", "connlabel", "connbytes", "helper", "time", "owner", "policy",
    "string", "bpf", "realm", "cpu", "devgroup", "cgroup", "rpfilter", "addrtype", "physdev", "mac",
    "mark", "header flags", "interface mask",
  ]

  // MARK: Ways to answer

  func one(_ met: Conjunction, _ narrow: (inout Conjunction) -> Void) -> Step {
    var met = met
    narrow(&met)
    return .alternatives([met])
  }

  func constant(_ holds: Bool, _ met: Conjunction) -> Step {
    one(met) { if !holds { $0.requireImpossible() } }
  }

  func unknown(_ name: String, _ met: Conjunction) -> Step {
    .unknown(.unknown(name), [met], .none)
  }

  /// The forward hook comes behind the decrement of the TTL.
  func require(_ met: inout Conjunction, _ field: Field, _ values: ValueSet) {
    if let why = cause(hiding: field), !isSettled(field, values) { return met.requireUnknown(why) }
    met.require(
      asked(field), field == .ttl && hook != .prerouting ? values.incremented() : values, family)
  }

  func values(_ field: Field, _ low: UInt16, _ high: UInt16, _ negated: Bool) -> ValueSet {
    let range = low <= high ? ValueSet(UInt128(low)...UInt128(high)) : .none
    return negated ? range.complement(upTo: field.last(family)) : range
  }

  func values(_ field: Field, _ comparison: Comparison, _ value: UInt8) -> ValueSet {
    let (value, last) = (UInt128(value), field.last(family))
    return switch comparison {
    case .equal: ValueSet(value)
    case .notEqual: ValueSet(value).complement(upTo: last)
    case .less: value > 0 ? ValueSet(0...(value - 1)) : .none
    case .lessOrEqual: ValueSet(0...value)
    case .greater: value < last ? ValueSet((value + 1)...last) : .none
    case .greaterOrEqual: ValueSet(value...last)
    }
  }

  /// The bytes that are `value` under `mask`.
  static func bytes(value: UInt8, mask: UInt8, negated: Bool) -> ValueSet {
    let met = ValueSet(UInt128(value)).preimage(upTo: 0xff) { $0 & UInt128(mask) }
    return negated ? met.complement(upTo: 0xff) : met
  }

  /// A field that is `value` under `mask`.
  func masked(
    _ field: Field, _ value: UInt128, _ mask: UInt128, _ negated: Bool, _ met: Conjunction
  ) -> Step {
    let last = field.last(family)
    let mask = mask & last
    if value & ~mask != 0 { return constant(negated, met) }
    let low = mask == 0 ? last : (UInt128(1) << UInt128(mask.trailingZeroBitCount)) - 1
    if mask == last & ~low {
      let range = ValueSet(value...(value | low))
      return one(met) { require(&$0, field, negated ? range.complement(upTo: last) : range) }
    }
    if let why = causeLate(hiding: field) { return one(met) { $0.requireUnknown(why) } }
    let late: LateCondition
    switch field {
    case .source, .destination:
      late = .maskedAddress(source: field == .source, value: value, mask: mask, negated: negated)
    case .mark:
      late = .maskedMark(
        value: UInt32(truncatingIfNeeded: value), mask: UInt32(truncatingIfNeeded: mask),
        negated: negated)
    case .connectionMark:
      late = .maskedConnectionMark(
        value: UInt32(truncatingIfNeeded: value), mask: UInt32(truncatingIfNeeded: mask),
        negated: negated)
    default: return unknown("mask", met)
    }
    return one(met) { $0.require(.late(late)) }
  }

  // MARK: Matches

  /// At PREROUTING the kernel compares with an empty name; iptables does not let one ask there
  /// but in chains of one's own.
  private func output(_ interface: InterfaceMatch, _ met: Conjunction) -> Step {
    hook == .prerouting
      ? unknown("output interface", met)
      : one(met) { $0.require(.interface(.output, interface)) }
  }

  private func address(_ address: AddressMatch, _ field: Field, _ met: Conjunction) -> Step {
    switch (address, family) {
    case (.ipv4(let value, let mask, let negated), .ip):
      masked(field, UInt128(value), UInt128(mask), negated, met)
    case (.ipv6(let value, let mask, let negated), .ip6): masked(field, value, mask, negated, met)
    default: unknown("address", met)
    }
  }

  private func ranges(_ match: AddressRangeMatch, _ met: Conjunction) -> Step {
    guard match.six == (family == .ip6) else { return unknown("iprange", met) }
    return one(met) {
      for case (let side?, let field) in [
        (match.source, Field.source), (match.destination, Field.destination),
      ] {
        let range = side.low <= side.high ? ValueSet(side.low...side.high) : .none
        let values = side.negated ? range.complement(upTo: field.last(family)) : range
        require(&$0, field, values)
      }
    }
  }

  private func transport(_ number: UInt8, _ negated: Bool, _ met: Conjunction) -> Step {
    // ip6_packet_match() takes 0 for any.
    if family == .ip6 && number == 0 && table.backend == .iptablesLegacy {
      return unknown("protocol 0", met)
    }
    let values = ValueSet(UInt128(number))
    return one(met) {
      require(&$0, .transport, negated ? values.complement(upTo: 0xff) : values)
    }
  }

  /// The local table alone is asked. Packets that are routed to what it has are not forwarded.
  private func addressType(_ match: AddressTypeMatch, _ met: Conjunction) -> Step {
    guard family == .ip,
      match.flags.isDisjoint(with: [.limitToInput, .limitToOutput])
    else { return unknown("addrtype", met) }
    let unicast: UInt16 = 1 << 1
    return one(met) {
      if match.source != 0, let why = causeLate(hiding: .source) {
        $0.requireUnknown(why)
      } else if match.source != 0 {
        let inverted = match.flags.contains(.invertSource)
        $0.require(.late(.sourceType(inverted ? ~match.source : match.source)))
      }
      if match.destination != 0, let why = causeLate(hiding: .destination) {
        $0.requireUnknown(why)
      } else if match.destination != 0 {
        let holds = match.destination & unicast != 0
        if holds == match.flags.contains(.invertDestination) { $0.requireImpossible() }
      }
    }
  }

  private func ipset(_ match: SetMatch, _ met: Conjunction) -> Step {
    guard let set = ipsets[match.index] else { return unknown("set", met) }
    // A look-up counts in a set with counters.
    if match.flags != 0 || set.features.contains(.counters) {
      return .unknown(.effect("set \(set.name)"), [met], .any)
    }
    let wanted: UInt8 = set.type == "bitmap:port" ? 0 : family.rawValue
    let dimensions = set.type.split(separator: ":").last?.split(separator: ",").count ?? 0
    guard Self.lookedUp.contains(set.type), set.type == "list:set" || set.family == wanted,
      set.type == "list:set" || match.dimensions.count == dimensions
    else { return unknown("set \(set.name)", met) }
    for isSource in match.dimensions {
      if let why = causeLate(hiding: isSource ? .source : .destination) {
        return unknown(why, met)
      }
    }
    return one(met) {
      $0.require(
        .late(
          .ipset(index: match.index, dimensions: match.dimensions, negated: match.negated)))
    }
  }

  /// The types of ipsets that can be asked in the kernel's own memory.
  private static let lookedUp: Set<String> = [
    "hash:ip", "hash:net", "hash:ip,port", "hash:net,port", "bitmap:ip", "bitmap:port", "list:set",
  ]
}
