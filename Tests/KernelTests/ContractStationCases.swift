// SPDX-License-Identifier: Apache-2.0
import Lab

/// What a bridge knows of stations: its forwarding database.
enum ContractStationCases {
  private static let good = Shot.burst { .across(id: $0) }
  private static let b = ContractHost.b.mac

  static let entries: [ContractCase] = [
    ContractCase(
      "more stations than a table has places",
      learn: (UInt8(0)..<160).map { number in
        Shot.across(.c, .a).editing { $0[9...11] = [0, 0x0d, number] }
      },
      (UInt8(0)..<64).map { number in Shot.across().editing { $0[3...5] = [0, 0x0d, number] } }
        + (UInt8(200)..<232).map { number in
          Shot.across().editing { $0[3...5] = [0, 0x0d, number] }
        }, sees: 128, .counts(["forwarded": 64, "destination-unknown": 32])),
    ContractCase(
      "an entry moved by hand at once",
      sudden: ["bridge fdb replace \(b) dev p3 master static"],
      undo: ["bridge fdb del \(b) dev p3 master"], good, sees: 3, .fast),
    ContractCase(
      "an entry deleted at once", sudden: ["bridge fdb del \(b) dev p2 master"], good, sees: 6,
      .punted("destination-unknown|changed")),
    ContractCase(
      "the source's entry deleted at once",
      sudden: ["bridge fdb del \(ContractHost.a.mac) dev p1 master"], good, sees: 3,
      .counts(["source-unknown": 1, "forwarded": 2])),
    ContractCase(
      "all entries flushed at once", sudden: ["ip link set br0 type bridge fdb_flush"],
      [.across(), .across(.b, .a), .across(id: 2)], sees: 4,
      .counts(["forwarded": 1, "source-unknown": 2])),
    ContractCase(
      "an entry made local at once",
      sudden: ["bridge fdb replace \(b) dev p2 master permanent"],
      undo: ["bridge fdb del \(b) dev p2 master"], good, sees: 0,
      .punted("local-delivery")),
    ContractCase(
      "a static source on another port",
      setup: ["bridge fdb replace 02:00:00:00:0c:96 dev p3 master static"],
      undo: ["bridge fdb del 02:00:00:00:0c:96 dev p3 master"],
      [.across(source: "02:00:00:00:0c:96")], observe: ["bridge fdb show br br0"],
      sees: 1, .punted("source-moved")),
    ContractCase(
      "a sticky source on another port",
      setup: ["bridge fdb replace 02:00:00:00:0c:95 dev p3 master static sticky"],
      undo: ["bridge fdb del 02:00:00:00:0c:95 dev p3 master"],
      [.across(source: "02:00:00:00:0c:95")], observe: ["bridge fdb show br br0"], sees: 1,
      .punted("source-moved")),
    ContractCase(
      "a static source",
      setup: ["bridge fdb replace \(ContractHost.a.mac) dev p1 master static"],
      undo: ["bridge fdb del \(ContractHost.a.mac) dev p1 master"], good, sees: 3, .fast),
    // What would have to be refreshed every few milliseconds, if it aged.
    ContractCase(
      "a static source is not refreshed",
      setup: [
        "bridge fdb replace \(ContractHost.a.mac) dev p1 master static",
        "bridge fdb replace \(b) dev p2 master static",
        "ip link set br0 type bridge ageing_time 20",
      ],
      undo: [
        "ip link set br0 type bridge ageing_time 30000",
        "bridge fdb del \(ContractHost.a.mac) dev p1 master", "bridge fdb del \(b) dev p2 master",
      ], good, sees: 3, .fast),
    ContractCase(
      "a blackhole entry by a static one on the ingress port",
      setup: ["bridge fdb replace 02:00:00:00:0c:94 dev p1 master static"],
      undo: ["bridge fdb del 02:00:00:00:0c:94 dev p1 master"],
      [.across(mac: "02:00:00:00:0c:94")], sees: 0, .punted("same-port")),
    ContractCase(
      "entries that are used do not age",
      setup: ["ip link set br0 type bridge ageing_time 100"],
      undo: ["ip link set br0 type bridge ageing_time 30000"], action: kept,
      .grows("forwarded")
    ).comparingWords,
    ContractCase(
      "entries that are not used age",
      setup: ["ip link set br0 type bridge ageing_time 20"],
      undo: ["ip link set br0 type bridge ageing_time 30000"], action: aged, .either
    ).comparingWords,
  ]

  /// Longer than the ageing time of one second, A talks to B, and B to A: nothing is ever flooded.
  private static let kept: ContractCase.Action = { bed in
    var flooded = 0
    let end = Instant.now + .milliseconds(2500)
    while Instant.now < end {
      try bed.send([.across(.a, .b), .across(.b, .a)])
      flooded += try bed.listen([:], wanted: 2, patience: .milliseconds(20))["C"]?.count ?? 0
    }
    return ["flooded: \(flooded)"]
  }

  /// B is silent for longer than its entry lives: what is for it is flooded then.
  private static let aged: ContractCase.Action = { bed in
    let flooded = try eventually(within: .seconds(5), every: .milliseconds(50)) {
      try bed.send([.across(.a, .b)])
      return try bed.listen([:], wanted: 1, patience: .milliseconds(5))["C"]?.isEmpty == false
    }
    return ["flooded: \(flooded)"]
  }
}
