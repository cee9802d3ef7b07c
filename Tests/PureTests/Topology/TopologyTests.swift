// SPDX-License-Identifier: Apache-2.0
import Introspection
import OrderedJSON
import Testing

import Topology

/// Whole graphs, compared with the files in Fixtures/topology. `UPDATE_GOLDEN=1` writes them anew.
@Suite struct TopologyGoldenTests {
  @Test func emptyNamespaceHasOnlyLoopback() throws {
    try expectGolden("empty", NetworkState.namespace([]))
  }

  @Test func forwardingInterfacesWithRoutesAreRouters() throws {
    try expectGolden("router", NetworkState.router())
  }

  @Test func portsOfAnAddresslessBridgeOnlySwitch() throws {
    var state = NetworkState.switching(ports: ["p1", "p2"])
    state.sysctls.forwarding = true
    try expectGolden("bridge", state)
  }

  @Test func anAddressOnTheBridgeLeadsUpToTheRouterAndBack() throws {
    var state = NetworkState.switching(ports: ["p1", "p2"])
    state.links.append(.veth("up", 9))
    state.addAddress(of: "br0", [10, 0, 0, 1])
    state.addAddress(of: "up", [192, 0, 2, 1])
    state.forward()
    try expectGolden("bridge-router", state)
  }

  @Test func rulesOnTheForwardPathPutAFilterBeforeTheRouter() throws {
    var state = NetworkState.router()
    state.legacyTables = [.filter(rules: 100, unmodelled: 2)]
    state.hooks = [.legacy(.forward)]
    try expectGolden("filter", state)
  }

  @Test func vlanFilteringShowsRangesAndPVID() throws {
    var state = NetworkState.switching(ports: ["p1"]) { $0.vlanFiltering = true }
    state.edit("p1") {
      $0.vlans = [
        PortVLAN(first: 1, last: 1, pvid: true, untagged: true),
        PortVLAN(first: 100, last: 199, pvid: false, untagged: false),
      ]
    }
    try expectGolden("vlan-bridge", state)
  }

  private func expectGolden(
    _ name: String, _ state: NetworkState, at location: SourceLocation = #_sourceLocation
  ) throws {
    let text = Topology.derive(state).json(generation: 1).text(pretty: true) + "\n"
    try Golden.expect(text, equals: "topology/\(name).json", at: location)
  }
}

@Suite struct TopologyReasonTests {
  @Test func inputRulesDoNotMakeAFilter() throws {
    var state = NetworkState.router()
    state.legacyTables = [.filter(rules: 3, hook: .input)]
    let eth1 = try #require(Topology.derive(state)["eth1"])
    #expect(eth1.nodes.map(\.module) == [.router])
  }

  @Test func dropPolicyAloneMakesAFilter() throws {
    var state = NetworkState.router()
    state.legacyTables = [.filter(rules: 0, policy: .drop)]
    let filter = try #require(Topology.derive(state)["eth1"]?.nodes.first)
    #expect(filter.module == .filter)
    #expect(filter.conf["policy"] == "drop")
    #expect(filter.next == .router)
  }

  @Test func dormantTablesDoNotCount() throws {
    var state = NetworkState.router()
    var table = RuleTable.filter(rules: 3)
    table.flags = .dormant
    state.nftables = [table]
    #expect(Topology.derive(state)["eth1"]?.nodes.map(\.module) == [.router])
  }

  @Test func natRulesAreNamedAndNotCountedAsFilter() throws {
    var state = NetworkState.router()
    var table = RuleTable(family: .ip, name: "nat", backend: .iptablesNft)
    var chain = Chain(
      name: "POSTROUTING",
      base: BaseChain(hook: .postrouting, priority: 100, type: "nat", policy: .accept))
    chain.rules = [Rule(handle: 1)]
    table.chains = [chain]
    state.nftables = [table]
    let eth1 = try #require(Topology.derive(state)["eth1"])
    #expect(eth1.nodes.map(\.module) == [.router])
    #expect(eth1.slowPath.map(\.reason) == [.nat])
  }

  private static let links: [(Reason, @Sendable (inout Link) -> Void)] = [
    (.linkDown, { $0.up = false }),
    (.noCarrier, { $0.carrier = false }),
    (.foreignXDP, { $0.xdp = [XDPAttachment(mode: .native, program: 7)] }),
    (.bondMember, { $0.slaveKind = "bond" }),
    (.vrfMember, { $0.slaveKind = "vrf" }),
    (.deviceKind, { $0.kind = .macvlan(mode: 1) }),
    (.notEthernet, { $0.hardware = 65534 }),
    (.forwardingOff, { $0.settings.forwarding = false }),
  ]

  @Test(arguments: links)
  func somethingOnTheLinkKeepsTheInterfaceSlow(
    _ reason: Reason, _ edit: @Sendable (inout Link) -> Void
  ) throws {
    var state = NetworkState.router()
    #expect(Topology.derive(state)["eth1"]?.hook == .xdp)
    state.edit("eth1", edit)
    let eth1 = try #require(Topology.derive(state)["eth1"])
    #expect(eth1.slowPath.contains { $0.reason == reason && $0.scope == .interface })
    #expect(eth1.hook == .none)
    // Its neighbour is not concerned.
    #expect(Topology.derive(state)["eth2"]?.hook == .xdp)
  }

