// SPDX-License-Identifier: Apache-2.0
import Lab

extension MatrixCase {
  /// Whether programs ask the kernel's own memory for sets and types of addresses.
  private static let asksKernel = true

  /// A rule that needs more than the packet: until somebody looks there, what meets the rest is left.
  static func asked(
    _ rule: String, by dispatch: Dispatch = .destination, meets: [MatrixPacket] = [],
    misses: [MatrixPacket] = [], outside: [MatrixPacket] = []
  ) -> MatrixCase {
    asksKernel
      ? MatrixCase(rule, by: dispatch, meets: meets, misses: misses + outside)
      : MatrixCase(rule, by: dispatch, misses: outside, left: meets + misses)
  }
}

extension MatrixIPTables {
  static let asked: [MatrixCase] = [
    .asked("-m addrtype --src-type UNICAST", meets: [.udp()]),
    .asked("-m addrtype ! --src-type UNICAST", misses: [.udp()]),
    .asked("-m addrtype --src-type LOCAL", misses: [.udp()]),
    .asked("-m addrtype ! --src-type LOCAL,BROADCAST", meets: [.udp()]),
    .asked(
      "-p udp -m udp --dport 53 -m addrtype --src-type LOCAL", misses: [.udp(53)],
      outside: [.udp(54)]),
    .leaves("-p udp -m udp --dport 53 -m addrtype --dst-type LOCAL --limit-iface-in", [.udp(53)]),
    .leaves("-p udp -m udp --dport 53 -m physdev --physdev-in p1", [.udp(53)]),
    .leaves("-p udp -m udp --dport 53 -m physdev ! --physdev-is-bridged", [.udp(53)]),
  ]

  // MARK: Sets

  static let setCommands = [
    "ipset create hosts hash:ip", "ipset add hosts 10.77.210.5", "ipset add hosts 10.9.210.5",
    "ipset create timed hash:ip timeout 600", "ipset add timed 10.77.210.5",
    "ipset create nets hash:net", "ipset add nets 10.77.211.0/24",
    "ipset add nets 10.77.211.128/25 nomatch", "ipset add nets 10.77.211.192/26",
    "ipset create hostports hash:ip,port", "ipset add hostports 10.77.210.5,udp:53",
    "ipset add hostports 10.77.210.5,tcp:80", "ipset add hostports 10.77.210.5,icmp:8/0",
    "ipset create netports hash:net,port", "ipset add netports 10.77.211.0/24,udp:53",
    "ipset create bits bitmap:ip range 10.77.210.0-10.77.210.255", "ipset add bits 10.77.210.5",
    "ipset create doors bitmap:port range 50-1023", "ipset add doors 53", "ipset add doors 80-90",
    "ipset create list list:set", "ipset add list hosts", "ipset add list nets",
    "ipset create empty hash:ip", "ipset create counted hash:ip counters",
    "ipset add counted 10.77.210.5", "ipset create triples hash:ip,port,ip",
  ]

  private static func from(_ last: String, _ packet: MatrixPacket = .udp()) -> MatrixPacket {
    packet.from(.init("10.77.\(last)") ?? "0.0.0.0")
  }

  static let sets: [MatrixCase] = [
    .asked(
      "-m set --match-set hosts src", meets: [from("210.5")],
      misses: [from("210.4"), from("210.6")]),
    .asked(
      "-m set ! --match-set hosts src", meets: [from("210.4")], misses: [from("210.5")]),
    .asked(
      "-m set --match-set hosts dst", by: .source, meets: [.udp().to("10.9.210.5")],
      misses: [.udp().to("10.9.210.6")]),
    .asked(
      "-p udp -m udp --dport 53 -m set --match-set hosts src", meets: [from("210.5", .udp(53))],
      misses: [from("210.6", .udp(53))], outside: [from("210.5", .udp(54))]),
    .asked("-m set --match-set timed src", meets: [from("210.5")], misses: [from("210.6")]),
    .asked("-m set --match-set empty src", misses: [from("210.5")]),
    .asked(
      "-m set --match-set nets src",
      meets: [from("211.0"), from("211.127"), from("211.192"), from("211.255")],
      misses: [from("210.255"), from("211.128"), from("211.191"), from("212.0")]),
    .asked(
      "-m set --match-set hostports src,dst",
      meets: [from("210.5", .udp(53)), from("210.5", .tcp(80)), from("210.5", .icmp(8))],
      misses: [
        from("210.5", .udp(80)), from("210.5", .tcp(53)), from("210.6", .udp(53)),
        from("210.5", .icmp(0)), from("210.5", .raw(47)), from("210.5", .udp(53).fragment(3)),
      ]),
    .asked(
      "-m set --match-set hostports src,src", meets: [from("210.5", .udp(from: 53))],
      misses: [from("210.5", .udp(53))]),
    .asked(
      "-m set --match-set netports src,dst",
      meets: [from("211.0", .udp(53)), from("211.255", .udp(53))],
      misses: [from("212.0", .udp(53)), from("211.0", .udp(54)), from("211.0", .tcp(53))]),
    .asked(
      "-m set --match-set bits src", meets: [from("210.5")], misses: [from("210.4"), from("211.5")]),
    .asked(
      "-m set --match-set doors dst", meets: [.udp(53), .tcp(80), .udp(90)],
      misses: [.udp(52), .udp(79), .udp(91), .icmp(8), .udp(1024), .udp(49)]),
    .asked(
      "-m set --match-set list src", meets: [from("210.5"), from("211.0")],
      misses: [from("210.6"), from("211.128")]),
    .leaves(
      "-p udp -m udp --dport 53 -m set --match-set counted src",
      [from("210.5", .udp(53)), from("210.6", .udp(53))], "rule-effect"),
    .leaves("-p udp -m udp --dport 53 -m set --match-set triples src,dst,dst", [.udp(53)]),
    .leaves(
      "-p udp -m udp --dport 53 -m set --match-set hosts src --return-nomatch", [.udp(53)],
      "rule-effect"),
    .leaves(
      "-p udp -m udp --dport 53 -m set --match-set hosts src --packets-gt 5", [.udp(53)]),
  ]

