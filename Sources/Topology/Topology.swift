// SPDX-License-Identifier: Apache-2.0
import Introspection
import OrderedJSON

/// Derives the processing graph from a namespace's state: a pure function.
package enum Topology {
  package static func derive(
    _ state: NetworkState, rules: RulesSummary? = nil, connections: ConnectionUse = .none,
    preference: (String) -> HookPreference = { _ in .auto }
  ) -> ProcessingGraph {
    let surroundings = Surroundings(state, rules, connections: connections)
    var graph = ProcessingGraph()
    graph.hooks = surroundings.firewall.harmless
    graph.interfaces.reserveCapacity(state.links.count)
    for link in state.links {
      var derivation = Derivation(link, in: surroundings)
      graph.interfaces.append(derivation.run(preference(link.name)))
    }
    return graph
  }
}

/// The graph of one interface in the making.
struct Derivation {
  let link: Link
  let surroundings: Surroundings
  var nodes: [Node] = []
  var slowPath: [SlowPath] = []
  /// Modules that can finish packets here.
  var fast: Set<Module> = []
  var meetsVLANs = false
  /// The bridge module has nothing to do but to hand packets up to the router.
  var bridgesForRouter = false
  /// Rules are asked for IPv4 that is bridged, and can be if those for what is routed are: where `slowPath` says what
  /// of it stays slow, and what else does.
  var judgesBridged: (place: Int, others: [String])?

  init(_ link: Link, in surroundings: Surroundings) {
    self.link = link
    self.surroundings = surroundings
  }

  mutating func run(_ preference: HookPreference) -> InterfaceGraph {
    judgeDevice(preference)
    judgeAttachments()
    addNodes()
    if bridgesForRouter, !fast.contains(.router) { fast.remove(.bridge) }
    if !fast.isSuperset(of: [.bridge, .router]) { judgesBridged = nil }
    if let judgesBridged {
      let slow = ["IPv4 that rules drop, mark or translate"] + judgesBridged.others
      slowPath[judgesBridged.place].detail = slow.joined(separator: ", ")
    }
    judgeEgress()
    judgeTags(preference)
    if preference == .off { stop(.hookOff) }
    // Modules were added in the order packets meet them.
    for index in nodes.indices.dropLast() { nodes[index].next = nodes[index + 1].module }
    let slow = fast.isEmpty || slowPath.contains { $0.scope == .interface }
    var graph = InterfaceGraph(
      name: link.name, index: link.index, hook: slow ? .none : hook(preference), nodes: nodes,
      slowPath: slowPath)
    graph.fast = fast
    graph.device.isVeth = link.kind == .veth
    graph.device.bridgesExist = surroundings.bridgesExist
    graph.device.meetsVLANs = meetsVLANs
    let firewall = surroundings.firewall
    graph.device.rulesExist = !firewall.rulesets.isEmpty || firewall.tracking != nil
    graph.device.judgesBridged = judgesBridged != nil
    graph.device.receiveHandler = surroundings.view(link).receiveHandlerAddress
    return graph
  }

  /// The whole interface stays slow.
  mutating func stop(_ reason: Reason, _ detail: String? = nil) {
    slowPath.append(SlowPath(reason: reason, scope: .interface, detail: detail))
  }

  /// Some of its packets do.
  mutating func punt(_ reason: Reason, _ detail: String? = nil) {
    slowPath.append(SlowPath(reason: reason, scope: .packets, detail: detail))
  }

  private func hook(_ preference: HookPreference) -> Hook {
    switch preference {
    case .xdp: .xdp
    case .genericXDP: .genericXDP
    case .tc: .tc
    case .auto: automaticHook
    case .off: .none
    }
  }

  /// XDP where frames come from a wire and go to one; TC where they come from a container or a virtual
  /// machine, whose large segments XDP would have to cut up, or go there: few of these devices take
  /// frames from XDP.
  private var automaticHook: Hook {
    switch link.kind {
    case .plain where surroundings.view(link).stripsTags: .tc
    case .plain, .dummy: surroundings.hasLocalSenders ? .tc : .xdp
    default: .tc
    }
  }

