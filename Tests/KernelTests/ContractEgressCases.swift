// SPDX-License-Identifier: Apache-2.0
import Lab

/// Where a packet leaves: devices, queues, filters, taps.
enum ContractEgressCases {
  private static let good = Shot.burst { .udp(id: $0) }

  private static func taking(_ protocols: String = "ip") -> String {
    "\(protocols) prio 1 u32 match u32 0 0 action mirred egress redirect dev p3"
  }

  /// Somebody else's program behind fpd's own, which ends the way of every frame.
  private static let followed: ContractCase.Action = { bed in
    let directory = try TemporaryDirectory("foreign")
    let object = try ForeignProgram.classifier(in: directory, named: "foreign_drop", drops: true)
    let known = try ForeignProgram.ids(named: "foreign_drop")
    // Where the program is loaded does not matter.
    let host = try bed.host(.c)
    try host.run("tc qdisc add dev eth0 clsact")
    try host.run("tc filter add dev eth0 egress bpf direct-action obj \(object) sec classifier")
    let program = try ForeignProgram.ids(named: "foreign_drop").first { !known.contains($0) }
    guard let program else { throw LabError("the program is not loaded") }
    let foreign = try ForeignProgram.attachTCX(program: program, to: "p1", in: bed.router)
    try bed.send(good)
    let heard = try bed.listen([:], wanted: 0, patience: .milliseconds(20))
    try host.run("tc qdisc del dev eth0 clsact")
    return withExtendedLifetime(foreign) { ["came: \(heard["B"]?.count ?? 0)"] }
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
      "a queue of a kind that the kernel itself would take",
      setup: ["tc qdisc add dev p2 root handle 10: pfifo_fast"],
      undo: ["tc qdisc del dev p2 root"], good, observe: ["tc -s qdisc show dev p2"], sees: 3,
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
      "a TCX program behind fpd's own at once", sudden: ["tc qdisc show dev p1"],
      action: followed, .punted("foreign-tc-ingress")),
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
      // TCP, UDP and ICMP of nothing but an IPv4 header: what lies behind it is no port, and no type.
      ContractCase(
        "rules do not look into the padding",
        setup: [
          "nft: add table ip t;add chain ip t c { type filter hook forward priority 0; policy drop; };"
            + "add rule ip t c meta l4proto { tcp, udp } th dport 80 accept;"
            + "add rule ip t c tcp flags syn accept;add rule ip t c icmp type 0 accept"
        ], undo: ["nft: delete table ip t"],
        [6, 17, 1].map { transport in
          Shot.udp(size: 60).editing { bytes in
            bytes.replaceSubrange(34..<bytes.count, with: [UInt8](repeating: 0, count: 40))
            if transport != 1 { bytes[37] = 80 }
            bytes[47] = 2
          }.header {
            $0[9 + 14] = UInt8(transport)
            $0[17] = 20
          }
        }, sees: 0, .punted("malformed")),
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
