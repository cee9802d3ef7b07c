// SPDX-License-Identifier: Apache-2.0
import Lab

/// Whom a packet is from and for: MAC addresses, martians, own addresses, the reverse path.
enum ContractAddressCases {
  private static let anyRoute = "ip route add default via 10.0.2.2"

  static let link: [ContractCase] = [
    ContractCase(
      "a frame for another host", [.udp(mac: "02:00:00:00:0a:63")], sees: 0,
      .punted("other-host")),
    ContractCase(
      "a frame for another host on a promiscuous device", setup: ["ip link set p1 promisc on"],
      undo: ["ip link set p1 promisc off"], [.udp(mac: "02:00:00:00:0a:63")], sees: 0,
      .punted("other-host")),
    ContractCase(
      "a broadcast frame with a unicast packet", [.udp(mac: .broadcast)], sees: 0,
      .punted("multicast")),
    ContractCase(
      "a multicast frame with a unicast packet", [.udp(mac: "01:00:5e:00:00:05")], sees: 0,
      .punted("multicast")),
    ContractCase(
      "an unknown ethertype", [.frame(to: ContractHost.a.gateway, .raw(etherType: 0x88b6, [1]))],
      sees: 0, .punted("other-protocol")),
    ContractCase(
      "a VLAN tag without a VLAN device",
      [
        Shot(
          host: .a,
          bytes: Packet(
            from: ContractHost.a.mac, to: ContractHost.a.gateway, tags: [VLANTag(7)],
            .ipv4(IPv4(from: "10.0.1.2", to: "10.0.2.2", .udp(from: 1, to: 2)))
          ).bytes)
      ], sees: 0, .punted("vlan-tag")),
    ContractCase(
      "a priority tag without a VLAN device",
      [
        Shot(
          host: .a,
          bytes: Packet(
            from: ContractHost.a.mac, to: ContractHost.a.gateway, tags: [VLANTag(0, priority: 5)],
            .ipv4(IPv4(from: "10.0.1.2", to: "10.0.2.2", .udp(from: 1, to: 2)))
          ).bytes)
      ], sees: 1, .punted("vlan-tag")),
    ContractCase(
      "IPv6 is not routed here",
      [
        .frame(
          to: ContractHost.a.gateway,
          .ipv6(IPv6(from: "2001:db8::1", to: "2001:db8::2", .udp(from: 1, to: 2))))
      ], sees: 0, .punted("ipv6-not-modelled")),
    ContractCase(
      "an IPv4 packet in a frame of type IPv6",
      [Shot.udp().editing { $0[12...13] = [0x86, 0xdd] }],
      sees: 0, .punted("ipv6-not-modelled")),
    ContractCase(
      "ARP is answered",
      [
        .frame(
          to: .broadcast, .arp(.request(from: (ContractHost.a.mac, "10.0.1.2"), for: "10.0.1.1")))
      ], sees: 1, .punted("multicast")),
    ContractCase(
      "the router's addresses answer",
      ["10.0.1.1", "10.0.2.1"].map { address in
        Shot.frame(
          to: ContractHost.a.gateway, .ipv4(IPv4(from: "10.0.1.2", to: address, .echo())))
      }, sees: 2, .punted("local-delivery")),
    ContractCase(
      "a closed port of the router", [.udp(to: "10.0.3.1")], sees: 1, .punted("local-delivery")),
  ]

  private static let strange: [IPv4Address] = [
    "224.0.0.5", "224.1.2.3", "239.255.255.250", "255.255.255.255", "10.0.1.255", "127.0.0.1",
    "0.0.0.0",
  ]

  static let destinations: [ContractCase] =
    strange.map { address in
      ContractCase(
        "destination \(address)", setup: [anyRoute], [.udp(to: address)], sees: 0,
        .punted(address == "10.0.1.255" ? "route-type" : "martian-destination"))
    } + [
      ContractCase(
        "multicast in its own frame", setup: [anyRoute],
        [.udp(to: "224.1.2.3", mac: "01:00:5e:01:02:03")], sees: 0, .punted("multicast")),
      ContractCase(
        "broadcast in its own frame", [.udp(to: "255.255.255.255", mac: .broadcast)], sees: 0,
        .punted("multicast")),
      ContractCase(
        "broadcast of the network on the other side", [.udp(to: "10.0.2.255")], sees: 0,
        .punted("route-type")),
      ContractCase(
        "broadcast of the network on the other side, forwarded",
        setup: [
          "sysctl net.ipv4.conf.all.bc_forwarding=1", "sysctl net.ipv4.conf.p1.bc_forwarding=1",
        ],
        [.udp(to: "10.0.2.255")], sees: 1, .punted("route-type")),
      ContractCase(
        "destination 0.1.2.3", setup: [anyRoute], [.udp(to: "0.1.2.3")], sees: 1,
        .punted("martian-destination")),
      ContractCase(
        "destination 240.0.0.1", setup: [anyRoute], [.udp(to: "240.0.0.1")], sees: 1,
        .punted("martian-destination")),
      ContractCase(
        "loopback destination with route_localnet",
        setup: ["sysctl net.ipv4.conf.p1.route_localnet=1"], [.udp(to: "127.0.0.1")], sees: 1,
        .punted("martian-destination")),
    ]