  /// A frame without its tag looks like one that never had any.
  private mutating func judgeTags(_ preference: HookPreference) {
    if [.xdp, .genericXDP].contains(preference), link.kind == .plain,
      surroundings.view(link).stripsTags
    {
      stop(.vlanOffload, "ethtool -K \(link.name) rxvlan off")
    }
  }

  // MARK: - What keeps the interface slow as a whole

  private mutating func judgeDevice(_ preference: HookPreference) {
    if link.hardware == Link.loopback { return stop(.loopback) }
    if !link.isEthernet { stop(.notEthernet, link.kindName.isEmpty ? nil : link.kindName) }
    switch link.kind {
    case .plain, .veth, .dummy: break
    case .tun(let tap, _):
      if !tap, link.isEthernet { stop(.deviceKind, "tun") }
      // What a guest has left to its card, checksums above all, an XDP program is not told.
      if tap, [.xdp, .genericXDP].contains(preference) { stop(.deviceKind, "tap, on XDP") }
    case .vxlan(let settings):
      // What comes out of a tunnel for all keeps a note of where it came from.
      if settings.collectMetadata { stop(.deviceKind, "vxlan external") }
      if [.xdp, .genericXDP].contains(preference) { stop(.deviceKind, "vxlan, on XDP") }
    case .bridge: stop(.bridgeDevice)
    default: if link.isEthernet { stop(.deviceKind, link.kindName) }
    }
    if !link.up {
      stop(.linkDown)
    } else if !link.carrier {
      stop(.noCarrier)
    }
    switch link.slaveKind {
    case "", "bridge": break
    case "vrf": stop(.vrfMember, surroundings.link(link.master)?.name)
    default: stop(.bondMember, surroundings.link(link.master)?.name)
    }
  }

  private mutating func judgeAttachments() {
    if surroundings.state.deviceViews == nil, link.hardware != Link.loopback {
      punt(.unreadable, "attachments to the device")
    }
    let view = surroundings.view(link)
    for program in link.xdp { stop(.foreignXDP, "\(program.mode.rawValue), id \(program.program)") }
    let filters = surroundings.filters(link, .ingress)
    if !filters.isEmpty { stop(.foreignIngress, filters.map(\.kind).joined(separator: ", ")) }
    if view.tcxIngress > 0 { stop(.foreignIngress, "\(view.tcxIngress) TCX") }
    if view.netfilterIngress > 0 { stop(.netfilterIngress) }
    if view.taps > 0 { stop(.packetTap, "\(view.taps)") }
    let handler = String(view.receiveHandler.prefix { $0 != " " })
    if !["", "br_handle_frame"].contains(handler),
      link.slaveKind.isEmpty || link.slaveKind == "bridge"
    {
      stop(.receiveHandler, handler)
    }
  }

  private mutating func judgeEgress() {
    if link.hardware == Link.loopback { return }
    let shapers = surroundings.shapers(link)
    if !shapers.isEmpty {
      punt(.egressQdisc, Set(shapers.map(\.kind)).sorted().joined(separator: ", "))
    }
    let view = surroundings.view(link)
    let filters = surroundings.filters(link, .egress)
    if !filters.isEmpty { punt(.foreignEgress, filters.map(\.kind).joined(separator: ", ")) }
    if view.tcxEgress > 0 { punt(.foreignEgress, "\(view.tcxEgress) TCX") }
    if view.netfilterEgress > 0 { punt(.netfilterEgress) }
  }

  // MARK: - What packets meet

  private mutating func addNodes() {
    guard link.isEthernet else { return }
    if case .bridge(let settings) = link.kind {
      addBridge(link, settings, port: nil)
      addRouter(through: link)
    } else if link.slaveKind == "bridge", let bridge = surroundings.link(link.master),
      case .bridge(let settings) = bridge.kind
    {
      addBridge(bridge, settings, port: link.port ?? BridgePort())
      addRouter(through: bridge)
    } else if link.slaveKind.isEmpty {
      addRouter(through: link)
    }
  }
}
