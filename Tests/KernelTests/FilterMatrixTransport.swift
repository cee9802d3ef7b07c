// SPDX-License-Identifier: Apache-2.0
import Lab

extension MatrixIPTables {
  /// On both sides of the edges of 80 to 90.
  private static func edges(
    _ packet: (UInt16) -> MatrixPacket
  ) -> (inside: [MatrixPacket], outside: [MatrixPacket]) {
    ([80, 85, 90].map(packet), [79, 91].map(packet))
  }
  private static let tcpTo = edges { .tcp($0) }
  private static let tcpFrom = edges { .tcp(from: $0) }
  private static let udpTo = edges { .udp($0) }
  private static let udpFrom = edges { .udp(from: $0) }
  private static let sctpTo = edges { .ports(132, $0) }

  static let ports: [MatrixCase] = [
    MatrixCase(
      "-p tcp -m tcp --dport 80", meets: [.tcp(80)],
      misses: [.tcp(79), .tcp(81), .udp(80), .tcp(from: 80)]),
    MatrixCase("-p tcp -m tcp ! --dport 80", meets: [.tcp(79)], misses: [.tcp(80), .udp(79)]),
    MatrixCase("-p tcp -m tcp --dport 80:90", meets: tcpTo.inside, misses: tcpTo.outside),
    MatrixCase("-p tcp -m tcp ! --dport 80:90", meets: tcpTo.outside, misses: tcpTo.inside),
    MatrixCase("-p tcp -m tcp --sport 80:90", meets: tcpFrom.inside, misses: tcpFrom.outside),
    MatrixCase("-p tcp -m tcp ! --sport 80:90", meets: tcpFrom.outside, misses: tcpFrom.inside),
    MatrixCase("-p tcp -m tcp --dport :1023", meets: [.tcp(0), .tcp(1023)], misses: [.tcp(1024)]),
    MatrixCase(
      "-p tcp -m tcp --dport 1024:", meets: [.tcp(1024), .tcp(65535)], misses: [.tcp(1023)]),
    MatrixCase("-p tcp -m tcp --dport 0", meets: [.tcp(0)], misses: [.tcp(1), .tcp(65535)]),
    MatrixCase("-p tcp -m tcp --dport 65535", meets: [.tcp(65535)], misses: [.tcp(65534)]),
    MatrixCase("-p tcp -m tcp --dport 256", meets: [.tcp(256)], misses: [.tcp(1), .tcp(255)]),
    MatrixCase(
      "-p tcp -m tcp --sport 5 --dport 6", meets: [.tcp(6, from: 5)],
      misses: [.tcp(5, from: 6), .tcp(6, from: 6), .tcp(5, from: 5)]),
    MatrixCase(
      "-p udp -m udp --dport 53", meets: [.udp(53)], misses: [.udp(52), .udp(54), .tcp(53)]),
    MatrixCase("-p udp -m udp --dport 80:90", meets: udpTo.inside, misses: udpTo.outside),
    MatrixCase("-p udp -m udp --sport 80:90", meets: udpFrom.inside, misses: udpFrom.outside),
    MatrixCase(
      "-p udp -m udp ! --sport 80:90 --dport 53", meets: [.udp(53, from: 79)],
      misses: [.udp(53, from: 80), .udp(54, from: 79)]),
    MatrixCase("-p sctp -m sctp --dport 80:90", meets: sctpTo.inside, misses: sctpTo.outside),
    MatrixCase(
      "-p sctp -m sctp ! --dport 80:90", meets: sctpTo.outside,
      misses: sctpTo.inside + [.udp(79)]),
    MatrixCase(
      "-p sctp -m sctp --sport 7", meets: [.ports(132, from: 7)], misses: [.ports(132, from: 8)]),
    .leaves(
      "-p sctp -m sctp --chunk-types any DATA", [.ports(132)], misses: [.udp()]),
    .leaves("-p dccp -m dccp --dport 80", [.ports(33, 80)], misses: [.udp(80)]),
  ]

