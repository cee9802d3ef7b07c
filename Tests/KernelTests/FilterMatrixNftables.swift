// SPDX-License-Identifier: Apache-2.0
import Lab

/// The rules of nftables, in a table of the ip family and in one of the inet family.
enum MatrixNftables {
  static func groups(_ tool: MatrixTool) -> [MatrixGroup] {
    [
      MatrixGroup("interfaces", interfaces),
      MatrixGroup("addresses", addresses + protocols + families(tool)),
      MatrixGroup("ports", ports),
      MatrixGroup("headers", flags + header + senders),
      MatrixGroup("anonymous sets", sets + concatenations),
      MatrixGroup("verdict maps", maps),
      MatrixGroup("named sets", named),
      MatrixGroup("chains", chains),
      MatrixGroup("policy", dropsByPolicy: true, policy),
      MatrixGroup("hooks", hooks),
      MatrixGroup("unknown expressions", looks),
      MatrixGroup("statements", statements + copies(tool)),
      // A port of a bridge has no program where there are rules and br_netfilter.
      MatrixGroup("bridges", on: .bridgeRouter, bridges),
      MatrixGroup("connections", isKernels: true, connections),
    ]
  }

  static let interfaces: [MatrixCase] = [
    MatrixCase("iifname p1", meets: [.udp()], misses: [.udp().at(.c)]),
    MatrixCase("iifname != p1", meets: [.udp().at(.c)], misses: [.udp()]),
    MatrixCase("iifname \"p*\"", meets: [.udp(), .udp().at(.c)]),
    MatrixCase("iifname \"p1*\"", meets: [.udp()], misses: [.udp().at(.c)]),
    MatrixCase("iifname != \"p1*\"", meets: [.udp().at(.c)], misses: [.udp()]),
    MatrixCase("iifname p11", misses: [.udp(), .udp().at(.c)]),
    MatrixCase("iifname \"p11*\"", misses: [.udp()]),
    MatrixCase("iifname { p1, p2 }", meets: [.udp()], misses: [.udp().at(.c)]),
    MatrixCase("iifname != { p1, p2 }", meets: [.udp().at(.c)], misses: [.udp()]),
    MatrixCase("iifname { \"q*\", p3 }", meets: [.udp().at(.c)], misses: [.udp()]),
    MatrixCase("iif p1", meets: [.udp()], misses: [.udp().at(.c)]),
    MatrixCase("iif != p1", meets: [.udp().at(.c)], misses: [.udp()]),
    MatrixCase("iif { p1, p2 }", meets: [.udp()], misses: [.udp().at(.c)]),
    MatrixCase("oifname p2", by: .source, meets: [.udp()], misses: [.udp().toC]),
    MatrixCase("oifname != p2", by: .source, meets: [.udp().toC], misses: [.udp()]),
    MatrixCase("oifname \"p2*\"", by: .source, meets: [.udp()], misses: [.udp().toC]),
    MatrixCase("oif p3", by: .source, meets: [.udp().toC], misses: [.udp()]),
    MatrixCase("oif != p3", by: .source, meets: [.udp()], misses: [.udp().toC]),
    MatrixCase(
      "iifname . oifname { p1 . p3, p3 . p2 }", by: .source, meets: [.udp().toC, .udp().at(.c)],
      misses: [.udp()]),
    MatrixCase(
      "iif p1 oif p3", by: .source, meets: [.udp().toC], misses: [.udp(), .udp().at(.c)]),
  ]

  static let bridges: [MatrixCase] = [
    MatrixCase(
      "iifname br0", by: .source, meets: [.udp().toC, .udp().at(.b).toC, .udp()],
      misses: [.udp().at(.c).toC]),
    MatrixCase("iif br0", by: .source, meets: [.udp().toC], misses: [.udp().at(.c).toC]),
    MatrixCase("iifname p1", by: .source, misses: [.udp().toC, .udp()]),
    MatrixCase("iifname { p1, p3 }", by: .source, meets: [.udp().at(.c).toC], misses: [.udp()]),
    MatrixCase("oifname br1", by: .source, meets: [.udp().toC], misses: [.udp()]),
    MatrixCase("oif br1", by: .source, meets: [.udp().at(.c).toC], misses: [.udp()]),
    MatrixCase("oifname \"br*\"", by: .source, meets: [.udp().toC], misses: [.udp()]),
    MatrixCase("oifname p4", by: .source, misses: [.udp().toC]),
  ]

  private static func to(_ addresses: String...) -> [MatrixPacket] {
    addresses.map { .udp().to(.init($0) ?? "0.0.0.0") }
  }
  private static func from(_ addresses: String...) -> [MatrixPacket] {
    addresses.map { .udp().from(.init($0) ?? "0.0.0.0") }
  }

