// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Testing

/// How chains become a list, and what is handed to the kernel.
@Suite struct FlatRulesetTests {
  private let all = TestPacket()
  private func source(_ last: UInt32) -> Match {
    .source(.ipv4(0x0a00_0000 | last, mask: .max, negated: false))
  }
  private func from(_ last: UInt32) -> TestPacket {
    TestPacket.with { $0.source = UInt128(0x0a00_0000 | last) }
  }

  // MARK: Stages

  @Test func chainsStandInTheOrderPacketsMeetThem() {
    var tables: [RuleTable] = []
    for (name, hook, priority, type) in [
      ("a", ChainHook.forward, 0, "filter"), ("b", .postrouting, -150, "filter"),
      ("c", .prerouting, 300, "filter"), ("d", .forward, -150, "filter"),
      ("e", .input, -500, "filter"), ("f", .postrouting, 100, "nat"),
      ("g", .ingress, 0, "filter"),
    ] as [(String, ChainHook, Int32, String)] {
      var table = RuleTable(family: .inet, name: name, backend: .nftables)
      table.chains = [
        Chain(
          name: "x", base: BaseChain(hook: hook, priority: priority, type: type, policy: .accept))
      ]
      tables.append(table)
    }
    #expect(FlatRuleset(family: .ip, tables: tables).stages.map(\.table) == ["c", "d", "a", "b"])
    tables[0].flags = .dormant
    tables[3].family = .ip6
    #expect(FlatRuleset(family: .ip, tables: tables).stages.map(\.table) == ["c", "b"])
    #expect(FlatRuleset(family: .ip6, tables: tables).stages.map(\.table) == ["c", "d", "b"])
  }

  /// The kernel puts the latest of the same priority first.
  @Test func chainsOfTheSamePriorityStandAsTheKernelHasThem() {
    let tables = ["a", "b", "filter"].map { name in
      var table = RuleTable(
        family: .ip, name: name, backend: name == "filter" ? .iptablesLegacy : .nftables)
      table.chains = [
        Chain(
          name: name == "filter" ? "FORWARD" : "x",
          base: BaseChain(hook: .forward, priority: 0, type: "filter", policy: .accept))
      ]
      return table
    }
    func hook(_ function: String, _ table: String, _ chain: String) -> NetfilterHook {
      NetfilterHook(
        family: .ipv4, point: .forward, priority: 0, function: function, table: table, chain: chain)
    }
    let hooks = [
      hook("nft_do_chain_ipv4", "b", "x"), hook("ipt_do_table", "filter", ""),
      hook("nft_do_chain_ipv4", "a", "x"),
    ]
    let list = FlatRuleset(family: .ip, tables: tables, hooks: hooks)
    #expect(list.stages.map(\.table) == ["b", "filter", "a"])
  }

  /// So do chains of one name in tables of one name of two families.
  @Test(arguments: [false, true]) func chainsOfOneNameInTwoFamiliesStandAsTheKernelHasThem(
    isLatest: Bool
  ) {
    let kinds: [RuleFamily] = [.ip, .inet]
    let tables = kinds.map { family in
      var table = RuleTable(family: family, name: "filter", backend: .nftables)
      table.chains = [
        Chain(
          name: "forward",
          base: BaseChain(hook: .forward, priority: 0, type: "filter", policy: .accept))
      ]
      return table
    }
    let functions = ["nft_do_chain_ipv4", "nft_do_chain_inet"]
    let hooks = (isLatest ? functions.reversed() : functions).map {
      NetfilterHook(
        family: .ipv4, point: .forward, priority: 0, function: $0, table: "filter", chain: "forward"
      )
    }
    let list = FlatRuleset(family: .ip, tables: tables, hooks: hooks)
    let families = list.stages.map {
      list.origins[list.rules[$0.rules.upperBound - 1].origin].family
    }
    #expect(families == (isLatest ? kinds.reversed() : kinds))
  }

  @Test func policiesOfIptablesCountAndThoseOfNftablesDoNot() {
    #expect(RuleTable.legacy([], policy: .drop).flat().judge(all).judgement == .drop)
    #expect(RuleTable.legacy([]).flat().count(all, "BASE", 0) == 1)
    #expect(RuleTable.nftables([], policy: .drop).flat().judge(all).judgement == .drop)
    #expect(RuleTable.nftables([]).flat().judge(all).counted.isEmpty)
  }

