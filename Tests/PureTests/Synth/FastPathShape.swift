// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Synth
import Testing
import Topology

/// Interfaces whose programs differ in what they are made of. Fixtures/synth has each as it is rendered;
/// the kernel ring loads the same files.
enum FastPathShape: String, CaseIterable, CustomTestStringConvertible {
  case routerXDP = "router-xdp"
  case routerXDPVeth = "router-xdp-veth"
  case routerTC = "router-tc"
  case routerStrict = "router-strict-xdp"
  case routerHooks = "router-hooks-xdp"
  case routerIntoBridges = "router-into-bridges-xdp"
  case bridgeXDP = "bridge-xdp"
  case bridgeTC = "bridge-tc"
  case bridgeFiltered = "bridge-filtered-xdp"
  case bridgeRouterXDP = "bridge-router-xdp"
  case bridgeRouterTC = "bridge-router-tc"
  case bridgeVLANsXDP = "bridge-vlans-xdp"
  case bridgeVLANsTC = "bridge-vlans-tc"
  case filterPolicyXDP = "filter-policy-xdp"
  case filterXDP = "filter-xdp"
  case filterTC = "filter-tc"
  case filterAllXDP = "filter-all-xdp"
  case filterAllTC = "filter-all-tc"
  case bridgeFilterRouterTC = "bridge-filter-router-tc"
  /// All that there is at once: nothing needs more of the stack.
  case bridgeFilterAllTC = "bridge-filter-all-tc"
  /// Few rules that ask sets: the first is asked in front of the loop.
  case bridgeFilterSetTC = "bridge-filter-set-tc"
  case bridgeConnectionsAllTC = "bridge-connections-all-tc"
  /// A port of a bridge that asks rules for what it passes on.
  case bridgeCalledFilterXDP = "bridge-called-filter-xdp"
  case bridgeCalledAllTC = "bridge-called-all-tc"
  case connectionsXDP = "connections-xdp"
  case connectionsNATXDP = "connections-nat-xdp"
  case connectionsNATTC = "connections-nat-tc"
  case connectionsFilterXDP = "connections-filter-xdp"
  /// All that rules may ask for, some of it before connections are known.
  case connectionsAllXDP = "connections-all-xdp"
  case connectionsAllTC = "connections-all-tc"
  case generalXDP = "general-xdp"
  case generalTC = "general-tc"

  var testDescription: String { rawValue }

  var isXDP: Bool { rawValue.hasSuffix("-xdp") || self == .routerXDPVeth }
  var isGeneral: Bool { self == .generalXDP || self == .generalTC }
  /// A port of a bridge with all that a program can have.
  var isWhole: Bool {
    self == .bridgeFilterAllTC || self == .bridgeFilterSetTC || self == .bridgeConnectionsAllTC
      || self == .bridgeCalledAllTC
  }
  var isBridge: Bool { rawValue.hasPrefix("bridge") }
  var isCalled: Bool { rawValue.contains("called") }
  var isTracked: Bool { rawValue.contains("connections") || self == .bridgeCalledAllTC }

  /// The layout differs with each kernel; this stands in its place.
  static let layout = "/* the layout of this kernel */\n"

  /// What is to be done on `interface`.
  var graph: ProcessingGraph {
    let preference: HookPreference = isXDP ? .xdp : .tc
    return Topology.derive(
      state, rules: classifier == nil ? nil : .oneChain,
      connections: !isTracked ? .none : self == .connectionsXDP ? .exact : .marked
    ) { _ in preference }
  }

