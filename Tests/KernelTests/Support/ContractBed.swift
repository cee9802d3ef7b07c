// SPDX-License-Identifier: Apache-2.0
import Lab

/// The networks the cases run in. The MAC addresses are always the same, and hosts have no addresses
/// unless a case gives them some: then nothing is on the cables but what a case is about.
enum ContractTopology: Sendable {
  /// Hosts A, B, C on p1, p2, p3 of a router: 10.0.N.1/24 there, 10.0.N.2 meant for the host.
  case router
  /// Hosts A, B, C on ports p1, p2, p3 of br0, which has no address.
  case bridge
  /// The same with br_netfilter's sysctls as the kernel brings them.
  case filteredBridge
  /// Hosts A, B on ports of br0 (10.0.1.1/24), C routed on p3 (10.0.3.1/24), D on br1 (10.0.4.1/24).
  case bridgeRouter

  var hosts: [ContractHost] { self == .bridgeRouter ? [.a, .b, .c, .d] : [.a, .b, .c] }
  var isBridge: Bool { self != .router }
}

final class ContractBed {
  let topology: ContractTopology
  let router: Namespace
  private let bed = Testbed()
  private var hosts: [ContractHost: Namespace] = [:]
  private var ears: [ContractHost: Tap] = [:]
  /// The fpd of the second half.
  var fpd: Fpd?

  init(_ topology: ContractTopology) throws {
    self.topology = topology
    router = try bed.add("r")
    try router.sysctl(
      [
        "ip_forward=1", "conf.all.rp_filter=0", "conf.default.rp_filter=0",
        "conf.all.send_redirects=1", "conf.default.send_redirects=1", "icmp_ratelimit=0",
        "icmp_ratemask=0",
        "conf.all.accept_local=0", "conf.default.accept_local=0",
        // Bridges tell of a group of theirs when it suits them, and queues count that.
        "igmp_link_local_mcast_reports=0",
      ].map { "net.ipv4.\($0)" })
    for host in topology.hosts {
      let namespace = try bed.add(host.name.lowercased())
      hosts[host] = namespace
      // Where both ends had the same number, the kernel would take a second to tell that they carry.
      try namespace.ip(
        batch: [
          "link add eth0 index \(100 + host.rawValue) address \(host.mac) type veth peer name \(host.port) "
            + "address \(host.gateway) netns \(router.name)",
          "link set eth0 up",
        ])
      // XDP redirects into a veth only when its other end does NAPI.
      try namespace.run("ethtool -K eth0 gro on")
    }
    try build()
    try settle()
    for (host, namespace) in hosts { ears[host] = try Tap("eth0", in: namespace) }
  }

  private func build() throws {
    if topology != .filteredBridge {
      for name in ["iptables", "ip6tables", "arptables"] {
        _ = try router.attempt(["sysctl", "-q", "-w", "net.bridge.bridge-nf-call-\(name)=0"])
      }
    }
    var lines: [String] = []
    if topology.isBridge {
      lines += ["link add br0 address \(ContractHost.bridgeMAC) type bridge", "link set br0 up"]
      lines += topology.hosts.filter { topology != .bridgeRouter || $0.rawValue < 3 }
        .map { "link set \($0.port) master br0" }
    }
    if topology == .bridgeRouter {
      lines += [
        "link add br1 address 02:00:00:00:02:01 type bridge", "link set br1 up",
        "link set p4 master br1",
      ]
    }
    try router.ip(batch: lines + ["link show lo"])
    try restore()
  }

