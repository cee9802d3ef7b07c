// SPDX-License-Identifier: Apache-2.0
import Lab

/// Where a packet leaves: neighbours, devices, queues, filters, taps.
enum ContractEgressCases {
  private static let good = Shot.burst { .udp(id: $0) }
  private static let c = ContractHost.c.mac
  private static let forget = "ip neigh del 10.0.2.2 dev p2"
  private static let answering = ["B: ip addr add 10.0.2.2/24 dev eth0", forget]

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
    // Several in each place of the table, and each address on two devices.
    ContractCase(
      "many neighbours",
      setup: (100..<164).flatMap { number in
        ["p3", "p2"].map {
          "ip neigh replace 10.0.2.\(number) lladdr 02:00:00:00:0\($0.last ?? "0"):\(number - 80) "
            + "dev \($0) nud permanent"
        }
      }, undo: ["p2", "p3"].map { "ip neigh flush dev \($0) nud permanent" } + ["restore"],
      (100..<164).map { .udp(to: IPv4Address(0x0a00_0200 + $0), id: UInt16($0)) }, sees: 64, .fast),
    ContractCase(
      "a neighbour without ARP",
      setup: ["ip neigh replace 10.0.2.2 lladdr \(c) dev p2 nud noarp"], undo: ["restore"], good,
      sees: 3, .fast),
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

  private static func taking(_ protocols: String = "ip") -> String {
    "\(protocols) prio 1 u32 match u32 0 0 action mirred egress redirect dev p3"
  }

  static let devices: [ContractCase] = [
    ContractCase(
      "the egress device goes down at once", sudden: ["ip link set p2 down"], undo: ["restore"],
      Shot.burst { .udp(from: "10.77.1.1", id: $0) }, sees: 3,
      .punted("no-route|route-type|egress-down|changed")),
    ContractCase(
      "the far end of the egress cable goes down at once", sudden: ["B: ip link set eth0 down"],
      undo: ["B: ip link set eth0 up", "restore"], good, sees: 0,
      // The route hears of it a little later than the device.
      .punted("next-hop|egress-down")),
    ContractCase(
      "the egress device goes down, with a route left over another",
      setup: [
        "ip route add 10.8.0.0/16 via 10.0.2.2", "ip route add 10.8.0.0/16 via 10.0.3.2 metric 9",
      ],
      sudden: ["ip link set p2 down"], undo: ["restore", "ip link set p2 up"],
      Shot.burst { .udp(to: "10.8.0.1", id: $0) }, sees: 3, .fast),
    ContractCase(
      "the ingress device gets another MAC at once",
      sudden: ["ip link set p1 address 02:00:00:00:01:77"],
      undo: ["ip link set p1 address \(ContractHost.a.gateway)", "restore"],
      [.udp(), .udp(id: 2, mac: "02:00:00:00:01:77")], sees: 1,
      .counts(["other-host": 1, "forwarded": 1])),
    ContractCase(
      "the egress device gets another MAC at once",
      sudden: [
        "ip link set p2 address 02:00:00:00:01:77",
        "ip neigh replace 10.0.2.2 lladdr \(ContractHost.b.mac) dev p2 nud permanent",
      ], undo: ["ip link set p2 address \(ContractHost.b.gateway)", "restore"], good, sees: 3,
      .fast),
    ContractCase(
      "the far end cannot take redirected frames", setup: ["B: ethtool -K eth0 gro off"],
      undo: ["B: ethtool -K eth0 gro on"], good, sees: 3, .punted("egress-cannot-redirect"),
      tc: .fast),
    ContractCase(
      "the far end stops taking redirected frames at once",
      sudden: ["B: ethtool -K eth0 gro off"], undo: ["B: ethtool -K eth0 gro on"], good, sees: 3,
      .punted("egress-cannot-redirect|changed"), tc: .fast),
    ContractCase(
      "a queue that shapes",
      setup: ["tc qdisc add dev p2 root handle 10: tbf rate 10mbit burst 10k latency 1s"],
      undo: ["tc qdisc del dev p2 root"], good, observe: ["tc -s qdisc show dev p2"], sees: 3,
      .punted("egress-qdisc"), tc: .fast),
    ContractCase(
      "a queue that shapes at once",
      sudden: ["tc qdisc add dev p2 root handle 10: tbf rate 10mbit burst 10k latency 1s"],
      undo: ["tc qdisc del dev p2 root"], good, observe: ["tc -s qdisc show dev p2"], sees: 3,
      .punted("egress-qdisc|changed"), tc: .fast),
    ContractCase(
      "a queue that limits",
      setup: ["tc qdisc add dev p2 root handle 10: tbf rate 8kbit burst 1600 limit 1600"],
      undo: ["tc qdisc del dev p2 root"], (1...3).map { .udp(size: 1400, id: $0) }, sees: 1,
      .punted("egress-qdisc"), tc: .fast),
    ContractCase(
      "a filter on the egress device",
      setup: ["tc qdisc add dev p2 clsact", "tc filter add dev p2 egress protocol \(taking())"],
      undo: ["tc qdisc del dev p2 clsact"], good, sees: 3, .punted("foreign-tc-egress"), tc: .fast),
    ContractCase(
      "a filter on the egress device at once",
      sudden: ["tc qdisc add dev p2 clsact", "tc filter add dev p2 egress protocol \(taking())"],
      undo: ["tc qdisc del dev p2 clsact"], good, sees: 3, .punted("foreign-tc-egress|changed"),
      tc: .fast),
    ContractCase(
      "a filter on the ingress device",
      setup: ["tc qdisc add dev p1 clsact", "tc filter add dev p1 ingress protocol \(taking())"],
      undo: ["tc qdisc del dev p1 clsact"], good, sees: 3, .punted("foreign-tc-ingress")),
    ContractCase(
      "a filter on the ingress device at once",
      sudden: ["tc qdisc add dev p1 clsact", "tc filter add dev p1 ingress protocol \(taking())"],
      undo: ["tc qdisc del dev p1 clsact"], good, sees: 3, .punted("foreign-tc-ingress|changed")),
    ContractCase(
      "a filter that arrives in a clsact that was there",
      setup: ["tc qdisc add dev p1 clsact", "tc qdisc add dev p2 clsact"],
      sudden: ["tc filter add dev p1 ingress protocol \(taking())"],
      undo: ["tc qdisc del dev p1 clsact", "tc qdisc del dev p2 clsact"], good, sees: 3,
      .punted("foreign-tc-ingress|changed")),
    ContractCase(
      "a macvlan over the ingress device at once",
      sudden: [
        "ip link add mv0 link p1 address 02:00:00:00:01:77 type macvlan mode bridge",
        "ip link set mv0 up",
      ], undo: ["ip link del mv0"], [.udp(), .udp(id: 2, mac: "02:00:00:00:01:77")], sees: 2,
      .punted("receive-handler|changed")),
    ContractCase(
      "the ingress device becomes a bridge port at once",
      sudden: ["ip link add br9 type bridge", "ip link set br9 up", "ip link set p1 master br9"],
      undo: ["ip link del br9", "restore"], good, sees: 3, .punted("receive-handler|changed")),
  ]

