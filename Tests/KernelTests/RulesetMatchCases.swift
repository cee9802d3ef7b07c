// SPDX-License-Identifier: Apache-2.0
import Introspection

extension MatchCase {
  private static func tcp(
    source: PortRange = .all, destination: PortRange = .all, option: UInt8 = 0, mask: UInt8 = 0,
    value: UInt8 = 0, _ inverted: TCPMatch.Inverted = []
  ) -> [Match] {
    [
      .transport(6, negated: false),
      .tcp(
        TCPMatch(
          source: source, destination: destination, option: option, flagMask: mask,
          flagValue: value, inverted: inverted)),
    ]
  }

  private static func udp(
    source: PortRange = .all, destination: PortRange = .all, _ inverted: TCPMatch.Inverted = []
  ) -> [Match] {
    [
      .transport(17, negated: false),
      .udp(UDPMatch(source: source, destination: destination, inverted: inverted)),
    ]
  }

  private static let isTCP = Match.transport(6, negated: false)
  private static let isUDP = Match.transport(17, negated: false)

  private static func state(
    _ states: ConntrackMatch.States, inverted: Bool = false, alias: Bool = false
  ) -> Match {
    .conntrack(
      ConntrackMatch(
        conditions: ConntrackMatch.state | (alias ? 1 << 13 : 0),
        inverted: inverted ? ConntrackMatch.state : 0, states: states, status: 0))
  }

  private static func set(_ index: UInt16, _ sides: [Bool], negated: Bool = false) -> Match {
    .set(
      SetMatch(
        index: index, dimensions: sides, negated: negated, flags: 0))
  }

  /// The same in both families.
  static let common: [MatchCase] = [
    MatchCase("-i eth0", [.input(InterfaceMatch("eth0"))]),
    MatchCase("! -i eth0", [.input(InterfaceMatch("eth0", negated: true))]),
    MatchCase("-i eth+", [.input(InterfaceMatch("eth", wildcard: true))]),
    MatchCase("-o br-lan", [.output(InterfaceMatch("br-lan"))]),
    MatchCase("! -o veth+", [.output(InterfaceMatch("veth", wildcard: true, negated: true))]),
    MatchCase("-i abcdefghijklmno", [.input(InterfaceMatch("abcdefghijklmno"))]),
    MatchCase("-p tcp", [isTCP]),
    MatchCase("! -p udp", [.transport(17, negated: true)]),
    MatchCase("-p 47", [.transport(47, negated: false)]),
    MatchCase(
      "-p tcp -m tcp --dport 80", tcp(destination: PortRange(80, 80)),
      native: [isTCP, .destinationPort(PortRange(80, 80), negated: false)]),
    MatchCase(
      "-p tcp -m tcp --sport 1000:2000 ! --dport 22",
      tcp(source: PortRange(1000, 2000), destination: PortRange(22, 22), .destination),
      native: [
        isTCP, .sourcePort(PortRange(1000, 2000), negated: false),
        .destinationPort(PortRange(22, 22), negated: true),
      ]),
    MatchCase(
      "-p tcp -m tcp --tcp-flags SYN,ACK,FIN,RST SYN", tcp(mask: 0x17, value: 2),
      native: [isTCP, .tcpFlags(mask: 0x17, value: 2, negated: false)]),
    MatchCase("-p tcp -m tcp --tcp-option 8", tcp(option: 8)),
    MatchCase(
      "-p udp -m udp --dport 53", udp(destination: PortRange(53, 53)),
      native: [isUDP, .destinationPort(PortRange(53, 53), negated: false)]),
    MatchCase(
      "-p udp -m udp ! --sport 5:6", udp(source: PortRange(5, 6), .source),
      native: [isUDP, .sourcePort(PortRange(5, 6), negated: true)]),
    MatchCase(
      "-p sctp -m sctp --dport 5000:5001",
      [
        .transport(132, negated: false),
        .sctp(SCTPMatch(source: nil, destination: PortRange(5000, 5001), inverted: [])),
      ]),
    MatchCase(
      "-p tcp -m multiport --dports 22,80:90,443",
      [
        isTCP,
        .multiport(
          MultiportMatch(
            side: .destination, ports: [PortRange(22, 22), PortRange(80, 90), PortRange(443, 443)],
            negated: false)),
      ]),
    MatchCase(
      "-p udp -m multiport ! --ports 1,2",
      [
        isUDP,
        .multiport(
          MultiportMatch(
            side: .either, ports: [PortRange(1, 1), PortRange(2, 2)], negated: true)),
      ]),
    MatchCase(
      "-m mac --mac-source 02:00:00:00:00:01", [.sourceMAC([2, 0, 0, 0, 0, 1], negated: false)]),
    MatchCase(
      "-m mark --mark 0x1/0xff", [.mark(MaskedMatch(value: 1, mask: 0xff, negated: false))]),
    MatchCase("-m mark ! --mark 7", [.mark(MaskedMatch(value: 7, mask: .max, negated: true))]),
    MatchCase(
      "-m connmark --mark 2/3", [.connectionMark(MaskedMatch(value: 2, mask: 3, negated: false))]),
    MatchCase(
      "-m addrtype --dst-type LOCAL",
      [.addressType(AddressTypeMatch(source: 0, destination: 1 << 2, flags: []))]),
    MatchCase(
      "-m addrtype ! --src-type MULTICAST --limit-iface-in",
      [
        .addressType(
          AddressTypeMatch(
            source: 1 << 5, destination: 0, flags: [.invertSource, .limitToInput]))
      ]),
    MatchCase("-m pkttype --pkt-type multicast", [.packetType(2, negated: false)]),
    MatchCase("-m pkttype ! --pkt-type unicast", [.packetType(0, negated: true)]),
    MatchCase("-m length --length 100:200", [.length(100, 200, negated: false)]),
    MatchCase("-m length ! --length 64", [.length(64, 64, negated: true)]),
    MatchCase("-m dscp --dscp 46", [.dscp(46, negated: false)]),
    MatchCase("-m tos ! --tos 0x10/0xf0", [.tos(value: 0x10, mask: 0xf0, negated: true)]),
    MatchCase(
      "-m physdev --physdev-in tap0 ! --physdev-out veth+ --physdev-is-bridged",
      [
        .bridgePort(
          BridgePortMatch(
            input: InterfaceMatch("tap0"),
            output: InterfaceMatch("veth", wildcard: true, negated: true), conditions: 7,
            inverted: 2))
      ]),
    MatchCase("-m comment --comment said", [.comment("said")]),
    MatchCase(
      "-m conntrack --ctstate NEW --ctdir REPLY",
      [
        .conntrack(
          ConntrackMatch(
            conditions: ConntrackMatch.state | ConntrackMatch.direction,
            inverted: ConntrackMatch.direction, states: .new, status: 0))
      ]),
    MatchCase("-m set --match-set one src", [set(0, [true])]),
    MatchCase("-m set ! --match-set two dst,src", [set(1, [false, true], negated: true)]),
    MatchCase("-m conntrack --ctstate NEW,RELATED", [state([.new, .related])]),
    MatchCase("-m conntrack ! --ctstate INVALID", [state(.invalid, inverted: true)]),
    MatchCase("-m state --state ESTABLISHED", [state(.established, alias: true)]),
    MatchCase(
      "-m conntrack --ctstatus ASSURED",
      [
        .conntrack(
          ConntrackMatch(
            conditions: ConntrackMatch.status, inverted: 0, states: [], status: 4))
      ]),
    MatchCase("-j DROP", [], target: .drop),
    MatchCase("-j RETURN", [], target: .return),
    MatchCase("-j user", [], target: .jump("user")),
    MatchCase("-g user", [], target: .goto("user")),
  ]

