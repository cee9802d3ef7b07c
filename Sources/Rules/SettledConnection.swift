// SPDX-License-Identifier: Apache-2.0

/// A connection as rules see it, in six bits, and whether there is one.
///
/// Where connections are tracked only packets of those that are settled are asked about: confirmed, seen in
/// both directions and assured (`IPS_CONFIRMED`, `IPS_SEEN_REPLY`, `IPS_ASSURED`). Their state is always
/// ESTABLISHED, for resolve_normal_ct() asks for a reply before it asks whether the connection was expected.
///
/// Where rules have packets not tracked, others are asked about as well; unless they turn out not to be tracked, what
/// was said of them is forgotten.
package struct SettledConnection: Equatable, Hashable, Sendable {
  /// Bit 0: the packet's direction, 1 for reply; then, as `IPS_*`, EXPECTED, SRC_NAT, DST_NAT, SRC_NAT_DONE
  /// and DST_NAT_DONE. Bit 6: it belongs to none of those; 7: it is not tracked.
  package var number: UInt8

  package init(number: UInt8) { self.number = number }

  /// The largest number.
  package static let last: UInt128 = 255
  /// The numbers of packets that belong to one of them, and of those that are not tracked.
  static let tracked = ValueSet(0...63)
  static let untracked = ValueSet(128...255)

  package static let untrackedBit: UInt8 = 1 << 7

  package var isUntracked: Bool { number & Self.untrackedBit != 0 }
  package var isReply: Bool { has(0) }
  package var hasSourceNAT: Bool { has(2) }
  package var hasDestinationNAT: Bool { has(3) }

  /// `nf_conn.status`.
  package var status: UInt32 {
    var status: UInt32 = 0b1110
    for (bit, place) in [(1, 0), (2, 4), (3, 5), (4, 7), (5, 8)] as [(UInt8, UInt32)] where has(bit)
    {
      status |= 1 << place
    }
    return status
  }

  private func has(_ bit: UInt8) -> Bool { number & 1 << bit != 0 }

  /// The numbers of those that fulfil something; all, where all that there can be do.
  static func numbers(
    untracked: Bool, where holds: (SettledConnection) -> Bool
  ) -> ValueSet {
    let possible = untracked ? last : 63
    let found = ValueSet(1).preimage(upTo: possible) { number in
      holds(SettledConnection(number: UInt8(truncatingIfNeeded: number))) ? 1 : 0
    }
    return found.ranges == [0...possible] ? ValueSet(0...last) : found
  }
}
