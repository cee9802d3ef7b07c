// SPDX-License-Identifier: Apache-2.0
import Introspection
import OrderedJSON

/// What fpd has read of the kernel's configuration, for people and bug reports. Rules are counted, not
/// listed: the tools that made them list them better.
struct StateReport {
  private let state: NetworkState
  private let names: [Int32: String]

  init(_ state: NetworkState) {
    self.state = state
    names = Dictionary(state.links.map { ($0.index, $0.name) }, uniquingKeysWith: { $1 })
  }

  var json: JSON {
    [
      "links": .array(state.links.map(link)),
      "addresses": .array(state.addresses.map(address)),
      "policy_rules": .array(state.policyRules.map(rule)),
      "routes": [
        "ipv4": texts(state.routes.ipv4.names), "ipv6": texts(state.routes.ipv6.names),
        "surveyed": .bool(state.routes.surveyed),
      ],
      "qdiscs": .array(state.qdiscs.map(qdisc)),
      "filters": .array(state.filters.map(filter)),
      "sysctls": sysctls,
      "ipsec_policies": .bool(state.ipsecPolicies),
      "conntrack": conntrack,
      "hooks": state.hooks.map { .array($0.map(hook)) } ?? .null,
      "firewalls": .array((state.legacyTables + state.nftables).map(table)),
      "ipsets": .array(state.sets.map(set)),
      "problems": .array(
        state.problems.map { ["part": .string($0.part), "detail": .string($0.detail)] }),
    ]
  }

  private func texts(_ list: [String]) -> JSON { .array(list.map { .string($0) }) }

  private func name(_ index: Int32?) -> JSON {
    guard let index else { return .null }
    return .string(names[index] ?? "#\(index)")
  }

  // MARK: - Links

  private func link(_ link: Link) -> JSON {
    var members = JSON.Object()
    members.append("name", .string(link.name))
    members.append("ifindex", .number(link.index))
    members.append("kind", .string(link.kindName.isEmpty ? "device" : link.kindName))
    members.append("up", .bool(link.up))
    members.append("carrier", .bool(link.carrier))
    members.append("mtu", .number(link.mtu))
    members.append("address", .string(link.addressText))
    if link.master != nil { members.append("master", name(link.master)) }
    if let lower = link.lower {
      // An index in another namespace says nothing here.
      members.append(
        link.kind == .veth ? "peer" : "lower",
        link.lowerNamespace == nil ? name(lower) : "in another namespace")
    }
    for (key, value) in kind(link.kind) { members.append(key, value) }
    if let port = link.port { members.append("port", self.port(port)) }
    if !link.vlans.isEmpty { members.append("vlans", .array(link.vlans.map(vlan))) }
    if !link.xdp.isEmpty {
      members.append(
        "xdp",
        .array(link.xdp.map { ["mode": .string($0.mode.rawValue), "id": .number($0.program)] }))
    }
    members.append("settings", settings(link.settings))
    if let view = state.deviceViews?.first(where: { $0.link == link.index }) {
      members.append("attached", attachments(view))
    }
    return .object(members)
  }

  private func kind(_ kind: LinkKind) -> [(String, JSON)] {
    switch kind {
    case .bridge(let bridge):
      [
        (
          "bridge",
          [
            "stp": .bool(bridge.stp), "ageing_time": .number(bridge.ageing / 100),
            "forward_delay": .number(bridge.forwardDelay / 100),
            "vlan_filtering": .bool(bridge.vlanFiltering),
            "group_fwd_mask": .number(bridge.groupForwardMask),
            "nf_call_iptables": .bool(bridge.callIPTables),
            "nf_call_ip6tables": .bool(bridge.callIP6Tables),
            "nf_call_arptables": .bool(bridge.callARPTables),
            "mcast_snooping": .bool(bridge.multicastSnooping),
            "mst": .bool(bridge.multipleSpanningTree),
          ]
        )
      ]
    case .vlan(let id, let ethertype):
      [("vlan", ["id": .number(id), "protocol": .string("0x" + String(ethertype, radix: 16))])]
    case .vxlan(let vxlan):
      [
        (
          "vxlan",
          [
            "id": .number(vxlan.id), "port": .number(vxlan.port), "over": name(vxlan.lower),
            "learning": .bool(vxlan.learning), "external": .bool(vxlan.collectMetadata),
          ]
        )
      ]
    case .bond(let mode): [("bond", ["mode": .number(mode)])]
    case .macvlan(let mode): [("macvlan", ["mode": .number(mode)])]
    case .vrf(let table): [("vrf", ["table": .number(table)])]
    case .tun(let tap, let header):
      [("tun", ["mode": .string(tap ? "tap" : "tun"), "vnet_hdr": .bool(header)])]
    case .plain, .veth, .team, .ipvlan, .ifb, .dummy, .other: []
    }
  }

  private func port(_ port: BridgePort) -> JSON {
    [
      "state": .number(port.state.rawValue), "learning": .bool(port.learning),
      "flood": .bool(port.unicastFlood), "hairpin": .bool(port.hairpin),
      "isolated": .bool(port.isolated), "locked": .bool(port.locked),
      "neigh_suppress": .bool(port.suppressNeighbours), "proxy_arp": .bool(port.proxyARP),
      "vlan_tunnel": .bool(port.vlanTunnel), "guard": .bool(port.guarded),
      "root_block": .bool(port.rootBlock), "backup_port": name(port.backupPort),
    ]
  }

  private func vlan(_ vlan: PortVLAN) -> JSON {
    [
      "first": .number(vlan.first), "last": .number(vlan.last), "pvid": .bool(vlan.pvid),
      "untagged": .bool(vlan.untagged),
    ]
  }

