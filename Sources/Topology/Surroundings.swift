// SPDX-License-Identifier: Apache-2.0
import Introspection

/// A namespace's state, arranged for asking what concerns one link; made once per graph.
struct Surroundings {
  let state: NetworkState
  let firewall: Firewall
  private let linksByIndex: [Int32: Int]
  private let addressed: Set<Int32>
  private let ports: [Int32: [Int]]
  private let qdiscs: [Int32: [Qdisc]]
  private let filters: [Int32: [TrafficFilter]]
  private let views: [Int32: DeviceView]
  private let routedBridges: [Link]
  let bridgesExist: Bool
  /// Containers or virtual machines may send and receive here.
  let hasLocalSenders: Bool
  /// Policy rules that are not those every namespace starts with, or are missing of these.
  let customRules: Int

  init(
    _ state: NetworkState, _ rules: RulesSummary? = nil, connections: ConnectionUse = .none
  ) {
    self.state = state
    firewall = Firewall(state, rules, connections: connections)
    linksByIndex = Dictionary(
      state.links.indices.map { (state.links[$0].index, $0) }, uniquingKeysWith: { $1 })
    addressed = Set(state.addresses.lazy.filter { $0.family == .ipv4 }.map(\.link))
    ports = Dictionary(
      grouping: state.links.indices.filter { state.links[$0].slaveKind == "bridge" },
      by: { state.links[$0].master ?? 0 })
    qdiscs = Dictionary(grouping: state.qdiscs.lazy.filter { !$0.isPlain }, by: \.link)
    filters = Dictionary(grouping: state.filters, by: \.link)
    views = Dictionary(
      (state.deviceViews ?? []).map { ($0.link, $0) }, uniquingKeysWith: { $1 })
    bridgesExist = state.links.contains { if case .bridge = $0.kind { true } else { false } }
    hasLocalSenders = state.links.contains { link in
      guard link.up else { return false }
      if case .tun(let tap, _) = link.kind { return tap }
      return link.kind == .veth
    }
    let addressed = addressed
    routedBridges = state.links.filter { link in
      guard case .bridge = link.kind else { return false }
      return link.up && addressed.contains(link.index)
    }
    customRules =
      state.policyRules.count { $0.family == .ipv4 && !$0.isDefault }
      + PolicyRule.missing(.ipv4, of: state.policyRules)
  }

  func link(_ index: Int32?) -> Link? {
    index.flatMap { linksByIndex[$0] }.map { state.links[$0] }
  }

  func hasIPv4Address(_ link: Link) -> Bool { addressed.contains(link.index) }

  func ports(of bridge: Link) -> [Link] {
    (ports[bridge.index] ?? []).map { state.links[$0] }
  }

  /// Qdiscs on a link that do more than hand packets on.
  func shapers(_ link: Link) -> [Qdisc] { qdiscs[link.index] ?? [] }

  func filters(_ link: Link, _ side: TrafficFilter.Side) -> [TrafficFilter] {
    (filters[link.index] ?? []).filter { $0.side == side }
  }

  func view(_ link: Link) -> DeviceView { views[link.index] ?? DeviceView(link: link.index) }

  /// Bridges that packets can be routed into: they have an IPv4 address and are up.
  func routedBridges(except excluded: Int32?) -> [Link] {
    routedBridges.filter { $0.index != excluded }
  }
}

/// What netfilter does to IPv4 packets that are forwarded, and to frames that are bridged.
struct Firewall {
  var rules = 0
  var unmodelledRules = 0
  var unmodelledNames: [String] = []
  var backends: [String] = []
  var tables: [String] = []
  var dropsByDefault = false
  /// Who is asked first of what arrives for IPv4.
  private var firstArrival: NetfilterHook.Owner?
  var conntrack = false
  var natTables: [String] = []
  var natHooks = false
  /// Hooks on the path of forwarded packets whose owner is not understood.
  var strangers: [String] = []
  var bridgeFilters: [String] = []
  var bridgeNetfilter = false
  var hooksKnown = true
  /// What stands on the hooks when nothing else does.
  var harmless = HarmlessHooks()
  /// Hooks whose functions depend on rules.
  var rulesets: [String] = []
  /// Fragments are put together before anything else sees them.
  var defragments = false
  /// How many functions that depend on rules stand at each point.
  private var chains = Array(repeating: 0, count: 5)
  /// How connections are followed, where programs can do so.
  private(set) var tracking: Tracking?
  /// What the rules were compiled to.
  let summary: RulesSummary?
  /// Whether a program notices when the rules change.
  let isWatched: Bool

