// SPDX-License-Identifier: Apache-2.0
import Lab

/// Which route a packet takes, and what becomes of it where the route is no plain one.
enum ContractRouteCases {
  private static let good = Shot.burst { .udp(to: "10.8.0.1", id: $0) }
  /// From a source of its own: the kernel sends each only so many ICMP errors a second.
  private static func from(_ number: UInt32) -> [Shot] {
    Shot.burst { .udp(to: "10.8.0.1", from: IPv4Address(0x0a4d_0000 + number), id: $0) }
  }
  private static let viaB = "ip route add 10.8.0.0/16 via 10.0.2.2"
  private static let toC = "ip route replace 10.8.0.0/16 via 10.0.3.2"

  static let types: [ContractCase] =
    (["blackhole", "unreachable", "prohibit", "throw"] as [String]).enumerated().flatMap {
      (place, type) in
      [
        ContractCase(
          "\(type) route", setup: ["ip route add \(type) 10.8.0.0/16"],
          from(1 + UInt32(place)), sees: type == "blackhole" ? 0 : 3, .punted("route-type")
        ),
        ContractCase(
          "\(type) route at once", setup: [viaB],
          sudden: ["ip route add \(type) 10.8.0.0/24"], from(11 + UInt32(place)),
          sees: type == "blackhole" ? 0 : 3,
          .punted("route-type")),
      ]
    } + [
      ContractCase("no route", from(21), sees: 3, .punted("no-route")),
      ContractCase(
        "a destination that becomes the router's at once", setup: [viaB],
        sudden: ["ip addr add 10.8.0.1/32 dev p3"], good, sees: 3,
        .punted("local-delivery")),
      ContractCase(
        "a destination that was the router's until now",
        setup: [viaB, "ip addr add 10.8.0.1/32 dev p3"], sudden: ["ip addr del 10.8.0.1/32 dev p3"],
        good, sees: 3, .fast),
      ContractCase(
        "a destination that was the router's and had packets until now",
        setup: [viaB, "ip addr add 10.8.0.1/32 dev p3"], sudden: ["ip addr del 10.8.0.1/32 dev p3"],
        learn: [Shot.udp(to: "10.8.0.1"), .udp(to: "10.8.0.1", id: 2)], good, sees: 3, .fast),
      ContractCase(
        "destinations that share a place with one of the router's",
        setup: [viaB], learn: [.udp(to: "10.0.3.1")],
        (UInt32(0)..<4096).map { IPv4Address(0x0a08_0000 + $0) }
          .filter { place($0) == place("10.0.3.1") }.prefix(8).enumerated()
          .map { .udp(to: $1, id: UInt16($0)) }, sees: 8, .fast),
    ]

  /// Where fp_local_place() has an address.
  private static func place(_ address: IPv4Address) -> UInt32 {
    (address.value.byteSwapped &* 0x9e37_79b1) >> 26
  }

  static let changes: [ContractCase] = [
    ContractCase("route added at once", sudden: [viaB], good, sees: 3, .fast),
    ContractCase(
      "route deleted at once", setup: [viaB], sudden: ["ip route del 10.8.0.0/16"], from(22),
      sees: 3,
      .punted("no-route|route-type|changed")),
    ContractCase("route replaced at once", setup: [viaB], sudden: [toC], good, sees: 3, .fast),
    ContractCase(
      "a longer route at once", setup: [viaB], sudden: ["ip route add 10.8.0.0/24 via 10.0.3.2"],
      good, sees: 3, .fast),
    ContractCase(
      "a better metric at once", setup: ["ip route add 10.8.0.0/16 via 10.0.2.2 metric 20"],
      sudden: ["ip route add 10.8.0.0/16 via 10.0.3.2 metric 10"], good, sees: 3, .fast),
    ContractCase(
      "the whole table flushed at once", setup: [viaB], sudden: ["ip route flush table main"],
      undo: ["p1", "p2", "p3"].map { "ip link set \($0) down" } + ["restore"], from(23), sees: 0,
      .punted("no-route|route-type|changed|neighbour")),
    ContractCase(
      "realms on a route", setup: ["ip route add 10.8.0.0/16 via 10.0.2.2 realm 7"], good, sees: 3,
      .punted("route-realms")),
  ]

