// SPDX-License-Identifier: Apache-2.0
import Introspection
import OrderedJSON

extension Derivation {
  /// The router, and the filter before it, for packets that reach IP on `device`: the interface itself
  /// or the bridge above it.
  mutating func addRouter(through device: Link) {
    let state = surroundings.state
    if case .bridge = device.kind {
      // A bridge that nobody gave an address is a switch; what still goes up to it is the kernel's.
      if !surroundings.hasIPv4Address(device) { return }
    }
    guard device.settings.forwarding else {
      if nodes.isEmpty, link.hardware != Link.loopback { stop(.forwardingOff) }
      return
    }
    guard !state.routes.ipv4.isEmpty else {
      if nodes.isEmpty { stop(.noRoutes) }
      return
    }
    addFilter()
    nodes.append(Node(module: .router, conf: routerConf(device), next: nil))
    addBridgesBehind(device)
    let judged = slowPath.count
    judgeRouting(device)
    let all: Set<Reason> = [.policyRules, .ipsec]
    let free = !slowPath[judged...].contains { all.contains($0.reason) }
    // What comes in by a bridge's port reaches the router through the bridge.
    let reachable = device.index == link.index || fast.contains(.bridge)
    guard free, reachable else { return }
    let firewall = surroundings.firewall
    if firewall.judges { fast.insert(.filter) }
    if firewall.follows { fast.insert(.conntrack) }
    if firewall.letsRoutedPass || firewall.decides { fast.insert(.router) }
  }

  private mutating func addFilter() {
    let firewall = surroundings.firewall
    if !firewall.hooksKnown {
      punt(.unreadable, "netfilter hooks")
    } else if !firewall.strangers.isEmpty {
      punt(.netfilterHook, firewall.strangers.joined(separator: ", "))
    }
    for problem in surroundings.state.problems { punt(.unreadable, problem.part) }
    if let tracking = firewall.tracking {
      nodes.append(
        Node(
          module: .conntrack,
          conf: JSON.Object([
            ("nat", .bool(tracking.translates)), ("marks", .bool(tracking.marks)),
          ]), next: nil))
    } else if firewall.defragments {
      punt(.netfilterHook, "defragmentation")
    }
    if !firewall.judges { leaveRules() }
    if firewall.isActive || firewall.judges {
      var conf = JSON.Object()
      conf.append("family", "ipv4")
      conf.append("rules", .number(firewall.rules))
      conf.append("backends", .array(firewall.backends.map { .string($0) }))
      conf.append("tables", .array(firewall.tables.map { .string($0) }))
      conf.append("policy", .string(firewall.dropsByDefault ? "drop" : "accept"))
      conf.append(
        "punted_rules", .number(firewall.summary?.punted ?? firewall.unmodelledRules))
      nodes.append(Node(module: .filter, conf: conf, next: nil))
    }
    let unknown = firewall.summary?.unknown ?? firewall.unmodelledNames
    if !unknown.isEmpty { punt(.unmodelledRules, unknown.joined(separator: ", ")) }
    let effects = firewall.summary?.effects ?? []
    if !effects.isEmpty { punt(.ruleEffect, effects.joined(separator: ", ")) }
    guard firewall.tracking == nil else { return }
    if firewall.conntrack { punt(.conntrack) }
    if firewall.natHooks || !firewall.natTables.isEmpty {
      let tables = firewall.natTables.joined(separator: ", ")
      punt(.nat, tables.isEmpty ? nil : tables)
    }
  }

  /// All packets that meet rules are the kernel's.
  private mutating func leaveRules() {
    let firewall = surroundings.firewall
    if firewall.isActive {
      punt(.filterRules, firewall.tables.joined(separator: ", "))
    } else if !firewall.rulesets.isEmpty {
      punt(.netfilterHook, firewall.rulesets.joined(separator: ", "))
    }
    guard !firewall.rulesets.isEmpty else { return }
    if !firewall.isWatched { punt(.rulesUnwatched) }
    if let refusal = firewall.summary?.refusal { punt(.rulesTooMany, refusal) }
  }

  /// Packets may be routed into bridges other than the one they came from.
  private mutating func addBridgesBehind(_ device: Link) {
    let bridges = surroundings.routedBridges(except: device.index)
    guard !bridges.isEmpty else { return }
    if bridges.contains(where: \.filtersVLANs) { meetsVLANs = true }
    if nodes.contains(where: { $0.module == .bridge }) {
      // The module is there already: the router leads back to it.
      if let last = nodes.indices.last { nodes[last].next = .bridge }
      return
    }
    var conf = JSON.Object()
    conf.append("bridges", .array(bridges.map { .string($0.name) }))
    nodes.append(Node(module: .bridge, conf: conf, next: nil))
  }

  private func routerConf(_ device: Link) -> JSON.Object {
    let state = surroundings.state
    let all = state.sysctls.all
    let own = device.settings
    var conf = JSON.Object()
    if device.index != link.index { conf.append("device", .string(device.name)) }
    // IN_DEV_MAXCONF for rp_filter, IN_DEV_ORCONF for the others
    conf.append("rp_filter", .string(Self.reversePath(max(all.rpFilter, own.rpFilter))))
    conf.append("policy_rules", .bool(surroundings.customRules > 0))
    conf.append("routes", .array(state.routes.ipv4.names.map { .string($0) }))
    conf.append("send_redirects", .bool(all.sendRedirects || own.sendRedirects))
    let flags = [
      ("accept_local", all.acceptLocal || own.acceptLocal),
      ("route_localnet", all.routeLocalnet || own.routeLocalnet),
      ("src_valid_mark", all.sourceValidMark || own.sourceValidMark),
    ]
    for (name, on) in flags where on { conf.append(name, true) }
    if state.routes.ipv4.contains(.multipath) || state.routes.ipv4.contains(.nexthopObject) {
      conf.append("multipath_hash_policy", .number(state.sysctls.multipathHashPolicy ?? 0))
    }
    return conf
  }

  private static func reversePath(_ value: UInt8) -> String {
    switch value {
    case 0: "off"
    case 1: "strict"
    default: "loose"
    }
  }

  private mutating func judgeRouting(_ device: Link) {
    let state = surroundings.state
    if surroundings.customRules > 0 { punt(.policyRules, "\(surroundings.customRules)") }
    let routes = state.routes.ipv4
    if routes.contains(.multipath) || routes.contains(.nexthopObject),
      state.sysctls.multipathHashPolicy ?? 0 != 0
    {
      punt(.multipathHash, "fib_multipath_hash_policy \(state.sysctls.multipathHashPolicy ?? 0)")
    }
    if routes.contains(.encapsulated) { punt(.encapsulatedRoutes) }
    if state.ipsecPolicies { punt(.ipsec) }
    if device.settings.forwarding6 { punt(.ipv6) }
  }
}
