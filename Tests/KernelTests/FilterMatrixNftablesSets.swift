// SPDX-License-Identifier: Apache-2.0
import Lab

extension MatrixNftables {
  private static func to(_ addresses: String...) -> [MatrixPacket] {
    addresses.map { .udp().to(.init($0) ?? "0.0.0.0") }
  }
  private static func from(_ address: String, _ packet: MatrixPacket = .udp()) -> MatrixPacket {
    packet.from(.init(address) ?? "0.0.0.0")
  }

  static let sets: [MatrixCase] = [
    MatrixCase(
      "ip daddr { 10.9.200.1, 10.9.200.3 }", by: .source, meets: to("10.9.200.1", "10.9.200.3"),
      misses: to("10.9.200.0", "10.9.200.2", "10.9.200.4")),
    MatrixCase(
      "ip daddr { 10.9.200.0/24, 10.9.210.5-10.9.210.9 }", by: .source,
      meets: to("10.9.200.0", "10.9.200.255", "10.9.210.5", "10.9.210.9"),
      misses: to("10.9.201.0", "10.9.199.255", "10.9.210.4", "10.9.210.10")),
    MatrixCase(
      "ip daddr != { 10.9.200.0/24, 10.9.210.5 }", by: .source,
      meets: to("10.9.201.0", "10.9.210.6"), misses: to("10.9.200.0", "10.9.210.5")),
    MatrixCase(
      "ip daddr & 255.255.255.0 { 10.9.200.0, 10.9.202.0 }", by: .source,
      meets: to("10.9.200.7", "10.9.202.255"), misses: to("10.9.201.7")),
  ]

  static let concatenations: [MatrixCase] = [
    MatrixCase(
      "forward ip saddr . ip daddr { 10.77.201.1 . 10.9.201.1, 10.77.201.2 . 10.9.201.2 } drop",
      by: .none,
      meets: [
        from("10.77.201.1").to("10.9.201.1"), from("10.77.201.2").to("10.9.201.2"),
      ],
      misses: [
        from("10.77.201.1").to("10.9.201.2"), from("10.77.201.2").to("10.9.201.1"),
        from("10.77.201.3").to("10.9.201.1"),
      ]),
    MatrixCase(
      "ip saddr . udp dport { 10.77.200.0/24 . 50-60, 10.77.201.5 . 7 }",
      meets: [
        from("10.77.200.0", .udp(50)), from("10.77.200.255", .udp(60)),
        from("10.77.201.5", .udp(7)),
      ],
      misses: [
        from("10.77.201.0", .udp(50)), from("10.77.200.0", .udp(49)),
        from("10.77.200.0", .udp(61)), from("10.77.201.5", .udp(50)),
        from("10.77.200.0", .tcp(50)),
      ]),
    MatrixCase(
      "ip protocol . th dport { tcp . 80, udp . 53 }", meets: [.tcp(80), .udp(53)],
      misses: [.tcp(53), .udp(80), .ports(132, 80)]),
    .leaves(
      "ip protocol . ip ttl != { 17 . 5 }", [.udp().ttl(6), .udp()], misses: []),
  ]

  static let maps: [MatrixCase] = [
    MatrixCase(
      ":$C-a", "in $C-a udp sport 7 drop", "in $C-a counter accept",
      "udp dport vmap { 53 : drop, 54 : jump $C-a, 55 : accept, 56 : return, 57 : continue }",
      "udp dport 50-60 counter drop",
      meets: [.udp(53), .udp(54, from: 7), .udp(57), .udp(58)],
      misses: [.udp(54), .udp(55), .udp(56), .udp(61), .tcp(53)]),
    MatrixCase(
      "ip protocol vmap { tcp : drop, udp : accept, * : drop }", meets: [.tcp(), .icmp(8)],
      misses: [.udp()]),
    MatrixCase(
      "ip saddr vmap { 10.77.200.0/24 : drop, 10.77.201.0-10.77.201.9 : drop }",
      meets: [from("10.77.200.255"), from("10.77.201.9")],
      misses: [from("10.77.201.10"), from("10.77.199.255")]),
    MatrixCase(
      "iifname vmap { p1 : drop, p3 : accept }", meets: [.udp()], misses: [.udp().at(.c)]),
    MatrixCase(
      "ip saddr . udp dport vmap { 10.77.200.1 . 53 : drop, 10.77.200.2 . 54 : drop }",
      meets: [from("10.77.200.1", .udp(53)), from("10.77.200.2", .udp(54))],
      misses: [from("10.77.200.1", .udp(54)), from("10.77.200.3", .udp(53))]),
    MatrixCase(
      "meta mark vmap { 0 : drop, 1 : accept }", meets: [.udp()]),
    MatrixCase(
      ":$C-a", "in $C-a counter drop", "ip ttl vmap { 1-9 : goto $C-a, 20 : drop }", "accept",
      meets: [.udp().ttl(2), .udp().ttl(10), .udp().ttl(21)],
      misses: [.udp().ttl(11), .udp().ttl(20)]),
    .leaves("udp dport 53 meta mark set ip ttl map { 5 : 1 }", [.udp(53)]),
  ]

