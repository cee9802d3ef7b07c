// SPDX-License-Identifier: Apache-2.0
import Introspection
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
  case generalXDP = "general-xdp"
  case generalTC = "general-tc"

  var testDescription: String { rawValue }

  var isXDP: Bool { rawValue.hasSuffix("-xdp") || self == .routerXDPVeth }
  var isGeneral: Bool { self == .generalXDP || self == .generalTC }
  var isBridge: Bool { rawValue.hasPrefix("bridge") }

  /// The layout differs with each kernel; this stands in its place.
  static let layout = "/* the layout of this kernel */\n"

  /// What is to be done on `interface`.
  var graph: ProcessingGraph {
    let preference: HookPreference = isXDP ? .xdp : .tc
    return Topology.derive(state) { _ in preference }
  }

  var interface: String {
    switch self {
    case .bridgeXDP, .bridgeTC, .bridgeFiltered, .bridgeRouterXDP, .bridgeRouterTC: "p1"
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
    case .bridgeFiltered:
      var state = NetworkState.wiredSwitch()
      state.sysctls.bridgeCallIPTables = 1
      state.hooks = NetfilterHook.bridgeNetfilter + [.sabotage]
      return state
    case .bridgeRouterXDP, .bridgeRouterTC:
      var state = NetworkState.wiredSwitch()
      state.addAddress(of: "br0", [10, 0, 0, 1])
      state.forward()
      return state
    }
  }

  struct Rendered: Equatable {
    let source: String
    let config: [UInt8]
  }

  func program(_ layout: String = Self.layout) throws -> Rendered {
    let template = try Golden.projectFile("templates/\(FastPath.templateName)")
    let fastPath = try FastPath(template, layout: layout)
    let graph = graph
    let interface = try #require(graph[interface])
    let program = try #require(try fastPath.program(for: interface, hooks: graph.hooks))
    let source = isGeneral ? try #require(program.general) : program.source
    return Rendered(source: source, config: program.config)
  }
}

extension NetworkState {
  /// A bridge of devices that frames reach by a wire.
  static func wiredSwitch() -> NetworkState {
    var state = switching(ports: ["p1", "p2"])
    for name in ["p1", "p2"] {
      state.edit(name) {
        $0.kind = .plain
        $0.kindName = ""
      }
    }
    return state
  }
}

extension NetfilterHook {
  static func at(
    _ family: Family, _ point: Point, _ function: String, address: UInt64
  ) -> NetfilterHook {
    var hook = NetfilterHook(
      family: family, point: point, priority: 0, function: function, table: "", chain: "")
    hook.address = address
    return hook
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
