// SPDX-License-Identifier: Apache-2.0
import Lab

/// The short way into a container, on TC only: the other end of the egress device does no NAPI, so that
/// packets are handed to it at once where nothing is on the way.
enum ContractPeerCases {
  private static let good = Shot.burst { .udp(id: $0) }
  private static let plain = ["B: ethtool -K eth0 gro off"]
  private static let napi = ["B: ethtool -K eth0 gro on"]
  private static let answering = [
    "B: ip addr add 10.0.2.2/24 dev eth0", "B: ip route add default via 10.0.2.1",
  ]

  private static func row(
    _ name: String, setup: [String] = [], sudden: [String] = [], undo: [String] = [],
    _ frames: [Shot], taps: [String] = [], observe: [String] = [], sees: Int,
    _ fate: Fate = .fast
  ) -> ContractCase {
    ContractCase(
      name, setup: plain + setup, sudden: sudden, undo: undo + napi, frames, taps: taps,
      observe: observe, sees: sees, fate)
  }

  private static func echo(_ destination: IPv4Address) -> Shot {
    .frame(
      to: ContractHost.a.gateway,
      .ipv4(IPv4(from: "10.0.1.2", to: destination, .echo(Array(repeating: 7, count: 24)))))
  }

  static let peers: [ContractCase] = [
    row("into a container", good, sees: 3),
    row(
      "into a container that answers", setup: answering, [echo("10.0.2.2")], sees: 3,
      .counts(["forwarded": 2, "multicast": 1])),
    row(
      "a container takes no frame for another station",
      setup: answering,
      sudden: [
        "ip neigh replace 10.0.2.2 lladdr \(ContractHost.c.mac) dev p2 nud permanent"
      ],
      undo: ["restore"], [echo("10.0.2.2")], sees: 1),
    row(
      "a container that takes less than its cable at once",
      sudden: ["B: ip link set eth0 mtu 1000"],
      undo: ["B: ip link set eth0 mtu 1500"],
      [.udp(size: 1004), .udp(size: 1005), .udp(size: 1400)],
      sees: 1),
    row("a tap on the way into a container", good, taps: ["p2"], sees: 3),
    row("a tap on all devices on the way into a container", good, taps: ["any"], sees: 3),
    row(
      "a queue that shapes on the way into a container at once",
      sudden: ["tc qdisc add dev p2 root handle 10: tbf rate 10mbit burst 10k latency 1s"],
      undo: ["tc qdisc del dev p2 root"], good, observe: ["tc -s qdisc show dev p2"], sees: 3),
    row(
      "a filter on the way into a container at once",
      sudden: [
        "tc qdisc add dev p2 clsact",
        "tc filter add dev p2 egress protocol ip prio 1 u32 match u32 0 0 action mirred egress "
          + "redirect dev p3",
      ], undo: ["tc qdisc del dev p2 clsact"], good, sees: 3),
    row(
      "netfilter on the way into a container at once",
      sudden: [
        "nft: add table netdev t;add chain netdev t c "
          + "{ type filter hook egress device p2 priority 0; policy drop; }"
      ], undo: ["nft: delete table netdev t"], good, sees: 0, .punted("netfilter-egress|changed")),
    row(
      "XDP or GRO in the container at once", sudden: napi, good, sees: 3),
  ]
  /// What a bridge forwards is for another station until it is in the container.
  static let bridged: [ContractCase] = [
    row("into a container on a bridge", Shot.burst { .across(id: $0) }, sees: 3),
    row(
      "into a container on a bridge that answers",
      setup: [
        "B: ip addr add 10.0.0.2/24 dev eth0",
        "B: ip neigh replace 10.0.0.1 lladdr \(ContractHost.a.mac) dev eth0 nud permanent",
      ], undo: ["B: ip neigh del 10.0.0.1 dev eth0"],
      [
        .frame(
          to: ContractHost.b.mac,
          .ipv4(IPv4(from: "10.0.0.1", to: "10.0.0.2", .echo(Array(repeating: 7, count: 24)))))
      ], sees: 2, .counts(["forwarded": 2])),
    row(
      "a container on a bridge that takes less than its cable at once",
      sudden: ["B: ip link set eth0 mtu 1000"], undo: ["B: ip link set eth0 mtu 1500"],
      [.across(size: 1004), .across(id: 2, size: 1005)], sees: 1),
  ]
}