  static let addresses: [MatrixCase] = [
    MatrixCase(
      "ip daddr 10.9.200.7", by: .source, meets: to("10.9.200.7"),
      misses: to("10.9.200.6", "10.9.200.8")),
    MatrixCase(
      "ip daddr != 10.9.200.7", by: .source, meets: to("10.9.200.6"), misses: to("10.9.200.7")),
    MatrixCase(
      "ip daddr 10.9.200.0/24", by: .source, meets: to("10.9.200.0", "10.9.200.255"),
      misses: to("10.9.199.255", "10.9.201.0")),
    MatrixCase(
      "ip daddr 10.9.200.0/23", by: .source, meets: to("10.9.200.0", "10.9.201.255"),
      misses: to("10.9.199.255", "10.9.202.0")),
    MatrixCase(
      "ip daddr != 10.9.200.0/22", by: .source, meets: to("10.9.199.255", "10.9.204.0"),
      misses: to("10.9.200.0", "10.9.203.255")),
    MatrixCase(
      "ip daddr 10.9.200.5-10.9.201.9", by: .source, meets: to("10.9.200.5", "10.9.201.9"),
      misses: to("10.9.200.4", "10.9.201.10")),
    MatrixCase(
      "ip daddr != 10.9.200.5-10.9.201.9", by: .source, meets: to("10.9.200.4", "10.9.201.10"),
      misses: to("10.9.200.5", "10.9.201.9")),
    MatrixCase(
      "ip daddr & 255.0.0.255 == 10.0.0.5", by: .source, meets: to("10.9.1.5", "10.200.200.5"),
      misses: to("10.9.1.4", "11.9.1.5")),
    MatrixCase(
      "ip daddr & 255.0.0.255 != 10.0.0.5", by: .source, meets: to("10.9.1.4"),
      misses: to("10.9.1.5")),
    MatrixCase(
      "ip daddr & 0.0.0.1 == 0.0.0.1", by: .source, meets: to("10.9.1.1"), misses: to("10.9.1.2")),
    MatrixCase(
      "ip daddr > 10.9.200.7 ip daddr < 10.9.200.10", by: .source,
      meets: to("10.9.200.8", "10.9.200.9"), misses: to("10.9.200.7", "10.9.200.10")),
    MatrixCase(
      "ip saddr 10.77.200.7", meets: from("10.77.200.7"),
      misses: from("10.77.200.6", "10.77.200.8")),
    MatrixCase(
      "ip saddr != 10.77.200.128/25", meets: from("10.77.200.127", "10.77.201.0"),
      misses: from("10.77.200.128", "10.77.200.255")),
    MatrixCase(
      "ip saddr >= 10.77.200.7", meets: from("10.77.200.7", "200.1.1.1"),
      misses: from("10.77.200.6")),
    MatrixCase(
      "ip saddr & 255.0.255.255 == 10.0.200.7", meets: from("10.77.200.7", "10.1.200.7"),
      misses: from("10.77.201.7", "12.77.200.7")),
  ]

  static let protocols: [MatrixCase] = [
    MatrixCase("meta l4proto udp", meets: [.udp()], misses: [.tcp(), .icmp(8), .raw(47)]),
    MatrixCase("meta l4proto != udp", meets: [.tcp(), .raw(47)], misses: [.udp()]),
    MatrixCase("ip protocol tcp", meets: [.tcp()], misses: [.udp()]),
    MatrixCase("ip protocol != tcp", meets: [.udp()], misses: [.tcp()]),
    MatrixCase("ip protocol { tcp, 47 }", meets: [.tcp(), .raw(47)], misses: [.udp(), .raw(48)]),
    MatrixCase(
      "meta l4proto != { tcp, udp }", meets: [.icmp(8), .raw(47)], misses: [.tcp(), .udp()]),
    MatrixCase("meta l4proto 40-47", meets: [.raw(40), .raw(47)], misses: [.raw(39), .raw(48)]),
    MatrixCase("meta l4proto udp", meets: [.udp().fragment(3)], misses: [.raw(47).fragment(3)]),
    MatrixCase("meta protocol ip", meets: [.udp()]),
    MatrixCase("meta protocol ip6", misses: [.udp()]),
    MatrixCase("meta pkttype host", meets: [.udp()]),
    MatrixCase("meta pkttype != host", misses: [.udp()]),
    MatrixCase("meta pkttype { broadcast, multicast }", misses: [.udp()]),
  ]

