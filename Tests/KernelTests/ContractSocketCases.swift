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

  private static func talk(
    _ name: String, _ action: @escaping ContractCase.Action, _ fate: Fate, tc: Fate?
  ) -> ContractCase {
    ContractCase(
      name, setup: addresses,
      undo: ["A: ip route flush 0.0.0.0/0", "B: ip route flush 0.0.0.0/0"], action: action, fate,
      tc: tc
    ).comparingWords
  }
}