  private func settings(_ settings: DeviceSettings) -> JSON {
    [
      "forwarding": .bool(settings.forwarding), "rp_filter": .number(settings.rpFilter),
      "accept_local": .bool(settings.acceptLocal),
      "route_localnet": .bool(settings.routeLocalnet),
      "send_redirects": .bool(settings.sendRedirects),
      "src_valid_mark": .bool(settings.sourceValidMark), "proxy_arp": .bool(settings.proxyARP),
      "forwarding6": .bool(settings.forwarding6),
    ]
  }

  private func attachments(_ view: DeviceView) -> JSON {
    [
      "tcx_ingress": .number(view.tcxIngress), "tcx_egress": .number(view.tcxEgress),
      "netfilter_ingress": .number(view.netfilterIngress),
      "netfilter_egress": .number(view.netfilterEgress), "taps": .number(view.taps),
      "rx_handler": .string(view.receiveHandler),
    ]
  }

  // MARK: - Routing and traffic control

  private func address(_ address: Address) -> JSON {
    [
      "interface": name(address.link),
      "address": .string("\(address.text)/\(address.prefixLength)"),
    ]
  }

  private func rule(_ rule: PolicyRule) -> JSON {
    [
      "family": .string(rule.family == .ipv4 ? "ipv4" : "ipv6"),
      "priority": .number(rule.priority), "table": .number(rule.table),
      "selectors": texts(rule.selectors), "inverted": .bool(rule.inverted),
    ]
  }

  private func qdisc(_ qdisc: Qdisc) -> JSON {
    [
      "interface": name(qdisc.link), "kind": .string(qdisc.kind),
      "handle": .string(String(qdisc.handle >> 16, radix: 16) + ":"), "plain": .bool(qdisc.isPlain),
    ]
  }

  private func filter(_ filter: TrafficFilter) -> JSON {
    [
      "interface": name(filter.link), "side": .string(filter.side.rawValue),
      "kind": .string(filter.kind), "priority": .number(filter.priority),
      "program": .string(filter.program), "program_id": .number(filter.programID),
    ]
  }

  private var sysctls: JSON {
    let sysctls = state.sysctls
    func optional(_ value: Int?) -> JSON { value.map { .number($0) } ?? .null }
    return [
      "ip_forward": .bool(sysctls.forwarding), "ip6_forward": .bool(sysctls.forwarding6),
      "all": settings(sysctls.all),
      "fib_multipath_hash_policy": optional(sysctls.multipathHashPolicy),
      "fib_multipath_hash_policy6": optional(sysctls.multipathHashPolicy6),
      "ip_forward_update_priority": optional(sysctls.updatePriority),
      "bridge-nf-call-iptables": optional(sysctls.bridgeCallIPTables),
      "bridge-nf-call-ip6tables": optional(sysctls.bridgeCallIP6Tables),
      "bridge-nf-call-arptables": optional(sysctls.bridgeCallARPTables),
      "bridge-nf-filter-vlan-tagged": optional(sysctls.bridgeFilterVLANTagged),
      "nf_conntrack_tcp_be_liberal": optional(sysctls.conntrackLiberal),
      "nf_conntrack_acct": optional(sysctls.conntrackAccounting),
      "nf_conntrack_timestamp": optional(sysctls.conntrackTimestamps),
    ]
  }

  // MARK: - Netfilter

  private var conntrack: JSON {
    let use = ConntrackUse(state.legacyTables + state.nftables)
    let active = state.hooks.map { $0.contains { $0.owner == .conntrack } }
    return [
      "active": active.map { .bool($0) } ?? .null, "demanded_by": texts(use.demandedBy),
      "nat_chains": .bool(use.hasNATChains), "translates": .bool(use.translates),
    ]
  }

  private func hook(_ hook: NetfilterHook) -> JSON {
    [
      "family": .string("\(hook.family)"), "point": .string("\(hook.point)"),
      "priority": .number(hook.priority), "function": .string(hook.function),
      "owner": .string(hook.owner.text),
    ]
  }

  private func table(_ table: RuleTable) -> JSON {
    [
      "family": .string(table.family.name), "name": .string(table.name),
      "backend": .string(table.backend.rawValue), "rules": .number(table.ruleCount),
      "unmodelled_rules": .number(table.unmodelledRuleCount),
      "unmodelled": texts(table.unmodelledNames),
      "chains": .array(table.chains.map(chain)),
      "sets": .array(
        table.sets.filter { !$0.flags.contains(.anonymous) }.map {
          ["name": .string($0.name), "key_length": .number($0.keyLength), "size": .number($0.size)]
        }),
    ]
  }

  private func chain(_ chain: Chain) -> JSON {
    var members = JSON.Object()
    members.append("name", .string(chain.name))
    if let base = chain.base {
      members.append("hook", .string(base.hook.name))
      members.append("priority", .number(base.priority))
      members.append("type", .string(base.type))
      members.append("policy", .string("\(base.policy)"))
      if !base.devices.isEmpty { members.append("devices", texts(base.devices)) }
    }
    members.append("rules", .number(chain.rules.count))
    return .object(members)
  }

  private func set(_ set: IPSet) -> JSON {
    [
      "name": .string(set.name), "type": .string(set.type), "revision": .number(set.revision),
      "family": .string(set.family == 10 ? "ipv6" : set.family == 2 ? "ipv4" : "any"),
      "limit": .number(set.limit), "elements": .number(set.usage.elements),
      "timeout": set.timeout.map { .number($0) } ?? .null,
    ]
  }
}
