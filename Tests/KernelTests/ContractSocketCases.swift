// SPDX-License-Identifier: Apache-2.0
import Lab

/// Traffic of real sockets: frames that come without a checksum, segments larger than any MTU.
enum ContractSocketCases {
  /// Addresses and routes for hosts that talk themselves.
  private static let addresses = [
    "A: ip addr add 10.0.1.2/24 dev eth0", "A: ip route add default via 10.0.1.1",
    "B: ip addr add 10.0.2.2/24 dev eth0", "B: ip route add default via 10.0.2.1",
  ]

  private static let datagrams: ContractCase.Action = { bed in
    let sender = try HostSocket(.udp, "10.0.1.2", port: 4000, in: bed.host(.a))
    let receiver = try HostSocket(.udp, "10.0.2.2", port: 4001, in: bed.host(.b))
    return try (1...8).map { number in
      let message = (0..<number * 100).map { UInt8(truncatingIfNeeded: $0 * number) }
      try sender.send(message, to: "10.0.2.2", port: 4001)
      return "datagram \(number): \(receiver.receive() == message)"
    }
  }

  private static let largeDatagram: ContractCase.Action = { bed in
    let sender = try HostSocket(.udp, "10.0.1.2", port: 4000, in: bed.host(.a))
    let receiver = try HostSocket(.udp, "10.0.2.2", port: 4001, in: bed.host(.b))
    let message = (0..<9000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    try sender.send(message, to: "10.0.2.2", port: 4001)
    return ["in fragments: \(receiver.receive() == message)"]
  }

  private static let stream: ContractCase.Action = { bed in
    let server = try HostSocket(.tcp, "10.0.2.2", port: 5001, in: bed.host(.b))
    try server.listen()
    let client = try HostSocket(.tcp, "10.0.1.2", port: 5000, in: bed.host(.a))
    try client.connect(to: "10.0.2.2", port: 5001)
    let accepted = try server.accept()
    let there = try client.stream(4 << 20, to: accepted)
    let back = try accepted.stream(1 << 20, to: client)
    return ["there: \(there)", "back: \(back)"]
  }

  /// The other way it would be the cable that is too narrow, where XDP keeps B from sending in one piece.
  private static let oneWay: ContractCase.Action = { bed in
    let server = try HostSocket(.tcp, "10.0.2.2", port: 5001, in: bed.host(.b))
    try server.listen()
    let client = try HostSocket(.tcp, "10.0.1.2", port: 5000, in: bed.host(.a))
    try client.connect(to: "10.0.2.2", port: 5001)
    let there = try client.stream(1 << 20, to: try server.accept())
    return ["there: \(there)"]
  }

  private static func ping(_ addresses: [IPv4Address]) -> ContractCase.Action {
    return { bed in
      try addresses.map { address in
        let ttl = try bed.host(.a).ping(address, within: .seconds(1))
        return "\(address) answers with TTL \(ttl.map { "\($0)" } ?? "none")"
      }
    }
  }

  private static let resolved: ContractCase.Action = { bed in
    let host = try bed.host(.a)
    try host.run("ip neigh flush dev eth0")
    let ttl = try host.ping("10.0.1.1", within: .seconds(1))
    let found = try host.run("ip neigh show 10.0.1.1").output
    return ["TTL \(ttl ?? 0), MAC \(found.contains("\(ContractHost.a.gateway)"))"]
  }

  static let sockets: [ContractCase] = [
    talk(
      "datagrams arrive with a right checksum", datagrams, .grows("checksum-offload"),
      tc: .grows("forwarded")),
    talk(
      "a datagram in fragments arrives", largeDatagram, .grows("forwarded"), tc: .grows("forwarded")
    ),
    talk("a stream arrives", stream, .grows("checksum-offload"), tc: .grows("forwarded")),
    talk(
      "hosts and router answer", ping(["10.0.1.1", "10.0.2.1", "10.0.2.2", "10.0.3.1"]),
      .grows("forwarded"),
      tc: .grows("forwarded")),
    talk("the router is found by ARP", resolved, .slow, tc: nil),
  ]

  /// UDP in segments of 1200 bytes: datagrams of 1228.
  private static let cutDatagrams: ContractCase.Action = { bed in
    let sender = try HostSocket(.udp, "10.0.1.2", port: 4000, in: bed.host(.a))
    let receiver = try HostSocket(.udp, "10.0.2.2", port: 4001, in: bed.host(.b))
    try sender.segment(by: 1200)
    let message = (0..<9600).map { UInt8(truncatingIfNeeded: $0 / 7) }
    try sender.send(message, to: "10.0.2.2", port: 4001)
    let came = (0..<8).map { _ in receiver.receive(within: .milliseconds(300))?.count ?? 0 }
    return ["datagrams: \(came)"]
  }

  /// The router tells a sender whose segments are larger than the way on.
  private static func told(
    _ mtu: Int, _ action: @escaping ContractCase.Action
  ) -> ContractCase.Action {
    return { bed in
      let words = try action(bed)
      let route = try bed.output(of: "A: ip route get 10.0.2.2")
      return words + ["told of \(mtu): \(route.contains("mtu \(mtu)"))"]
    }
  }

  /// What TC gets whole is judged by what it will be cut into. XDP is not given it.
  static let segments: [ContractCase] = [
    talk(
      "large segments of a stream are small packets", stream, .grows("checksum-offload"),
      tc: .growsWithout("forwarded", "mtu-exceeded")),
    talk(
      "segments of datagrams as large as the way out",
      narrow: 1228, cutDatagrams, .grows("checksum-offload"),
      tc: .growsWithout("forwarded", "mtu-exceeded")),
    talk(
      "segments of datagrams larger than the way out", narrow: 1227, told(1227, cutDatagrams),
      .grows("checksum-offload"), tc: .grows("mtu-exceeded")),
    talk(
      "segments of a stream larger than the way out", narrow: 1490, told(1490, oneWay),
      .grows("checksum-offload"), tc: .grows("mtu-exceeded")),
  ]

  private static func talk(
    _ name: String, narrow: Int? = nil, _ action: @escaping ContractCase.Action, _ fate: Fate,
    tc: Fate?
  ) -> ContractCase {
    ContractCase(
      name, setup: addresses + (narrow.map { ["ip link set p2 mtu \($0)"] } ?? []),
      undo: (narrow == nil ? [] : ["ip link set p2 mtu 1500"]) + [
        "A: ip route flush 0.0.0.0/0", "B: ip route flush 0.0.0.0/0",
      ], action: action, fate,
      tc: tc
    ).comparingWords
  }
}