  /// What only tables of the inet family are asked.
  private static func families(_ tool: MatrixTool) -> [MatrixCase] {
    if tool == .ip { return [] }
    return [
      MatrixCase("meta nfproto ipv4", meets: [.udp()]),
      MatrixCase("meta nfproto ipv6", misses: [.udp()]),
      MatrixCase("ip6 saddr ::1", misses: [.udp()]),
      MatrixCase("meta nfproto != ipv4", misses: [.udp()]),
    ]
  }

  static let ports: [MatrixCase] = [
    MatrixCase("udp dport 53", meets: [.udp(53)], misses: [.udp(52), .udp(54), .tcp(53)]),
    MatrixCase("udp dport != 53", meets: [.udp(54)], misses: [.udp(53), .tcp(54)]),
    MatrixCase(
      "tcp dport 80-90", meets: [.tcp(80), .tcp(90)], misses: [.tcp(79), .tcp(91), .udp(80)]),
    MatrixCase(
      "tcp dport != 80-90", meets: [.tcp(79), .tcp(91)], misses: [.tcp(80), .tcp(90), .udp(79)]),
    MatrixCase("tcp sport 80", meets: [.tcp(from: 80)], misses: [.tcp(80), .tcp(from: 81)]),
    MatrixCase("tcp sport < 1024", meets: [.tcp(from: 1023)], misses: [.tcp(from: 1024)]),
    MatrixCase(
      "tcp dport >= 1024", meets: [.tcp(1024), .tcp(65535)], misses: [.tcp(1023), .tcp(0)]),
    MatrixCase(
      "tcp sport 5 tcp dport 6", meets: [.tcp(6, from: 5)], misses: [.tcp(5, from: 6), .tcp(6)]),
    MatrixCase(
      "udp dport { 22, 80-90 }", meets: [.udp(22), .udp(90)], misses: [.udp(23), .udp(91)]),
    MatrixCase(
      "udp dport != { 22, 80-90 }", meets: [.udp(23), .udp(91)], misses: [.udp(22), .udp(90)]),
    MatrixCase(
      "sctp dport 80", meets: [.ports(132, 80)], misses: [.ports(132, 81), .udp(80)]),
    MatrixCase("dccp sport 80", meets: [.ports(33, from: 80)], misses: [.ports(33, from: 81)]),
    MatrixCase("udplite dport 80", meets: [.ports(136, 80)], misses: [.ports(136, 81), .udp(80)]),
    MatrixCase(
      "meta l4proto { tcp, udp } th dport 53", meets: [.tcp(53), .udp(53)],
      misses: [.tcp(54), .udp(54), .ports(132, 53)]),
    MatrixCase("meta l4proto tcp th sport 53", meets: [.tcp(from: 53)], misses: [.tcp(from: 54)]),
    .leaves("th dport 53", [.udp(53), .tcp(54), .udp(53).fragment(3)], misses: []),
    MatrixCase(
      "udp dport 53", meets: [.udp(53).first], misses: [.udp(54).first, .tcp(53).fragment(3)],
      left: [.udp(53).fragment(3)]),
    MatrixCase("bare udp dport 53", misses: [.udp(53), .udp(53).fragment(3)]),
    MatrixCase(
      "udp dport != 53", meets: [.udp(54).first], misses: [.udp(53).first],
      left: [.udp(54).fragment(3)]),
  ]

  private static let every: Transport.TCP.Flags = [.fin, .syn, .rst, .psh, .ack, .urg]

  static let flags: [MatrixCase] = [
    MatrixCase(
      "tcp flags & (fin|syn|rst|ack) == syn", meets: [.tcp(5, .syn), .tcp(5, [.syn, .psh])],
      misses: [.tcp(5, [.syn, .ack]), .tcp(5, .ack), .udp()]),
    MatrixCase("tcp flags syn", meets: [.tcp(5, .syn), .tcp(5, every)], misses: [.tcp(5, .ack)]),
    MatrixCase(
      "tcp flags == syn", meets: [.tcp(5, .syn)], misses: [.tcp(5, [.syn, .ack]), .tcp(5, [])]),
    MatrixCase(
      "tcp flags != syn", meets: [.tcp(5, [.syn, .ack]), .tcp(5, [])], misses: [.tcp(5, .syn)]),
    MatrixCase(
      "tcp flags & (syn|ack) != syn", meets: [.tcp(5, .ack)], misses: [.tcp(5, [.syn, .fin])]),
    MatrixCase(
      "tcp flags { syn, ack }", meets: [.tcp(5, .syn), .tcp(5, .ack)],
      misses: [.tcp(5, [.syn, .ack]), .tcp(5, .fin)]),
    MatrixCase(
      "icmp type echo-request", meets: [.icmp(8), .icmp(8, 9)], misses: [.icmp(0), .udp()]),
    MatrixCase("icmp type != echo-request", meets: [.icmp(0)], misses: [.icmp(8), .udp()]),
    MatrixCase(
      "icmp type { 0, 8 }", meets: [.icmp(0), .icmp(8)], misses: [.icmp(7), .icmp(9), .udp()]),
    MatrixCase(
      "icmp type 3 icmp code 4", meets: [.icmp(3, 4)], misses: [.icmp(3, 3), .icmp(4, 4)]),
    MatrixCase(
      "icmp code 4", meets: [.icmp(3, 4), .icmp(9, 4)], misses: [.icmp(4, 3), .udp()]),
    MatrixCase(
      "ip frag-off & 0x1fff != 0", meets: [.udp().fragment(3), .udp().fragment(8190)],
      misses: [.udp(), .udp().first]),
    MatrixCase(
      "ip frag-off & 0x1fff == 0", meets: [.udp(), .udp().first], misses: [.udp().fragment(3)]),
    MatrixCase("icmp type != 8", meets: [.icmp(0).first], left: [.icmp(0).fragment(3)]),
  ]

