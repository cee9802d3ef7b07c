// SPDX-License-Identifier: Apache-2.0
import Lab

/// What a bridge does with a frame.
enum ContractBridgeCases {
  private static let good = Shot.burst { .across(id: $0) }
  private static let stranger: MAC = "02:00:00:00:0c:99"

  static let frames: [ContractCase] = [
    ContractCase("known destination", good, sees: 3, .fast),
    ContractCase(
      "every pair of hosts",
      [.across(.a, .b), .across(.b, .a), .across(.c, .a), .across(.a, .c), .across(.b, .c)],
      sees: 5, .fast),
    ContractCase(
      "unknown destination is flooded", [.across(mac: stranger)], sees: 2,
      .punted("destination-unknown")),
    ContractCase("broadcast", [.across(mac: .broadcast)], sees: 2, .punted("multicast")),
    ContractCase(
      "multicast",
      [.across(mac: "01:00:5e:01:02:03"), .across(mac: "33:33:00:00:00:01")], sees: 4,
      .punted("multicast")),
    ContractCase(
      "link-local groups",
      (0..<16).map { .across(mac: MAC("01:80:c2:00:00:0\(String($0, radix: 16))") ?? .zero) },
      sees: 2, .punted("multicast")),
    ContractCase(
      "the group behind them", [.across(mac: "01:80:c2:00:00:10")], sees: 2,
      .punted("multicast")),
    ContractCase(
      "link-local groups, forwarded",
      setup: ["ip link set br0 type bridge group_fwd_mask 0xfff8"],
      undo: ["ip link set br0 type bridge group_fwd_mask 0"],
      [.across(mac: "01:80:c2:00:00:0e"), .across(mac: "01:80:c2:00:00:00")], sees: 4,
      .punted("multicast")),
    ContractCase(
      "a source that is no address",
      [.across(source: .zero), .across(source: "01:00:5e:00:00:01"), .across(source: .broadcast)],
      sees: 0, .punted("invalid-source-mac")),
    ContractCase(
      "an unknown source is learned",
      [.across(source: stranger), .across(.b, .a, mac: stranger)], sees: 2,
      .counts(["source-unknown": 1, "forwarded": 1])),
    ContractCase(
      "a source that moved is found at once", learn: [.across(.c, .b, source: stranger)],
      [.across(source: stranger), .across(.b, .a, mac: stranger)], sees: 2,
      .counts(["source-moved": 1, "forwarded": 1])),
    ContractCase(
      "to the bridge's own address",
      [
        .frame(
          to: ContractHost.bridgeMAC, .ipv4(IPv4(from: "10.0.0.1", to: "10.0.0.9", .echo())))
      ], sees: 0, .punted("local-delivery")),
    ContractCase(
      "to a port's own address", [.across(mac: ContractHost.b.gateway)], sees: 0,
      .punted("local-delivery")),
    ContractCase(
      "back to the port it came from", [.across(.a, .b, mac: ContractHost.a.mac, { _ in })],
      sees: 0, .punted("same-port")),
    ContractCase(
      "to another host behind the same port", learn: [.across(.a, .c, source: stranger)],
      [.across(mac: stranger)], sees: 0, .punted("same-port")),
    ContractCase(
      "a source with the bridge's own address", [.across(source: ContractHost.bridgeMAC)],
      sees: 1, .punted("source-moved")),
    ContractCase(
      "VLAN tags pass a bridge that knows no VLANs",
      [
        .across(tags: [VLANTag(7)]), .across(id: 2, tags: [VLANTag(8, priority: 5)]),
        .across(id: 3, tags: [VLANTag(9, etherType: 0x88a8)]),
        .across(id: 4, tags: [VLANTag(9, etherType: 0x88a8), VLANTag(7)]),
        .across(id: 5, tags: [VLANTag(7), VLANTag(8)]),
        .across(id: 6, tags: [VLANTag(0, priority: 1)]),
      ], sees: 6, .punted("vlan-tag")),
    ContractCase(
      "frames of every kind",
      [
        .frame(to: ContractHost.b.mac, .raw(etherType: 0x88b6, [1, 2, 3])),
        .frame(to: ContractHost.b.mac, .raw(etherType: 0x0600, [1, 2, 3])),
        .frame(to: ContractHost.b.mac, .raw(etherType: 46, [0x42, 0x42, 3])),
        .frame(
          to: ContractHost.b.mac,
          .arp(.request(from: (ContractHost.a.mac, "10.0.0.1"), for: "10.0.0.2"))),
        .frame(
          to: ContractHost.b.mac,
          .ipv6(IPv6(from: "2001:db8::1", to: "2001:db8::2", .udp(from: 1, to: 2)))),
      ], sees: 5, .counts(["forwarded": 3, "other-protocol": 1, "ipv6-not-modelled": 1])),
    ContractCase(
      "protocols that a bridge may speak itself",
      [0x88e3, 0x8902].map { .frame(to: ContractHost.b.mac, .raw(etherType: $0, [1, 2, 3])) },
      sees: 2, .punted("other-protocol")),
    ContractCase(
      "a frame as short as can be",
      [Shot.across().editing { $0 = Array($0.prefix(15)) }], sees: 1, .punted("malformed")),
    ContractCase(
      "IPv4 that no router would take",
      [
        .across { $0.checksumFault = 1 }, .across { $0.claimedLength = 1000 },
        .across { $0.claimedLength = 3 }, Shot.across().editing { $0[14] = 0x65 },
        .across { $0.ttl = 0 }, .across { $0.options = [1, 1, 1, 0] },
        Shot.across(size: 30).padded(by: 16), Shot.across().padded(by: 1),
        Shot.across().editing { $0 = Array($0.prefix(30)) },
      ].enumerated().map { place, shot in
        shot.editing { if $0.count > 40 { $0[40] = UInt8(place) } }
      },
      sees: 9,
      .counts(["forwarded": 1, "malformed": 4, "ip-checksum": 1, "ip-options": 1, "padding": 2])),
    // A bridge leaves room for a VLAN tag, whether there is one or not; where it may have to call iptables,
    // packets of IPv4 that take it are the kernel's, which would cut them.
    ContractCase(
      "larger than the egress device takes", setup: ["ip link set p2 mtu 1000"],
      undo: ["ip link set p2 mtu 1500"], large, sees: 3,
      .counts(["forwarded": 2, "mtu-exceeded": 3])),
    ContractCase(
      "larger than the egress device takes, at once", sudden: ["ip link set p2 mtu 1000"],
      undo: ["ip link set p2 mtu 1500"], large, sees: 3,
      .counts(["forwarded": 2, "mtu-exceeded": 3])),
  ]