  // MARK: What fpd does not know

  private static func to53(_ match: String) -> MatrixCase {
    .leaves("-p udp -m udp --dport 53 \(match)", [.udp(53)])
  }

  /// Only packets that meet the rest of the rule, wherever it stands.
  static let looks: [MatrixCase] = [
    to53("-m time --timestart 00:00 --timestop 23:59:59"),
    to53("-m policy --dir in --pol none"), to53("-m string --string abc --algo bm"),
    to53("-m realm --realm 5"), to53("-m cpu ! --cpu 77"), to53("-m devgroup --src-group 0"),
    .leaves("-m time --timestart 00:00 -p udp -m udp --dport 53", [.udp(53)]),
    .leaves("-m string --string abc --algo kmp -p udp -m udp --dport 53", [.udp(53)]),
    .leaves("-p udp -m cpu ! --cpu 77 -m udp --dport 53", [.udp(53)]),
    // A forwarded packet has no owner, but that is the kernel's to say.
    MatrixCase(
      "mangle: -A POSTROUTING -d $D -p udp -m udp --dport 53 -m owner ! --uid-owner 7 -j DROP",
      misses: [.udp(54)], left: [.udp(53)]),
    // What may have an effect of its own is asked wherever what stands before it holds.
    to53("-m u32 --u32 0>>22&0x3C@4=5"),
    to53("-m ecn --ecn-ip-ect 1"),
    .leaves(
      "-p udp -m u32 --u32 0>>22&0x3C@4=5 -m udp --dport 53", [.udp(53), .udp(54)],
      misses: [.tcp(53)]),
    .leaves("-p ah -m ah --ahspi 5", [.raw(51)], misses: [.udp()]),
    .leaves("-p esp -m esp --espspi 5", [.raw(50)], misses: [.udp()]),
    .leaves(
      "-p tcp -m tcpmss --mss 500:600",
      [.tcp(53, .syn, options: [2, 4, 2, 28]), .tcp(53, .syn, options: [2, 4, 5, 180])],
      misses: [.udp(53)]),
    .leaves("-p udp -j RETURN -m time --timestart 00:00", [.udp(53)], misses: [.tcp(53)]),
    // A packet that has been decided before does not come so far.
    MatrixCase(
      "-p udp -m udp --dport 53 -j DROP", "-p udp -m time --timestart 00:00 -j DROP",
      meets: [.udp(53)], misses: [.tcp(53)], left: [.udp(54)]),
    MatrixCase(
      "-p udp -m udp --dport 53 -j ACCEPT", "-p udp -m time --timestart 00:00 -j DROP",
      misses: [.udp(53), .tcp(53)], left: [.udp(54)]),
    // Whether it is met makes no difference.
    MatrixCase(":$C-a", "-m time --timestart 00:00 -g $C-a", "-A $C-a -j DROP", left: [.udp()]),
  ]

  private static func effect(
    _ match: String, _ left: [MatrixPacket], misses: [MatrixPacket]
  ) -> [MatrixCase] {
    [
      .leaves("-p udp -m udp --dport 53 \(match)", [.udp(53), .udp(53)], "rule-effect"),
      .leaves("-p udp \(match) -m udp --dport 53", left, "rule-effect", misses: misses),
    ]
  }

  /// Being asked changes them: all packets that come so far.
  static let remembering: [MatrixCase] = [
    "-m limit --limit 1/hour --limit-burst 1", "-m statistic --mode nth --every 2 --packet 0",
    "-m quota --quota 50", "-m recent --set --name seen", "-m recent --rcheck --name seen",
    "-m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 1 --hashlimit-name some",
  ].flatMap { effect($0, [.udp(53), .udp(54)], misses: [.tcp(53)]) }
}
