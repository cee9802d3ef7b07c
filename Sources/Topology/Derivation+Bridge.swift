// SPDX-License-Identifier: Apache-2.0
import Introspection
import OrderedJSON

extension Derivation {
  /// The bridge module: for a port what its frames meet, for the bridge itself how it is set up.
  mutating func addBridge(_ bridge: Link, _ settings: BridgeSettings, port: BridgePort?) {
    var conf = JSON.Object()
    conf.append("bridge", .string(bridge.name))
    conf.append("STP_enabled", .bool(settings.stp))
    conf.append("VLAN_enabled", .bool(settings.vlanFiltering))
    conf.append("ageing_time", .number(settings.ageing / 100))
    if settings.groupForwardMask != 0 {
      conf.append("group_fwd_mask", .number(settings.groupForwardMask))
    }
    if let port {
      describe(port, &conf)
    } else {
      let ports = surroundings.ports(of: bridge).map { JSON.string($0.name) }
      conf.append("ports", .array(ports))
    }
    if settings.vlanFiltering { describe(settings, &conf) }
    nodes.append(Node(module: .bridge, conf: conf, next: nil))
    let judged = slowPath.count
    if let port { judge(port) }
    judge(settings, isPort: port != nil)
    let all: Set<Reason> = [
      .portNotForwarding, .portFlag, .vlanProtocol, .spanningTreeGroups, .bridgeFilter, .unreadable,
    ]
    let firewall = surroundings.firewall
    // Where rules could be asked for bridged packets, these are left to the kernel, and only those that are
    // routed are worth a program: rules are asked for them once, at the bridge or behind it (ip_sabotage_in()),
    // and twice if the bridge is itself part of something, such as a VRF, or if something stands in front of that
    // function.
    let free =
      !slowPath[judged...].contains { all.contains($0.reason) } && firewall.hooksKnown
      && !(firewall.mayAskForBridged
        && (!firewall.decides || !firewall.sabotagesFirst || bridge.master != nil))
    if port != nil, free {
      fast.insert(.bridge)
      bridgesForRouter = firewall.mayAskForBridged
      if settings.vlanFiltering { meetsVLANs = true }
    }
  }

  private func describe(_ port: BridgePort, _ conf: inout JSON.Object) {
    conf.append("port_state", .string(port.state.name))
    conf.append("learning", .bool(port.learning))
    if port.hairpin { conf.append("hairpin", true) }
    if port.isolated { conf.append("isolated", true) }
  }

  private func describe(_ settings: BridgeSettings, _ conf: inout JSON.Object) {
    let pvid = link.vlans.first { $0.pvid }?.first
    conf.append("vlan_protocol", .string(settings.vlanProtocol == 0x8100 ? "802.1Q" : "802.1ad"))
    conf.append("pvid", pvid.map { .number($0) } ?? .null)
    conf.append("vlans", .array(link.vlans.map { .string($0.range) }))
    conf.append(
      "untagged", .array(link.vlans.filter { $0.untagged }.map { .string($0.range) }))
  }

  private mutating func judge(_ port: BridgePort) {
    if port.state != .forwarding { punt(.portNotForwarding, port.state.name) }
    // The others are for frames that the kernel handles in any case: ARP, BPDUs, multicast.
    let flags: [(Bool, String)] = [
      (port.locked, "locked"), (port.macAuthenticationBypass, "mab"),
      (port.vlanTunnel, "vlan_tunnel"),
    ]
    let set = flags.filter(\.0).map(\.1)
    if !set.isEmpty { punt(.portFlag, set.joined(separator: ", ")) }
  }

  private func callsIPTables(_ settings: BridgeSettings) -> Bool {
    settings.callIPTables || surroundings.state.sysctls.bridgeCallIPTables ?? 0 != 0
  }

  private mutating func judge(_ settings: BridgeSettings, isPort: Bool) {
    let firewall = surroundings.firewall
    let sysctls = surroundings.state.sysctls
    if settings.vlanFiltering, settings.vlanProtocol != 0x8100 { punt(.vlanProtocol, "802.1ad") }
    if settings.multipleSpanningTree { punt(.spanningTreeGroups) }
    if !firewall.bridgeFilters.isEmpty {
      punt(.bridgeFilter, firewall.bridgeFilters.joined(separator: ", "))
    }
    // br_netfilter's hooks are there as soon as a namespace has a bridge; they act when told to.
    let called = callsIPTables(settings)
    let called6 = settings.callIP6Tables || sysctls.bridgeCallIP6Tables ?? 0 != 0
    let calledARP = settings.callARPTables || sysctls.bridgeCallARPTables ?? 0 != 0
    if called || called6 || calledARP, firewall.bridgeNetfilter || !firewall.hooksKnown {
      // IPv4 passes through where nothing stands on its hooks.
      let families = [
        (called && !firewall.letsRoutedPass, "IPv4"), (called6, "IPv6"), (calledARP, "ARP"),
      ]
      if isPort, called, firewall.mayAskForBridged, firewall.decides {
        judgesBridged = (slowPath.count, families.dropFirst().filter(\.0).map(\.1))
      }
      punt(.bridgeNetfilter, families.filter(\.0).map(\.1).joined(separator: ", "))
    } else if firewall.mayAskForBridged {
      // Programs do not look whether it is called.
      punt(.bridgeNetfilter, "IPv4, if told to")
    }
  }
}

extension BridgePort.State {
  /// As `bridge link` names it.
  var name: String {
    switch self {
    case .disabled: "disabled"
    case .listening: "listening"
    case .learning: "learning"
    case .forwarding: "forwarding"
    case .blocking: "blocking"
    }
  }
}

extension PortVLAN {
  var range: String { first == last ? "\(first)" : "\(first)-\(last)" }
}

extension Link {
  /// Whether it is a bridge that sorts frames by VLAN.
  var filtersVLANs: Bool {
    if case .bridge(let settings) = kind { settings.vlanFiltering } else { false }
  }
}