  private var base: [String] {
    let up = topology.hosts.map { "link set \($0.port) up" }
    switch topology {
    case .router:
      return up
        + topology.hosts.flatMap {
          [
            "addr replace 10.0.\($0.rawValue).1/24 dev \($0.port)",
            "neigh replace \($0.address) lladdr \($0.mac) dev \($0.port) nud permanent",
          ]
        } + ["route replace 10.9.0.0/16 via 10.0.2.2", "route replace 10.77.0.0/16 via 10.0.1.2"]
    case .bridge, .filteredBridge: return up
    case .bridgeRouter:
      return up + [
        "addr replace 10.0.1.1/24 dev br0", "addr replace 10.0.3.1/24 dev p3",
        "addr replace 10.0.4.1/24 dev br1",
        "neigh replace 10.0.1.2 lladdr \(ContractHost.a.mac) dev br0 nud permanent",
        "neigh replace 10.0.1.3 lladdr \(ContractHost.b.mac) dev br0 nud permanent",
        "neigh replace 10.0.3.2 lladdr \(ContractHost.c.mac) dev p3 nud permanent",
        "neigh replace 10.0.4.2 lladdr \(ContractHost.d.mac) dev br1 nud permanent",
      ]
    }
  }

  /// Puts addresses, neighbours and routes back as they were.
  func restore() throws { try router.ip(batch: base) }

  /// Waits until all cables carry and all ports forward: the kernel takes its time with both.
  func settle() throws {
    let ports = topology.hosts.filter { topology != .bridgeRouter || $0 != .c }.count
    var links = ""
    let ready = try eventually(within: .seconds(4)) {
      links = try router.run("ip -o link show").output
      let up = links.split(separator: "\n").filter {
        $0.contains(": p") && $0.contains(" state UP ")
      }
      if up.count < topology.hosts.count { return false }
      if !topology.isBridge { return true }
      let bridge = try router.run("bridge link show").output.split(separator: "\n")
      return bridge.filter { $0.contains("state forwarding") }.count == ports
    }
    if !ready { throw LabError("the cables do not come up: \(links)") }
  }

  func close() { bed.close() }

  func host(_ host: ContractHost) throws -> Namespace {
    guard let namespace = hosts[host] else { throw LabError("there is no host \(host.name) here") }
    return namespace
  }

  // MARK: Commands

  /// Runs a command line; answers what takes it back, as far as that can be told from it.
  func run(_ line: String) throws -> String? {
    let (namespace, place, command) = try whose(line)
    if command.hasPrefix("nft: ") {
      let script = command.dropFirst(5).split(separator: ";").joined(separator: "\n") + "\n"
      try namespace.nft(script)
      return nil
    }
    if command.hasPrefix("ip batch: ") {
      try namespace.ip(batch: command.dropFirst(10).split(separator: ";").map(String.init))
      return nil
    }
    if command.hasPrefix("sysctl ") {
      return try place + set(sysctl: String(command.dropFirst(7)), in: namespace)
    }
    try namespace.run(command)
    return Self.undo(of: command).map { place + $0 }
  }

  func output(of line: String) throws -> String {
    let (namespace, _, command) = try whose(line)
    return try namespace.run(command).output
  }

  private func whose(_ line: String) throws -> (Namespace, String, String) {
    for (host, namespace) in hosts where line.hasPrefix("\(host.name): ") {
      return (namespace, "\(host.name): ", String(line.dropFirst(3)))
    }
    return (router, "", line)
  }

  private func set(sysctl setting: String, in namespace: Namespace) throws -> String {
    let parts = setting.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2 else { throw LabError("'\(setting)' sets no sysctl") }
    let path = "/proc/sys/" + parts[0].split(separator: ".").joined(separator: "/")
    return try namespace.inside {
      let before = try TextFile.read(path).split(separator: "\n").first ?? ""
      try TextFile.write(path, parts[1])
      return "sysctl \(parts[0])=\(before)"
    }
  }

  private static func undo(of command: String) -> String? {
    var words = command.split(separator: " ").map(String.init)
    switch words.first {
    case "ip" where words.dropFirst().first == "route" && words.contains("add"):
      return route(words)
    case "ip" where words.contains("addr") || words.contains("rule"):
      guard let place = words.firstIndex(of: "add") else { return nil }
      words[place] = "del"
    case "ip" where words.contains("nexthop") && words.contains("add"):
      return "ip nexthop del id \(words[4])"
    case "iptables-legacy", "iptables-nft", "ebtables":
      guard let place = words.firstIndex(of: "-A") ?? words.firstIndex(of: "-I") else { return nil }
      words[place] = "-D"
    default: return nil
    }
    return words.joined(separator: " ")
  }