  private static let views: [(Reason, @Sendable (inout DeviceView) -> Void)] = [
    (.foreignIngress, { $0.tcxIngress = 1 }),
    (.netfilterIngress, { $0.netfilterIngress = 1 }),
    (.packetTap, { $0.taps = 1 }),
    (.receiveHandler, { $0.receiveHandler = "macvlan_handle_frame [macvlan]" }),
  ]

  @Test(arguments: views)
  func whatStandsOnTheDeviceKeepsItSlow(
    _ reason: Reason, _ edit: @Sendable (inout DeviceView) -> Void
  ) throws {
    var state = NetworkState.router()
    var view = DeviceView(link: 2)
    edit(&view)
    state.deviceViews = [view]
    let graph = Topology.derive(state)
    #expect(graph["eth1"]?.obstacle?.reason == reason)
    #expect(graph["eth2"]?.obstacle == nil)
  }

  @Test func shapersConcernOnlyWhatLeaves() throws {
    var state = NetworkState.router()
    state.qdiscs = [
      Qdisc(link: 2, kind: "tbf", handle: 0x8001_0000, parent: Qdisc.root),
      Qdisc(link: 3, kind: "fq_codel", handle: 0, parent: Qdisc.root),
    ]
    let graph = Topology.derive(state)
    #expect(graph["eth1"]?.slowPath.map(\.reason) == [.egressQdisc])
    #expect(graph["eth1"]?.hook == .xdp)
    #expect(graph["eth2"]?.slowPath.isEmpty == true)
  }

  @Test func unreadableHooksAreNamedOnRouters() throws {
    var state = NetworkState.router()
    state.hooks = nil
    let eth1 = try #require(Topology.derive(state)["eth1"])
    #expect(eth1.slowPath.map(\.reason) == [.unreadable])
    #expect(eth1.hook == .none)
  }

  @Test func strangersOnThePathAreNamed() throws {
    var state = NetworkState.router()
    state.hooks = [
      NetfilterHook(
        family: .ipv4, point: .forward, priority: 0, function: "ip_vs_forward_icmp [ip_vs]",
        table: "", chain: ""),
      NetfilterHook(
        family: .ipv4, point: .input, priority: 0, function: "ip_vs_in_hook", table: "", chain: ""),
      NetfilterHook(
        family: .ipv4, point: .postrouting, priority: 225, function: "apparmor_ip_postroute",
        table: "", chain: ""),
    ]
    let slow = try #require(Topology.derive(state)["eth1"]?.slowPath)
    #expect(
      slow == [SlowPath(reason: .netfilterHook, scope: .packets, detail: "ip_vs_forward_icmp")])
  }

  @Test func preferenceDecidesTheHook() throws {
    let state = NetworkState.router()
    func hook(_ preference: HookPreference) -> Hook? {
      Topology.derive(state) { $0 == "eth1" ? preference : .auto }["eth1"]?.hook
    }
    #expect(hook(.auto) == .xdp)
    #expect(hook(.tc) == .tc)
    #expect(hook(.genericXDP) == .genericXDP)
    #expect(hook(.off) == Hook.none)
  }

  @Test func reversePathFilterIsTheGreaterOfAllAndDevice() throws {
    for (all, own, expected) in [(0, 0, "off"), (1, 0, "strict"), (0, 2, "loose"), (2, 1, "loose")]
    {
      var state = NetworkState.router()
      state.sysctls.all.rpFilter = UInt8(all)
      state.edit("eth1") { $0.settings.rpFilter = UInt8(own) }
      let router = try #require(Topology.derive(state)["eth1"]?.nodes.last)
      #expect(router.conf["rp_filter"] == .string(expected))
    }
  }

  @Test func eachNodeNamesTheNext() {
    var state = NetworkState.switching(ports: ["p1"])
    state.addAddress(of: "br0", [10, 0, 0, 1])
    state.forward()
    state.legacyTables = [.filter(rules: 1)]
    let nodes = Topology.derive(state)["p1"]?.nodes ?? []
    #expect(nodes.map(\.module) == [.bridge, .filter, .router])
    #expect(nodes.map(\.next) == [.filter, .router, nil])
  }

  @Test func everyReasonIsInTheSchemaAndTheManual() throws {
    let schema = try JSON(parsing: Golden.projectFile("docs/graph.schema.json"))
    let listed = try #require(schema["$defs"]?["reason"]?["enum"]?.array).compactMap(\.string)
    #expect(Set(listed) == Set(Reason.allCases.map(\.rawValue)))
    let manual = try Golden.projectFile("docs/graph.md")
    for reason in Reason.allCases {
      #expect(manual.contains("| `\(reason.rawValue)` | \(reason.meaning) |"))
    }
  }
}