  static let multiport: [MatrixCase] = [
    MatrixCase(
      "-p tcp -m multiport --dports 22,80:90,443",
      meets: [.tcp(22), .tcp(80), .tcp(90), .tcp(443)],
      misses: [.tcp(21), .tcp(23), .tcp(79), .tcp(91), .tcp(442), .tcp(from: 22), .udp(22)]),
    MatrixCase(
      "-p tcp -m multiport ! --dports 22,80:90", meets: [.tcp(21), .tcp(91)],
      misses: [.tcp(22), .tcp(80), .tcp(90), .udp(21)]),
    MatrixCase(
      "-p udp -m multiport --sports 22,80:90", meets: [.udp(from: 22), .udp(from: 90)],
      misses: [.udp(from: 23), .udp(22)]),
    MatrixCase(
      "-p udp -m multiport ! --sports 22", meets: [.udp(from: 23)], misses: [.udp(from: 22)]),
    MatrixCase(
      "-p tcp -m multiport --ports 22,80",
      meets: [.tcp(22), .tcp(from: 22), .tcp(80, from: 22), .tcp(80)],
      misses: [.tcp(23, from: 21)]),
    MatrixCase(
      "-p tcp -m multiport ! --ports 22,80", meets: [.tcp(23, from: 21)],
      misses: [.tcp(22), .tcp(from: 80), .tcp(22, from: 80)]),
    MatrixCase(
      "-p sctp -m multiport --dports 22", meets: [.ports(132, 22)], misses: [.ports(132, 23)]),
    MatrixCase(
      "-p dccp -m multiport --dports 22", meets: [.ports(33, 22)], misses: [.ports(33, 23)]),
    MatrixCase(
      "-p udplite -m multiport --dports 22", meets: [.ports(136, 22)],
      misses: [.ports(136, 23), .udp(22)]),
    MatrixCase(
      "-p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
      meets: [.tcp(1), .tcp(15)], misses: [.tcp(0), .tcp(16)]),
    MatrixCase(
      "-p tcp -m multiport --dports 22:80 -m tcp --sport 5", meets: [.tcp(22, from: 5)],
      misses: [.tcp(22, from: 6), .tcp(21, from: 5)]),
  ]

  private static let every: Transport.TCP.Flags = [.fin, .syn, .rst, .psh, .ack, .urg]

  static let flags: [MatrixCase] = [
    MatrixCase(
      "-p tcp -m tcp --tcp-flags SYN,ACK,FIN,RST SYN",
      meets: [.tcp(2000, .syn), .tcp(2000, [.syn, .psh])],
      misses: [
        .tcp(2000, [.syn, .ack]), .tcp(2000, [.syn, .fin]), .tcp(2000, .ack), .tcp(2000, []),
        .udp(),
      ]),
    MatrixCase(
      "-p tcp -m tcp ! --syn", meets: [.tcp(2000, [.syn, .ack]), .tcp(2000, .ack)],
      misses: [.tcp(2000, .syn)]),
    MatrixCase(
      "-p tcp -m tcp --tcp-flags ALL NONE", meets: [.tcp(2000, [])],
      misses: [.tcp(2000, .ack), .tcp(2000, .urg)]),
    MatrixCase(
      "-p tcp -m tcp --tcp-flags ALL ALL", meets: [.tcp(2000, every)],
      misses: [.tcp(2000, every.subtracting(.urg)), .tcp(2000, every.subtracting(.fin))]),
    MatrixCase(
      "-p tcp -m tcp --tcp-flags SYN,RST SYN,RST", meets: [.tcp(2000, [.syn, .rst])],
      misses: [.tcp(2000, .syn), .tcp(2000, .rst)]),
    MatrixCase(
      "-p tcp -m tcp ! --tcp-flags RST RST --dport 80", meets: [.tcp(80)],
      misses: [.tcp(80, .rst), .tcp(81)]),
    .leaves(
      "-p tcp -m tcp --tcp-option 8",
      [.tcp(), .tcp(options: [8, 10, 0, 0, 0, 1, 0, 0, 0, 2])], misses: [.udp()]),
    .leaves(
      "-p tcp -m tcp --dport 80 --tcp-option 8", [.tcp(80)], misses: [.udp(80), .tcp(81)]),
  ]

  static let icmp: [MatrixCase] = [
    MatrixCase(
      "-p icmp -m icmp --icmp-type echo-request", meets: [.icmp(8), .icmp(8, 1), .icmp(8, 255)],
      misses: [.icmp(7), .icmp(9), .icmp(0), .udp()]),
    MatrixCase(
      "-p icmp -m icmp --icmp-type 3/4", meets: [.icmp(3, 4)],
      misses: [.icmp(3, 3), .icmp(3, 5), .icmp(4, 4)]),
    MatrixCase(
      "-p icmp -m icmp ! --icmp-type 3/4", meets: [.icmp(3, 3), .icmp(4, 4)],
      misses: [.icmp(3, 4), .udp()]),
    MatrixCase(
      "-p icmp -m icmp --icmp-type 3", meets: [.icmp(3), .icmp(3, 15)], misses: [.icmp(2, 255)]),
    MatrixCase(
      "-p icmp -m icmp --icmp-type any", meets: [.icmp(8), .icmp(255, 255)], misses: [.udp()]),
    MatrixCase("-p icmp -m icmp --icmp-type 0", meets: [.icmp(0)], misses: [.icmp(1), .icmp(8)]),
    MatrixCase(
      "-p icmp -m icmp ! --icmp-type 8", meets: [.icmp(0)], misses: [.icmp(8), .icmp(8, 1)]),
  ]

