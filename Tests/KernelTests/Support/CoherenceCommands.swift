// SPDX-License-Identifier: Apache-2.0
import Lab

/// A command as people give it, and what is configured when it has returned.
struct CoherenceCommand {
  var line: String
  var input: String?
  var after: CoherenceModel
  /// What frames may come to besides while it is under way: where a tool or the kernel takes several steps.
  var between: [LoadWitness.Outcome] = []
  /// A configuration that holds for a moment besides.
  var meanwhile: CoherenceModel?
  /// Linux goes on with it after the tool has returned, until a port of the bridge is there again.
  var settlesPort: Int?

  init(_ line: String, input: String? = nil, _ after: CoherenceModel) {
    (self.line, self.input, self.after) = (line, input, after)
  }
}

/// Commands by chance, the same for the same seed.
struct CoherenceCommands {
  private var chance: Chance
  private let topology: CoherenceModel.Topology
  /// What a namespace keeps for good (that there ever was a rule of policy) comes late.
  var allowsPolicies = false
  /// Routes go from one host to the other and back, and nothing else happens.
  var onlyReplaces = false
  private var hadPolicies = false

  private typealias Model = CoherenceModel

  init(seed: UInt64, _ topology: CoherenceModel.Topology) {
    chance = Chance(seed: seed)
    self.topology = topology
  }

  mutating func next(_ now: CoherenceModel) -> CoherenceCommand {
    while true {
      let isRouting = topology == .router || topology == .both && chance.percent(60)
      if let command = isRouting ? routing(now) : bridging(now) { return command }
    }
  }

  static func destination(_ flow: Int) -> String { "10.100.\(flow).1" }

  /// The way to a host.
  static func hop(_ host: Int, _ topology: CoherenceModel.Topology) -> (
    gateway: String, device: String
  ) {
    topology == .both && host < 2
      ? ("10.0.1.\(10 + host)", "br0") : ("10.0.\(2 + host).2", "d\(host)")
  }

  // MARK: Routing

  private mutating func routing(_ now: CoherenceModel) -> CoherenceCommand? {
    var after = now
    // The first flow goes on whatever happens, so that there is something to measure by.
    let flow = chance.one(of: Array(now.routedFlows.dropFirst()))
    let address = Self.destination(flow)
    switch onlyReplaces ? 0 : chance.below(allowsPolicies ? 17 : 16) {
    case 0, 1, 2:
      let host = chance.below(Model.hosts)
      if now.isDown.contains(host), !now.isBehindBridge(host) { return nil }
      after.routes[flow] = .via(host)
      let hop = Self.hop(host, topology)
      return .init("ip route replace \(address)/32 via \(hop.gateway) dev \(hop.device)", after)
    case 3:
      let kind = chance.one(of: ["blackhole", "unreachable", "prohibit"])
      after.routes[flow] = .nowhere(kind)
      return .init("ip route replace \(kind) \(address)/32", after)
    case 4, 5:
      guard let route = now.routes.keys.sorted().first(where: { $0 >= flow }) else { return nil }
      after.routes[route] = nil
      var kind = ""
      if case .nowhere(let word)? = now.routes[route] { kind = "\(word) " }
      return .init("ip route del \(kind)\(Self.destination(route))/32", after)
    case 6:
      let (flow, isNew) = toggle(&after.addresses, flow)
      return .init(
        "ip addr \(isNew ? "add" : "del") \(Self.destination(flow))/32 dev lo", after)
    case 7: return link(now)
    case 8, 9:
      let host = chance.below(Model.hosts)
      if now.isDown.contains(host), !now.isBehindBridge(host) { return nil }
      after.hasOtherStation.formSymmetricDifference([host])
      return .init(Self.neighbour(host, after, "ip "), after)
    case 10:
      after.reversePath = chance.below(3)
      let device = topology == .both ? "br0" : "p1"
      return .init("sysctl -qw net.ipv4.conf.\(device).rp_filter=\(after.reversePath)", after)
    case 11:
      // Nothing at all passes then: now and then, and not for long.
      if now.isForwarding, !chance.percent(25) { return nil }
      after.isForwarding.toggle()
      let device = topology == .both ? "br0" : "p1"
      let value = after.isForwarding ? 1 : 0
      return .init("sysctl -qw net.ipv4.conf.\(device).forwarding=\(value)", after)
    case 16:
      let (flow, isNew) = toggle(&after.policies, flow)
      var command = CoherenceCommand(
        "ip rule \(isNew ? "add" : "del") to \(Self.destination(flow)) blackhole", after)
      // With the first rule the kernel takes the local routes out of the table it shares with the others, and
      // looks at that one alone until it knows that there are rules (fib_unmerge(), fib4_rule_configure()).
      if !hadPolicies { command.meanwhile = now }
      command.meanwhile?.addresses = []
      hadPolicies = true
      return command
    // A bridge hands nothing to rules where there are none: there flows are bridged fast as well.
    default: return topology == .both ? nil : rules(now, flow)
    }
  }

  private mutating func rules(_ now: CoherenceModel, _ flow: Int) -> CoherenceCommand {
    var after = now
    switch chance.below(4) {
    case 0:
      let (flow, isNew) = toggle(&after.legacy, flow)
      let address = Self.destination(flow)
      return .init("iptables-legacy \(isNew ? "-I" : "-D") FORWARD -d \(address) -j DROP", after)
    case 1:
      _ = toggle(&after.nftables, flow)
      let rules = after.nftables.sorted().map {
        "add rule ip fw listed ip daddr \(Self.destination($0)) drop\n"
      }
      return .init("nft -f -", input: "flush chain ip fw listed\n" + rules.joined(), after)
    case 2:
      let (flow, isNew) = toggle(&after.elements, flow)
      let address = Self.destination(flow)
      return .init("nft \(isNew ? "add" : "delete") element ip fw blocked { \(address) }", after)
    default:
      let (flow, isNew) = toggle(&after.members, flow)
      let address = Self.destination(flow)
      return .init("ipset \(isNew ? "add" : "del") s \(address)", after)
    }
  }