  static let taps: [ContractCase] = [
    ContractCase(
      "a tap on the ingress device", good, taps: ["p1"], sees: 3, .punted("packet-tap|changed"),
      tc: .fast),
    ContractCase(
      "a tap on the egress device", good, taps: ["p2"], sees: 3, .punted("packet-tap|changed"),
      tc: .fast),
    ContractCase(
      "a tap on all devices", good, taps: ["any"], sees: 3, .punted("packet-tap|changed"), tc: .fast
    ),
    ContractCase("a tap on another device", good, taps: ["p3"], sees: 3, .fast),
    ContractCase(
      "tcpdump sees what goes in and what comes out",
      action: { bed in
        let dump = try bed.router.start(["tcpdump", "-nn", "-U", "-l", "-i", "any", "udp"])
        try dump.waitForOutput("listening on")
        try bed.send(good)
        let all = eventually(within: .seconds(2)) {
          dump.output.split(separator: "\n").filter { $0.contains("10.0.2.2.2000") }.count >= 6
        }
        dump.stop()
        return ["all: \(all)"]
      }, sees: 3, .slow, tc: .grows("forwarded")),
    ContractCase("and afterwards it is fast again", good, sees: 3, .fast),
  ]

  private static func rule(_ family: String, _ hook: String, _ verdict: String) -> [String] {
    [
      "nft: add table \(family) t;add chain \(family) t c { type filter hook \(hook); policy \(verdict); }"
    ]
  }
  private static let tables: [(String, String, String)] = [
    ("ip", "prerouting priority -300", "netfilter-hook"),
    ("ip", "forward priority 0", "netfilter-hook"),
    ("ip", "postrouting priority 0", "netfilter-hook"),
    ("inet", "forward priority 10", "netfilter-hook"),
    ("netdev", "ingress device p1 priority 0", "netfilter-ingress"),
    ("netdev", "egress device p2 priority 0", "netfilter-egress"),
  ]