  static let fragments: [MatrixCase] = [
    MatrixCase(
      "-f", meets: [.udp().fragment(3), .udp().fragment(1, more: true), .udp().fragment(8190)],
      misses: [.udp(), .udp().first]),
    MatrixCase("! -f", meets: [.udp(), .udp().first], misses: [.udp().fragment(3)]),
    MatrixCase(
      "-f -p udp", meets: [.udp().fragment(3)], misses: [.raw(47).fragment(3), .udp().first]),
    MatrixCase(
      "-p udp -m multiport ! --dports 53", meets: [.udp(54).first],
      misses: [.udp(54).fragment(3)]),
    MatrixCase(
      "-p icmp -m icmp ! --icmp-type 8", meets: [.icmp(0).first], misses: [.icmp(0).fragment(3)]),
    MatrixCase("-p udp", meets: [.udp().fragment(3)], misses: [.raw(47).fragment(3)]),
    // What is cut short in the transport header is dropped by iptables' matches.
    MatrixCase(
      "-p tcp -m tcp --dport 80", meets: [to80(6, 20)], misses: [.raw(47, [0, 1])],
      left: [to80(6, 19), to80(6, 14), to80(6, 2), to80(6, 0)], "malformed"),
    MatrixCase(
      "-p udp -m udp --dport 80", meets: [to80(17, 8)], left: [to80(17, 7), to80(17, 0)],
      "malformed"),
    MatrixCase(
      "-p sctp -m sctp --dport 80", meets: [to80(132, 12)], left: [to80(132, 11)], "malformed"),
    MatrixCase(
      "-p icmp -m icmp --icmp-type 3", meets: [to80(1, 8)], left: [to80(1, 7)], "malformed"),
  ]

  /// The first bytes of a header that says port 80, or type 3.
  private static func to80(_ number: UInt8, _ count: Int) -> MatrixPacket {
    .raw(number, Array(([3, 232, 0, 80] + [UInt8](repeating: 0, count: 20)).prefix(count)))
  }

  /// nftables, and with it iptables-nft, looks for ports in them.
  static func laterFragments(punted: Bool) -> [MatrixCase] {
    func row(
      _ rule: String, meets: [MatrixPacket], misses: [MatrixPacket], fragment: MatrixPacket,
      left: [MatrixPacket] = []
    ) -> [MatrixCase] {
      let later = MatrixCase(
        rule, misses: punted ? [] : [fragment], left: punted ? [fragment] : [])
      return [MatrixCase(rule, meets: meets, misses: misses, left: left, "malformed"), later]
    }
    return row(
      "-p udp -m udp --dport 53", meets: [.udp(53).first, .udp(53)], misses: [.udp(54).first],
      fragment: .udp(53).fragment(3))
      + row(
        "-p udp -m udp ! --dport 53", meets: [.udp(54).first], misses: [.udp(53).first],
        fragment: .udp(54).fragment(3))
      + row(
        "-p tcp -m tcp --dport 80", meets: [.tcp(80).first], misses: [.tcp(81).first],
        fragment: .tcp(80).fragment(2), left: [.tcp(80).fragment(1)])
      + [MatrixCase("-p udp -m udp --dport 53", misses: [.tcp(53).fragment(3), .raw(47)])]
  }