  /// What a namespace remembers for as long as it lives: these come last.
  static let lasting: [ContractCase] = [
    ContractCase(
      "a rule at once",
      setup: [viaB, "ip route add 10.8.0.0/16 via 10.0.3.2 table 100"],
      sudden: ["ip rule add from 10.0.1.2 lookup 100 pref 100"], good, sees: 3,
      .punted("policy-rules")),
    ContractCase(
      "a rule by TOS at once",
      setup: [viaB, "ip route add 10.8.0.0/16 via 10.0.3.2 table 100"],
      sudden: ["ip rule add tos 0x10 lookup 100 pref 100"],
      [.udp(to: "10.8.0.1"), .udp(to: "10.8.0.2") { $0.tos = 0x10 }], sees: 2,
      .punted("policy-rules")),
    ContractCase(
      "a rule by port at once",
      setup: [viaB, "ip route add 10.8.0.0/16 via 10.0.3.2 table 100"],
      sudden: ["ip rule add ipproto udp dport 2001 lookup 100 pref 100"],
      [.udp(to: "10.8.0.1"), .udp(to: "10.8.0.2", ports: (1000, 2001))], sees: 2,
      .punted("policy-rules")),
    ContractCase(
      "a rule that prohibits at once", setup: [viaB],
      sudden: ["ip rule add prohibit from 10.77.0.0/16 pref 100"], from(24), sees: 3,
      .punted("policy-rules|route-type|no-route|changed")),
    ContractCase(
      "a rule by ingress device",
      setup: [
        viaB, "ip route add 10.8.0.0/16 via 10.0.3.2 table 100",
        "ip rule add iif p1 lookup 100 pref 100",
      ], good + [.udp(.c, to: "10.8.0.2")], sees: 4, .punted("policy-rules")),
    ContractCase(
      "a packet after a rule is gone again",
      setup: [
        viaB, "ip rule add from 10.0.1.2 lookup 100 pref 100", "ip rule del pref 100",
      ], good, sees: 3, .punted("policy-rules")),
  ]

  static let local: [ContractCase] = [
    ContractCase(
      "route to a local address", setup: ["ip route add local 10.8.0.0/16 dev lo"], good,
      sees: 3, .punted("local-delivery")),
    ContractCase("any packet after that", setup: [viaB], good, sees: 3, .punted("local-routes")),
  ]

  private static let nested = [
    "ip route add default via 10.0.3.2", "ip route add 10.0.0.0/8 via 10.0.2.2",
    "ip route add 10.8.0.0/16 via 10.0.3.2", "ip route add 10.8.1.0/24 via 10.0.2.2",
    "ip route add blackhole 10.8.1.128/25", "ip route add 10.8.1.200/32 via 10.0.3.2",
    "ip route add 10.8.1.0/32 via 10.0.3.2", "ip route add 10.8.255.255/32 via 10.0.2.2",
    "ip route add 128.0.0.0/1 via 10.0.2.2",
  ]
  private static let probes: [Shot] =
    ([
      "10.8.1.0", "10.8.1.1", "10.8.1.127", "10.8.1.128", "10.8.1.199", "10.8.1.200", "10.8.1.201",
      "10.8.1.255", "10.8.2.1", "10.8.0.0", "10.8.255.255", "10.8.255.254", "10.7.255.255",
      "10.255.255.255", "9.255.255.255", "11.0.0.0", "127.255.0.1", "128.0.0.0", "223.255.255.255",
      "1.2.3.4",
    ] as [IPv4Address]).enumerated().map { .udp(to: $1, id: UInt16($0)) }

  static let prefixes: [ContractCase] = [
    ContractCase(
      "overlapping prefixes", setup: nested, probes, sees: 15,
      .counts(["forwarded": 15, "martian-destination": 1, "route-type": 4])),
    ContractCase(
      "the middle prefix deleted at once", setup: nested,
      sudden: ["ip route del 10.8.1.0/24"], probes, sees: 15,
      .counts(["forwarded": 15, "martian-destination": 1, "route-type": 4])),
    ContractCase(
      "the blackhole in the middle deleted at once", setup: nested,
      sudden: ["ip route del blackhole 10.8.1.128/25"], probes, sees: 19,
      .counts(["forwarded": 19, "martian-destination": 1])),
    ContractCase(
      "the default deleted at once", setup: nested, sudden: ["ip route del default"], probes,
      sees: 15,
      .counts(["forwarded": 12, "route-type": 4, "no-route": 3, "martian-destination": 1])),
    ContractCase(
      "a throw in the middle",
      setup: nested + ["ip route add throw 10.8.1.64/26"], [.udp(to: "10.8.1.65")], sees: 1,
      .punted("route-type")),
    ContractCase(
      "forwards along prefixes", setup: ["ip route add 10.8.1.0/24 via 10.0.3.2", viaB],
      [.udp(to: "10.8.1.1"), .udp(to: "10.8.2.1")], sees: 2, .fast),
    ContractCase(
      "a route for one TOS",
      setup: [viaB, "ip route add 10.8.0.0/16 tos 0x10 via 10.0.3.2"],
      ([0, 0x10, 0x11, 0x12, 0x13, 0x1c, 0x30, 0xb8, 0xf0] as [UInt8]).map { tos in
        .udp(to: "10.8.0.1", id: UInt16(tos)) { $0.tos = tos }
      }, sees: 9, .punted("next-hop")),
  ]

