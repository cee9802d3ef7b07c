// SPDX-License-Identifier: Apache-2.0
import Lab

/// Filters on a bridge, br_netfilter, and a router behind a bridge.
enum ContractBridgeFilterCases {
  private static let good = Shot.burst { .across(id: $0) }

  private static func drop(_ hook: String) -> String {
    "nft: add table bridge t;add chain bridge t c { type filter hook \(hook) priority 0; };"
      + "add rule bridge t c ether type ip drop"
  }

  static let filters: [ContractCase] =
    ["prerouting", "forward", "postrouting"].flatMap { hook in
      [
        ContractCase(
          "nft drops in bridge \(hook)", setup: [drop(hook)], undo: ["nft: delete table bridge t"],
          good, sees: 0, .punted("bridge-filter")),
        ContractCase(
          "nft drops in bridge \(hook) at once", sudden: [drop(hook)],
          undo: ["nft: delete table bridge t"], good, sees: 0,
          .punted("bridge-filter|changed")),
      ]
    } + [
      ContractCase(
        "nft drops in netdev ingress of a port at once",
        sudden: [
          "nft: add table netdev t;add chain netdev t c "
            + "{ type filter hook ingress device p1 priority 0; policy drop; }"
        ], undo: ["nft: delete table netdev t"], good, sees: 0,
        .punted("netfilter-ingress|changed")),
      ContractCase(
        "a queue on the egress port at once",
        sudden: ["tc qdisc add dev p2 root handle 10: tbf rate 10mbit burst 10k latency 1s"],
        undo: ["tc qdisc del dev p2 root"], good, observe: ["tc -s qdisc show dev p2"], sees: 3,
        .punted("egress-qdisc|changed"), tc: .fast),
      ContractCase(
        "ip rules do not concern a bridge",
        setup: [
          "nft: add table ip t;add chain ip t c { type filter hook forward priority 0; policy drop; }"
        ],
        undo: ["nft: delete table ip t"], good, sees: 3, .slow),
      // The hook stays the same function when its chain gets rules.
      ContractCase(
        "nft drops at once in a bridge chain that was there",
        setup: [
          "nft: add table bridge t;add chain bridge t c { type filter hook forward priority 0; }"
        ],
        sudden: ["nft: add rule bridge t c ether type ip drop"],
        undo: ["nft: delete table bridge t"], good, sees: 0, .punted("bridge-filter")),
      ContractCase(
        "ebtables drops at once", sudden: ["ebtables -A FORWARD -p IPv4 -j DROP"], good, sees: 0,
        .punted("bridge-filter|changed")),
    ]

  private static func drops(_ hook: String) -> String {
    "nft: add table ip t;add chain ip t c { type filter hook \(hook); policy drop; }"
  }

