// SPDX-License-Identifier: Apache-2.0
import Introspection
import Testing
import Topology

/// Which modules a program may finish packets in, and where there is none to be had.
@Suite struct TopologyFastTests {
  private func expectSlow(
    _ reason: Reason, at location: SourceLocation = #_sourceLocation,
    _ edit: (inout NetworkState) -> Void
  ) throws {
    var state = NetworkState.router()
    edit(&state)
    let eth1 = try #require(Topology.derive(state)["eth1"])
    #expect(eth1.fast.isEmpty, sourceLocation: location)
    #expect(eth1.hook == .none, sourceLocation: location)
    #expect(
      eth1.slowPath.contains { $0.reason == reason && $0.scope == .packets },
      sourceLocation: location)
  }

  private func expectFast(
    at location: SourceLocation = #_sourceLocation, _ edit: (inout NetworkState) -> Void
  ) throws {
    var state = NetworkState.router()
    edit(&state)
    let eth1 = try #require(Topology.derive(state)["eth1"])
    #expect(eth1.fast == [.router], sourceLocation: location)
    #expect(eth1.hook == .xdp, sourceLocation: location)
  }

  // MARK: Routers

  @Test func aPlainRouterIsFast() throws {
    try expectFast { _ in }
  }

  @Test func policyRulesMakeARouterSlow() throws {
    try expectSlow(.policyRules) { state in
      var rule = PolicyRule(family: .ipv4, table: 100, action: 1)
      rule.priority = 100
      state.policyRules.append(rule)
    }
  }

  @Test func policiesOfIPsecMakeARouterSlow() throws {
    try expectSlow(.ipsec) { $0.ipsecPolicies = true }
  }

  @Test func hooksThatCannotBeReadMakeARouterSlow() throws {
    try expectSlow(.unreadable) { $0.hooks = nil }
  }

  private static let judging: [(Reason, NetfilterHook)] = [
    (.conntrack, .at(.ipv4, .prerouting, "ipv4_conntrack_in [nf_conntrack]", address: 1)),
    (.nat, .at(.ipv4, .postrouting, "nf_nat_ipv4_out [nf_nat]", address: 1)),
    (.netfilterHook, .at(.ipv4, .forward, "ip_vs_forward_icmp [ip_vs]", address: 1)),
    (.netfilterHook, .at(.ipv4, .prerouting, "ipv4_conntrack_defrag [nf_defrag_ipv4]", address: 1)),
    (.netfilterHook, .at(.ipv4, .forward, "nf_hook_run_bpf", address: 1)),
    // Hooks of rulesets in which there are no rules, yet: one more would not be seen on the hook.
    (.netfilterHook, .legacy(.forward)),
    (.netfilterHook, .legacy(.prerouting)),
    (.netfilterHook, .at(.ipv4, .postrouting, "nft_do_chain_ipv4 [nf_tables]", address: 1)),
  ]

  @Test(arguments: judging)
  func aHookThatJudgesMakesARouterSlow(_ reason: Reason, _ hook: NetfilterHook) throws {
    try expectSlow(reason) { $0.hooks = [hook] }
  }

  @Test func hooksForThePacketsOfTheRouterItselfDoNot() throws {
    try expectFast { state in
      state.hooks = [
        .legacy(.input), .legacy(.output),
        .at(.ipv4, .input, "ip_vs_in_hook [ip_vs]", address: 1),
      ]
    }
  }

  @Test func hooksOfIPv6AndARPDoNot() throws {
    try expectFast { state in
      state.hooks = [
        .at(.ipv6, .forward, "ip6t_do_table [ip6_tables]", address: 1),
        .at(.ipv6, .prerouting, "ipv6_conntrack_in", address: 2),
        .at(.arp, .input, "arpt_do_table", address: 3),
      ]
    }
  }

  @Test func harmlessHooksDoNotAndAreTold() throws {
    try expectFast { $0.hooks = [.sabotage, .apparmor] }
    var state = NetworkState.router()
    state.hooks = [.sabotage, .apparmor]
    let graph = Topology.derive(state)
    #expect(graph["eth1"]?.slowPath.isEmpty == true)
    #expect(graph.hooks.ipv4 == [[0x51], [], [], [], [0x52]])
    #expect(graph.hooks.bridge == [[], [], [], [], []])
  }

  @Test(arguments: [(12, true), (13, false)])
  func aProgramHasRoomForTwelveFunctionsOnAHook(_ count: Int, _ isFast: Bool) {
    var state = NetworkState.router()
    state.hooks = Array(repeating: .apparmor, count: count)
    #expect(Topology.derive(state)["eth1"]?.fast == (isFast ? [.router] : []))
  }

  @Test func rulesOnTheWayMakeARouterSlow() throws {
    try expectSlow(.filterRules) { state in
      state.legacyTables = [.filter(rules: 1)]
      state.hooks = [.legacy(.forward)]
    }
    try expectSlow(.filterRules) { state in
      state.legacyTables = [.filter(rules: 0, policy: .drop)]
      state.hooks = [.legacy(.forward)]
    }
  }

  /// Each packet is judged by itself where only some of them are the kernel's.
  @Test func whatConcernsSomePacketsDoesNot() throws {
    try expectFast { state in
      state.routes.ipv4.insert(.encapsulated)
      state.routes.ipv4.insert(.multipath)
      state.sysctls.multipathHashPolicy = 1
      state.qdiscs = [Qdisc(link: 2, kind: "tbf", handle: 0x8001_0000, parent: Qdisc.root)]
      state.edit("eth1") { $0.settings.forwarding6 = true }
    }
  }

  @Test func traitsAreThoseOfTheDevice() throws {
    var state = NetworkState.router()
    state.edit("eth2") { $0.kind = .veth }
    var graph = Topology.derive(state)
    #expect(graph["eth1"]?.device.isVeth == false)
    #expect(graph["eth1"]?.device.bridgesExist == false)
    #expect(graph["eth2"]?.device.isVeth == true)
    var bridge = Link.device("br0", 9)
    bridge.kind = .bridge(BridgeSettings())
    state.links.append(bridge)
    graph = Topology.derive(state)
    #expect(graph["eth1"]?.device.bridgesExist == true)
    #expect(graph["eth1"]?.nodes.map(\.module) == [.router])
  }

  // MARK: Ports of bridges

  @Test func aPortIsFast() throws {
    let port = try #require(Topology.derive(.wiredSwitch())["p1"])
    #expect(port.fast == [.bridge])
    #expect(port.hook == .xdp)
    #expect(Topology.derive(.wiredSwitch())["br0"]?.fast.isEmpty == true)
    #expect(Topology.derive(.wiredSwitch())["br0"]?.hook == Hook.none)
  }

  @Test(arguments: [
    BridgePort.State.disabled, .listening, .learning, .blocking,
  ])
  func aPortThatDoesNotForwardIsSlow(_ portState: BridgePort.State) throws {
    var state = NetworkState.wiredSwitch()
    state.edit("p1") { $0.port?.state = portState }
    let graph = Topology.derive(state)
    let port = try #require(graph["p1"])
    #expect(port.fast.isEmpty && port.hook == .none)
    #expect(port.slowPath.contains { $0.reason == .portNotForwarding })
    #expect(graph["p2"]?.fast == [.bridge])
  }

  private static let flags: [(String, Bool, @Sendable (inout BridgePort) -> Void)] = [
    ("locked", false, { $0.locked = true }),
    ("mab", false, { $0.macAuthenticationBypass = true }),
    ("vlan_tunnel", false, { $0.vlanTunnel = true }),
    ("hairpin", true, { $0.hairpin = true }),
    ("isolated", true, { $0.isolated = true }),
    ("learning off", true, { $0.learning = false }),
    ("flood off", true, { $0.unicastFlood = false }),
    ("guard", true, { $0.guarded = true }),
    ("root block", true, { $0.rootBlock = true }),
    ("proxy ARP", true, { $0.proxyARP = true }),
    ("neighbour suppression", true, { $0.suppressNeighbours = true }),
    ("multicast to unicast", true, { $0.multicastToUnicast = true }),
    ("backup port", true, { $0.backupPort = 4 }),
  ]

  @Test(arguments: flags)
  func fewFlagsNeedTheKernel(
    _ name: String, _ isFast: Bool, _ edit: @Sendable (inout BridgePort) -> Void
  ) throws {
    var state = NetworkState.wiredSwitch()
    state.edit("p1") { link in
      var port = link.port ?? BridgePort()
      edit(&port)
      link.port = port
    }
    let port = try #require(Topology.derive(state)["p1"])
    #expect(port.fast == (isFast ? [.bridge] : []))
    let flag = port.slowPath.first { $0.reason == .portFlag }
    #expect(flag == (isFast ? nil : SlowPath(reason: .portFlag, scope: .packets, detail: name)))
  }

  private static let settings: [(Reason?, @Sendable (inout BridgeSettings) -> Void)] = [
    (.spanningTreeGroups, { $0.multipleSpanningTree = true }),
    (nil, { $0.stp = true }),
    (nil, { $0.ageing = 0 }),
    (nil, { $0.groupForwardMask = 0xfff8 }),
    (nil, { $0.multicastSnooping = false }),
  ]

  @Test(arguments: settings)
  func fewSettingsOfTheBridgeNeedTheKernel(
    _ reason: Reason?, _ edit: @Sendable (inout BridgeSettings) -> Void
  ) throws {
    var state = NetworkState.wiredSwitch()
    state.edit("br0") { link in
      guard case .bridge(var settings) = link.kind else { return }
      edit(&settings)
      link.kind = .bridge(settings)
    }
    let port = try #require(Topology.derive(state)["p1"])
    #expect(port.fast == (reason == nil ? [.bridge] : []))
    #expect(port.slowPath.map(\.reason) == (reason.map { [$0] } ?? []))
  }

  @Test func aCalledFirewallWithNothingOnItsHooksLetsABridgeBeFast() throws {
    var state = NetworkState.wiredSwitch()
    state.sysctls.bridgeCallIPTables = 1
    state.hooks = NetfilterHook.bridgeNetfilter + [.sabotage]
    let clean = Topology.derive(state)
    #expect(clean["p1"]?.fast == [.bridge])
    #expect(clean.hooks.bridge == [[0x61], [], [0x62], [], [0x63]])
    #expect(clean.hooks.ipv4 == [[0x51], [], [], [], []])
    for judging in [NetfilterHook.legacy(.forward), Self.judging[0].1, Self.judging[2].1] {
      state.hooks = NetfilterHook.bridgeNetfilter + [.sabotage, judging]
      let port = try #require(Topology.derive(state)["p1"])
      #expect(port.fast.isEmpty && port.hook == .none, "\(judging.function)")
      #expect(
        port.slowPath.first { $0.reason == .bridgeNetfilter }?.detail?.contains("IPv4") == true)
    }
  }

  @Test func withoutBrNetfilterTheRulesOfIPDoNotConcernABridge() throws {
    var state = NetworkState.wiredSwitch()
    state.hooks = [.legacy(.forward)]
    state.legacyTables = [.filter(rules: 3)]
    #expect(Topology.derive(state)["p1"]?.fast == [.bridge])
  }

  private static let bridgeHooks: [NetfilterHook] = [
    .at(.bridge, .forward, "ebt_in_hook [ebtable_filter]", address: 1),
    .at(.bridge, .prerouting, "nf_ct_bridge_pre [nf_conntrack_bridge]", address: 1),
    .at(.bridge, .prerouting, "somebody_new", address: 1),
    // Its chain may have no rules: one that is added is not seen on the hook.
    .at(.bridge, .forward, "nft_do_chain_bridge [nf_tables]", address: 1),
  ]

  @Test(arguments: bridgeHooks) func aHookOnBridgesMakesThemSlow(_ hook: NetfilterHook) throws {
    var state = NetworkState.wiredSwitch()
    state.hooks = [hook]
    let port = try #require(Topology.derive(state)["p1"])
    #expect(port.fast.isEmpty && port.hook == .none)
    #expect(port.slowPath.contains { $0.reason == .bridgeFilter })
  }

  // MARK: A router behind a bridge

  private static func routedSwitch() -> NetworkState {
    var state = NetworkState.wiredSwitch()
    state.addAddress(of: "br0", [10, 0, 0, 1])
    state.forward()
    return state
  }

  @Test func aRouterIsReachedThroughAFastBridge() throws {
    let port = try #require(Topology.derive(Self.routedSwitch())["p1"])
    #expect(port.fast == [.bridge, .router])
    #expect(port.nodes.map(\.module) == [.bridge, .router])
  }

  @Test func notThroughASlowOne() throws {
    var state = Self.routedSwitch()
    state.edit("p1") { $0.port?.locked = true }
    let graph = Topology.derive(state)
    #expect(graph["p1"]?.fast.isEmpty == true)
    #expect(graph["p1"]?.hook == Hook.none)
    #expect(graph["p2"]?.fast == [.bridge, .router])
  }

  @Test func aSlowRouterLeavesTheBridgeBeforeItFast() throws {
    var state = Self.routedSwitch()
    state.ipsecPolicies = true
    let port = try #require(Topology.derive(state)["p1"])
    #expect(port.fast == [.bridge])
    #expect(port.hook == .xdp)
  }
}