  /// What rules look at.
  var classifier: ClassifierShape? {
    switch self {
    case .filterPolicyXDP:
      ClassifierShape(fields: 0, summary: 0, size: 1 << 16, counters: 64, checks: 0)
    case .filterXDP, .filterTC, .bridgeFilterRouterTC, .bridgeCalledFilterXDP: .some
    case .filterAllXDP, .filterAllTC, .bridgeFilterAllTC:
      ClassifierShape(
        fields: (1 << 14) - 1, summary: 4, size: 1 << 22, counters: 16_384, checks: 0b1_0011_1111)
    case .connectionsFilterXDP: .stateful
    case .connectionsAllXDP, .connectionsAllTC, .bridgeConnectionsAllTC,
      .bridgeCalledAllTC:
      ClassifierShape(
        fields: (1 << 18) - 1, summary: 4, size: 1 << 22, counters: 16_384, checks: 0b1_1111_1111,
        precedesTracking: true, untracks: true)
    case .bridgeFilterSetTC:
      ClassifierShape(
        fields: (1 << 14) - 1, summary: 0, size: 1 << 16, counters: 64, checks: 0b11_1111)
    default: nil
    }
  }

  var interface: String {
    switch self {
    case _ where isBridge: "p1"
    default: "eth1"
    }
  }

  private var state: NetworkState {
    switch self {
    case .routerXDP, .routerTC, .generalXDP, .generalTC: return .router()
    case .routerXDPVeth:
      var state = NetworkState.router()
      state.edit("eth1") { $0.kind = .veth }
      return state
    case .routerStrict:
      var state = NetworkState.router()
      state.edit("eth1") { $0.settings.rpFilter = 1 }
      return state
    case .routerHooks:
      var state = NetworkState.router()
      state.hooks = [.sabotage, .apparmor]
      return state
    case .filterPolicyXDP, .filterXDP, .filterTC, .filterAllXDP, .filterAllTC:
      var state = NetworkState.router()
      state.hooks = [.legacyForward]
      return state
    case .connectionsXDP:
      var state = NetworkState.router()
      state.hooks = NetfilterHook.tracking(translates: false)
      return state
    case .connectionsNATXDP, .connectionsNATTC:
      var state = NetworkState.router()
      state.hooks = NetfilterHook.tracking(translates: true)
      return state
    case .connectionsFilterXDP, .connectionsAllXDP, .connectionsAllTC:
      var state = NetworkState.router()
      state.hooks = NetfilterHook.tracking(translates: true) + [.legacyForward]
      return state
    case .routerIntoBridges:
      var state = NetworkState.router()
      state.links += NetworkState.switching(ports: []).links.dropFirst().map { bridge in
        var bridge = bridge
        bridge.index = 9
        return bridge
      }
      state.addAddress(of: "br0", [10, 0, 0, 1])
      return state
    case .bridgeXDP, .bridgeTC: return .wiredSwitch()
    case .bridgeVLANsXDP, .bridgeVLANsTC:
      var state = NetworkState.wiredSwitch { $0.vlanFiltering = true }
      for name in ["p1", "p2"] {
        state.edit(name) {
          $0.vlans = [PortVLAN(first: 1, last: 1, pvid: true, untagged: true)]
        }
      }
      return state
    case .bridgeFiltered:
      var state = NetworkState.wiredSwitch()
      state.sysctls.bridgeCallIPTables = 1
      state.hooks = NetfilterHook.bridgeNetfilter + [.sabotage]
      return state
    case .bridgeRouterXDP, .bridgeRouterTC, .bridgeFilterRouterTC, .bridgeCalledFilterXDP:
      var state = NetworkState.wiredSwitch()
      if classifier != nil { state.hooks = [.legacyForward] }
      if isCalled { state.callIPTables() }
      state.addAddress(of: "br0", [10, 0, 0, 1])
      state.forward()
      return state
    case .bridgeFilterAllTC, .bridgeFilterSetTC, .bridgeConnectionsAllTC, .bridgeCalledAllTC:
      var state = NetworkState.switching(ports: ["p1", "p2"]) { $0.vlanFiltering = true }
      for name in ["p1", "p2", "br0"] {
        state.edit(name) {
          $0.vlans = [PortVLAN(first: 1, last: 1, pvid: true, untagged: true)]
        }
      }
      state.edit("br0") { $0.settings.rpFilter = 1 }
      state.hooks = [.legacyForward] + (isTracked ? NetfilterHook.tracking(translates: true) : [])
      if isCalled { state.callIPTables() }
      state.addAddress(of: "br0", [10, 0, 0, 1])
      state.forward()
      return state
    }
  }