  init(_ state: NetworkState, _ summary: RulesSummary?, connections: ConnectionUse) {
    self.summary = summary
    // In the midst of a change nothing is known of them; programs notice that, too.
    isWatched = state.ruleEpoch?.isWatched ?? true
    for table in state.legacyTables + state.nftables {
      switch table.family {
      case .ip, .inet: take(table)
      case .bridge where table.mayTouchForwarded: bridgeFilters.append("nftables \(table.name)")
      case .ip6, .arp, .bridge, .netdev: break
      }
    }
    guard let hooks = state.hooks else {
      hooksKnown = false
      return
    }
    for hook in hooks {
      if hook.point.isOnTheWay { take(hook) }
      remember(hook)
    }
    if connections != .none { tracking = Tracking(hooks, marks: connections == .marked) }
  }

  /// Whether a routed packet meets nothing but what is harmless.
  var letsRoutedPass: Bool { isUnderstood && rulesets.isEmpty && tracking == nil }

  /// Whether programs know what becomes of a packet that meets more than that.
  var decides: Bool { judges || follows }

  /// Whether it belongs to a connection that programs look up.
  var follows: Bool { isUnderstood && tracking != nil && (rulesets.isEmpty || judges) }

  /// Whether a bridge may have bridged packets meet rules, now or as soon as it is told to.
  var mayAskForBridged: Bool { bridgeNetfilter && !letsRoutedPass }

  /// Whether what a bridge has had meet prerouting's rules meets none of them a second time.
  var sabotagesFirst: Bool { firstArrival == .bridgeNetfilter }

  /// Whether it meets rules, and they can be looked up.
  var judges: Bool {
    guard let summary, isUnderstood, !rulesets.isEmpty else { return false }
    return isWatched && summary.refusal == nil && summary.chains == chains
  }

  private var isUnderstood: Bool {
    let isTracked = conntrack || natHooks || defragments
    return hooksKnown && strangers.isEmpty && (!isTracked || tracking != nil) && fits
  }

  /// Whether programs have room for what stands on each hook.
  private var fits: Bool {
    (harmless.ipv4 + harmless.bridge).allSatisfy { $0.count <= HarmlessHooks.capacity }
  }

  private mutating func remember(_ hook: NetfilterHook) {
    let point = Int(hook.point.rawValue)
    switch hook.family {
    // What is for the machine itself, or from it, is not on the way.
    case .ipv4 where hook.point.isOnTheWay: harmless.ipv4[point].append(hook.address)
    // What filters there is in `bridgeFilters`; on the way into a bridge and out of it, it is only for what
    // is routed: programs find one function too many, and leave that to the kernel.
    case .bridge where hook.owner == .bridgeNetfilter: harmless.bridge[point].append(hook.address)
    case .bridge, .ipv4, .ipv6, .arp: break
    }
  }

  /// Whether a packet that is forwarded can meet a rule or a policy that is not acceptance.
  var isActive: Bool { rules > 0 || dropsByDefault }

  private mutating func take(_ table: RuleTable) {
    let found = table.forwardedRules()
    if table.chains.contains(where: { $0.base?.type == "nat" && $0.isActive }) {
      natTables.append("\(table.backend.rawValue) \(table.name)")
    }
    guard found.count > 0 || found.drops else { return }
    rules += found.count
    unmodelledRules += found.unmodelled
    for name in found.unmodelledNames where !unmodelledNames.contains(name) {
      unmodelledNames.append(name)
    }
    if !backends.contains(table.backend.rawValue) { backends.append(table.backend.rawValue) }
    if !tables.contains(table.name) { tables.append(table.name) }
    dropsByDefault = dropsByDefault || found.drops
  }

  private mutating func take(_ hook: NetfilterHook) {
    if hook.family == .ipv4, hook.point == .prerouting { firstArrival = firstArrival ?? hook.owner }
    switch (hook.family, hook.owner) {
    case (.ipv4, .conntrack): conntrack = true
    case (.ipv4, .nat): natHooks = true
    case (.ipv4, .defragmentation): defragments = true
    case (.ipv4, .nftables), (.ipv4, .xtables):
      chains[Int(hook.point.rawValue)] += 1
      if !rulesets.contains(hook.owner.text) { rulesets.append(hook.owner.text) }
    // ip_sabotage_in() lets pass what has not come through a bridge's iptables.
    case (.ipv4, .bridgeNetfilter): break
    // apparmor_ip_postroute() judges packets by the socket that sent them; a forwarded one has none
    // and is accepted.
    case (.ipv4, .apparmor): break
    case (.ipv4, let owner):
      if !strangers.contains(owner.text) { strangers.append(owner.text) }
    case (.bridge, .bridgeNetfilter): bridgeNetfilter = true
    case (.bridge, let owner):
      // Also where its chain has no rules: one that is added changes nothing on the hook.
      let text = if case .nftables(let table, _) = owner { "nftables \(table)" } else { owner.text }
      if !bridgeFilters.contains(text) { bridgeFilters.append(text) }
    case (.ipv6, _), (.arp, _): break
    }
  }
}
