// SPDX-License-Identifier: Apache-2.0
import Introspection

/// All that packets of one family meet of the rules on their way through the machine, as one list:
/// chains are laid out where they are jumped to, so that no place in the list leads back.
///
/// This is what the classifier is made of. Whatever is not known for certain stands in it as a rule
/// that hands the packets it may concern to the kernel.
package struct FlatRuleset: Equatable, Sendable {
  package var family: RuleFamily
  /// Base chains in the order packets meet them.
  package var stages: [Stage] = []
  package var rules: [FlatRule] = []
  /// The kernel's rules (and policies) that the list was made of; several flat rules may come from one.
  package var origins: [Origin] = []

  package init(family: RuleFamily) { self.family = family }

  /// One base chain: packets that it accepts go on to the next stage.
  package struct Stage: Equatable, Sendable {
    package var hook: ChainHook
    package var priority: Int32
    package var backend: RuleTable.Backend
    package var table: String
    package var chain: String
    /// What connection tracking and NAT have done to packets before.
    package var view: View
    /// Its part of `rules`. The last one has no conditions and is the policy.
    package var rules: Range<Int>

    package init(
      hook: ChainHook, priority: Int32, backend: RuleTable.Backend, table: String, chain: String,
      view: View = .plain, rules: Range<Int>
    ) {
      (self.hook, self.priority, self.backend) = (hook, priority, backend)
      (self.table, self.chain, self.view, self.rules) = (table, chain, view, rules)
    }
  }

  package typealias Origin = RuleOrigin
}

/// A rule with all that led to it: it concerns a packet that arrives at it and meets all `conditions`.
package struct FlatRule: Equatable, Sendable {
  package var conditions: [Condition]
  package var action: Action
  /// Index in `origins`: where it came from.
  package var origin: Int
  /// Whether the kernel counts a packet there.
  package var counts: Bool

  package init(conditions: [Condition], action: Action, origin: Int, counts: Bool) {
    (self.conditions, self.action) = (conditions, action)
    (self.origin, self.counts) = (origin, counts)
  }

  package enum Action: Equatable, Sendable {
    /// The next rule of the list is tried.
    case next
    /// A later rule of the same stage is tried next; `rules.upperBound` of the stage never occurs.
    case skip(to: Int)
    /// The same, with something changed.
    case change(RuleChange, to: Int)
    /// On to the next stage.
    case accept
    case drop
    /// What happens is the kernel's to decide, from the start: what the packet passed before does not
    /// count either.
    case punt(Cause)
  }

  /// Why a packet that arrives at a rule is the kernel's.
  package enum Cause: Equatable, Hashable, Sendable {
    /// A match, target or expression whose meaning is not known, by name.
    case unknown(String)
    /// Known, but an effect that only the kernel has (REJECT, LOG, NAT, marks …), by name.
    case effect(String)
    /// More rules than the list may hold.
    case tooMany

    /// What a rule of nftables on ports makes of a later fragment, nobody knows.
    package static let fragment = Cause.unknown("fragment")
    /// A connection gets another mark than it has, which most of its packets do not see.
    package static let newMark = Cause.effect("new connection mark")
  }
}

/// What a rule changes of a packet.
package enum RuleChange: Hashable, Sendable {
  case mark(MarkChange)
  /// Connection tracking does not look at it.
  case untracked
}

/// One condition of a flat rule.
package enum Condition: Equatable, Sendable {
  /// A number of the packet lies in a set. A packet that does not have the field meets no such condition:
  /// whoever asks for ports also asks for the transport protocol, and for no later fragment.
  case field(Field, ValueSet)
  /// The name of the interface by which the packet came in, or goes out.
  case interface(Direction, InterfaceMatch)
  /// The same by index.
  case interfaceIndex(Direction, UInt32, negated: Bool)
  /// What is looked at only when all the rest holds.
  indirect case late(LateCondition)

  package enum Direction: Equatable, Hashable, Sendable { case input, output }
}

/// A number that a packet has, always as it came in, whichever hook a rule stands at. Where NAT is done it is
/// the source as it came in and the destination that is routed to; rules of stages that see another one
/// ask for nothing of it.
///
/// Rules of which a packet's transport header is part do not see a header that is not whole: iptables
/// drops such a packet, nftables lets it pass. Whoever classifies therefore leaves to the kernel what is
/// no later fragment and has fewer bytes of its transport header than 20 (TCP), 8 (UDP, UDP-Lite, ICMP,
/// ICMPv6) or 12 (SCTP, DCCP), and fragments of TCP with the offset 1, which iptables drops.
package enum Field: UInt8, CaseIterable, Equatable, Hashable, Sendable {
  /// Addresses, in host order; IPv4 ones in the low 32 bits.
  case source, destination
  /// The transport protocol.
  case transport
  /// 0: a whole packet or the first fragment; 1: a later fragment.
  case laterFragment
  /// Of TCP, UDP, UDP-Lite, SCTP and DCCP.
  case sourcePort, destinationPort
  /// Byte 13 of the TCP header.
  case tcpFlags
  /// Type × 256 + code.
  case icmp
  /// Total length (IPv4), or payload length and header (IPv6).
  case length
  /// TTL or hop limit. Packets with less than 2 are not forwarded and never asked about.
  case ttl
  /// The whole byte.
  case tos
  /// As it is where the rule is asked.
  case mark
  /// `PACKET_HOST` and so on.
  case packetType
  /// What may differ of connections whose packets are asked about: see `SettledConnection`.
  case connection
  /// The connection's mark.
  case connectionMark
  /// What a packet is addressed to before NAT, where that may be something else.
  case arrivedDestination, arrivedDestinationPort

  /// The largest value it can have.
  package func last(_ family: RuleFamily) -> UInt128 {
    switch self {
    case .source, .destination, .arrivedDestination: family == .ip ? 0xffff_ffff : .max
    case .laterFragment: 1
    case .transport, .tcpFlags, .ttl, .tos: 0xff
    case .sourcePort, .destinationPort, .arrivedDestinationPort, .icmp: 0xffff
    case .length: family == .ip ? 0xffff : 0xffff + 40
    case .mark, .connectionMark: 0xffff_ffff
    case .packetType: 7
    case .connection: SettledConnection.last
    }
  }
}

/// A condition that takes a look at more than a number of the packet.
package enum LateCondition: Equatable, Hashable, Sendable {
  /// An address under a mask that is no prefix; numbers in host order.
  case maskedAddress(source: Bool, value: UInt128, mask: UInt128, negated: Bool)
  /// The mark under a mask.
  case maskedMark(value: UInt32, mask: UInt32, negated: Bool)
  /// The connection's mark under a mask.
  case maskedConnectionMark(value: UInt32, mask: UInt32, negated: Bool)
  /// Both marks together: whether `(mark & packet) ^ (connection's & connection)` is the constant.
  case marks(MarkChange, negated: Bool)
  /// Of the Ethernet frame that came in.
  case sourceMAC([UInt8], negated: Bool)
  /// Types of the source address as `inet_addr_type` finds them in the local table: bit N for `RTN_`
  /// type N.
  case sourceType(UInt16)
  /// Membership in an ipset, looked up in the kernel's own memory.
  case ipset(index: UInt16, dimensions: [Bool], negated: Bool)
}
