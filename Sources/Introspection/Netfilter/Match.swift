// SPDX-License-Identifier: Apache-2.0

/// One condition a packet must meet. iptables-legacy, iptables-nft and nftables all end up here.
///
/// Small on purpose (24 bytes): a table may hold tens of thousands of rules. What would not fit is
/// `indirect`.
package enum Match: Hashable, Sendable {
  case input(InterfaceMatch)
  case output(InterfaceMatch)
  /// By index, as `nft … iif` compares.
  case inputIndex(UInt32, negated: Bool)
  case outputIndex(UInt32, negated: Bool)
  case source(AddressMatch)
  case destination(AddressMatch)
  /// The transport protocol: the IPv4 header's, or what follows IPv6's extension headers.
  case transport(UInt8, negated: Bool)
  /// `NFPROTO_*`, in tables for more than one family.
  case family(UInt8, negated: Bool)
  /// The EtherType, in host order.
  case etherType(UInt16, negated: Bool)
  /// IPv4 fragments other than the first.
  case fragment(negated: Bool)

  // All that look into the transport header also ask that the packet be no later fragment; the next
  // four, that it hold the whole header.
  case tcp(TCPMatch)
  case udp(UDPMatch)
  case sctp(SCTPMatch)
  case icmp(ICMPMatch)
  /// Ports of whichever transport protocol an earlier match settled (nftables).
  case sourcePort(PortRange, negated: Bool)
  case destinationPort(PortRange, negated: Bool)
  case tcpFlags(mask: UInt8, value: UInt8, negated: Bool)
  case icmpType(UInt8, six: Bool, negated: Bool)
  case icmpCode(UInt8, six: Bool, negated: Bool)
  indirect case multiport(MultiportMatch)

  indirect case addressRange(AddressRangeMatch)
  indirect case sourceMAC([UInt8], negated: Bool)
  indirect case destinationMAC([UInt8], negated: Bool)
  case mark(MaskedMatch)
  case addressType(AddressTypeMatch)
  /// `PACKET_HOST` and so on.
  case packetType(UInt8, negated: Bool)
  /// Of the IPv4 total length, or IPv6 payload length and its header.
  case length(UInt16, UInt16, negated: Bool)
  /// TTL or hop limit.
  case ttl(Comparison, UInt8)
  case dscp(UInt8, negated: Bool)
  case tos(value: UInt8, mask: UInt8, negated: Bool)
  indirect case bridgePort(BridgePortMatch)
  indirect case set(SetMatch)
  indirect case conntrack(ConntrackMatch)
  case connectionMark(MaskedMatch)
  /// A look-up in one of the table's own sets (nftables).
  indirect case lookup(Lookup)
  case comment(String)
  indirect case unknown(UnknownExtension)
}

/// How a number is compared; the raw values are `NFT_CMP_*`.
package enum Comparison: UInt8, Sendable {
  case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
}

/// An interface by name, or by the start of its name.
package struct InterfaceMatch: Hashable, Sendable {
  package var name: String
  package var wildcard: Bool
  package var negated: Bool

  package init(_ name: String, wildcard: Bool = false, negated: Bool = false) {
    (self.name, self.wildcard, self.negated) = (name, wildcard, negated)
  }
}

/// An address under a mask, which need not be a prefix; numbers in host order.
package enum AddressMatch: Hashable, Sendable {
  case ipv4(UInt32, mask: UInt32, negated: Bool)
  indirect case ipv6(UInt128, mask: UInt128, negated: Bool)
}

/// Ports from `low` to `high`, both included.
package struct PortRange: Hashable, Sendable {
  package var low: UInt16
  package var high: UInt16

  package init(_ low: UInt16, _ high: UInt16) { (self.low, self.high) = (low, high) }
  package static let all = PortRange(0, .max)
}

/// `-m tcp`.
package struct TCPMatch: Hashable, Sendable {
  package var source: PortRange
  package var destination: PortRange
  /// The number of a TCP option that must be there; 0 asks for none.
  package var option: UInt8
  package var flagMask: UInt8
  package var flagValue: UInt8
  package var inverted: Inverted

  package struct Inverted: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let source = Inverted(rawValue: 1)
    package static let destination = Inverted(rawValue: 2)
    package static let flags = Inverted(rawValue: 4)
    package static let option = Inverted(rawValue: 8)
  }

  package init(
    source: PortRange, destination: PortRange, option: UInt8, flagMask: UInt8, flagValue: UInt8,
    inverted: Inverted
  ) {
    self.source = source
    self.destination = destination
    self.option = option
    self.flagMask = flagMask
    self.flagValue = flagValue
    self.inverted = inverted
  }
}

/// `-m udp` and `-m udplite`.
package struct UDPMatch: Hashable, Sendable {
  package var source: PortRange
  package var destination: PortRange
  /// `source` and `destination` alone have meaning.
  package var inverted: TCPMatch.Inverted

  package init(source: PortRange, destination: PortRange, inverted: TCPMatch.Inverted) {
    self.source = source
    self.destination = destination
    self.inverted = inverted
  }
}

/// `-m sctp` without chunk types.
package struct SCTPMatch: Hashable, Sendable {
  package var source: PortRange?
  package var destination: PortRange?
  package var inverted: TCPMatch.Inverted

  package init(source: PortRange?, destination: PortRange?, inverted: TCPMatch.Inverted) {
    self.source = source
    self.destination = destination
    self.inverted = inverted
  }
}