  /// On both sides of what a port of 1,000 bytes takes, and what it takes only without rules.
  private static let large: [Shot] =
    [.across(size: 1000), .across(id: 2, size: 1004), .across(id: 3, size: 1005)]
    + [1004, 1005].map {
      .frame(
        .a, to: ContractHost.b.mac,
        .raw(etherType: 0x9000, [UInt8](repeating: 7, count: $0)))
    }

  static let ports: [ContractCase] =
    [
      // Without a spanning tree the kernel makes a blocking port forward on the spot.
      port("blocking at the ingress", "p1", "state 4", "state 3", sees: 3, nil),
      port("blocking at the egress", "p2", "state 4", "state 3", sees: 3, nil),
      port("listening at the ingress", "p1", "state 1", "state 3", sees: 0, "port-not-forwarding"),
      port("learning at the egress", "p2", "state 2", "state 3", sees: 0, "port-not-forwarding"),
      port("disabled at the egress", "p2", "state 0", "state 3", sees: 0, "port-not-forwarding"),
      port("disabled at the ingress", "p1", "state 0", "state 3", sees: 0, "port-not-forwarding"),
      port("learning at the ingress", "p1", "state 2", "state 3", sees: 0, "port-not-forwarding"),
      port("listening at the egress", "p2", "state 1", "state 3", sees: 0, "port-not-forwarding"),
      port("locked at the ingress", "p1", "locked on", "locked off", sees: 3, "bridge-port-flag"),
      port("hairpin at the egress", "p2", "hairpin on", "hairpin off", sees: 3, nil),
      port("no learning at the ingress", "p1", "learning off", "learning on", sees: 3, nil),
      port("no flooding at the egress", "p2", "flood off", "flood on", sees: 3, nil),
      port("isolated at the ingress alone", "p1", "isolated on", "isolated off", sees: 3, nil),
      port("isolated at the egress alone", "p2", "isolated on", "isolated off", sees: 3, nil),
      port("neighbour suppression", "p2", "neigh_suppress on", "neigh_suppress off", sees: 3, nil),
      port(
        "multicast to unicast", "p1", "mcast_to_unicast on", "mcast_to_unicast off", sees: 3, nil),
      port("fast leave", "p1", "fastleave on", "fastleave off", sees: 3, nil),
      port("guard", "p1", "guard on", "guard off", sees: 3, nil),
      port("root block", "p1", "root_block on", "root_block off", sees: 3, nil),
      port("a backup port", "p2", "backup_port p3", "nobackup_port", sees: 3, nil),
      port("cost and priority", "p2", "cost 10 priority 5", "cost 2 priority 32", sees: 3, nil),
    ].flatMap { $0 } + [
      ContractCase(
        "isolated from each other at once",
        sudden: ["bridge link set dev p1 isolated on", "bridge link set dev p2 isolated on"],
        undo: ["bridge link set dev p1 isolated off", "bridge link set dev p2 isolated off"], good,
        sees: 0, .punted("isolated-port|changed")),
      ContractCase(
        "hairpin sends back", setup: ["bridge link set dev p1 hairpin on"],
        undo: ["bridge link set dev p1 hairpin off"], learn: [.across(.a, .c, source: stranger)],
        [.across(mac: stranger)], sees: 1, .punted("same-port")),
      ContractCase(
        "a locked port and a source it does not know",
        setup: ["bridge link set dev p1 locked on learning off"],
        undo: ["bridge link set dev p1 locked off learning on"],
        [.across(source: "02:00:00:00:0c:98")],
        sees: 0, .punted("bridge-port-flag")),
      ContractCase(
        "a port that does not learn, and a source it does not know",
        setup: ["bridge link set dev p1 learning off"],
        undo: ["bridge link set dev p1 learning on"],
        [.across(source: "02:00:00:00:0c:97"), .across(.b, .a, mac: "02:00:00:00:0c:97")], sees: 3,
        .counts(["forwarded": 1, "destination-unknown": 1])),
      ContractCase(
        "the far end of the egress cable is down", setup: ["B: ip link set eth0 down"],
        undo: ["B: ip link set eth0 up"],
        [.across(.a, .b), .across(.a, .c)], sees: 2,
        .counts(["forwarded": 1, "destination-unknown": 1])),
      ContractCase(
        "the backup port takes over",
        setup: ["bridge link set dev p2 backup_port p3"],
        sudden: ["B: ip link set eth0 down"],
        undo: [
          "bridge link set dev p2 nobackup_port", "B: ip link set eth0 up",
        ], good, .punted("port-not-forwarding|egress-down")),
      ContractCase(
        "the egress port leaves the bridge at once", sudden: ["ip link set p2 nomaster"],
        undo: ["ip link set p2 master br0"], [.across()], sees: 1, .punted("destination-unknown")),
      ContractCase(
        "the ingress port leaves the bridge at once", sudden: ["ip link set p1 nomaster"],
        undo: ["ip link set p1 master br0"], good, sees: 0,
        .punted("receive-handler|changed|other-host")),
      ContractCase(
        "the bridge goes down at once", sudden: ["ip link set br0 down"],
        undo: ["ip link set br0 up"], good, sees: 0, .punted("port-not-forwarding")),
      ContractCase(
        "spanning tree has ports listen first",
        setup: ["ip link set br0 type bridge stp_state 1"],
        undo: [
          "ip link set br0 type bridge stp_state 0", "bridge link set dev p1 state 3",
          "bridge link set dev p2 state 3", "bridge link set dev p3 state 3",
        ], good, .fast),
      ContractCase(
        "a promiscuous bridge", setup: ["ip link set br0 promisc on"],
        undo: ["ip link set br0 promisc off"], good, sees: 3,
        .punted("packet-tap")),
      ContractCase(
        "a tap on the bridge", good, taps: ["br0"], sees: 3, .fast),
      ContractCase(
        "a tap on the egress port", good, taps: ["p2"], sees: 3, .punted("packet-tap|changed"),
        tc: .fast),
    ]

  /// A flag of a port, known to fpd before and changed when it cannot know.
  private static func port(
    _ what: String, _ device: String, _ on: String, _ off: String, sees: Int, _ reason: String?
  ) -> [ContractCase] {
    let set = ["bridge link set dev \(device) \(on)"]
    let unset = ["bridge link set dev \(device) \(off)"]
    let fate = reason.map { Fate.punted("\($0)|changed") } ?? .fast
    return [
      ContractCase("\(what)", setup: set, undo: unset, good, sees: sees, fate),
      ContractCase("\(what), at once", sudden: set, undo: unset, good, sees: sees, fate),
    ]
  }
}
