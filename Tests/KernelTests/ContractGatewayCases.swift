// SPDX-License-Identifier: Apache-2.0
import Lab

/// To whom a packet goes next: gateways, links, encapsulations, back where it came from.
enum ContractGatewayCases {
  private static let good = Shot.burst { .udp(to: "10.8.0.1", id: $0) }
  private static let viaB = "ip route add 10.8.0.0/16 via 10.0.2.2"

  /// A gateway where the packets come from.
  private static let back = [
    "ip neigh replace 10.0.1.9 lladdr \(ContractHost.c.mac) dev p1 nud permanent",
    "ip route add 10.8.0.0/16 via 10.0.1.9",
  ]
  /// No redirects.
  private static let unasked = ["all", "p1"].map { "sysctl net.ipv4.conf.\($0).send_redirects=0" }

  /// What comes out of a VXLAN tunnel: around it the kernel numbers its packets as it likes.
  private static let tunnelled: ContractCase.Action = { bed in
    try bed.send(good)
    let heard = try bed.listen([:], wanted: 3, patience: .milliseconds(20))
    let inner = (heard["B"] ?? []).map { Array($0.bytes.dropFirst(50)) }
    return inner.filter { $0.count > 14 && $0[12...13] == [0x08, 0x00] }.map { "\($0)" }
  }

  static let gateways: [ContractCase] = [
    ContractCase(
      "a gateway in IPv6",
      setup: [
        "sysctl net.ipv6.conf.p2.accept_dad=0", "sysctl net.ipv6.conf.p2.disable_ipv6=0",
        "ip -6 neigh replace fe80::b lladdr \(ContractHost.c.mac) dev p2 nud permanent",
        "ip route add 10.8.0.0/16 via inet6 fe80::b dev p2",
      ], undo: ["ip route flush 10.8.0.0/16"], good, sees: 3, .punted("next-hop")),
    ContractCase(
      "a gateway on link by decree",
      setup: [
        "ip neigh replace 172.16.0.1 lladdr \(ContractHost.c.mac) dev p2 nud permanent",
        "ip route add 10.8.0.0/16 via 172.16.0.1 dev p2 onlink",
      ], good, sees: 3, .fast),
    ContractCase(
      "a route through a device only",
      setup: [
        "ip neigh replace 10.8.0.1 lladdr \(ContractHost.c.mac) dev p2 nud permanent",
        "ip route add 10.8.0.0/16 dev p2",
      ], good, sees: 3, .fast),
    ContractCase(
      "a link of two addresses",
      setup: [
        "ip addr add 10.6.0.0/31 dev p2",
        "ip neigh replace 10.6.0.1 lladdr \(ContractHost.c.mac) dev p2 nud permanent",
      ], Shot.burst { .udp(to: "10.6.0.1", id: $0) }, sees: 3, .fast),
    ContractCase(
      "the own end of a link of two addresses", setup: ["ip addr add 10.6.0.0/31 dev p2"],
      [.udp(to: "10.6.0.0")], sees: 1, .punted("local-delivery")),
    ContractCase(
      "a peer address",
      setup: [
        "ip addr add 10.6.0.1 peer 10.6.0.2/32 dev p2",
        "ip neigh replace 10.6.0.2 lladdr \(ContractHost.c.mac) dev p2 nud permanent",
      ], Shot.burst { .udp(to: "10.6.0.2", id: $0) }, sees: 3, .fast),
    ContractCase(
      "an encapsulation on the route",
      setup: ["ip route add 10.8.0.0/16 encap ip id 7 dst 10.0.2.2 via 10.0.2.2 dev p2"], good,
      sees: 3, .punted("encapsulated-routes")),
    ContractCase(
      "an encapsulation at once", setup: [viaB],
      sudden: ["ip route replace 10.8.0.0/16 encap ip id 7 dst 10.0.2.2 via 10.0.2.2 dev p2"], good,
      sees: 3, .punted("encapsulated-routes|changed")),
    ContractCase(
      "back out where it came from, with a redirect",
      setup: back, [.udp(to: "10.8.0.1")], sees: 2, .punted("redirect-needed")),
    ContractCase(
      "back out where it came from, without",
      setup: unasked + back, Shot.burst { .udp(to: "10.8.0.1", id: $0) }, sees: 3, .fast),
    ContractCase(
      "redirects wanted at once",
      setup: unasked + back, sudden: ["sysctl net.ipv4.conf.p1.send_redirects=1"],
      [.udp(to: "10.8.0.1", from: "10.0.1.3")], sees: 2, .punted("redirect-needed|changed")),
    ContractCase(
      "redirects wanted on all devices at once",
      setup: unasked + back, sudden: ["sysctl net.ipv4.conf.all.send_redirects=1"],
      [.udp(to: "10.8.0.1", from: "10.0.1.4")], sees: 2, .punted("redirect-needed|changed")),
    // It goes round until its TTL is used up.
    ContractCase(
      "a route through the loopback device",
      setup: [
        "sysctl net.ipv4.conf.all.send_redirects=0", "sysctl net.ipv4.conf.lo.send_redirects=0",
        "ip route add 10.8.0.0/16 dev lo",
      ], [.udp(to: "10.8.0.1", from: "10.0.1.5")], .punted("egress-device")),
    ContractCase(
      "a route into a tunnel",
      setup: [
        "ip link add vx0 address 02:00:00:00:07:01 type vxlan id 7 dstport 4789 local 10.0.2.1 "
          + "remote 10.0.2.2 dev p2", "ip link set vx0 up",
        "ip neigh replace 10.8.0.1 lladdr 02:00:00:00:07:02 dev vx0 nud permanent",
        "ip route add 10.8.0.0/16 dev vx0",
      ], undo: ["ip link del vx0"], action: tunnelled, .punted("egress-cannot-redirect"),
      tc: .counts(["forwarded": 3])
    ).comparingWords,
  ]
}