  static let header: [MatrixCase] = [
    MatrixCase(
      "-m length --length 100", meets: [.udp(size: 100)],
      misses: [.udp(size: 99), .udp(size: 101)]),
    MatrixCase(
      "-m length --length 100:200", meets: [.udp(size: 100), .udp(size: 200)],
      misses: [.udp(size: 99), .udp(size: 201)]),
    MatrixCase(
      "-m length ! --length 100:200", meets: [.udp(size: 99), .udp(size: 201)],
      misses: [.udp(size: 100), .udp(size: 200)]),
    MatrixCase(
      "-m length --length :100", meets: [.udp(size: 28), .udp(size: 100)],
      misses: [.udp(size: 101)]),
    MatrixCase(
      "-m length --length 1500:", meets: [.udp(size: 1500)], misses: [.udp(size: 1499)]),
    // Behind the decrement.
    MatrixCase(
      "-m ttl --ttl-eq 64", meets: [.udp().ttl(65)], misses: [.udp().ttl(64), .udp().ttl(66)]),
    MatrixCase(
      "-m ttl ! --ttl-eq 64", meets: [.udp().ttl(64), .udp().ttl(66)], misses: [.udp().ttl(65)]),
    MatrixCase(
      "-m ttl --ttl-lt 10", meets: [.udp().ttl(10), .udp().ttl(2)],
      misses: [.udp().ttl(11), .udp().ttl(255)]),
    MatrixCase(
      "-m ttl --ttl-gt 100", meets: [.udp().ttl(102), .udp().ttl(255)], misses: [.udp().ttl(101)]),
    MatrixCase("-m ttl --ttl-eq 1", meets: [.udp().ttl(2)], misses: [.udp().ttl(3)]),
    MatrixCase("-m ttl --ttl-gt 253", meets: [.udp().ttl(255)], misses: [.udp().ttl(254)]),
    MatrixCase("-m ttl --ttl-lt 5", left: [.udp().ttl(1)], "ttl-expired"),
    MatrixCase(
      "-m dscp --dscp 46", meets: [.udp().tos(0xb8), .udp().tos(0xbb)],
      misses: [.udp().tos(0xb7), .udp().tos(0xbc)]),
    MatrixCase(
      "-m dscp ! --dscp 46", meets: [.udp().tos(0xb4), .udp().tos(0)], misses: [.udp().tos(0xb9)]),
    MatrixCase(
      "-m dscp --dscp-class AF41", meets: [.udp().tos(0x88)], misses: [.udp().tos(0x90)]),
    MatrixCase("-m dscp --dscp 0", meets: [.udp(), .udp().tos(3)], misses: [.udp().tos(4)]),
    MatrixCase(
      "-m tos --tos 0x10/0xff", meets: [.udp().tos(0x10)], misses: [.udp().tos(0x11), .udp()]),
    MatrixCase(
      "-m tos --tos 0x10/0xf0", meets: [.udp().tos(0x10), .udp().tos(0x1f)],
      misses: [.udp().tos(0x0f), .udp().tos(0x20)]),
    MatrixCase(
      "-m tos ! --tos 0x10/0x50", meets: [.udp().tos(0x40), .udp().tos(0x50)],
      misses: [.udp().tos(0x10), .udp().tos(0xaf | 0x10)]),
  ]

  static let senders: [MatrixCase] = [
    MatrixCase(
      "-m mac --mac-source 02:00:00:00:0a:63", meets: [.udp().mac("02:00:00:00:0a:63")],
      misses: [
        .udp(), .udp().mac("02:00:00:00:0a:62"), .udp().mac("06:00:00:00:0a:63"),
        .udp().mac("02:01:00:00:0a:63"),
      ]),
    MatrixCase(
      "-m mac ! --mac-source 02:00:00:00:0a:63", meets: [.udp(), .udp().mac("02:00:00:00:0b:63")],
      misses: [.udp().mac("02:00:00:00:0a:63")]),
    MatrixCase(
      "-p udp -m udp --dport 53 -m mac --mac-source 02:00:00:00:0a:63",
      meets: [.udp(53).mac("02:00:00:00:0a:63")],
      misses: [.udp(54).mac("02:00:00:00:0a:63"), .udp(53)]),
    MatrixCase("-m mark --mark 0", meets: [.udp()]),
    MatrixCase("-m mark ! --mark 0", misses: [.udp()]),
    MatrixCase("-m mark --mark 1", misses: [.udp()]),
    MatrixCase("-m mark ! --mark 1", meets: [.udp()]),
    MatrixCase("-m mark --mark 0/0xf0", meets: [.udp()]),
    MatrixCase("-m mark --mark 0x10/0xf0", misses: [.udp()]),
    MatrixCase("-m mark ! --mark 0x10/0x50", meets: [.udp()]),
    MatrixCase("-m pkttype --pkt-type unicast", meets: [.udp()]),
    MatrixCase("-m pkttype ! --pkt-type unicast", misses: [.udp()]),
    MatrixCase("-m pkttype --pkt-type multicast", misses: [.udp()]),
    MatrixCase("-m pkttype ! --pkt-type broadcast", meets: [.udp()]),
    MatrixCase("-m comment --comment words", meets: [.udp()]),
    MatrixCase(
      "-m comment --comment words -p udp -m udp --dport 53", meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase("-m addrtype --dst-type UNICAST", meets: [.udp()]),
    MatrixCase("-m addrtype ! --dst-type UNICAST", misses: [.udp()]),
    MatrixCase("-m addrtype --dst-type LOCAL", misses: [.udp()]),
    MatrixCase("-m addrtype ! --dst-type LOCAL", meets: [.udp()]),
    MatrixCase("-m addrtype --dst-type BROADCAST,MULTICAST", misses: [.udp()]),
  ]
}
