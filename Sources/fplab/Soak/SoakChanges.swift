// SPDX-License-Identifier: Apache-2.0
import Lab

/// What is changed all the time, in all routers alike: nothing that Linux would lose a packet by.
struct SoakChanges {
  /// A change, and what takes it back.
  private struct Change {
    let name: String
    let make, undo: [String]
  }

  private static let all: [Change] = [
    Change(
      name: "route", make: ["ip route add 198.51.100.0/24 via 10.0.2.2"],
      undo: ["ip route del 198.51.100.0/24"]),
    Change(
      name: "blackhole", make: ["ip route add blackhole 203.0.113.0/24"],
      undo: ["ip route del blackhole 203.0.113.0/24"]),
    Change(
      name: "policy", make: ["ip rule add from 192.0.2.9 lookup 99"],
      undo: ["ip rule del from 192.0.2.9 lookup 99"]),
    Change(
      name: "iptables rule", make: ["iptables-legacy -I FORWARD -s 192.0.2.1 -j DROP"],
      undo: ["iptables-legacy -D FORWARD -s 192.0.2.1 -j DROP"]),
    Change(
      name: "NAT rule",
      make: ["iptables-legacy -t nat -A PREROUTING -p tcp --dport 99 -j DNAT --to 10.0.1.2"],
      undo: ["iptables-legacy -t nat -F PREROUTING"]),
    Change(
      name: "nftables",
      make: [
        "nft add table inet extra",
        "nft add chain inet extra c { type filter hook forward priority 5; }",
        "nft add rule inet extra c ip saddr 192.0.2.2 counter drop",
      ], undo: ["nft delete table inet extra"]),
    Change(
      name: "ipset",
      make: [
        "ipset create soak hash:ip", "ipset add soak 192.0.2.3",
        "iptables-legacy -A FORWARD -m set --match-set soak src -j DROP",
      ],
      undo: [
        "iptables-legacy -D FORWARD -m set --match-set soak src -j DROP", "ipset destroy soak",
      ]),
    Change(
      name: "bridge", make: ["ip link add br9 type bridge", "ip link set br9 up"],
      undo: ["ip link del br9"]),
    Change(
      name: "bridge with ports",
      make: [
        "ip link add br8 type bridge", "ip link add d8 type veth peer name e8",
        "ip link set d8 master br8 up",
        "ip addr add 10.8.0.1/24 dev br8", "ip link set br8 up",
      ], undo: ["ip link del d8", "ip link del br8"]),
    Change(
      name: "cable", make: ["ip link add c9 type veth peer name c10", "ip link set c9 up"],
      undo: ["ip link del c9"]),
    Change(
      name: "address", make: ["ip addr add 10.9.0.1/24 dev p2"],
      undo: ["ip addr del 10.9.0.1/24 dev p2"]),
    Change(
      name: "neighbour",
      make: ["ip neigh replace 10.0.2.77 lladdr 02:00:00:00:00:77 dev p2 nud permanent"],
      undo: ["ip neigh del 10.0.2.77 dev p2"]),
    Change(
      name: "sysctl", make: ["sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=600"],
      undo: ["sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=432000"]),
    Change(
      name: "alias", make: ["ip link set p1 alias soak"], undo: ["ip link set p1 alias none"]),
    Change(
      name: "queue", make: ["tc qdisc add dev p1 root handle 7: pfifo"],
      undo: ["tc qdisc del dev p1 root"]),
  ]

  private var chance: Chance
  private var made: Set<Int> = []
  private(set) var count = 0

  init(seed: UInt64) { chance = Chance(seed: seed) }

  /// One change, or one taken back.
  mutating func next(in routers: [Namespace]) throws {
    let place = chance.below(Self.all.count)
    let isThere = made.contains(place)
    for router in routers {
      try Self.run(isThere ? Self.all[place].undo : Self.all[place].make, router)
    }
    if isThere { made.remove(place) } else { made.insert(place) }
    count += 1
  }

  /// All are as they were.
  mutating func undo(in routers: [Namespace]) throws {
    for place in made.sorted() {
      for router in routers { try Self.run(Self.all[place].undo, router) }
    }
    count += made.count
    made = []
  }

  mutating func one<Element>(of elements: [Element]) -> Element { chance.one(of: elements) }

  private static func run(_ lines: [String], _ router: Namespace) throws {
    for line in lines { try router.run(line) }
  }
}
