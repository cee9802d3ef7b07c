// SPDX-License-Identifier: Apache-2.0
import Lab

/// The rules of iptables-legacy and iptables-nft.
enum MatrixIPTables {
  static func groups(_ tool: MatrixTool) -> [MatrixGroup] {
    [
      MatrixGroup("interfaces", interfaces),
      MatrixGroup("addresses", addresses + ranges + protocols),
      MatrixGroup("ports", ports + multiport),
      MatrixGroup(
        "headers", flags + icmp + fragments + laterFragments(punted: tool == .nft) + header),
      MatrixGroup("senders", senders + asked),
      MatrixGroup("sets", setup: setCommands, undo: ["ipset flush list", "ipset destroy"], sets),
      MatrixGroup("chains", chains),
      MatrixGroup("policy", dropsByPolicy: true, policy),
      MatrixGroup("unknown matches", looks),
      MatrixGroup("matches that remember", remembering),
      MatrixGroup(
        "targets", setup: ["ipset create added hash:ip"], undo: ["ipset destroy"], targets),
      MatrixGroup("tables", tables),
      MatrixGroup("policies of tables", heads: ["mangle: :FORWARD DROP"], tablePolicies),
      // A port of a bridge has no program where there are rules and br_netfilter.
      MatrixGroup("bridges", on: .bridgeRouter, bridges),
      MatrixGroup("connections", isKernels: true, connections),
    ]
  }

  static let interfaces: [MatrixCase] = [
    MatrixCase("-i p1", meets: [.udp()], misses: [.udp().at(.c)]),
    MatrixCase("! -i p1", meets: [.udp().at(.c)], misses: [.udp()]),
    MatrixCase("-i p+", meets: [.udp(), .udp().at(.c)]),
    MatrixCase("! -i p+", misses: [.udp(), .udp().at(.c)]),
    MatrixCase("-i p1+", meets: [.udp()], misses: [.udp().at(.c)]),
    MatrixCase("! -i p1+", meets: [.udp().at(.c)], misses: [.udp()]),
    MatrixCase("-i p11", misses: [.udp(), .udp().at(.c)]),
    MatrixCase("-i p11+", misses: [.udp(), .udp().at(.c)]),
    MatrixCase("-i q+", misses: [.udp(), .udp().at(.c)]),
    MatrixCase("-i +", meets: [.udp(), .udp().at(.c)]),
    MatrixCase("-i p1234567890123", misses: [.udp()]),
    MatrixCase("-o p2", by: .source, meets: [.udp()], misses: [.udp().toC]),
    MatrixCase("! -o p2", by: .source, meets: [.udp().toC], misses: [.udp()]),
    MatrixCase("-o p2+", by: .source, meets: [.udp()], misses: [.udp().toC]),
    MatrixCase("! -o p3+", by: .source, meets: [.udp()], misses: [.udp().toC]),
    MatrixCase("-o p+", by: .source, meets: [.udp(), .udp().toC]),
    MatrixCase("-o p22", by: .source, misses: [.udp(), .udp().toC]),
    MatrixCase("-i p1 -o p3", by: .source, meets: [.udp().toC], misses: [.udp(), .udp().at(.c)]),
    MatrixCase("-i p1 ! -o p3", by: .source, meets: [.udp()], misses: [.udp().toC, .udp().at(.c)]),
    MatrixCase(
      "! -i p1 ! -o p3", by: .source, meets: [.udp().at(.c)], misses: [.udp().toC, .udp()]),
  ]

