// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Synth
import Testing
import Topology

/// The constants that a program compares the rules with, and when there are none.
@Suite struct ExpectedRulesTests {
  private let filter = RuleEpoch.Table(place: 0x1008, ruleset: 0x2000)

  private func hook(
    _ point: NetfilterHook.Point, _ function: String, _ address: UInt64, owner: UInt64,
    _ table: RuleEpoch.Table? = nil
  ) -> NetfilterHook {
    var hook = NetfilterHook.at(.ipv4, point, function, address: address)
    hook.argument = owner
    hook.ruleset = table
    return hook
  }

  private func epoch(
    _ hooks: [NetfilterHook], number: UInt32? = 7, replaces: UInt64? = 5
  ) -> RuleEpoch {
    RuleEpoch(
      hooks, generation: number.map { .init(place: 0x3004, number: $0) }, replaces: replaces)
  }

  private var legacy: NetfilterHook {
    hook(.forward, "ipt_do_table", 0x10, owner: 0x1000, filter)
  }

  @Test func wordsAreThoseOfTheStructure() throws {
    let chain = hook(.postrouting, "nft_do_chain_ipv4", 0x11, owner: 0x4000)
    let words = try #require(ExpectedRules(epoch([legacy, chain]))).words
    let header = try Golden.projectFile("fpm/packet.h")
    #expect(header.contains("LEGACY_TABLES_MAX = \(ExpectedRules.tablesMax) }"))
    #expect(header.contains("HOOK_FUNCTIONS = \(HarmlessHooks.capacity) }"))
    #expect(words.count == 8 * HarmlessHooks.capacity + 1 + 2 * ExpectedRules.tablesMax + 3)
    let (size, tables) = (HarmlessHooks.capacity, 8 * HarmlessHooks.capacity)
    let rest = [UInt64](repeating: 0, count: size - 1)
    #expect(Array(words[size..<2 * size]) == [0x1000] + rest)
    #expect(Array(words[2 * size..<3 * size]) == [0x4000] + rest)
    #expect(Array(words[tables..<tables + 3]) == [1, 0x1008, 0x2000])
    #expect(Array(words[(tables + 17)...]) == [5, 0x3004, 7])
  }

  @Test func onlyWhatIsOnTheWayIsCompared() throws {
    let input = hook(.input, "nft_do_chain_ipv4", 0x11, owner: 0x4000)
    let mangle = hook(.output, "ipt_do_table", 0x10, owner: 0x5000, .init(place: 1, ruleset: 2))
    let words = try #require(ExpectedRules(epoch([input, legacy, mangle]))).words
    let tables = 8 * HarmlessHooks.capacity
    #expect(words[tables] == 1)
    #expect(Array(words[(tables + 18)...]) == [0, 0], "commits that concern no packet here matter")
  }

  @Test func oneTableOnSeveralHooksIsComparedOnce() {
    let hooks: [NetfilterHook] = [
      hook(.prerouting, "ipt_do_table", 0x10, owner: 0x1000, filter), legacy,
    ]
    #expect(epoch(hooks).tables == [filter])
  }

  @Test func whatNobodyWatchesIsNotExpected() {
    let chain = hook(.forward, "nft_do_chain_ipv4", 0x11, owner: 0x4000)
    #expect(ExpectedRules(epoch([legacy], replaces: nil)) == nil)
    #expect(ExpectedRules(epoch([chain], replaces: nil)) != nil)
    #expect(ExpectedRules(epoch([chain], number: nil)) == nil)
    #expect(ExpectedRules(epoch([legacy], number: nil)) != nil)
  }

  @Test func whatDoesNotFitIsNotExpected() {
    let many = Array(repeating: legacy, count: HarmlessHooks.capacity)
    #expect(ExpectedRules(epoch(many)) != nil)
    #expect(ExpectedRules(epoch(many + [legacy])) == nil)
  }

  @Test func eachPartIsReadAgainForWhatItStandsFor() {
    let older = epoch([legacy])
    #expect(older.parts(since: older).isEmpty)
    #expect(older.parts(since: nil) == .rules)
    #expect(epoch([legacy], number: 8).parts(since: older) == .nftables)
    #expect(epoch([legacy], replaces: 6).parts(since: older) == .xtables)
    #expect(epoch([]).parts(since: older) == .rules)
  }

  @Test func aProgramThatJudgesRulesIsMadeForThem() throws {
    let template = try Golden.projectFile("templates/\(FastPath.templateName)")
    let fastPath = try FastPath(template, layout: "")
    let graph = Topology.derive(.router())
    var interface = try #require(graph["eth1"])
    interface.fast = [.filter, .router]
    func program(_ rules: RuleEpoch?) throws -> FastPathProgram? {
      try fastPath.program(
        for: interface, hooks: graph.hooks,
        rules: rules.map { JudgedRules(epoch: $0, shape: .some) })
    }
    #expect(try program(nil) == nil)
    #expect(try program(epoch([legacy], replaces: nil)) == nil)
    let one = try #require(try program(epoch([legacy])))
    let other = try #require(try program(epoch([legacy], replaces: 6)))
    #expect(one.source == other.source && one.config != other.config)
    #expect(one.source.contains("#define JUDGES_RULES 1\n") && one.general == nil)
    #expect(one.source.contains(ClassifierShape.some.definitions))
    interface.fast = [.router]
    let plain = try #require(try program(epoch([legacy])))
    #expect(plain == (try program(nil)))
    #expect(!plain.source.contains("JUDGES_RULES"))
  }
}