  /// Until their elements are read with the rules.
  private static let readsNamedSets = true

  private static func read(
    _ rules: String..., meets: [MatrixPacket], misses: [MatrixPacket]
  ) -> MatrixCase {
    readsNamedSets
      ? MatrixCase(lines: rules, meets: meets, misses: misses)
      : MatrixCase(lines: rules, left: meets + misses)
  }

  static let named: [MatrixCase] = [
    read(
      "table set $C-s { type ipv4_addr; elements = { 10.77.200.1, 10.77.200.3 }; }",
      "ip saddr @$C-s", meets: [from("10.77.200.1"), from("10.77.200.3")],
      misses: [from("10.77.200.2")]),
    read(
      "table set $C-s { type ipv4_addr; flags interval; elements = { 10.77.200.0/24 }; }",
      "ip saddr != @$C-s", meets: [from("10.77.199.255"), from("10.77.201.0")],
      misses: [from("10.77.200.0"), from("10.77.200.255")]),
    read(
      "table set $C-s { type ipv4_addr; }", "ip saddr @$C-s", meets: [], misses: [.udp()]),
    read(
      "table set $C-s { type ipv4_addr; }", "ip saddr != @$C-s", meets: [.udp()], misses: []),
    read(
      "table set $C-s { type inet_service; flags interval; auto-merge; elements = { 50-60, 55-70 }; }",
      "udp dport @$C-s", meets: [.udp(50), .udp(70)], misses: [.udp(49), .udp(71)]),
    read(
      "table set $C-s { type ipv4_addr . inet_service; flags interval; "
        + "elements = { 10.77.200.0/24 . 50-60 }; }",
      "ip saddr . udp dport @$C-s", meets: [from("10.77.200.9", .udp(60))],
      misses: [from("10.77.200.9", .udp(61)), from("10.77.201.9", .udp(60))]),
    read(
      ":$C-a", "in $C-a drop",
      "table map $C-m { type inet_service : verdict; elements = { 53 : jump $C-a, 54 : accept }; }",
      "udp dport vmap @$C-m", meets: [.udp(53)], misses: [.udp(54), .udp(55)]),
    .leaves(
      "table set $C-s { type ipv4_addr; timeout 1h; elements = { 10.77.200.1 }; }",
      "udp dport 53 ip saddr @$C-s", [from("10.77.200.1", .udp(53)), .udp(53)]),
    .leaves(
      "table set $C-s { type ipv4_addr; flags dynamic; elements = { 10.77.200.1 }; }",
      "udp dport 53 ip saddr @$C-s", [from("10.77.200.1", .udp(53)), .udp(53)]),
    .leaves(
      "table set $C-s { type ipv4_addr; counter; elements = { 10.77.200.1 }; }",
      "udp dport 53 ip saddr @$C-s", [from("10.77.200.1", .udp(53)), .udp(53)]),
    .leaves(
      "table set $C-s { type ipv4_addr; size 100; flags dynamic; }",
      "udp dport 53 add @$C-s { ip saddr } counter drop", [.udp(53)], "rule-effect"),
  ]
}

extension MatrixCase {
  static func leaves(
    _ head: String, _ rule: String, _ left: [MatrixPacket], _ reason: String = "rule-unknown"
  ) -> MatrixCase {
    MatrixCase(head, rule, misses: [.udp(54), .tcp(53)], left: left, reason)
  }
}