  /// With bridge-nf-call-iptables, as the kernel brings it, each bridged packet goes through IPv4's hooks.
  static let brNetfilter: [ContractCase] = [
    ContractCase("without any rule", good, sees: 3, .fast),
    ContractCase(
      "IPv4 that no router would take, without any rule",
      [
        .across { $0.checksumFault = 1 }, .across { $0.claimedLength = 1000 },
        .across { $0.claimedLength = 3 }, Shot.across().editing { $0[14] = 0x65 },
        .across { $0.ttl = 0 }, .across { $0.options = [1, 1, 1, 0] },
        Shot.across(size: 30).padded(by: 16), Shot.across().padded(by: 1),
        Shot.across().editing { $0 = Array($0.prefix(30)) },
      ].enumerated().map { place, shot in
        shot.editing { if $0.count > 40 { $0[40] = UInt8(place) } }
      },
      sees: 4,
      .counts(["forwarded": 1, "malformed": 4, "ip-checksum": 1, "ip-options": 1, "padding": 2])),
    ContractCase(
      "IPv4 in VLAN tags, ARP, IPv6, without any rule",
      [
        .across(tags: [VLANTag(7)]), .across(tags: [VLANTag(7)]) { $0.checksumFault = 1 },
        .frame(
          to: ContractHost.b.mac,
          .arp(.request(from: (ContractHost.a.mac, "10.0.0.1"), for: "10.0.0.2"))),
        .frame(
          to: ContractHost.b.mac,
          .ipv6(IPv6(from: "2001:db8::1", to: "2001:db8::2", .udp(from: 1, to: 2)))),
        Shot.frame(
          to: ContractHost.b.mac,
          .ipv6(IPv6(from: "2001:db8::1", to: "2001:db8::2", .udp(from: 1, to: 2)))
        ).editing { $0[14] = 0x55 },
        .frame(to: ContractHost.b.mac, .raw(etherType: 0x88b6, [1, 2, 3])),
        .frame(to: ContractHost.b.mac, .raw(etherType: 0x8864, [0x11, 0, 0, 0, 0, 0])),
      ], sees: 6,
      .counts(["forwarded": 1, "vlan-tag": 2, "other-protocol": 2, "ipv6-not-modelled": 2])),
    ContractCase(
      "fragments, without any rule",
      [
        .across { $0.moreFragments = true },
        .across { $0.fragmentOffset = 4 },
      ], sees: 2, .fast),
    ContractCase(
      "a rule in ip forward", setup: [drops("forward priority 0")],
      undo: ["nft: delete table ip t"], good, sees: 0, .punted("bridge-netfilter")),
    ContractCase(
      "a rule in ip prerouting at once", sudden: [drops("prerouting priority 0")],
      undo: ["nft: delete table ip t"], good, sees: 0, .punted("bridge-netfilter|changed")),
    ContractCase(
      "a rule in ip forward at once", sudden: [drops("forward priority 0")],
      undo: ["nft: delete table ip t"], good, sees: 0, .punted("bridge-netfilter|changed")),
    ContractCase(
      "a rule in ip postrouting at once", sudden: [drops("postrouting priority 0")],
      undo: ["nft: delete table ip t"], good, sees: 0, .punted("bridge-netfilter|changed")),
    ContractCase(
      "switched off, the rule is no longer asked",
      setup: [drops("forward priority 0"), "sysctl net.bridge.bridge-nf-call-iptables=0"],
      undo: ["nft: delete table ip t"], good, sees: 3, .slow),
    ContractCase(
      "switched on at once, the rule is asked",
      setup: [drops("forward priority 0"), "sysctl net.bridge.bridge-nf-call-iptables=0"],
      sudden: ["sysctl net.bridge.bridge-nf-call-iptables=1"], undo: ["nft: delete table ip t"],
      good, sees: 0, .punted("bridge-netfilter|changed")),
    ContractCase(
      "switched on for one bridge at once",
      setup: [drops("forward priority 0"), "sysctl net.bridge.bridge-nf-call-iptables=0"],
      sudden: ["ip link set br0 type bridge nf_call_iptables 1"],
      undo: ["nft: delete table ip t", "ip link set br0 type bridge nf_call_iptables 0"], good,
      sees: 0, .punted("bridge-netfilter|changed")),
    ContractCase(
      "switched off, as most have it", setup: ["sysctl net.bridge.bridge-nf-call-iptables=0"],
      good, sees: 3, .fast),
  ]

  private static func up(_ host: ContractHost = .a, to address: IPv4Address, id: UInt16 = 1) -> Shot
  {
    // On br0 the hosts' addresses are 10.0.1.2 and 10.0.1.3.
    let source: IPv4Address = host == .a ? "10.0.1.2" : host == .b ? "10.0.1.3" : host.address
    let mac =
      host == .c
      ? host.gateway : host == .d ? MAC(number: 0x0201) : ContractHost.bridgeMAC
    return .udp(host, to: address, from: source, id: id, mac: mac)
  }

  private static let called = ["sysctl net.bridge.bridge-nf-call-iptables=1"]
  private static let unasked = ["all", "br0"].map { "sysctl net.ipv4.conf.\($0).send_redirects=0" }
  private static let followed = [
    "nft: add table ip n;add chain ip n c { type nat hook prerouting priority -100; };"
      + "add chain ip n d { type nat hook postrouting priority 100; };"
      + "add rule ip n d oifname p3 masquerade"
  ]
  private static let entry = "--sport 1000 --dport 2000 -t 3600 -u SEEN_REPLY,ASSURED"