  static let netfilter: [ContractCase] =
    tables.flatMap { family, hook, reason in
      [
        ContractCase(
          "nft drops in \(family) \(hook)", setup: rule(family, hook, "drop"),
          undo: ["nft: delete table \(family) t"], good, sees: 0,
          reason == "netfilter-hook" ? .dropped : .punted(reason)),
        ContractCase(
          "nft drops in \(family) \(hook) at once", sudden: rule(family, hook, "drop"),
          undo: ["nft: delete table \(family) t"], good, sees: 0, .punted("\(reason)|changed")),
        ContractCase(
          "nft counts in \(family) \(hook)",
          setup: rule(family, hook, "accept") + [
            "nft: add rule \(family) t c udp dport 2000 counter"
          ],
          undo: ["nft: delete table \(family) t"], good,
          // What the fast path judges, `fpctl rules` counts: nftables takes no counts from anybody.
          observe: reason == "netfilter-hook" ? [] : ["nft list table \(family) t"], sees: 3,
          reason == "netfilter-hook" ? .fast : .slow),
      ]
    } + [
      // The hook stays the same function when its chain gets rules.
      ContractCase(
        "nft drops at once in a chain that was there",
        setup: ["nft: add table ip t;add chain ip t c { type filter hook forward priority 0; }"],
        sudden: ["nft: add rule ip t c udp dport 2000 drop"], undo: ["nft: delete table ip t"],
        good, sees: 0, .punted("rules-changed")),
      ContractCase(
        "nft rewrites in prerouting at once",
        sudden: [
          "nft: add table ip t;add chain ip t c { type filter hook prerouting priority -300; };"
            + "add rule ip t c ip dscp set 46"
        ], undo: ["nft: delete table ip t"], good, sees: 3, .punted("netfilter-hook|changed")),
      ContractCase(
        "an IPsec policy that blocks",
        setup: ["ip xfrm policy add src 0.0.0.0/0 dst 10.0.2.0/24 dir fwd action block"],
        undo: ["ip xfrm policy flush"], good, sees: 0, .punted("ipsec-policies")),
      ContractCase(
        "an IPsec policy that blocks at once",
        sudden: ["ip xfrm policy add src 0.0.0.0/0 dst 10.0.2.0/24 dir fwd action block"],
        undo: ["ip xfrm policy flush"], good, sees: 0, .punted("ipsec-policies|changed")),
      ContractCase(
        "an IPsec policy on the way out at once",
        sudden: ["ip xfrm policy add src 0.0.0.0/0 dst 10.0.2.0/24 dir out action block"],
        undo: ["ip xfrm policy flush"], good, sees: 0, .punted("ipsec-policies|changed")),
      ContractCase(
        "IPsec blocks by default on the way out at once",
        sudden: ["ip xfrm policy setdefault out block"],
        undo: ["ip xfrm policy setdefault out accept"], good, sees: 0,
        .punted("ipsec-policies|changed")),
      ContractCase(
        "IPsec blocks by default at once", sudden: ["ip xfrm policy setdefault fwd block"],
        undo: ["ip xfrm policy setdefault fwd accept"], good, sees: 0,
        .punted("ipsec-policies|changed")),
    ]

  static let legacy: [ContractCase] = [
    ContractCase("before any table", good, sees: 3, .fast),
    ContractCase(
      "iptables drops at once", sudden: ["iptables-legacy -A FORWARD -p udp -j DROP"], good,
      sees: 0, .punted("netfilter-hook|changed")),
    ContractCase(
      "iptables drops", setup: ["iptables-legacy -A FORWARD -p udp -j DROP"], good, sees: 0,
      .dropped),
    ContractCase(
      "iptables drops in the raw table at once",
      sudden: ["iptables-legacy -t raw -A PREROUTING -p udp -j DROP"], good, sees: 0,
      .punted("rules-changed")),
    ContractCase(
      "iptables' policy drops at once", sudden: ["iptables-legacy -P FORWARD DROP"],
      undo: ["iptables-legacy -P FORWARD ACCEPT"], good, sees: 0,
      .punted("rules-changed")),
    ContractCase(
      "iptables rewrites the TTL at once",
      sudden: ["iptables-legacy -t mangle -A PREROUTING -j TTL --ttl-set 9"], good, sees: 3,
      .punted("rules-changed")),
  ]
}
