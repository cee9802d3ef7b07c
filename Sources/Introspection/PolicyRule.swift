// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

/// A rule of the routing policy database (`ip rule`).
package struct PolicyRule: Equatable, Sendable {
  package var family: IPFamily
  package var priority: UInt32 = 0
  package var table: UInt32 = 0
  package var action: UInt8 = 0
  /// What it asks of a packet, by the names `ip rule` gives them.
  package var selectors: [String] = []
  package var inverted = false

  package init(family: IPFamily, table: UInt32 = 0, action: UInt8 = 0) {
    self.family = family
    self.table = table
    self.action = action
  }

  /// Reads an RTM_NEWRULE message's payload.
  package static func parse(_ payload: Bytes) -> PolicyRule? {
    guard let family = payload[0].flatMap(IPFamily.init), let destination = payload[1],
      let source = payload[2], let tos = payload[3], let table = payload[4],
      let action = payload[7], let flags = payload.load(8, as: UInt32.self)
    else { return nil }
    var rule = PolicyRule(family: family, table: UInt32(table), action: action)
    rule.inverted = flags & UInt32(FIB_RULE_INVERT) != 0
    if source > 0 { rule.selectors.append("from") }
    if destination > 0 { rule.selectors.append("to") }
    if tos > 0 { rule.selectors.append("tos") }
    for attribute in Attributes(payload, after: 12) { rule.take(attribute) }
    return rule
  }

  private mutating func take(_ attribute: Attribute) {
    switch attribute.type {
    case FRA_PRIORITY: priority = attribute.u32 ?? 0
    case FRA_TABLE: table = attribute.u32 ?? table
    case FRA_IIFNAME: selectors.append("iif")
    case FRA_OIFNAME: selectors.append("oif")
    case FRA_FWMARK: if attribute.u32 != 0 { selectors.append("fwmark") }
    case FRA_L3MDEV: if attribute.u8 == 1 { selectors.append("l3mdev") }
    case FRA_TUN_ID: if attribute.u64 != 0 { selectors.append("tun_id") }
    case FRA_UID_RANGE: selectors.append("uidrange")
    case FRA_IP_PROTO: selectors.append("ipproto")
    case FRA_SPORT_RANGE: selectors.append("sport")
    case FRA_DPORT_RANGE: selectors.append("dport")
    case FRA_SUPPRESS_PREFIXLEN:
      if attribute.i32 != -1 { selectors.append("suppress_prefixlength") }
    case FRA_FWMASK where !selectors.contains("fwmark"): selectors.append("fwmark")
    case FRA_FWMASK, FRA_DST, FRA_SRC, FRA_GOTO, FRA_FLOW, FRA_PAD, FRA_PROTOCOL: break
    case FRA_SUPPRESS_IFGROUP: selectors.append("suppress_ifgroup")
    // What a newer kernel asks of a packet.
    default: selectors.append("attribute \(attribute.type)")
    }
  }

  /// How many of the two that forwarding is nothing unusual with, local and main, are missing of a
  /// family; none where there are no rules at all, as on a kernel without policy routing.
  package static func missing(_ family: IPFamily, of rules: [PolicyRule]) -> Int {
    let own = rules.filter { $0.family == family }
    if own.isEmpty { return 0 }
    return [255, 254].count { table in !own.contains { $0.isDefault && $0.table == table } }
  }

  /// Whether it is one of the three every namespace starts with (0: local, 32766: main, 32767: default).
  package var isDefault: Bool {
    action == 1 && selectors.isEmpty && !inverted
      && [[0, 255], [32766, 254], [32767, 253]].contains([priority, table])
  }
}