/// `-m icmp`, `-m icmp6`; type 255 is any.
package struct ICMPMatch: Hashable, Sendable {
  package var six: Bool
  package var type: UInt8
  package var lowCode: UInt8
  package var highCode: UInt8
  package var negated: Bool

  package init(six: Bool, type: UInt8, lowCode: UInt8, highCode: UInt8, negated: Bool) {
    self.six = six
    self.type = type
    self.lowCode = lowCode
    self.highCode = highCode
    self.negated = negated
  }
}

/// `-m multiport`.
package struct MultiportMatch: Hashable, Sendable {
  package enum Side: UInt8, Sendable { case source, destination, either }
  package var side: Side
  package var ports: [PortRange]
  package var negated: Bool

  package init(side: Side, ports: [PortRange], negated: Bool) {
    self.side = side
    self.ports = ports
    self.negated = negated
  }
}

/// `-m iprange`, and nftables' ranges of addresses; IPv4 addresses in the low 32 bits.
package struct AddressRangeMatch: Hashable, Sendable {
  package struct Side: Hashable, Sendable {
    package var low: UInt128
    package var high: UInt128
    package var negated: Bool

    package init(low: UInt128, high: UInt128, negated: Bool) {
      (self.low, self.high, self.negated) = (low, high, negated)
    }
  }
  package var six: Bool
  package var source: Side?
  package var destination: Side?

  package init(six: Bool, source: Side?, destination: Side?) {
    self.six = six
    self.source = source
    self.destination = destination
  }
}

/// A 32-bit mark under a mask.
package struct MaskedMatch: Hashable, Sendable {
  package var value: UInt32
  package var mask: UInt32
  package var negated: Bool

  package init(value: UInt32, mask: UInt32, negated: Bool) {
    self.value = value
    self.mask = mask
    self.negated = negated
  }
}

/// `-m addrtype`: bit N of a set stands for `RTN_` type N.
package struct AddressTypeMatch: Hashable, Sendable {
  package var source: UInt16
  package var destination: UInt16
  package var flags: Flags

  package struct Flags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let invertSource = Flags(rawValue: 1)
    package static let invertDestination = Flags(rawValue: 2)
    package static let limitToInput = Flags(rawValue: 4)
    package static let limitToOutput = Flags(rawValue: 8)
  }

  package init(source: UInt16, destination: UInt16, flags: Flags) {
    self.source = source
    self.destination = destination
    self.flags = flags
  }
}

/// `-m physdev`.
package struct BridgePortMatch: Hashable, Sendable {
  package var input: InterfaceMatch?
  package var output: InterfaceMatch?
  /// `XT_PHYSDEV_OP_*`: which conditions there are, and which of them are inverted.
  package var conditions: UInt8
  package var inverted: UInt8

  package init(input: InterfaceMatch?, output: InterfaceMatch?, conditions: UInt8, inverted: UInt8)
  {
    self.input = input
    self.output = output
    self.conditions = conditions
    self.inverted = inverted
  }
}

/// `-m set` without conditions on counters: membership in an ipset, told by its index as the kernel
/// keeps it.
package struct SetMatch: Hashable, Sendable {
  package var index: UInt16
  /// What each dimension of the set is looked up with: true the source, false the destination.
  package var dimensions: [Bool]
  package var negated: Bool
  /// `IPSET_FLAG_*`.
  package var flags: UInt32

  package init(
    index: UInt16, dimensions: [Bool], negated: Bool, flags: UInt32
  ) {
    self.index = index
    self.dimensions = dimensions
    self.negated = negated
    self.flags = flags
  }
}

/// `-m state`, `ct state`, and `-m conntrack` where it looks at state, status and direction only.
package struct ConntrackMatch: Hashable, Sendable {
  /// `XT_CONNTRACK_*`: which conditions there are, and which of them are inverted.
  package var conditions: UInt16
  package var inverted: UInt16
  package var states: States
  /// `IPS_*` bits.
  package var status: UInt16

  /// `XT_CONNTRACK_STATE_*`.
  package struct States: OptionSet, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
    package static let invalid = States(rawValue: 1)
    package static let established = States(rawValue: 2)
    package static let related = States(rawValue: 4)
    package static let new = States(rawValue: 8)
    package static let sourceNAT = States(rawValue: 0x40)
    package static let destinationNAT = States(rawValue: 0x80)
    package static let untracked = States(rawValue: 0x100)

    /// From the bits of xt_state and of nftables' `ct state`, which know no NAT and have `untracked` there;
    /// `nil` where there are others.
    package init?(bits: UInt16) {
      guard bits & ~0x4f == 0 else { return nil }
      self.init(rawValue: bits & 0xf)
      if bits & 0x40 != 0 { insert(.untracked) }
    }

    /// Those bits.
    package var bits: UInt16 { rawValue & 0xf | (contains(.untracked) ? 0x40 : 0) }
  }

  package static let state: UInt16 = 1
  package static let status: UInt16 = 1 << 6
  package static let direction: UInt16 = 1 << 12
  /// Set by `-m state` in place of `-m conntrack`; no condition.
  package static let alias: UInt16 = 1 << 13

  package init(conditions: UInt16, inverted: UInt16, states: States, status: UInt16) {
    self.conditions = conditions
    self.inverted = inverted
    self.states = states
    self.status = status
  }
}