  // MARK: Chains

  @Test func returnLeadsBehindTheJump() {
    let user = Chain("u", [Rule([source(1)], .return), Rule([source(2)], .drop)])
    let flat = RuleTable.legacy(
      [Rule([], .jump("u")), Rule([source(1)], .drop)], users: [user]
    ).flat()
    #expect(flat.judge(from(1)).judgement == .drop)
    #expect(flat.count(from(1), "BASE", 2) == 1)
    #expect(flat.count(from(2), "u", 2) == 1)
    #expect(flat.judge(from(3)).judgement == .accept)
    #expect(flat.count(from(3), "BASE", 1) == 1)
  }

  @Test func gotoDoesNotComeBack() {
    let user = Chain("u", [Rule([source(9)], .drop)])
    let between = Chain("v", [Rule([source(1)], .goto("u")), Rule([source(1)], .drop)])
    let flat = RuleTable.legacy(
      [
        Rule([], .jump("v")), Rule([source(1)], .accept), Rule([source(2)], .goto("u")),
        Rule([], .drop),
      ],
      users: [user, between]
    ).flat()
    // Back to where the last jump was, behind v.
    #expect(flat.count(from(1), "BASE", 2) == 1)
    // From the base chain to its policy.
    #expect(flat.count(from(2), "BASE", 0) == 1)
    #expect(flat.judge(from(3)).judgement == .drop)
  }

  @Test func aChainIsOnlyForThoseWhoJump() {
    let user = Chain("u", [Rule([], .drop)])
    let flat = RuleTable.legacy([Rule([source(1)], .jump("u"))], users: [user]).flat()
    #expect(flat.judge(from(1)).judgement == .drop)
    #expect(flat.judge(from(2)).judgement == .accept)
  }

  @Test func chainsThatAreNotThereOrLeadInCirclesArePunted() {
    let missing = RuleTable.legacy([Rule([source(1)], .jump("no"))]).flat()
    #expect(missing.judge(from(1)).judgement == .punt(.unknown("chain no")))
    #expect(missing.judge(from(2)).judgement == .accept)
    let (a, b) = (Chain("a", [Rule([], .jump("b"))]), Chain("b", [Rule([], .jump("a"))]))
    let circle = RuleTable.legacy([Rule([source(1)], .jump("a"))], users: [a, b]).flat()
    #expect(circle.judge(from(1)).judgement == .punt(.unknown("chain a")))
  }

  /// Every chain leads to the next one twice: 2^40 ways, none of which holds a rule that is written.
  @Test(.timeLimit(.minutes(1))) func manyWaysThroughTheSameChainsAreCutShort() {
    let users = (0..<40).map { place in
      Chain("c\(place)", [Rule([], .jump("c\(place + 1)")), Rule([], .jump("c\(place + 1)"))])
    }
    for backend in [RuleTable.Backend.iptablesLegacy, .nftables] {
      var table = RuleTable.legacy(
        [Rule([source(1)]), Rule([], .jump("c0"))], users: users + [Chain("c40", [])])
      table.backend = backend
      let flat = FlatRuleset(family: .ip, tables: [table], limit: 2000)
      #expect(flat.rules.count <= 2001)
      #expect(flat.judge(from(1)).judgement == .drop)
      #expect(flat.judge(from(2)).judgement == .punt(.tooMany))
    }
  }

  @Test func rulesBehindOneThatTakesAllAreNotWritten() {
    let flat = RuleTable.legacy([Rule([], .accept), Rule([source(1)])]).flat()
    #expect(flat.rules.count == 2)
    #expect(flat.decisions.keys.map(\.number).sorted() == [0, 1])
  }

  @Test func skipsLeadForwardWithinTheStage() {
    for seed in 0..<200 {
      var make = RandomTables(seed: UInt64(7_000_000 + seed), family: .ip, strange: true)
      let flat = FlatRuleset(family: .ip, tables: make.tables())
      for stage in flat.stages {
        #expect(flat.rules[stage.rules.upperBound - 1].conditions.isEmpty)
        for place in stage.rules {
          guard case .skip(let target) = flat.rules[place].action else { continue }
          #expect(target > place + 1 && stage.rules.contains(target))
        }
      }
    }
  }