  /// A route is deleted by what tells it from others: what it says by then may have been replaced.
  private static func route(_ words: [String]) -> String {
    let types = ["local", "blackhole", "unreachable", "prohibit", "throw", "broadcast"]
    var rest = words.dropFirst(3)
    var key = types.contains(rest.first ?? "") ? [] : rest.prefix(1)
    if key.isEmpty { key = rest.prefix(2) }
    rest = rest.dropFirst(key.count)
    for (name, value) in zip(rest, rest.dropFirst())
    where ["tos", "table", "metric"].contains(name) {
      key += [name, value]
    }
    return "ip route del " + key.joined(separator: " ")
  }

  /// Runs what takes a command back; that there is nothing to take back any more is as good.
  func takeBack(_ line: String) throws {
    do { _ = try run(line) } catch let error as LabError {
      let gone = [
        "No such process", "No such file", "Cannot find device", "Cannot assign",
        "Address not found",
      ]
      if !gone.contains(where: error.description.contains) { throw error }
    }
  }

  // MARK: Frames

  func send(_ shots: [Shot]) throws {
    for shot in shots {
      guard let ear = ears[shot.host] else { throw LabError("no host \(shot.host.name)") }
      try ear.send(shot.bytes)
    }
  }

  /// Has every host say something, so that the bridge knows where it is.
  func greet() throws {
    if !topology.isBridge { return }
    for host in topology.hosts {
      // A host whose cable is down says nothing.
      try? send([.frame(host, to: .broadcast, .raw(etherType: ContractHost.hello, []))])
    }
  }

  /// What the hosts hear, and the taps in the router: until `wanted` frames have come, and then until it
  /// is quiet for `patience`.
  func listen(
    _ taps: [String: Tap], wanted: Int, patience: Duration
  ) throws -> [String: [Frame]] {
    var heard: [String: [Frame]] = [:]
    let all = Array(ears.values) + Array(taps.values)
    let deadline = Instant.now + .milliseconds(500) + patience
    while true {
      let atHosts = ears.keys.reduce(0) { $0 + (heard[$1.name]?.count ?? 0) }
      let until = atHosts < wanted ? deadline : min(deadline, .now + patience)
      guard Tap.wait(for: all, by: until) else { return heard }
      for (host, ear) in ears {
        heard[host.name, default: []] += try ear.take().filter(Self.counts)
      }
      for (device, tap) in taps {
        heard["tap on \(device)", default: []] += try tap.take(outgoing: true).filter(Self.counts)
      }
      if Instant.now >= deadline { return heard }
    }
  }

  /// Neither what teaches the bridge nor what IPv6 and IGMP say on their own.
  private static func counts(_ frame: Frame) -> Bool {
    if frame.etherType == ContractHost.hello { return false }
    let fromRouter = frame.source.map { $0.bytes[4] != 0x0a } ?? false
    return !(fromRouter && (frame.etherType == 0x86dd || frame.ipv4?.number == 2))
  }

  /// The counters of the kernel's IP that tell what it did with packets it did not forward.
  func counters() throws -> [String: Int] { try router.counters(Self.told) }

  private static let told: Set<String> = [
    "InHdrErrors", "InAddrErrors", "InDiscards", "OutDiscards", "OutNoRoutes", "ForwDatagrams",
    "FragOKs", "FragFails", "FragCreates", "ReasmReqds", "InUnknownProtos", "OutDestUnreachs",
    "OutTimeExcds", "OutRedirects", "OutParmProbs", "IPReversePathFilter", "InNoRoutes",
    "InTruncatedPkts",
  ]
}
