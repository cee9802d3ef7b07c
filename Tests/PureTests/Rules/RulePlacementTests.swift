// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Testing

@Suite struct RulePlacementTests {
  private let source = Match.source(.ipv4(0x0a00_0000, mask: .max, negated: false))
  private let limit = Match.unknown(UnknownExtension("limit"))

  private func places(_ table: RuleTable, limit: Int = 1000) -> [[RulePlacement.Place]] {
    RulePlacement([FlatRuleset(family: .ip, tables: [table], limit: limit)]).places(in: table)
  }

  @Test func rulesAreFastOrPuntedByName() {
    let table = RuleTable.legacy([
      Rule([source], .drop), Rule([source, limit], .accept),
      Rule([source], .unknown(UnknownExtension("LOG"))), Rule([source], .reject(3)),
    ])
    #expect(
      places(table) == [
        [
          .fast, .fast, .punted([.effect("limit")]), .punted([.effect("LOG")]),
          .punted([.effect("REJECT")]),
        ]
      ])
  }

  @Test func whatStandsBehindTheLastWordIsNeverMet() {
    let table = RuleTable.legacy(
      [Rule([], .drop), Rule([source], .accept), Rule([], .jump("u"))],
      users: [Chain("u", [Rule([source], .drop)])])
    // Users' chains come first in these tables, and have no policy to speak of.
    #expect(places(table) == [[.unmet, .unmet], [.fast, .fast, .unmet, .unmet]])
  }

  /// What is left behind the rule that accepts settled connections is for the others.
  @Test func newConnectionsAreTheKernels() {
    let table = RuleTable.legacy([Rule([.state(.established)], .accept), Rule([source], .drop)])
    func places(_ view: FlatRuleset.View) -> [[RulePlacement.Place]] {
      RulePlacement([table.flat(at: view)]).places(in: table)
    }
    #expect(places(.routed) == [[.fast, .fast, .kernel("connections")]])
    #expect(places(.plain) == [[.fast, .punted([.unknown("conntrack")]), .unmet]])
  }

  @Test func chainsThatForwardedPacketsDoNotPassStandAside() {
    let users = [Chain("used", [Rule([source], .drop)]), Chain("unused", [Rule([source], .drop)])]
    let table = RuleTable.legacy([Rule([source], .jump("used"))], hook: .input, users: users)
    #expect(places(table).flatMap { $0 }.allSatisfy { $0 == .aside })
    let forward = RuleTable.legacy([Rule([source], .goto("used"))], users: users)
    let found = places(forward)
    #expect(found[0][1] == .fast && found[1] == [.aside, .aside] && found[2] == [.fast, .fast])
    var dormant = RuleTable.nftables([Rule([RuleExpression.verdict(.drop)])])
    dormant.flags = .dormant
    #expect(places(dormant) == [[.aside, .aside]])
  }

  @Test func otherFamiliesAndKindsAreTheKernels() {
    for (family, hook, name) in [
      (RuleFamily.ip6, ChainHook.forward, "ip6"), (.bridge, .forward, "bridge"),
      (.netdev, .ingress, "netdev"), (.inet, .ingress, "netdev"),
    ] {
      let table = RuleTable.nftables(
        [Rule([RuleExpression.verdict(.drop)])], family: family, hook: hook)
      #expect(places(table) == [[.kernel(name), .kernel(name)]], "\(family) \(hook)")
    }
    var nat = RuleTable.legacy([Rule([source], .accept)], hook: .postrouting)
    nat.chains[0].base?.type = "nat"
    #expect(places(nat) == [[.kernel("nat"), .kernel("nat")]])
  }

  @Test func whatDoesNotFitIsPunted() {
    let table = RuleTable.legacy((0..<20).map { _ in Rule([source], .drop) })
    let found = places(table, limit: 10)[0]
    #expect(
      found[1] == .fast && found[20] == .punted([.tooMany]) && found[0] == .punted([.tooMany]))
  }
}
