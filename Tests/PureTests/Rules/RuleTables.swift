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