  /// Packets from A and B come in by the bridge, those to D leave by another one.
  static let bridges: [MatrixCase] = [
    MatrixCase(
      "-i br0", by: .source, meets: [.udp().toC, .udp().at(.b).toC, .udp()],
      misses: [.udp().at(.c).toC]),
    MatrixCase("! -i br0", by: .source, meets: [.udp().at(.c).toC], misses: [.udp().toC]),
    MatrixCase("-i p1", by: .source, misses: [.udp().toC, .udp()]),
    MatrixCase("-i p+", by: .source, meets: [.udp().at(.c).toC], misses: [.udp().toC, .udp()]),
    MatrixCase("-o br1", by: .source, meets: [.udp().toC], misses: [.udp()]),
    MatrixCase("-o br+", by: .source, meets: [.udp().toC], misses: [.udp()]),
    MatrixCase("-o p4", by: .source, misses: [.udp().toC]),
    MatrixCase(
      "-i br0 -o br1", by: .source, meets: [.udp().toC], misses: [.udp(), .udp().at(.c).toC]),
    MatrixCase(
      "-m mac --mac-source 02:00:00:00:0a:02", meets: [.udp().at(.b)], misses: [.udp()]),
    .leaves("-p udp -m udp --dport 53 -m physdev --physdev-in p1", [.udp(53)]),
  ]

  private static func to(_ addresses: String...) -> [MatrixPacket] {
    addresses.map { .udp().to(.init($0) ?? "0.0.0.0") }
  }
  private static func from(_ addresses: String...) -> [MatrixPacket] {
    addresses.map { .udp().from(.init($0) ?? "0.0.0.0") }
  }

  static let addresses: [MatrixCase] = [
    MatrixCase(
      "-d 10.9.200.7", by: .source, meets: to("10.9.200.7"),
      misses: to("10.9.200.6", "10.9.200.8", "10.9.201.7")),
    MatrixCase(
      "! -d 10.9.200.7", by: .source, meets: to("10.9.200.6", "10.9.200.8"),
      misses: to("10.9.200.7")),
    MatrixCase(
      "-d 10.9.200.0/24", by: .source, meets: to("10.9.200.0", "10.9.200.255"),
      misses: to("10.9.199.255", "10.9.201.0")),
    MatrixCase(
      "! -d 10.9.200.0/23", by: .source, meets: to("10.9.199.255", "10.9.202.0"),
      misses: to("10.9.200.0", "10.9.201.255")),
    MatrixCase(
      "-d 10.9.200.4/31", by: .source, meets: to("10.9.200.4", "10.9.200.5"),
      misses: to("10.9.200.3", "10.9.200.6")),
    MatrixCase(
      "-d 10.0.0.0/8", by: .source, meets: to("10.9.1.1", "10.255.255.255"),
      misses: to("9.255.255.255", "11.0.0.0")),
    MatrixCase(
      "-d 128.0.0.0/1", by: .source, meets: to("128.0.0.1", "223.255.255.254"),
      misses: to("126.255.255.255", "1.0.0.0")),
    MatrixCase("-d 0.0.0.0/0", by: .source, meets: to("10.9.1.1", "200.1.1.1")),
    MatrixCase("-d 240.0.0.0/4", by: .source, misses: to("10.9.1.1", "200.1.1.1")),
    MatrixCase(
      "-d 10.0.0.5/255.0.0.255", by: .source, meets: to("10.9.1.5", "10.200.200.5"),
      misses: to("10.9.1.4", "10.9.1.6", "11.9.1.5")),
    MatrixCase(
      "! -d 10.0.0.5/255.0.0.255", by: .source, meets: to("10.9.1.4", "11.9.1.5"),
      misses: to("10.9.1.5")),
    MatrixCase(
      "-d 0.0.0.1/0.0.0.1", by: .source, meets: to("10.9.1.1", "10.9.1.3", "77.1.2.255"),
      misses: to("10.9.1.2", "77.1.2.254")),
    MatrixCase(
      "-d 10.9.5.0/255.255.253.0", by: .source, meets: to("10.9.5.1", "10.9.7.1"),
      misses: to("10.9.4.1", "10.9.6.1", "10.9.8.1")),
    MatrixCase(
      "-s 10.77.200.7", meets: from("10.77.200.7"), misses: from("10.77.200.6", "10.77.200.8")),
    MatrixCase(
      "! -s 10.77.200.7", meets: from("10.77.200.6"), misses: from("10.77.200.7")),
    MatrixCase(
      "-s 10.77.200.128/25", meets: from("10.77.200.128", "10.77.200.255"),
      misses: from("10.77.200.127", "10.77.201.0")),
    MatrixCase(
      "! -s 10.77.200.128/25", meets: from("10.77.200.127", "10.77.201.0"),
      misses: from("10.77.200.128", "10.77.200.255")),
    MatrixCase(
      "-s 10.0.200.7/255.0.255.255", meets: from("10.77.200.7", "10.1.200.7"),
      misses: from("10.77.200.6", "10.77.201.7", "12.77.200.7")),
    MatrixCase(
      "! -s 10.0.200.7/255.0.255.255", meets: from("10.77.200.6"), misses: from("10.1.200.7")),
    MatrixCase(
      "-s 10.77.200.1,10.77.200.3", meets: from("10.77.200.1", "10.77.200.3"),
      misses: from("10.77.200.2")),
    MatrixCase(
      "-A FORWARD -s 10.77.222.0/24 ! -d 10.9.222.0/24 -j DROP", by: .none,
      meets: [.udp().from("10.77.222.9").to("10.9.221.1")],
      misses: [
        .udp().from("10.77.222.9").to("10.9.222.1"), .udp().from("10.77.221.9").to("10.9.221.1"),
      ]),
  ]