  // MARK: What is the kernel's

  @Test func anUnknownMatchConcernsThoseWhoMeetTheRest() {
    let time = Match.unknown(UnknownExtension("time"))
    let flat = RuleTable.legacy([Rule([source(1), time, .packetType(0, negated: false)])]).flat()
    #expect(flat.judge(from(1)).judgement == .punt(.unknown("time")))
    #expect(flat.judge(from(2)).judgement == .accept)
    let behind = RuleTable.legacy([Rule([time, source(1)])]).flat()
    #expect(behind.judge(from(1)).judgement == .punt(.unknown("time")))
    #expect(behind.judge(from(2)).judgement == .accept)
  }

  /// A limit has been asked also when the next match is not met.
  @Test func aMatchThatRemembersConcernsAllWhoComeToIt() {
    let limit = Match.unknown(UnknownExtension("limit"))
    let flat = RuleTable.legacy([Rule([limit, source(1)])]).flat()
    #expect(flat.judge(from(2)).judgement == .punt(.effect("limit")))
    let first = RuleTable.legacy([Rule([source(1), limit])]).flat()
    #expect(first.judge(from(2)).judgement == .accept)
  }

  @Test func targetsWithEffectsPuntExactlyThosePackets() {
    for (target, cause) in [
      (Target.reject(0), FlatRule.Cause.effect("REJECT")), (.queue, .effect("QUEUE")),
      (.unknown(UnknownExtension("LOG")), .effect("LOG")),
      (.unknown(UnknownExtension("FOO")), .unknown("FOO")),
    ] {
      let flat = RuleTable.legacy([Rule([source(1)], target)]).flat()
      #expect(flat.judge(from(1)) == RuleOutcome(judgement: .punt(cause)))
      #expect(flat.judge(from(2)).judgement == .accept)
    }
  }

  @Test func decisionsNameWhatIsPunted() {
    let flat = RuleTable.legacy([
      Rule([source(1)]), Rule([source(2)], .reject(0)), Rule([.packetType(1, negated: false)]),
    ]).flat()
    var found: [Int: RuleDecision] = [:]
    for (origin, decision) in flat.decisions { found[origin.number] = decision }
    #expect(found == [0: .fast, 1: .fast, 2: .punted([.effect("REJECT")]), 3: .fast])
  }

  // MARK: Counters

  @Test func aRuleThatCannotBeMetDoesNotCount() {
    let flat = RuleTable.legacy([Rule([source(1)], .fallThrough)]).flat()
    #expect(flat.count(from(1), "BASE", 1) == 1)
    #expect(flat.count(from(2), "BASE", 1) == 0)
  }

  @Test func chainsBehindSetsAreReachedOnceAndCounted() {
    var set = IPSet(name: "s")
    (set.index, set.type, set.family) = (4, "hash:ip", 2)
    let match = Match.set(SetMatch(index: 4, dimensions: [true], negated: false, flags: 0))
    let user = Chain("u", [Rule([source(1)]), Rule([source(2)], .return), Rule([], .fallThrough)])
    let flat = RuleTable.legacy(
      [Rule([match], .jump("u")), Rule([], .fallThrough)], users: [user]
    ).flat(sets: [set])
    // The set is asked in one place only.
    #expect(
      flat.rules.count { $0.conditions.contains { if case .late = $0 { true } else { false } } }
        == 1)
    func member(_ last: UInt32) -> TestPacket {
      var packet = from(last)
      packet.ipsets = [4]
      return packet
    }
    #expect(flat.judge(member(1)).judgement == .drop)
    #expect(flat.count(member(2), "u", 3) == 0 && flat.count(member(2), "BASE", 2) == 1)
    #expect(flat.count(member(3), "u", 3) == 1 && flat.count(member(3), "BASE", 1) == 1)
    #expect(flat.count(from(3), "u", 3) == 0 && flat.count(from(3), "BASE", 2) == 1)
  }
}