  /// Puts a flow into a set of dropped ones, or takes one out of it: most flows are to pass most of the time.
  private mutating func toggle(_ set: inout Set<Int>, _ flow: Int) -> (flow: Int, isNew: Bool) {
    let flow = set.count > 1 ? chance.one(of: set.sorted()) : flow
    if set.remove(flow) != nil { return (flow, false) }
    set.insert(flow)
    return (flow, true)
  }

  // MARK: Devices

  static func neighbour(_ host: Int, _ model: CoherenceModel, _ ip: String) -> String {
    let hop = hop(host, model.topology)
    let station = CoherenceModel.Station.ofHost(
      host, other: model.hasOtherStation.contains(host))
    return "\(ip)neigh replace \(hop.gateway) lladdr \(station.mac) dev \(hop.device) nud permanent"
  }

  /// A device that another way leads to than the one that measures.
  private mutating func link(_ now: CoherenceModel) -> CoherenceCommand? {
    var after = now
    let host = topology == .both ? 2 : 1 + chance.below(2)
    if topology != .both, chance.percent(50) {
      let isUp = after.isDown.remove(host) != nil
      guard isUp else {
        after.isDown.insert(host)
        // With the device its routes go, a moment later.
        after.routes = after.routes.filter { $0.value != .via(host) }
        var command = CoherenceCommand("ip link set d\(host) down", after)
        command.between = [.nothing]
        return command
      }
      let batch = ["link set d\(host) up", Self.neighbour(host, now, "")]
      return .init("ip -batch -", input: batch.joined(separator: "\n") + "\n", after)
    }
    after.isSmall.formSymmetricDifference([host])
    return .init(
      "ip link set d\(host) mtu \(after.isSmall.contains(host) ? 128 : 1500)", after)
  }

  // MARK: Bridging

  private mutating func bridging(_ now: CoherenceModel) -> CoherenceCommand? {
    var after = now
    let station = chance.one(of: now.stationsThatMove)
    let host = topology == .both ? 1 : 1 + chance.below(2)
    // With such a table no frame is bridged fast: it is to be gone most of the time.
    if !now.filtered.isEmpty, chance.percent(40) {
      after.filtered = []
      return .init("nft delete table bridge fw", after)
    }
    switch chance.below(12) {
    case 0, 1, 2, 3:
      let port = chance.one(of: now.ports.sorted())
      after.entries[station] = port
      return .init("bridge fdb replace \(station.mac) dev d\(port) master static", after)
    case 4:
      guard let port = now.entries[station] else { return nil }
      after.entries[station] = nil
      return .init("bridge fdb del \(station.mac) dev d\(port) master", after)
    case 5, 6:
      guard now.ports.contains(host) else { return nil }
      after.isIsolated.formSymmetricDifference([host])
      let word = after.isIsolated.contains(host) ? "on" : "off"
      return .init("bridge link set dev d\(host) isolated \(word)", after)
    case 7:
      return membership(now, host)
    case 8:
      if after.isDown.remove(host) == nil {
        after.isDown.insert(host)
        return .init("ip link set d\(host) down", after)
      }
      var command = CoherenceCommand("ip link set d\(host) up", after)
      command.settlesPort = now.ports.contains(host) ? host : nil
      return command
    case 9:
      guard topology == .bridge else { return nil }
      after.isSmall.formSymmetricDifference([host])
      return .init(
        "ip link set d\(host) mtu \(after.isSmall.contains(host) ? 128 : 1500)", after)
    case 10:
      guard case .numbered(let number) = station, now.filtered.isEmpty else { return nil }
      after.filtered = [number]
      let table =
        "add table bridge fw\nadd chain bridge fw forward { type filter hook forward priority 0; }\n"
      return .init(
        "nft -f -", input: table + "add rule bridge fw forward ether daddr \(station.mac) drop\n",
        after)
    default:
      // What must not matter to flows whose stations were told.
      return .init(
        chance.one(of: [
          "bridge link set dev p1 learning off", "bridge link set dev p1 learning on",
          "ip link set br0 type bridge ageing_time 6000",
          "ip link set br0 type bridge ageing_time 30000", "brctl setageing br0 200",
        ]), after)
    }
  }

  private func membership(_ now: CoherenceModel, _ host: Int) -> CoherenceCommand? {
    var after = now
    if after.ports.remove(host) != nil {
      after.entries = after.entries.filter { $0.value != host }
      after.isIsolated.remove(host)
      return .init("ip link set d\(host) nomaster", after)
    }
    after.ports.insert(host)
    let batch = ["link set d\(host) master br0", "link set d\(host) type bridge_slave flood off"]
    var command = CoherenceCommand(
      "ip -batch -", input: batch.joined(separator: "\n") + "\n", after)
    // A port floods what is unknown until it is told not to.
    command.between = [.host(host), .host(host, other: true)]
    command.settlesPort = now.isDown.contains(host) ? nil : host
    return command
  }
}

extension CoherenceModel {
  /// Stations whose entries are changed: not the first one, by which is measured.
  var stationsThatMove: [Station] {
    let numbered = bridgedStations.dropFirst().map { Station.numbered($0) }
    guard topology == .both else { return numbered }
    return numbered + [.ofHost(1, other: false), .ofHost(1, other: true)]
  }
}
