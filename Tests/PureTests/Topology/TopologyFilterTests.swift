// SPDX-License-Identifier: Apache-2.0
import Introspection
import Testing
import Topology

/// When rules are judged by the fast path, and why not where they are not.
@Suite struct TopologyFilterTests {
  private func state(_ edit: (inout NetworkState) -> Void = { _ in }) -> NetworkState {
    var state = NetworkState.router()
    state.legacyTables = [.filter(rules: 3)]
    state.hooks = [.legacyForward]
    state.ruleEpoch = RuleEpoch([.legacyForward], generation: nil, replaces: 5)
    edit(&state)
    return state
  }

  private func interface(
    _ rules: RulesSummary? = .oneChain, _ edit: (inout NetworkState) -> Void = { _ in }
  ) throws -> InterfaceGraph {
    try #require(Topology.derive(state(edit), rules: rules)["eth1"])
  }

  private func expectSlow(
    _ reason: Reason, _ rules: RulesSummary? = .oneChain,
    at location: SourceLocation = #_sourceLocation,
    _ edit: (inout NetworkState) -> Void = { _ in }
  ) throws {
    let interface = try interface(rules, edit)
    #expect(interface.fast.isEmpty, sourceLocation: location)
    #expect(
      interface.slowPath.contains { $0.reason == reason }, "\(interface.slowPath)",
      sourceLocation: location)
  }

  @Test func compiledRulesAreJudged() throws {
    let interface = try interface()
    #expect(interface.fast == [.filter, .router])
    #expect(interface.judgesRules && interface.hook == .xdp)
    #expect(interface.nodes.map(\.module) == [.filter, .router])
    #expect(interface.slowPath.isEmpty)
  }

  @Test func aTableWithoutRulesIsJudgedToo() throws {
    let interface = try interface { $0.legacyTables = [.filter(rules: 0)] }
    #expect(interface.fast == [.filter, .router])
    #expect(interface.nodes.first?.conf["rules"] == 0)
  }

  @Test func whatIsHandedOnIsTold() throws {
    var rules = RulesSummary.oneChain
    (rules.punted, rules.unknown, rules.effects) = (3, ["recent"], ["LOG", "REJECT"])
    let interface = try interface(rules)
    #expect(interface.fast == [.filter, .router])
    #expect(interface.nodes.first?.conf["punted_rules"] == 3)
    #expect(
      interface.slowPath == [
        SlowPath(reason: .unmodelledRules, scope: .packets, detail: "recent"),
        SlowPath(reason: .ruleEffect, scope: .packets, detail: "LOG, REJECT"),
      ])
  }

  @Test func rulesThatNobodyCompiledAreTheKernels() throws {
    try expectSlow(.filterRules, nil)
  }

  @Test func rulesThatAreTooManyAreTheKernels() throws {
    var rules = RulesSummary.oneChain
    rules.refusal = "too many"
    try expectSlow(.rulesTooMany, rules)
  }

  @Test func aChainThatIsNotAmongTheCompiledOnesIsTheKernels() throws {
    var rules = RulesSummary.oneChain
    rules.chains[0] = 1
    try expectSlow(.filterRules, rules)
    try expectSlow(.filterRules) { state in
      var second = NetfilterHook.legacyForward
      second.argument = 0x5000
      state.hooks = [.legacyForward, second]
    }
  }

  @Test func rulesWhoseChangesNobodyTellsAreTheKernels() throws {
    try expectSlow(.rulesUnwatched) {
      $0.ruleEpoch = RuleEpoch([.legacyForward], generation: nil, replaces: nil)
    }
    let chain = NetfilterHook.at(
      .ipv4, .forward, "nft_do_chain_ipv4 [nf_tables]", address: 1)
    try expectSlow(.rulesUnwatched) { state in
      state.hooks = [chain]
      state.ruleEpoch = RuleEpoch([chain], generation: nil, replaces: 5)
    }
  }

  @Test func inTheMidstOfAChangeNothingIsTakenAway() throws {
    #expect(try interface { $0.ruleEpoch = nil }.fast == [.filter, .router])
  }

  private static let others: [(Reason, NetfilterHook)] = [
    (.conntrack, .at(.ipv4, .prerouting, "ipv4_conntrack_in [nf_conntrack]", address: 1)),
    (.nat, .at(.ipv4, .postrouting, "nf_nat_ipv4_out [nf_nat]", address: 1)),
    (.netfilterHook, .at(.ipv4, .prerouting, "ipv4_conntrack_defrag [nf_defrag]", address: 1)),
    (.netfilterHook, .at(.ipv4, .forward, "nf_hook_run_bpf", address: 1)),
  ]

  @Test(arguments: others)
  func whatElseStandsThereKeepsThemSlow(_ reason: Reason, _ hook: NetfilterHook) throws {
    try expectSlow(reason) { $0.hooks = [.legacyForward, hook] }
  }

  @Test func moreHooksThanProgramsHaveRoomForKeepThemSlow() throws {
    var rules = RulesSummary.oneChain
    rules.chains[2] = HarmlessHooks.capacity + 1
    try expectSlow(.filterRules, rules) {
      $0.hooks = Array(repeating: .legacyForward, count: HarmlessHooks.capacity + 1)
    }
  }

  @Test func aBridgeWhoseFramesMeetThemStaysSlow() throws {
    var state = NetworkState.wiredSwitch()
    state.addAddress(of: "br0", [10, 0, 0, 1])
    state.forward()
    state.legacyTables = [.filter(rules: 3)]
    state.hooks = [.legacyForward]
    let quiet = try #require(Topology.derive(state, rules: .oneChain)["p1"])
    #expect(quiet.fast == [.bridge, .filter, .router])
    state.hooks = NetfilterHook.bridgeNetfilter + [.sabotage, .legacyForward]
    let routed = try #require(Topology.derive(state, rules: .oneChain)["p1"])
    #expect(routed.fast == [.bridge, .filter, .router] && routed.device.rulesExist)
    #expect(routed.slowPath.contains { $0.reason == .bridgeNetfilter })
    var switching = state
    switching.addresses = []
    let switched = try #require(Topology.derive(switching, rules: .oneChain)["p1"])
    #expect(switched.fast.isEmpty && switched.hook == .none)
    state.sysctls.bridgeCallIPTables = 1
    state.hooks = NetfilterHook.bridgeNetfilter + [.sabotage, .legacyForward]
    let called = try #require(Topology.derive(state, rules: .oneChain)["p1"])
    #expect(called.fast == [.bridge, .filter, .router] && called.device.judgesBridged)
    let left = called.slowPath.first { $0.reason == .bridgeNetfilter }?.detail
    #expect(left == "IPv4 that rules drop, mark or translate")
    // Who routes nothing has nothing that could ask them.
    state.addresses = []
    let only = try #require(Topology.derive(state, rules: .oneChain)["p1"])
    #expect(only.fast.isEmpty && !only.device.judgesBridged)
    #expect(only.slowPath.contains { $0.reason == .bridgeNetfilter && $0.detail == "IPv4" })
  }
}
