// SPDX-License-Identifier: Apache-2.0
import Introspection
import Netlink

/// Everything that parses what comes from the kernel. A new parser gets a line here.
enum Parsers {
  /// Each is given every blob, and the payload of every netlink message in it.
  static let all: [(name: String, parse: @Sendable (Bytes) -> Void)] = [
    ("messages and attributes", { walk($0, depth: 0) }),
    ("link", { _ = Link.parse($0) }),
    ("VLANs of a port", { _ = PortVLAN.parse($0) }),
    ("address", { _ = Address.parse($0)?.text }),
    ("policy rule", { _ = PolicyRule.parse($0)?.isDefault }),
    ("route", { _ = RouteKinds.parse($0)?.kinds.names }),
    ("qdisc", { _ = Qdisc.parse($0)?.isPlain }),
    ("tc filter", { _ = TrafficFilter.parse($0, side: .ingress) }),
    ("nftables table", { _ = RuleTable.parse($0) }),
    ("nftables chain", { _ = Chain.parse($0) }),
    ("nftables rule", { _ = Rule.parse($0) { _, _ in 4 } }),
    ("nftables set", { _ = NamedSet.parse($0) }),
    ("nftables set elements", { _ = NamedSet.elements($0).sorted(by: NamedSet.Element.inOrder) }),
    ("nftables object", { _ = NamedObject.parse($0) }),
    ("nftables flowtable", { _ = Flowtable.parse($0) }),
    ("nftables ruleset", ruleset),
    ("ipset", { _ = IPSet.parse($0) }),
    ("ipset identity", { _ = IPSet.identity($0) }),
    ("iptables rule", { entry($0, .ip) }),
    ("ip6tables rule", { entry($0, .ip6) }),
  ]

  static func run(_ blob: Bytes) {
    for parser in all { parser.parse(blob) }
    for message in Messages(blob) {
      for parser in all { parser.parse(message.payload) }
    }
  }

  /// Walks attributes as deep as they nest, reading each in every way.
  private static func walk(_ bytes: Bytes, depth: Int) {
    for header in depth == 0 ? [0, 4, 8, 12, 16, 20] : [0] {
      for attribute in Attributes(bytes, after: header) {
        _ = (attribute.u8, attribute.u16, attribute.u32, attribute.u64, attribute.i32)
        _ = (attribute.big16, attribute.big32, attribute.big64, attribute.string)
        if depth < 12 { walk(attribute.payload, depth: depth + 1) }
      }
    }
  }

  /// All kinds of messages into one ruleset, and what is asked of it afterwards.
  private static func ruleset(_ bytes: Bytes) {
    var ruleset = NftablesRuleset()
    _ = (ruleset.addTable(bytes), ruleset.addChain(bytes), ruleset.addSet(bytes))
    _ = (ruleset.addObject(bytes), ruleset.addFlowtable(bytes), ruleset.addRule(bytes))
    summarize(ruleset.finished)
  }

  private static func entry(_ bytes: Bytes, _ family: RuleFamily) {
    for target in [nil, "ACCEPT", "somewhere"] {
      guard let rule = Rule.xtables(entry: bytes, family: family, line: 1, target: target) else {
        continue
      }
      var table = RuleTable(family: family, name: "filter", backend: .iptablesLegacy)
      var chain = Chain(name: "somewhere")
      chain.rules = [rule, rule]
      table.chains = [chain]
      summarize([table])
    }
  }

  private static func summarize(_ tables: [RuleTable]) {
    for table in tables {
      _ = (table.unmodelledNames, table.activeHooks, table.mayTouchForwarded)
      _ = (table.ruleCount(at: .forward), table.unmodelledRuleCount(at: .forward))
    }
    _ = ConntrackUse(tables)
  }
}