  private static let across = Shot.burst { id in
    .udp(to: "10.0.1.3", from: "10.0.1.2", id: id, mac: ContractHost.b.mac)
  }
  private static func forward(_ rule: String) -> String {
    "nft: add table ip t;add chain ip t f { type filter hook forward priority 0; };add rule ip t f "
      + rule
  }
  private static let accepts = forward("udp dport 2000 accept")

  static let routed: [ContractCase] = [
    ContractCase(
      "from the bridge to the outside", Shot.burst { up(to: "10.0.3.2", id: $0) }, sees: 3, .fast),
    ContractCase(
      "from the outside to the bridge", Shot.burst { up(.c, to: "10.0.1.2", id: $0) }, sees: 3,
      .fast),
    ContractCase(
      "from one bridge to another", Shot.burst { up(to: "10.0.4.2", id: $0) }, sees: 3, .fast),
    ContractCase(
      "between the hosts of the bridge",
      across, sees: 3, .fast),
    ContractCase(
      "between the hosts of the bridge, which hands them to rules at once",
      setup: [drops("forward priority 0"), "sysctl net.bridge.bridge-nf-call-iptables=0"],
      sudden: ["sysctl net.bridge.bridge-nf-call-iptables=1"], undo: ["nft: delete table ip t"],
      across, sees: 0, .punted("bridge-netfilter|changed")),
    ContractCase(
      "between the hosts of the bridge, by rules that it asks",
      setup: called + [
        "nft: add table ip t;add chain ip t p { type filter hook prerouting priority 0; policy drop; };"
          + "add chain ip t f { type filter hook forward priority 0; policy drop; };"
          + "add chain ip t o { type filter hook postrouting priority 0; policy drop; };"
          + "add rule ip t p iifname br0 ip saddr 10.0.1.2 accept;"
          + "add rule ip t f iifname br0 oifname br0 udp dport 2000 accept;"
          + "add rule ip t o oifname br0 ip daddr 10.0.1.3 accept"
      ], undo: ["nft: delete table ip t"], across, sees: 3, .fast),
    ContractCase(
      "between the hosts of the bridge, by rules that it stops asking at once",
      setup: called + [accepts], sudden: ["sysctl net.bridge.bridge-nf-call-iptables=0"],
      undo: ["nft: delete table ip t"], across, sees: 3, .fast),
    ContractCase(
      "between the hosts of the bridge, lost in rules that it asks",
      setup: called + [
        forward("iifname br0 oifname br0 udp dport 2000 drop")
      ], undo: ["nft: delete table ip t"], across, sees: 0, .punted("bridge-netfilter")),
    ContractCase(
      "between the hosts of the bridge, a rule on the TTL that nobody has counted down",
      setup: called + [
        forward("ip ttl 64 drop")
      ], undo: ["nft: delete table ip t"], across, sees: 0, .punted("bridge-netfilter")),
    ContractCase(
      "between the hosts of the bridge, more than the packet in the frame",
      setup: called + [accepts], undo: ["nft: delete table ip t"],
      across.map { $0.padded(by: 16) }, sees: 3, .punted("padding")),
    ContractCase(
      "between the hosts of the bridge, marked by a rule",
      setup: called + [
        forward("meta mark set 7")
      ], undo: ["nft: delete table ip t"], across, sees: 3,
      .punted("bridge-netfilter|packet-mark")),
    ContractCase(
      "between the hosts of the bridge, to an address of the bridge",
      setup: called + [accepts], undo: ["nft: delete table ip t"],
      [
        .udp(to: "10.0.1.1", from: "10.0.1.2", mac: ContractHost.b.mac),
        .udp(to: "10.0.1.255", from: "10.0.1.2", mac: ContractHost.b.mac),
        .udp(to: "224.0.0.9", from: "10.0.1.2", mac: ContractHost.b.mac),
      ], sees: 3, .punted("bridge-netfilter|local-delivery")),
    ContractCase(
      "between the hosts of the bridge, its connection followed",
      setup: called + followed + [
        "nft: add table ip t;add chain ip t f { type filter hook forward priority 0; policy drop; };"
          + "add rule ip t f ct state established accept",
        "conntrack -I -p udp -s 10.0.1.2 -d 10.0.1.3 \(entry)",
      ],
      undo: ["nft: delete table ip n", "nft: delete table ip t", "conntrack -F"], across, sees: 3,
      .fast),
    ContractCase(
      "between the hosts of the bridge, no connection known",
      setup: called + followed, undo: ["nft: delete table ip n", "conntrack -F"], across, sees: 3,
      .punted("connection-new|connection-state")),
    ContractCase(
      "between the hosts of the bridge, its connection translated there",
      setup: called + unasked + followed + [
        "conntrack -I -p udp -s 10.0.1.2 -d 10.0.1.3 \(entry) -n 10.0.1.77"
      ], undo: ["nft: delete table ip n", "conntrack -F"], across, sees: 3,
      .punted("bridge-netfilter")),
    ContractCase(
      "from the bridge to the outside, by rules that the bridge asks",
      setup: called + [
        "nft: add table ip t;add chain ip t c { type filter hook prerouting priority 0; policy drop; };"
          + "add rule ip t c iifname br0 ip saddr 10.0.1.2 accept;add rule ip t c iifname p3 accept;"
          + "add rule ip t c udp dport 2000 drop"
      ], undo: ["nft: delete table ip t"],
      Shot.burst { up(to: "10.0.3.2", id: $0) } + Shot.burst { up(.c, to: "10.0.1.2", id: $0) },
      sees: 6, .fast),
    ContractCase(
      "from the bridge to the outside, lost in rules that the bridge asks",
      setup: called + [
        "nft: add table ip t;add chain ip t c { type filter hook prerouting priority 0; };"
          + "add rule ip t c iifname br0 udp dport 2000 drop"
      ], undo: ["nft: delete table ip t"], Shot.burst { up(to: "10.0.3.2", id: $0) }, sees: 0,
      .dropped),
    ContractCase(
      "from the bridge to the outside, its connection followed at the bridge",
      setup: called + followed + [
        "conntrack -I -p udp -s 10.0.1.2 -d 10.0.3.2 \(entry) -n 10.0.3.1"
      ],
      undo: ["nft: delete table ip n", "conntrack -F"],
      Shot.burst { up(to: "10.0.3.2", id: $0) }, sees: 3, .fast),
    ContractCase(
      "translated for another host of the bridge, which then bridges it",
      setup: called + unasked + followed + [
        "conntrack -I -p udp -s 10.0.1.2 -d 10.0.1.1 \(entry) -g 10.0.1.3"
      ], undo: ["nft: delete table ip n", "conntrack -F"],
      Shot.burst { up(to: "10.0.1.1", id: $0) }, sees: 3, .punted("bridge-netfilter")),
    ContractCase(
      "routed back into the bridge, with a redirect", [up(to: "10.0.1.3")], sees: 2,
      .punted("redirect-needed")),
    ContractCase(
      "to the bridge's own address", [up(to: "10.0.1.1"), up(to: "10.0.3.1")], sees: 2,
      .punted("local-delivery")),
    ContractCase(
      "to a port's MAC", [.udp(to: "10.0.3.2", mac: ContractHost.a.gateway)], sees: 1,
      .punted("local-delivery")),
    ContractCase(
      "the source is unknown to the bridge",
      [
        Shot.udp(to: "10.0.3.2", mac: ContractHost.bridgeMAC).editing { $0[11] = 0x66 }
      ], sees: 1, .punted("source-unknown")),
    ContractCase(
      "the bridge does not know where the host is",
      sudden: ["bridge fdb del \(ContractHost.a.mac) dev p1 master"],
      Shot.burst { up(.c, to: "10.0.1.2", id: $0) }, sees: 6,
      .punted("destination-unknown|changed"), tc: .fast
    ),
    ContractCase(
      "a disabled port", sudden: ["bridge link set dev p1 state 0"],
      undo: ["bridge link set dev p1 state 3"], [up(to: "10.0.3.2"), up(.c, to: "10.0.1.2")],
      sees: 0, .punted("port-not-forwarding"),
      tc: .counts(["forwarded": 1, "port-not-forwarding": 1])),
    ContractCase(
      "forwarding off on the bridge at once", sudden: ["sysctl net.ipv4.conf.br0.forwarding=0"],
      [up(to: "10.0.3.2")], sees: 0, .punted("forwarding-off|changed")),
    ContractCase(
      "rp_filter on the bridge at once", sudden: ["sysctl net.ipv4.conf.br0.rp_filter=1"],
      [.udp(to: "10.0.3.2", from: "10.0.4.9", mac: ContractHost.bridgeMAC)], sees: 0,
      .punted("reverse-path|changed")),
    ContractCase(
      "rp_filter on the port is not asked", sudden: ["sysctl net.ipv4.conf.p1.rp_filter=1"],
      [.udp(to: "10.0.3.2", from: "10.0.4.9", mac: ContractHost.bridgeMAC)], sees: 1, .fast),
    ContractCase(
      "a tap on the bridge", [up(to: "10.0.3.2")], taps: ["br0"], sees: 1, .punted("packet-tap")),
    ContractCase(
      "a tap on the bridge that it leaves by", [up(.c, to: "10.0.1.2")], taps: ["br0"], sees: 1,
      .punted("packet-tap"), tc: .fast),
    ContractCase(
      "a queue on the bridge that it leaves by at once",
      sudden: ["tc qdisc add dev br0 root handle 10: tbf rate 10mbit burst 10k latency 1s"],
      undo: ["tc qdisc del dev br0 root"], [up(.c, to: "10.0.1.2")],
      observe: ["tc -s qdisc show dev br0"], sees: 1, .punted("egress-qdisc|changed"), tc: .fast),
    ContractCase(
      "a tap on all devices, on the way into the bridge", [up(.c, to: "10.0.1.2")], taps: ["any"],
      sees: 1, .punted("packet-tap|changed"), tc: .fast),
    ContractCase(
      "a filter on the bridge that it leaves by at once",
      sudden: [
        "tc qdisc add dev br0 clsact",
        "tc filter add dev br0 egress protocol ip prio 1 u32 match u32 0 0 action mirred egress "
          + "redirect dev p3",
      ], undo: ["tc qdisc del dev br0 clsact"], [up(.c, to: "10.0.1.2")], sees: 1,
      .punted("foreign-tc-egress|changed"), tc: .fast),
    ContractCase(
      "nft drops on the way out of the port at once",
      sudden: [
        "nft: add table netdev t;add chain netdev t c "
          + "{ type filter hook egress device p1 priority 0; policy drop; }"
      ], undo: ["nft: delete table netdev t"], [up(.c, to: "10.0.1.2")], sees: 0,
      .punted("netfilter-egress|changed")),
    ContractCase(
      "nft drops on the way out by the bridge's device at once",
      sudden: [
        "nft: add table netdev t;add chain netdev t c "
          + "{ type filter hook egress device br0 priority 0; policy drop; }"
      ], undo: ["nft: delete table netdev t"], [up(.c, to: "10.0.1.2")], sees: 0,
      .punted("netfilter-egress|changed")),
    ContractCase(
      "into a container of the bridge, the short way", setup: ["A: ethtool -K eth0 gro off"],
      undo: ["A: ethtool -K eth0 gro on"], Shot.burst { up(.c, to: "10.0.1.2", id: $0) },
      taps: ["p1"],
      sees: 3, .punted("packet-tap"), tc: .fast),
    ContractCase(
      "the port that it leaves by is disabled at once", sudden: ["bridge link set dev p1 state 0"],
      undo: ["bridge link set dev p1 state 3"], Shot.burst { up(.c, to: "10.0.1.2", id: $0) },
      sees: 0,
      .punted("port-not-forwarding"), tc: .fast),
    ContractCase(
      "a macvlan over the bridge at once",
      sudden: [
        "ip link add mv0 link br0 address 02:00:00:00:01:77 type macvlan mode bridge",
        "ip link set mv0 up",
      ], undo: ["ip link del mv0"], [up(to: "10.0.3.2")], sees: 1,
      .punted("receive-handler|changed|packet-tap")),
    ContractCase(
      "routed to a port's own address",
      setup: [
        "ip neigh replace 10.0.1.7 lladdr \(ContractHost.b.gateway) dev br0 nud permanent"
      ], [up(.c, to: "10.0.1.7")], .punted("destination-unknown"), tc: .fast),
    ContractCase(
      "nft drops on the way out of the bridge's ports at once",
      sudden: [
        "nft: add table bridge t;add chain bridge t c "
          + "{ type filter hook postrouting priority 0; policy drop; }"
      ], undo: ["nft: delete table bridge t"], [up(.c, to: "10.0.1.2")], sees: 0,
      .punted("bridge-filter|changed"), tc: .fast),
    ContractCase(
      "TTL, MTU and padding as on any other device",
      setup: ["ip link set p3 mtu 1000"], undo: ["ip link set p3 mtu 1500"],
      [
        .udp(to: "10.0.3.2", mac: ContractHost.bridgeMAC) { $0.ttl = 1 },
        .udp(to: "10.0.3.2", size: 1001, mac: ContractHost.bridgeMAC) { $0.dontFragment = true },
        Shot.udp(to: "10.0.3.2", mac: ContractHost.bridgeMAC).padded(by: 9),
        Shot.udp(to: "10.0.3.2", size: 1000, mac: ContractHost.bridgeMAC).padded(by: 300),
        .udp(to: "10.0.3.2", mac: ContractHost.bridgeMAC) { $0.checksumFault = 1 },
      ], sees: 4, .counts(["ttl-expired": 1, "mtu-exceeded": 1, "forwarded": 2, "ip-checksum": 1])),
    ContractCase(
      "nft drops in ip forward at once", sudden: [drops("forward priority 0")],
      undo: ["nft: delete table ip t"], [up(to: "10.0.3.2"), up(.c, to: "10.0.1.2")], sees: 0,
      .punted("netfilter-hook|changed")),
    // Behind the function that br_netfilter has there, which stays the first.
    ContractCase(
      "nft drops in ip prerouting at once", sudden: [drops("prerouting priority 0")],
      undo: ["nft: delete table ip t"], [up(to: "10.0.3.2"), up(.c, to: "10.0.1.2")], sees: 0,
      .punted("netfilter-hook|changed")),
    ContractCase(
      "nft drops on the way into the bridge",
      setup: [
        "nft: add table bridge t;add chain bridge t c { type filter hook input priority 0; policy drop; }"
      ], undo: ["nft: delete table bridge t"], [up(to: "10.0.3.2")], sees: 0,
      .punted("bridge-filter")),
    ContractCase(
      "nft drops on the way out of the bridge",
      setup: [
        "nft: add table bridge t;add chain bridge t c { type filter hook output priority 0; policy drop; }"
      ], undo: ["nft: delete table bridge t"], [up(.c, to: "10.0.1.2")], sees: 0,
      .punted("bridge-filter"), tc: .fast),
    ContractCase(
      "nft drops on the way into the bridge at once",
      sudden: [
        "nft: add table bridge t;add chain bridge t c { type filter hook input priority 0; policy drop; }"
      ], undo: ["nft: delete table bridge t"], [up(to: "10.0.3.2")], sees: 0,
      .punted("bridge-filter|changed")),
    ContractCase(
      "nft drops on the way out of the bridge at once",
      sudden: [
        "nft: add table bridge t;add chain bridge t c { type filter hook output priority 0; policy drop; }"
      ], undo: ["nft: delete table bridge t"], [up(.c, to: "10.0.1.2")], sees: 0,
      .punted("bridge-filter|changed"), tc: .fast),
  ]
}