  static let sources: [ContractCase] =
    ([
      "0.0.0.0", "127.0.0.1", "127.1.2.3", "224.0.0.1", "239.1.2.3", "255.255.255.255",
    ] as [IPv4Address]).map { address in
      ContractCase("source \(address)", [.udp(from: address)], sees: 0, .punted("martian-source"))
    } + [
      // Linux has them for addresses like any other.
      ContractCase(
        "sources of class E", [.udp(from: "240.0.0.1"), .udp(from: "255.255.255.254")], sees: 2,
        .punted("martian-source")),
      ContractCase(
        "source 0.1.2.3", [.udp(from: "0.1.2.3")], sees: 1, .punted("martian-source")),
      ContractCase(
        "loopback source with route_localnet",
        setup: ["sysctl net.ipv4.conf.p1.route_localnet=1"], [.udp(from: "127.0.0.1")], sees: 0,
        .punted("martian-source")),
      ContractCase(
        "martian source is logged", setup: ["sysctl net.ipv4.conf.all.log_martians=1"],
        [.udp(from: "127.0.0.1")], sees: 0, .punted("martian-source")),
      ContractCase(
        "source is one of the router's addresses",
        ["10.0.1.1", "10.0.2.1", "10.0.3.1"].map { .udp(from: $0) }, sees: 0,
        .punted("own-source")),
      ContractCase(
        "source is an address that the router got at once",
        sudden: ["ip addr add 10.5.0.1/32 dev p3"], [.udp(from: "10.5.0.1")], sees: 0,
        .punted("own-source|changed")),
      ContractCase(
        "source is a second address of another device",
        setup: ["ip addr add 10.5.0.1/24 dev p3", "ip addr add 10.5.0.2/24 dev p3"],
        [.udp(from: "10.5.0.2")], sees: 0, .punted("own-source")),
      ContractCase(
        "source is the router's, accepted", setup: ["sysctl net.ipv4.conf.p1.accept_local=1"],
        [.udp(from: "10.0.3.1")], sees: 1, .fast),
      ContractCase(
        "source is the router's, accepted on all devices",
        setup: ["sysctl net.ipv4.conf.all.accept_local=1"], [.udp(from: "10.0.3.1")], sees: 1,
        .fast),
      ContractCase(
        "source is a loopback address of nobody, with route_localnet",
        setup: ["sysctl net.ipv4.conf.p1.route_localnet=1"], [.udp(from: "127.9.9.9")], sees: 1,
        .punted("martian-source")),
    ] + broadcastSources("", .fast) + [
      ContractCase(
        "source is a broadcast address, with rp_filter",
        setup: ["sysctl net.ipv4.conf.p1.rp_filter=2"], [.udp(from: "10.0.3.255")], sees: 0,
        .punted("reverse-path")),
      ContractCase(
        "source is a local route, not an address",
        setup: ["ip route add local 10.5.0.0/24 dev lo"], [.udp(from: "10.5.0.7")], sees: 0,
        .punted("local-routes")),
      // One local route of the user's, and the kernel looks at sources more closely for good.
    ] + broadcastSources(", after there was a local route", .punted("local-routes"))

  private static func broadcastSources(_ when: String, _ fate: Fate) -> [ContractCase] {
    [
      ContractCase(
        "source is a broadcast address of the ingress network\(when)", [.udp(from: "10.0.1.255")],
        fate),
      ContractCase(
        "source is a broadcast address of the egress network\(when)", [.udp(from: "10.0.2.255")],
        fate),
      ContractCase(
        "source is a blackhole\(when)", setup: ["ip route add blackhole 99.9.0.0/16"],
        [.udp(from: "99.9.9.9")], fate),
      ContractCase("source is nobody's\(when)", [.udp(from: "99.9.9.9")], sees: 1, fate),
    ]
  }

  private static func filter(_ devices: [String: Int]) -> [String] {
    devices.sorted { $0.key < $1.key }.map {
      "sysctl net.ipv4.conf.\($0.key).rp_filter=\($0.value)"
    }
  }
  private static let good = Shot.burst { .udp(id: $0) }
  private static let elsewhere = Shot.udp(from: "10.0.3.9")
  private static let nowhere = Shot.udp(from: "99.9.9.9")

