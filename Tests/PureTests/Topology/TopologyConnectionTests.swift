// SPDX-License-Identifier: Apache-2.0
import Introspection
import OrderedJSON
import Testing
import Topology

/// Where connections are followed by programs, and where they stay with the kernel.
@Suite struct TopologyConnectionTests {
  private func derive(
    _ hooks: [NetfilterHook], follows: Bool = true
  ) throws -> InterfaceGraph {
    var state = NetworkState.router()
    state.hooks = hooks
    return try #require(
      Topology.derive(state, connections: follows ? .exact : .none)["eth1"])
  }

  private func reasons(_ graph: InterfaceGraph) -> Set<Reason> { Set(graph.slowPath.map(\.reason)) }

  @Test(arguments: [true, false]) func connectionsAreFollowed(_ translates: Bool) throws {
    let graph = try derive(NetfilterHook.tracking(translates: translates))
    #expect(graph.fast == [.conntrack, .router])
    #expect(graph.nodes.map(\.module) == [.conntrack, .router])
    #expect(graph.nodes[0].conf["nat"] == .bool(translates))
    #expect(reasons(graph).isDisjoint(with: [.conntrack, .nat, .netfilterHook]))
    #expect(graph.device.rulesExist)
  }

  @Test func withoutBeingToldTheyAreTheKernels() throws {
    let graph = try derive(NetfilterHook.tracking(translates: true), follows: false)
    #expect(graph.fast.isEmpty && graph.hook == .none)
    #expect(reasons(graph).isSuperset(of: [.conntrack, .nat]))
  }

  @Test func whoseConnectionsMayBeMarkedIsPartOfTheGraph() throws {
    for (use, isMarked) in [(ConnectionUse.exact, false), (.marked, true)] {
      var state = NetworkState.router()
      state.hooks = NetfilterHook.tracking(translates: true)
      let graph = try #require(Topology.derive(state, connections: use)["eth1"])
      #expect(graph.nodes[0].conf["marks"] == .bool(isMarked))
    }
  }

  /// Rules and connections are judged by one program, or neither is.
  @Test(arguments: [true, false]) func rulesThatAreCompiledAreJudgedBesides(
    _ isCompiled: Bool
  ) throws {
    var state = NetworkState.router()
    state.hooks = NetfilterHook.tracking(translates: true) + [.legacyForward]
    state.ruleEpoch = RuleEpoch(state.hooks ?? [], generation: nil, replaces: 5)
    let graph = try #require(
      Topology.derive(state, rules: isCompiled ? .oneChain : nil, connections: .exact)["eth1"])
    if isCompiled {
      #expect(graph.fast == [.conntrack, .filter, .router])
      #expect(reasons(graph).isDisjoint(with: [.conntrack, .nat, .netfilterHook, .filterRules]))
    } else {
      #expect(graph.fast.isEmpty && graph.hook == .none)
      #expect(reasons(graph).contains(.netfilterHook))
    }
  }

  /// Each is the kernel's order with one thing about it.
  @Test(arguments: [
    "ipv4_conntrack_in>ipv4_conntrack_defrag", "ipv4_conntrack_in>", ">ipv4_conntrack_in",
    "nf_confirm>", "nf_nat_ipv4_out>", "nf_nat_ipv4_pre_routing>",
    "nf_nat_ipv4_pre_routing>ipv4_conntrack_in", "ipv4_conntrack_in>nf_conntrack_new_thing",
    "nf_confirm>nf_nat_ipv4_out", "nf_nat_ipv4_out>nf_nat_later",
  ])
  func anotherOrderIsTheKernels(_ change: String) throws {
    let halves = change.split(separator: ">", omittingEmptySubsequences: false).map(String.init)
    var hooks = NetfilterHook.tracking(translates: true)
    if halves[0].isEmpty {
      hooks.append(.at(.ipv4, .prerouting, halves[1], address: 0x99))
    } else {
      let place = try #require(hooks.firstIndex { $0.function == halves[0] })
      let point = hooks[place].point
      hooks.remove(at: place)
      if !halves[1].isEmpty {
        hooks.insert(.at(.ipv4, point, halves[1], address: 0x99), at: place)
      }
    }
    let graph = try derive(hooks)
    #expect(graph.fast.isEmpty, "\(hooks.map(\.function))")
  }

  @Test func whatIsForwardedInBetweenIsTheKernels() throws {
    let graph = try derive(
      NetfilterHook.tracking(translates: false) + [
        .at(.ipv4, .forward, "nf_conntrack_elsewhere", address: 0x99)
      ])
    #expect(graph.fast.isEmpty)
    let behind = try derive(
      NetfilterHook.tracking(translates: false) + [
        .at(.ipv4, .postrouting, "apparmor_ip_postroute", address: 0x99)
      ])
    #expect(behind.fast.isEmpty)
    // Reassembly alone, as for transparent proxies.
    let alone = try derive([.at(.ipv4, .prerouting, "ipv4_conntrack_defrag", address: 1)])
    #expect(alone.fast.isEmpty)
    #expect(reasons(alone).contains(.netfilterHook))
  }

  /// Frames from a port of a bridge reach the router through it; what is bridged would meet connection
  /// tracking as soon as the bridge is told to.
  @Test func behindABridgeOnlyWhatIsRouted() throws {
    var state = NetworkState.wiredSwitch()
    state.addAddress(of: "br0", [10, 0, 0, 1])
    state.forward()
    state.hooks =
      [.sabotage] + NetfilterHook.tracking(translates: true) + NetfilterHook.bridgeNetfilter
    let graph = try #require(Topology.derive(state, connections: .exact)["p1"])
    #expect(graph.fast == [.bridge, .conntrack, .router])
    #expect(graph.device.rulesExist)
    // What stands in front of ip_sabotage_in() is asked twice.
    state.hooks = state.hooks.map { Array($0[1...]) + [$0[0]] }
    #expect(try #require(Topology.derive(state, connections: .exact)["p1"]).fast.isEmpty)
  }
}