  static let ranges: [MatrixCase] = [
    MatrixCase(
      "-m iprange --src-range 10.77.200.5-10.77.201.9",
      meets: from("10.77.200.5", "10.77.201.0", "10.77.201.9"),
      misses: from("10.77.200.4", "10.77.201.10")),
    MatrixCase(
      "-m iprange ! --src-range 10.77.200.5-10.77.201.9",
      meets: from("10.77.200.4", "10.77.201.10"), misses: from("10.77.200.5", "10.77.201.9")),
    MatrixCase(
      "-m iprange --dst-range 10.9.200.255-10.9.201.0", by: .source,
      meets: to("10.9.200.255", "10.9.201.0"), misses: to("10.9.200.254", "10.9.201.1")),
    MatrixCase(
      "-m iprange ! --dst-range 10.9.200.7-10.9.200.7", by: .source,
      meets: to("10.9.200.6", "10.9.200.8"), misses: to("10.9.200.7")),
    MatrixCase(
      "-A FORWARD -m iprange --src-range 10.77.223.5-10.77.223.6 "
        + "! --dst-range 10.9.223.5-10.9.223.6 -j DROP", by: .none,
      meets: [.udp().from("10.77.223.5").to("10.9.223.4")],
      misses: [
        .udp().from("10.77.223.5").to("10.9.223.5"), .udp().from("10.77.223.4").to("10.9.223.4"),
      ]),
  ]

  static let protocols: [MatrixCase] = [
    MatrixCase("-p udp", meets: [.udp()], misses: [.tcp(), .icmp(8), .ports(136), .raw(47)]),
    MatrixCase("! -p udp", meets: [.tcp(), .icmp(8), .raw(47)], misses: [.udp()]),
    MatrixCase("-p tcp", meets: [.tcp()], misses: [.udp()]),
    MatrixCase("-p 47", meets: [.raw(47)], misses: [.raw(46), .raw(48), .udp()]),
    MatrixCase("! -p 47", meets: [.raw(46), .raw(48), .udp()], misses: [.raw(47)]),
    MatrixCase("-p 255", meets: [.raw(255)], misses: [.raw(254)]),
    MatrixCase("-p all", meets: [.udp(), .raw(200)]),
    MatrixCase("-p icmp", meets: [.icmp(8), .icmp(0)], misses: [.udp(), .raw(58)]),
  ]
}