  static let reversePath: [ContractCase] = [
    ContractCase("no filter, any source", [elsewhere, nowhere], sees: 2, .fast),
    ContractCase("strict, right source", setup: filter(["p1": 1]), good, sees: 3, .fast),
    ContractCase(
      "strict, source from elsewhere", setup: filter(["p1": 1]), [elsewhere], sees: 0,
      .punted("reverse-path")),
    ContractCase(
      "strict, source without a route", setup: filter(["p1": 1]), [nowhere], sees: 0,
      .punted("reverse-path")),
    ContractCase(
      "loose, source from elsewhere", setup: filter(["p1": 2]), [elsewhere], sees: 1, .fast),
    ContractCase(
      "loose, source without a route", setup: filter(["p1": 2]), [nowhere], sees: 0,
      .punted("reverse-path")),
    ContractCase(
      "loose, source under a default route", setup: filter(["p1": 2]) + [anyRoute], [nowhere],
      sees: 1, .fast),
    ContractCase(
      "loose, source under a blackhole",
      setup: filter(["p1": 2]) + ["ip route add blackhole 99.9.0.0/16"], [nowhere], sees: 0,
      .punted("reverse-path")),
    ContractCase(
      "loose, source is one of the router's addresses", setup: filter(["p1": 2]),
      [.udp(from: "10.0.3.1"), .udp(from: "10.0.1.1")], sees: 0, .punted("own-source")),
    ContractCase(
      "loose, on a device without addresses",
      setup: filter(["p1": 2]) + [anyRoute, "ip addr del 10.0.1.1/24 dev p1"], undo: ["restore"],
      [nowhere], sees: 0, .punted("reverse-path")),
    ContractCase(
      "strict for all devices", setup: filter(["all": 1]), [elsewhere], sees: 0,
      .punted("reverse-path")),
    ContractCase(
      "strict for all, loose here", setup: filter(["all": 1, "p1": 2]), [elsewhere], sees: 1,
      .fast),
    ContractCase(
      "loose for all, strict here", setup: filter(["all": 2, "p1": 1]), [elsewhere], sees: 1,
      .fast),
    ContractCase(
      "strict on the egress device only", setup: filter(["p2": 1]), [elsewhere], sees: 1, .fast),
    ContractCase(
      "strict, source by a route through the ingress",
      setup: filter(["p1": 1]) + ["ip route add 99.9.0.0/16 via 10.0.1.2"], [nowhere], sees: 1,
      .fast),
    ContractCase(
      "strict, a longer route leads elsewhere",
      setup: filter(["p1": 1])
        + ["ip route add 99.9.0.0/16 via 10.0.1.2", "ip route add 99.9.9.0/24 via 10.0.3.2"],
      [nowhere], sees: 0, .punted("reverse-path")),
    ContractCase(
      "strict, the ingress is one of two next hops back",
      setup: filter(["p1": 1])
        + ["ip route add 99.9.0.0/16 nexthop via 10.0.1.2 nexthop via 10.0.3.2"],
      (1...8).map { .udp(from: IPv4Address(0x6309_0000 + $0)) }, sees: 8, .punted("reverse-path")),
    ContractCase(
      "strict at once", sudden: filter(["p1": 1]), [elsewhere, nowhere], sees: 0,
      .punted("reverse-path|changed")),
    ContractCase(
      "strict for all at once", sudden: filter(["all": 1]), [elsewhere, nowhere], sees: 0,
      .punted("reverse-path|changed")),
    ContractCase(
      "loose at once", sudden: filter(["all": 2]), [nowhere], sees: 0,
      .punted("reverse-path|changed")),
    ContractCase(
      "filter off at once", setup: filter(["p1": 1]), sudden: filter(["p1": 0]), [elsewhere],
      sees: 1, .fast),
    ContractCase(
      "strict, the route back moves at once",
      setup: filter(["p1": 1]) + ["ip route add 99.9.0.0/16 via 10.0.1.2"],
      sudden: ["ip route replace 99.9.0.0/16 via 10.0.3.2"],
      [nowhere], sees: 0, .punted("reverse-path|changed")),
  ]

  /// In a network where nothing was ever filtered, so that no program has code for it.
  static let reversePathAtOnce: [ContractCase] = [
    ContractCase("before any filter", [elsewhere, nowhere], sees: 2, .fast),
    ContractCase(
      "the first filter at once", sudden: filter(["p1": 1]), [elsewhere, nowhere], sees: 0,
      .punted("changed")),
    ContractCase(
      "the first filter for all at once", sudden: filter(["all": 2]), [nowhere], sees: 0,
      .punted("changed")),
  ]

  static let forwarding: [ContractCase] = [
    ContractCase(
      "forwarding off on the ingress", setup: ["sysctl net.ipv4.conf.p1.forwarding=0"], good,
      sees: 0, .punted("forwarding-off")),
    ContractCase(
      "forwarding off on the ingress at once", sudden: ["sysctl net.ipv4.conf.p1.forwarding=0"],
      good, sees: 0, .punted("forwarding-off|changed")),
    ContractCase(
      "forwarding off everywhere at once", sudden: ["sysctl net.ipv4.ip_forward=0"], good, sees: 0,
      .punted("forwarding-off|changed")),
    ContractCase(
      "forwarding off on the egress only", sudden: ["sysctl net.ipv4.conf.p2.forwarding=0"], good,
      sees: 3, .fast),
  ]
}
