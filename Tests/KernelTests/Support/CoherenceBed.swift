// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

/// A router, a bridge, or both in one, between a generator on p1 and three hosts on d0, d1 and d2, each of
/// which writes down what comes to it.
final class CoherenceBed {
  static let tracked = 60_000_000
  let topology: CoherenceModel.Topology
  let middle: Namespace
  let witness: LoadWitness
  let generator: LoadGenerator
  private let bed = Testbed()

  init(_ topology: CoherenceModel.Topology, _ model: CoherenceModel) throws {
    self.topology = topology
    let left = try bed.add("left")
    middle = try bed.add("middle")
    try bed.cable(.init(left, "eth0", "10.0.1.2/24"), .init(middle, "p1"))
    var hosts: [(namespace: Namespace, device: String)] = []
    for number in 0..<CoherenceModel.hosts {
      let host = try bed.add("h\(number)")
      try bed.cable(.init(host, "eth0"), .init(middle, "d\(number)"))
      hosts.append((host, "eth0"))
    }
    try middle.run("ethtool -K p1 gro on")
    witness = try LoadWitness(on: hosts, tracking: Self.tracked)
    let router = try Self.prepare(middle, left, model)
    let first = topology == .router ? router : CoherenceModel.Station.numbered(0).mac
    let traffic = try LoadTraffic(
      from: left.mac(of: "eth0"), "10.0.1.2", to: #require(MAC(first)), "10.100.0.1"
    ) {
      $0.destinationMACs = model.stationsCount
      $0.sources = 2
      $0.destinations = CoherenceModel.flows
      $0.step = 256
      $0.flows = CoherenceModel.flows
      $0.length = 200
    }
    generator = try witness.generator(in: left, device: "eth0", traffic)
  }

  /// What the model begins with; the router's station.
  private static func prepare(
    _ middle: Namespace, _ left: Namespace, _ model: CoherenceModel
  ) throws -> String {
    var router = try middle.mac(of: "p1").description
    if model.topology != .router {
      router = CoherenceModel.Station.numbered(model.stationsCount - 1).mac
      try middle.run("ip link add br0 type bridge mcast_snooping 0")
      // Of a bridge that is only that, the station is nobody's.
      if model.topology == .both { try middle.run("ip link set br0 address \(router)") }
      try middle.ip(
        batch: ["link set br0 up", "link set p1 master br0"]
          + model.ports.map { "link set d\($0) master br0" })
      let stations = model.entries.sorted { $0.key.mac < $1.key.mac }.map {
        "fdb replace \($0.key.mac) dev d\($0.value) master static\n"
      }
      let source = try left.mac(of: "eth0")
      try middle.run(
        ["bridge", "-batch", "-"],
        input: "fdb replace \(source) dev p1 master static\nlink set dev p1 isolated on\n"
          + model.ports.map { "link set dev d\($0) flood off\n" }.joined() + stations.joined())
    }
    if model.topology != .bridge { try prepareRouting(middle, model) }
    try FastLine.quieten(middle)
    return router
  }

  private static func prepareRouting(_ middle: Namespace, _ model: CoherenceModel) throws {
    let ingress = model.topology == .both ? "br0" : "p1"
    let direct = (0..<CoherenceModel.hosts).filter { !model.isBehindBridge($0) }
    let first = CoherenceCommands.hop(0, model.topology)
    let aside = CoherenceCommands.hop(model.topology == .both ? 2 : 0, model.topology)
    try middle.ip(
      batch: ["addr add 10.0.1.1/24 dev \(ingress)"]
        + direct.map { "addr add 10.0.\(2 + $0).1/24 dev d\($0)" }
        + (0..<CoherenceModel.hosts).map { CoherenceCommands.neighbour($0, model, "") }
        + [
          "route add 10.100.0.0/16 via \(first.gateway) dev \(first.device)",
          // Where the second source would be answered.
          "route add 10.0.1.3/32 via \(aside.gateway) dev \(aside.device)",
        ])
    // Back out by the bridge it came from: where the kernel tells the sender, it is the kernel's.
    try middle.sysctl([
      "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.\(ingress).send_redirects=0",
    ])
    if model.topology == .router { try prepareRules(middle) }
  }

  private static func prepareRules(_ middle: Namespace) throws {
    try middle.nft(
      """
      table ip fw {
        set blocked { type ipv4_addr; elements = { 10.9.0.1 }; }
        chain listed { }
        chain forward {
          type filter hook forward priority 0;
          ip daddr @blocked drop
          jump listed
        }
      }

      """)
    try middle.run("ipset create s hash:ip")
    try middle.run("iptables-legacy -A FORWARD -m set --match-set s dst -j DROP")
  }
}
