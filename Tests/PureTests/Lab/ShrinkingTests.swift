// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

@Suite struct ShrinkingTests {
  private static var halves: Reduction<[Int]> {
    Reduction {
      $0.count
    } without: { list, range in
      var list = list
      list.removeSubrange(range)
      return list
    }
  }

  @Test func whatIsNeededStays() {
    var shrinking = Shrinking(Array(0..<1000), within: .seconds(60))
    shrinking.run([Self.halves]) { Set($0).isSuperset(of: [3, 517, 998]) }
    #expect(shrinking.subject == [3, 517, 998])
    #expect(shrinking.isLeast)
    #expect(shrinking.tries < 200)
  }

  @Test func whatOnlyFailsWholeStaysWhole() {
    var shrinking = Shrinking([1, 2, 3], within: .seconds(60))
    shrinking.run([Self.halves]) { $0.count == 3 }
    #expect(shrinking.subject == [1, 2, 3] && shrinking.isLeast)
  }

  @Test func oneReductionMakesWayForAnother() {
    // The first element may go only when the last one has gone.
    var shrinking = Shrinking([1, 2], within: .seconds(60))
    shrinking.run([Self.halves]) { $0 == [1] || $0.isEmpty }
    #expect(shrinking.subject.isEmpty)
  }

  @Test func timeIsBounded() {
    var shrinking = Shrinking(Array(0..<1000), within: .zero)
    shrinking.run([Self.halves]) { _ in true }
    #expect(shrinking.subject.count == 1000 && !shrinking.isLeast)
  }

  // MARK: Rulesets

  /// A ruleset of each tool with its packets.
  private static func trial(_ tool: Firewall.Tool, seed: UInt64) -> FirewallTrial {
    var maker = FirewallMaker(.init(tool, 1, seed: 1), seed: seed)
    return FirewallTrial(maker.make(), maker.packets(50))
  }

  @Test(arguments: Firewall.Tool.allCases) func rulesetsComeFromTheirSeed(_ tool: Firewall.Tool) {
    #expect(Self.trial(tool, seed: 7) == Self.trial(tool, seed: 7))
    #expect(Self.trial(tool, seed: 7).firewall != Self.trial(tool, seed: 8).firewall)
    #expect((10...250).contains(Self.trial(tool, seed: 7).firewall.ruleCount))
  }

  /// The rule that is at fault stays, alone with a packet.
  @Test(arguments: Firewall.Tool.allCases) func aRulesetShrinksToOneRule(
    _ tool: Firewall.Tool
  ) throws {
    let trial = Self.trial(tool, seed: 11)
    let rules = trial.firewall.tables.flatMap { $0.chains.flatMap(\.rules) }
    let culprit = try #require(
      rules.first { !$0.isAnchor && $0.pieces.contains { $0.text.contains("10.") } })
    let piece = try #require(culprit.pieces.first { $0.text.contains("10.") })
    var shrinking = Shrinking(trial, within: .seconds(60))
    shrinking.run(FirewallTrial.reductions) { trial in
      trial.packets.contains { $0.number == 33 }
        && trial.firewall.tables.contains { table in
          table.chains.contains { $0.rules.contains { $0.pieces.contains(piece) } }
        }
    }
    let least = shrinking.subject
    #expect(least.firewall.ruleCount == 1 && least.firewall.tables.count == 1)
    #expect(least.firewall.sets.isEmpty && least.packets.map(\.number) == [33])
    #expect(least.firewall.script.contains(piece.text))
    #expect(least.packets[0].ttl == 64 && least.packets[0].options.isEmpty)
    #expect(!shrinking.subject.firewall.tables[0].chains[0].drops)
  }

  /// Two rules of a set of values, of which one value matters.
  @Test func valuesGo() {
    var piece = Firewall.Piece("ip saddr { ")
    (piece.elements, piece.tail) = ((1...9).map { "10.0.0.\($0)" }, " }")
    let rule = Firewall.Rule(pieces: [piece, .init("tcp dport 5")], action: "drop")
    var wall = Firewall(.native)
    wall.tables = [
      .init(name: "t", chains: [.init(name: "c", hook: "forward priority 0", rules: [rule, rule])])
    ]
    var shrinking = Shrinking(
      FirewallTrial(wall, [FirewallPacket(number: 1)]), within: .seconds(60))
    shrinking.run(FirewallTrial.reductions) { $0.firewall.script.contains("10.0.0.7") }
    #expect(
      shrinking.subject.firewall.script == """
        flush ruleset
        table ip t {
        chain c {
        type filter hook forward priority 0; policy accept;
        ip saddr { 10.0.0.7 } drop
        }
        }

        """)
  }

  /// With a chain goes what leads to it.
  @Test func aChainTakesItsJumpsAlong() {
    var map = Firewall.Piece("tcp dport vmap { ")
    (map.elements, map.tail) = (["1 : jump a", "2 : jump b"], " }")
    var jump = Firewall.Rule(action: "jump a")
    jump.chain = "a"
    var wall = Firewall(.native)
    wall.tables = [
      .init(
        name: "t",
        chains: [
          .init(name: "c", hook: "forward priority 0", rules: [.init(pieces: [map]), jump]),
          .init(name: "a", rules: [.init(action: "drop")]), .init(name: "b"),
        ])
    ]
    var shrinking = Shrinking(
      FirewallTrial(wall, [FirewallPacket(number: 1)]), within: .seconds(60))
    shrinking.run(FirewallTrial.reductions) {
      $0.firewall.tables.count == 1 && $0.firewall.tables[0].chains.contains { $0.name == "b" }
    }
    #expect(shrinking.subject.firewall.tables[0].chains.map(\.name) == ["b"])
  }
}
