// SPDX-License-Identifier: Apache-2.0
import Lab

/// Pods that ask each other, within a node and across two, as flannel sets nodes up: a bridge with the pods' cables,
/// routes, and a VXLAN device; alone, and with the rules of Kubernetes, which bridges have to ask.
extension Speed {
  private var podRounds: Int { quick ? 4 : 20 }
  /// Connections of each pair.
  private static let perPair = 4

  /// Nodes, and the pairs of pods that ask each other.
  private struct PodBed {
    let bed: Testbed
    let nodes: [Namespace]
    /// The pods' cables, on each node.
    let cables: Int
    let pairs: [LoadStream.Pair]
  }

  func pods() throws {
    let most = 10
    for hasRules in [true, false] {
      let name = hasRules ? "pods of Kubernetes" : "pods"
      for (place, make) in [("on one node", Self.oneNode), ("across nodes", Self.twoNodes)] {
        for pairs in quick ? [most] : [1, 2, 5, most] {
          try pods("\(name) \(place), \(pairs) pairs") {
            let bed = try make(pairs)
            for (number, node) in bed.nodes.enumerated() {
              try hasRules ? Self.rule(node, number + 1) : node.sysctl(Self.calls + "=0")
            }
            return bed
          }
        }
      }
    }
  }

  private static let calls = "net.bridge.bridge-nf-call-iptables"

  /// As kube-proxy, flanneld and who installs them set a node up.
  private static func rule(_ node: Namespace, _ number: Int) throws {
    try node.sysctl(calls + "=1")
    let services = KubeProxy(services: 20)
    try node.run(["iptables-legacy-restore"], input: services.rules)
    try node.run(
      ["iptables-legacy-restore", "--noflush"],
      input: KubeProxy.flannel("10.244.\(number).0/24"))
  }

  /// Linux and fpd in beds of their own, which take turns.
  private func pods(_ setting: String, _ make: () throws -> PodBed) throws {
    let beds = [try make(), try make()]
    let fpds = try beds[1].nodes.map { try Self.start("tc", in: $0, follows: true) }
    var rows = [Self.linux, "fpd, tc"].map { SpeedResults.PodRow(setting: setting, way: $0) }
    let cables = (1...beds[1].cables).map { "veth\($0)" }
    rows[1].absent = try Self.absence(fpds, cables)
    let streams = beds.map { LoadStream($0.pairs, cpu, cpu) }
    for round in 0..<podRounds {
      for place in Self.order(of: rows.count, in: round) where rows[place].absent == nil {
        Terminal.progress("\(setting): \(rows[place].way) \(round + 1)/\(podRounds)")
        let amount = try streams[place].requests(
          streamTime, warmUp: streamTime / 2, sessions: Self.perPair)
        rows[place].transactions.append(amount.perBusySecond / 1e3)
        rows[place].latencies.append(.init(perSecond: amount.perSecond, amount.delays))
      }
    }
    if rows[1].absent == nil {
      for fpd in fpds { rows[1].fastShares += try Self.fastShares(fpd, cables) }
    }
    for fpd in fpds { try fpd.stop() }
    for bed in beds { bed.bed.close() }
    results.pods += rows
  }

  private static func oneNode(pairs: Int) throws -> PodBed {
    let bed = Testbed()
    let node = try bed.add("node")
    try node.sysctl("net.ipv4.ip_forward=1")
    try node.ip(batch: bridge(of: 1))
    let made = try (0..<pairs).map { pair in
      let (near, far) = (
        try pod(2 * pair + 1, on: node, number: 1, bed),
        try pod(2 * pair + 2, on: node, number: 1, bed)
      )
      return LoadStream.Pair(from: near.pod, to: far.pod, far.address)
    }
    return PodBed(bed: bed, nodes: [node], cables: 2 * pairs, pairs: made)
  }

  private static func twoNodes(pairs: Int) throws -> PodBed {
    let bed = try Testbed.overlay()
    let nodes = [try bed["node1"], try bed["node2"]]
    for (place, node) in nodes.enumerated() {
      try node.sysctl("net.ipv4.ip_forward=1")
      try node.ip(batch: bridge(of: place + 1))
    }
    let made = try (0..<pairs).map { pair in
      let near = try pod(pair + 1, on: nodes[0], number: 1, bed)
      let far = try pod(pair + 1, on: nodes[1], number: 2, bed)
      return LoadStream.Pair(from: near.pod, to: far.pod, far.address)
    }
    return PodBed(bed: bed, nodes: nodes, cables: pairs, pairs: made)
  }

  private static func bridge(of number: Int) -> [String] {
    [
      "link add cni0 type bridge", "addr add 10.244.\(number).1/24 dev cni0",
      "link set cni0 mtu 1450 up",
    ]
  }

  /// A pod on a node, its cable on the node's bridge.
  private static func pod(
    _ pod: Int, on node: Namespace, number: Int, _ bed: Testbed
  ) throws -> (pod: Namespace, address: IPv4Address) {
    let address = "10.244.\(number).\(pod + 1)"
    let made = try bed.add("pod\(number)x\(pod)")
    try bed.cable(.init(made, "eth0", "\(address)/24"), .init(node, "veth\(pod)"))
    try made.ip(batch: ["link set eth0 mtu 1450", "route add default via 10.244.\(number).1"])
    try node.ip(batch: ["link set veth\(pod) mtu 1450 master cni0"])
    guard let parsed = IPv4Address(address) else { throw LabError("address \(address)") }
    return (made, parsed)
  }
}
