// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

// Small tables for tests.

extension RuleTable {
  /// iptables-legacy's filter table with a FORWARD chain that accepts by default.
  static func legacy(
    _ rules: [Rule], family: RuleFamily = .ip, hook: ChainHook = .forward, users: [Chain] = [],
    policy: Verdict = .accept
  ) -> RuleTable {
    .one(.iptablesLegacy, family, hook, rules, users, policy)
  }

  static func nftables(
    _ rules: [Rule], family: RuleFamily = .inet, hook: ChainHook = .forward, users: [Chain] = [],
    sets: [NamedSet] = [], policy: Verdict = .accept
  ) -> RuleTable {
    var table = one(.nftables, family, hook, rules, users, policy)
    table.sets = sets
    return table
  }

  private static func one(
    _ backend: Backend, _ family: RuleFamily, _ hook: ChainHook, _ rules: [Rule], _ users: [Chain],
    _ policy: Verdict
  ) -> RuleTable {
    var table = RuleTable(family: family, name: "filter", backend: backend)
    var chain = Chain(
      name: "BASE", base: BaseChain(hook: hook, priority: 0, type: "filter", policy: policy))
    chain.rules = rules
    table.chains = users + [chain]
    return table
  }

  func flat(_ family: RuleFamily = .ip, sets: [IPSet] = []) -> FlatRuleset {
    FlatRuleset(family: family, tables: [self], sets: sets)
  }
}

extension Rule {
  init(_ matches: [Match], _ target: Target = .drop) {
    self.init(handle: 1)
    (self.matches, self.target) = (matches, target)
  }

  init(_ expressions: [RuleExpression]) {
    self.init(handle: 1)
    self.expressions = expressions
  }
}

extension Chain {
  init(_ name: String, _ rules: [Rule]) {
    self.init(name: name)
    self.rules = rules
  }
}

extension FlatRuleset {
  /// How often a rule of a chain, from 1, or its policy (0) counts a packet.
  func count(_ packet: TestPacket, _ chain: String, _ number: Int) -> Int {
    judge(packet).counted.filter { $0.key.chain == chain && $0.key.number == number }
      .values.reduce(0, +)
  }
}

extension TestPacket {
  static func with(_ change: (inout TestPacket) -> Void) -> TestPacket {
    var packet = TestPacket()
    change(&packet)
    return packet
  }
}

// MARK: Among conntrack and NAT

extension FlatRuleset.View {
  /// A hook where it occurs.
  var hook: ChainHook {
    switch self {
    case .untracked, .arriving: .prerouting
    case .plain, .routed: .forward
    case .leaving: .postrouting
    }
  }
}

extension NetfilterHook {
  static let conntrack = ipv4(.prerouting, -200, "ipv4_conntrack_in")
  static let natIn = ipv4(.prerouting, -100, "nf_nat_ipv4_pre_routing")
  static let natOut = ipv4(.postrouting, 100, "nf_nat_ipv4_out")
  static let confirm = ipv4(.postrouting, .max, "nf_confirm")

  static func ipv4(
    _ point: Point, _ priority: Int32, _ function: String, table: String = "", chain: String = ""
  ) -> NetfilterHook {
    NetfilterHook(
      family: .ipv4, point: point, priority: priority, function: function, table: table,
      chain: chain)
  }
}

extension RuleTable {
  /// Of its last chain.
  var hook: NetfilterHook {
    let legacy = backend == .iptablesLegacy
    let last = chains.last
    return .ipv4(
      last?.base?.hook.pointOnTheWay ?? .forward, last?.base?.priority ?? 0,
      legacy ? "ipt_do_table" : family == .inet ? "nft_do_chain_inet" : "nft_do_chain_ipv4",
      table: name, chain: last?.name ?? "")
  }

  /// With its base chain where a view says; the list's order alone does.
  func flat(at view: FlatRuleset.View, nat: Bool = true, sets: [IPSet] = []) -> FlatRuleset {
    let hooks: [NetfilterHook] =
      switch view {
      case .plain: [hook]
      case .untracked: [hook, .conntrack, .natIn, .natOut, .confirm]
      case .arriving: [.conntrack, hook, .natIn, .natOut, .confirm]
      case .routed: [.conntrack, .natIn, hook, .natOut, .confirm]
      case .leaving: [.conntrack, .natIn, .natOut, hook, .confirm]
      }
    return FlatRuleset(
      family: .ip, tables: [self], sets: sets,
      hooks: hooks.filter { nat || $0.owner != .nat })
  }
}

extension Match {
  static func state(
    _ states: ConntrackMatch.States, inverted: Bool = false, alias: Bool = false
  ) -> Match {
    .conntrack(
      ConntrackMatch(
        conditions: ConntrackMatch.state | (alias ? ConntrackMatch.alias : 0),
        inverted: inverted ? ConntrackMatch.state : 0, states: states, status: 0))
  }
}
