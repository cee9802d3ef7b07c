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
    if let port { judge(port) }
    judge(settings)
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
    let flags: [(Bool, String)] = [
      (port.locked, "locked"), (port.macAuthenticationBypass, "mab"),
      (port.guarded, "bpdu_guard"), (port.rootBlock, "root_block"),
      (port.proxyARP, "proxy_arp"), (port.suppressNeighbours, "neigh_suppress"),
      (port.vlanTunnel, "vlan_tunnel"), (port.backupPort != nil, "backup_port"),
      (port.groupForwardMask != 0, "group_fwd_mask"),
    ]
    let set = flags.filter(\.0).map(\.1)
    if !set.isEmpty { punt(.portFlag, set.joined(separator: ", ")) }
  }

  private mutating func judge(_ settings: BridgeSettings) {
    let firewall = surroundings.firewall
    let sysctls = surroundings.state.sysctls
    if settings.vlanFiltering, settings.vlanProtocol != 0x8100 { punt(.vlanProtocol, "802.1ad") }
    if settings.multipleSpanningTree { punt(.spanningTreeGroups) }
    if !firewall.bridgeFilters.isEmpty {
      punt(.bridgeFilter, firewall.bridgeFilters.joined(separator: ", "))
    }
    // br_netfilter's hooks are there as soon as a namespace has a bridge; they act when told to.
    let called = settings.callIPTables || sysctls.bridgeCallIPTables ?? 0 != 0
    let called6 = settings.callIP6Tables || sysctls.bridgeCallIP6Tables ?? 0 != 0
    let calledARP = settings.callARPTables || sysctls.bridgeCallARPTables ?? 0 != 0
    if called || called6 || calledARP, firewall.bridgeNetfilter || !firewall.hooksKnown {
      let families = [(called, "IPv4"), (called6, "IPv6"), (calledARP, "ARP")]
      punt(.bridgeNetfilter, families.filter(\.0).map(\.1).joined(separator: ", "))
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
