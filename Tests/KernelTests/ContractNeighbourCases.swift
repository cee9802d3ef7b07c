// SPDX-License-Identifier: Apache-2.0
import Lab

/// What the kernel knows of the hosts that packets go to, and how it finds out.
enum ContractNeighbourCases {
  private static let good = Shot.burst { .udp(id: $0) }
  private static let c = ContractHost.c.mac
  private static let forget = "ip neigh del 10.0.2.2 dev p2"
  private static let answering = ["B: ip addr add 10.0.2.2/24 dev eth0", forget]

  /// The kernel's hash would keep addresses in a row apart.
  private static func many(_ number: UInt32) -> IPv4Address {
    IPv4Address(0x0a06_0000 + number * number % 65521)
  }
  private static func mac(_ number: UInt32, _ device: String) -> MAC {
    MAC(number: (device == "p2" ? 0x20000 : 0x30000) + number)
  }

  static let neighbours: [ContractCase] = [
    ContractCase(
      "a neighbour's MAC replaced at once",
      sudden: ["ip neigh replace 10.0.2.2 lladdr \(c) dev p2 nud permanent"], undo: ["restore"],
      good,
      sees: 3, .fast),
    ContractCase(
      "a neighbour deleted at once", sudden: [forget], undo: ["restore"], good, sees: 1,
      .punted("neighbour|changed")),
    ContractCase(
      "a neighbour that never answers", setup: [forget], undo: ["restore"], good, sees: 1,
      .punted("neighbour")),
    ContractCase(
      "a neighbour that failed", setup: ["ip neigh replace 10.0.2.2 dev p2 nud failed"],
      undo: ["restore"], good, sees: 1, .punted("neighbour")),
    ContractCase(
      "a neighbour that must be asked for", setup: answering, undo: ["restore"],
      Shot.burst { .echoReply(id: $0) }, sees: 4,
      .counts(["neighbour": 1, "other-protocol": 1, "forwarded": 2])),
    ContractCase(
      "a reachable neighbour",
      setup: ["ip neigh replace 10.0.2.2 lladdr \(ContractHost.b.mac) dev p2 nud reachable"],
      undo: ["restore"], good, sees: 3, .fast),
    // Several in a place of the table, which is as large as it ever had to be, and each address on two
    // devices.
    ContractCase(
      "many neighbours",
      setup: [
        "ip route add 10.6.0.0/16 dev p2",
        "ip batch: "
          + (UInt32(1)..<800).flatMap { number in
            ["p3", "p2"].map { "neigh replace \(many(number)) lladdr \(mac(number, $0)) dev \($0)" }
          }.joined(separator: ";"),
      ], undo: ["p2", "p3"].map { "ip neigh flush dev \($0) nud permanent" } + ["restore"],
      stride(from: 1, to: 800, by: 7).map { .udp(to: many($0), id: UInt16($0)) }, sees: 115, .fast),
    ContractCase(
      "a neighbour without ARP",
      setup: ["ip neigh replace 10.0.2.2 lladdr \(c) dev p2 nud noarp"], undo: ["restore"], good,
      sees: 3, .fast),
    ContractCase(
      "a neighbour that will be probed",
      setup: ["ip neigh replace 10.0.2.2 lladdr \(ContractHost.b.mac) dev p2 nud stale"],
      undo: ["restore"], learn: [.udp()], good, sees: 3, .fast),
    ContractCase(
      "a neighbour that is being probed",
      setup: [
        "sysctl net.ipv4.neigh.p2.delay_first_probe_time=0",
        "sysctl net.ipv4.neigh.p2.retrans_time_ms=10000",
        "ip neigh replace 10.0.2.2 lladdr \(ContractHost.b.mac) dev p2 nud stale",
      ], undo: ["restore"], learn: [.udp()], action: whileProbed, .counts(["forwarded": 3])
    ).comparingWords,
    ContractCase(
      "a stale neighbour is probed",
      setup: [
        "sysctl net.ipv4.neigh.p2.delay_first_probe_time=1",
        "ip neigh replace 10.0.2.2 lladdr \(ContractHost.b.mac) dev p2 nud stale",
      ], undo: ["restore"], action: probed, .grows("neighbour")
    ).comparingWords,
    ContractCase(
      "a neighbour that changed its MAC is found",
      setup: [
        "sysctl net.ipv4.neigh.p2.delay_first_probe_time=1",
        "sysctl net.ipv4.neigh.p2.retrans_time_ms=100", "B: ip addr add 10.0.2.2/24 dev eth0",
        "ip neigh replace 10.0.2.2 lladdr \(c) dev p2 nud stale",
      ], undo: ["restore"], action: found, .grows("neighbour")
    ).comparingWords,
  ]

  /// The kernel goes on sending to the address that it asks about.
  private static let whileProbed: ContractCase.Action = { bed in
    let asked = try eventually(within: .seconds(2)) {
      try bed.output(of: "ip neigh show 10.0.2.2").contains("PROBE")
    }
    try bed.send(good)
    let heard = try bed.listen([:], wanted: 3, patience: .milliseconds(6))
    let came = heard["B"]?.filter { $0.ipv4 != nil && $0.destination == ContractHost.b.mac } ?? []
    return ["asked: \(asked)", "came: \(came.count)"]
  }

  /// Traffic through a stale entry makes the kernel ask, traffic or not, whether it still holds.
  private static let probed: ContractCase.Action = { bed in
    let asked = try eventually(within: .seconds(6), every: .milliseconds(100)) {
      try bed.send([.udp()])
      return try bed.output(of: "ip neigh show 10.0.2.2").contains("PROBE")
    }
    _ = try bed.listen([:], wanted: 0, patience: .milliseconds(1))
    return ["asked: \(asked)"]
  }

  /// The entry names C's MAC, B has the address: sooner or later the packets must come to B's.
  private static let found: ContractCase.Action = { bed in
    var last: Frame?
    let found = try eventually(within: .seconds(8), every: .milliseconds(100)) {
      try bed.send([.echoReply()])
      let heard = try bed.listen([:], wanted: 0, patience: .milliseconds(2))
      last = heard["B"]?.last { $0.ipv4 != nil } ?? last
      return last?.destination == ContractHost.b.mac
    }
    return ["found: \(found)"]
  }
}