  private static let many = (UInt16(0)..<64).map { number in
    Shot.udp(
      to: IPv4Address(0x0a08_0000 + UInt32(number) * 7), ports: (3000 + number, 53), id: number)
  }
  private static let onePair = (UInt16(0)..<64).map { number in
    Shot.udp(to: "10.8.0.1", ports: (3000 + number, 53), id: number)
  }
  private static let twoHops = "nexthop via 10.0.2.2 nexthop via 10.0.3.2"

  static let multipath: [ContractCase] = [
    ContractCase(
      "two next hops", setup: ["ip route add 10.8.0.0/16 \(twoHops)"], many, sees: 64,
      .punted("multipath")),
    ContractCase(
      "two next hops of unequal weight",
      setup: [
        "ip route add 10.8.0.0/16 nexthop via 10.0.2.2 weight 1 nexthop via 10.0.3.2 weight 5"
      ], many, sees: 64, .punted("multipath")),
    ContractCase(
      "two next hops by ports",
      setup: [
        "ip route add 10.8.0.0/16 \(twoHops)", "sysctl net.ipv4.fib_multipath_hash_policy=1",
      ], many + onePair, sees: 128, .punted("multipath")),
    ContractCase(
      "two next hops by ports at once", setup: ["ip route add 10.8.0.0/16 \(twoHops)"],
      sudden: ["sysctl net.ipv4.fib_multipath_hash_policy=1"], onePair, sees: 64,
      .punted("multipath")),
    ContractCase(
      "two next hops by inner headers",
      setup: [
        "ip route add 10.8.0.0/16 \(twoHops)", "sysctl net.ipv4.fib_multipath_hash_policy=2",
      ], many, sees: 64, .punted("multipath")),
    ContractCase(
      "two next hops, fragments by ports",
      setup: [
        "ip route add 10.8.0.0/16 \(twoHops)", "sysctl net.ipv4.fib_multipath_hash_policy=1",
      ],
      onePair.prefix(16).flatMap { shot in
        [
          shot.header { $0[20] = 0x20 },
          shot.header {
            $0[20] = 0
            $0[21] = 4
          },
        ]
      }, sees: 32, .punted("multipath")),
    ContractCase(
      "one of two next hops goes at once", setup: ["ip route add 10.8.0.0/16 \(twoHops)"],
      sudden: [toC], many, sees: 64, .fast),
    ContractCase(
      "a next hop object",
      setup: ["ip nexthop add id 7 via 10.0.2.2 dev p2", "ip route add 10.8.0.0/16 nhid 7"], good,
      sees: 3, .fast),
    ContractCase(
      "a next hop object replaced at once",
      setup: ["ip nexthop add id 7 via 10.0.2.2 dev p2", "ip route add 10.8.0.0/16 nhid 7"],
      sudden: ["ip nexthop replace id 7 via 10.0.3.2 dev p3"], good, sees: 3, .fast),
    ContractCase(
      "a blackhole object at once",
      setup: ["ip nexthop add id 7 via 10.0.2.2 dev p2", "ip route add 10.8.0.0/16 nhid 7"],
      sudden: ["ip nexthop replace id 7 blackhole"], good, sees: 0, .punted("route-type")),
    ContractCase(
      "a group of next hop objects",
      setup: [
        "ip nexthop add id 7 via 10.0.2.2 dev p2", "ip nexthop add id 8 via 10.0.3.2 dev p3",
        "ip nexthop add id 9 group 7,3/8,1", "ip route add 10.8.0.0/16 nhid 9",
      ], many, sees: 64, .punted("multipath")),
  ]
}