  static let ipv4: [MatchCase] = [
    MatchCase(
      "-s 10.1.0.0/16", [.source(.ipv4(0x0a01_0000, mask: 0xffff_0000, negated: false))]),
    MatchCase(
      "! -d 192.0.2.1", [.destination(.ipv4(0xc000_0201, mask: 0xffff_ffff, negated: true))]),
    MatchCase(
      "-s 10.0.0.5/255.0.0.255", [.source(.ipv4(0x0a00_0005, mask: 0xff00_00ff, negated: false))]),
    MatchCase(
      "-d 10.0.0.0/9", [.destination(.ipv4(0x0a00_0000, mask: 0xff80_0000, negated: false))]),
    MatchCase("-f", [.fragment(negated: false)]),
    MatchCase("! -f", [.fragment(negated: true)]),
    MatchCase(
      "-p icmp -m icmp --icmp-type echo-request",
      [
        .transport(1, negated: false),
        .icmp(ICMPMatch(six: false, type: 8, lowCode: 0, highCode: 255, negated: false)),
      ]),
    MatchCase(
      "-p icmp -m icmp ! --icmp-type 3/4",
      [
        .transport(1, negated: false),
        .icmp(ICMPMatch(six: false, type: 3, lowCode: 4, highCode: 4, negated: true)),
      ]),
    MatchCase("-m ttl --ttl-lt 5", [.ttl(.less, 5)]),
    MatchCase("-m ttl --ttl-eq 64", [.ttl(.equal, 64)]),
    MatchCase(
      "-m iprange --src-range 10.0.0.1-10.0.0.9 ! --dst-range 10.1.0.1-10.1.0.2",
      [
        .addressRange(
          AddressRangeMatch(
            six: false, source: .init(low: 0x0a00_0001, high: 0x0a00_0009, negated: false),
            destination: .init(low: 0x0a01_0001, high: 0x0a01_0002, negated: true)))
      ]),
    MatchCase("-j REJECT --reject-with icmp-host-prohibited", [], target: .reject(6)),
  ]

  static let ipv6: [MatchCase] = [
    MatchCase(
      "-s 2001:db8::/32",
      [
        .source(
          .ipv6(UInt128(0x2001_0db8) << 96, mask: UInt128(UInt32.max) << 96, negated: false))
      ]),
    MatchCase(
      "! -d 2001:db8::1",
      [
        .destination(.ipv6(UInt128(0x2001_0db8) << 96 | 1, mask: .max, negated: true))
      ]),
    MatchCase(
      "-p icmpv6 -m icmp6 --icmpv6-type 128",
      [
        .transport(58, negated: false),
        .icmp(ICMPMatch(six: true, type: 128, lowCode: 0, highCode: 255, negated: false)),
      ]),
    MatchCase("-m hl --hl-gt 5", [.ttl(.greater, 5)]),
    MatchCase(
      "-m iprange --dst-range 2001:db8::1-2001:db8::9",
      [
        .addressRange(
          AddressRangeMatch(
            six: true, source: nil,
            destination: .init(
              low: UInt128(0x2001_0db8) << 96 | 1, high: UInt128(0x2001_0db8) << 96 | 9,
              negated: false)))
      ]),
    MatchCase("-j REJECT --reject-with icmp6-adm-prohibited", [], target: .reject(1)),
  ]
}