  static let header: [MatrixCase] = [
    MatrixCase(
      "ip length 100-200", meets: [.udp(size: 100), .udp(size: 200)],
      misses: [.udp(size: 99), .udp(size: 201)]),
    MatrixCase("ip length != 100", meets: [.udp(size: 101)], misses: [.udp(size: 100)]),
    MatrixCase(
      "ip length { 60, 100-200 }", meets: [.udp(size: 60), .udp(size: 200)],
      misses: [.udp(size: 61), .udp(size: 201)]),
    MatrixCase("ip ttl 64", meets: [.udp().ttl(65)], misses: [.udp().ttl(64), .udp().ttl(66)]),
    MatrixCase("ip ttl < 10", meets: [.udp().ttl(10)], misses: [.udp().ttl(11)]),
    MatrixCase("ip ttl >= 100", meets: [.udp().ttl(101)], misses: [.udp().ttl(100)]),
    MatrixCase(
      "ip ttl { 5, 9-11 }", meets: [.udp().ttl(6), .udp().ttl(12)], misses: [.udp().ttl(5)]),
    MatrixCase(
      "ip dscp 46", meets: [.udp().tos(0xb8), .udp().tos(0xbb)],
      misses: [.udp().tos(0xb7), .udp().tos(0xbc)]),
    MatrixCase("ip dscp != 46", meets: [.udp().tos(0xb4)], misses: [.udp().tos(0xb9)]),
    MatrixCase(
      "ip dscp { 10, 46 }", meets: [.udp().tos(0x28), .udp().tos(0xbb)], misses: [.udp().tos(0x2c)]),
    MatrixCase(
      "ip ecn 1", meets: [.udp().tos(1), .udp().tos(0xfd)], misses: [.udp(), .udp().tos(3)]),
    MatrixCase(
      "@nh,8,8 & 0x11 == 0x10", meets: [.udp().tos(0x10), .udp().tos(0x50)],
      misses: [.udp().tos(0x11), .udp()]),
    MatrixCase(
      "ip dscp 10-12", meets: [.udp().tos(0x28), .udp().tos(0x33)],
      misses: [.udp().tos(0x27), .udp().tos(0x34)]),
  ]

  static let senders: [MatrixCase] = [
    MatrixCase("meta mark 0", meets: [.udp()]),
    MatrixCase("meta mark != 0", misses: [.udp()]),
    MatrixCase("meta mark 1-5", misses: [.udp()]),
    MatrixCase("meta mark { 0, 7 }", meets: [.udp()]),
    MatrixCase("meta mark & 0xf0 == 0x10", misses: [.udp()]),
    MatrixCase("meta mark & 0x50 != 0x10", meets: [.udp()]),
    .leaves("udp dport 53 ether saddr 02:00:00:00:0a:01", [.udp(53)]),
    MatrixCase(
      "@ll,48,48 0x020000000a63", meets: [.udp().mac("02:00:00:00:0a:63")],
      misses: [.udp(), .udp().mac("02:00:00:00:0b:63")]),
    MatrixCase(
      "@ll,48,48 != 0x020000000a63", meets: [.udp()], misses: [.udp().mac("02:00:00:00:0a:63")]),
    MatrixCase("counter udp dport 53 drop", meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase("udp dport 53 drop comment \"words\"", meets: [.udp(53)], misses: [.udp(54)]),
    .leaves("udp dport 53 counter counter drop", [.udp(53)]),
  ]
}