  struct Rendered: Equatable {
    let source: String
    let config: [UInt8]
  }

  func program(_ layout: String = Self.layout, isShadow: Bool = false) throws -> Rendered {
    let template = try Golden.projectFile("templates/\(FastPath.templateName)")
    let fastPath = try FastPath(template, layout: layout, isShadow: isShadow)
    let graph = graph
    let interface = try #require(graph[interface])
    let rules = classifier.map { shape in
      JudgedRules(
        epoch: RuleEpoch(state.hooks ?? [], generation: nil, replaces: 5), shape: shape)
    }
    let program = try #require(
      try fastPath.program(for: interface, hooks: graph.hooks, rules: rules))
    let source = isGeneral ? try #require(program.general) : program.source
    return Rendered(source: source, config: program.config)
  }
}

extension NetworkState {
  /// Bridges ask the rules that stand on IPv4's hooks.
  fileprivate mutating func callIPTables() {
    sysctls.bridgeCallIPTables = 1
    hooks = [.sabotage] + (hooks ?? []) + NetfilterHook.bridgeNetfilter
  }

  /// A bridge of devices that frames reach by a wire.
  static func wiredSwitch(
    _ edit: (inout BridgeSettings) -> Void = { _ in }
  ) -> NetworkState {
    var state = switching(ports: ["p1", "p2"], edit)
    for name in ["p1", "p2"] {
      state.edit(name) {
        $0.kind = .plain
        $0.kindName = ""
      }
    }
    return state
  }
}

extension ClassifierShape {
  /// Addresses, protocols and ports.
  static let some = ClassifierShape(
    fields: 0b11111, summary: 1, size: 1 << 19, counters: 1024, checks: 0)
}

extension ClassifierShape {
  /// The same, and states of connections.
  static let stateful: ClassifierShape = {
    var shape = some
    shape.fields |= 1 << 14
    return shape
  }()
}

extension RulesSummary {
  /// Of one table of iptables-legacy with rules for forwarded packets.
  static let oneChain: RulesSummary = {
    var summary = RulesSummary()
    summary.chains[Int(NetfilterHook.Point.forward.rawValue)] = 1
    return summary
  }()
}

extension NetfilterHook {
  static let legacyForward: NetfilterHook = {
    var hook = at(.ipv4, .forward, "ipt_do_table [ip_tables]", address: 0x10)
    hook.argument = 0x1000
    hook.ruleset = RuleEpoch.Table(place: 0x1008, ruleset: 0x2000)
    return hook
  }()

  static func at(
    _ family: Family, _ point: Point, _ function: String, address: UInt64
  ) -> NetfilterHook {
    var hook = NetfilterHook(
      family: family, point: point, priority: 0, function: function, table: "", chain: "")
    hook.address = address
    return hook
  }

  /// As the kernel puts connection tracking there, and NAT with the first chain that wants it.
  static func tracking(translates: Bool) -> [NetfilterHook] {
    [
      at(.ipv4, .prerouting, "ipv4_conntrack_defrag", address: 0x71),
      at(.ipv4, .prerouting, "ipv4_conntrack_in", address: 0x72),
    ] + (translates ? [at(.ipv4, .prerouting, "nf_nat_ipv4_pre_routing", address: 0x73)] : [])
      + (translates ? [at(.ipv4, .postrouting, "nf_nat_ipv4_out", address: 0x74)] : []) + [
        at(.ipv4, .postrouting, "nf_confirm", address: 0x75)
      ]
  }

  static let sabotage = at(.ipv4, .prerouting, "ip_sabotage_in [br_netfilter]", address: 0x51)
  static let apparmor = at(.ipv4, .postrouting, "apparmor_ip_postroute", address: 0x52)
  /// As they stand in every namespace that has a bridge while the module is loaded.
  static let bridgeNetfilter = [
    at(.bridge, .prerouting, "br_nf_pre_routing [br_netfilter]", address: 0x61),
    at(.bridge, .forward, "br_nf_forward [br_netfilter]", address: 0x62),
    at(.bridge, .postrouting, "br_nf_post_routing [br_netfilter]", address: 0x63),
  ]
}
