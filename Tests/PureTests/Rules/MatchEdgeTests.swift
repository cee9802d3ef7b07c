// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Testing

/// Each match of iptables with packets on both sides of its edge.
@Suite struct MatchEdgeTests {
  /// What a rule that drops what it is met by does with a packet.
  private func judge(
    _ matches: [Match], hook: ChainHook = .forward, sets: [IPSet] = [],
    _ change: (inout TestPacket) -> Void
  ) -> Judgement {
    let packet = TestPacket.with(change)
    return RuleTable.legacy([Rule(matches)], family: packet.family, hook: hook)
      .flat(packet.family, sets: sets).judge(packet).judgement
  }

  private let tcp = Match.transport(6, negated: false)

  @Test func aPrefixEndsAtItsLastAddress() {
    let match = Match.source(.ipv4(0x0a00_0100, mask: 0xffff_ff00, negated: false))
    #expect(judge([match]) { $0.source = 0x0a00_00ff } == .accept)
    #expect(judge([match]) { $0.source = 0x0a00_0100 } == .drop)
    #expect(judge([match]) { $0.source = 0x0a00_01ff } == .drop)
    #expect(judge([match]) { $0.source = 0x0a00_0200 } == .accept)
  }

  @Test func aMaskWithHolesIsLookedAtLate() {
    let match = Match.destination(.ipv4(0x0a00_0001, mask: 0xff00_00ff, negated: true))
    #expect(judge([match]) { $0.destination = 0x0a12_3401 } == .accept)
    #expect(judge([match]) { $0.destination = 0x0a12_3402 } == .drop)
  }

  @Test func anAddressWithBitsOutsideItsMaskIsNobodys() {
    let match = Match.source(.ipv4(0x0a00_0101, mask: 0xffff_ff00, negated: false))
    #expect(judge([match]) { $0.source = 0x0a00_0101 } == .accept)
    let not = Match.source(.ipv4(0x0a00_0101, mask: 0xffff_ff00, negated: true))
    #expect(judge([not]) { $0.source = 0x0a00_0101 } == .drop)
  }

  @Test func portsAreOnlyThoseOfWholePackets() {
    let match = Match.tcp(
      TCPMatch(
        source: .all, destination: PortRange(80, 90), option: 0, flagMask: 0, flagValue: 0,
        inverted: []))
    #expect(judge([tcp, match]) { $0.destinationPort = 79 } == .accept)
    #expect(judge([tcp, match]) { $0.destinationPort = 80 } == .drop)
    #expect(judge([tcp, match]) { $0.destinationPort = 90 } == .drop)
    #expect(judge([tcp, match]) { $0.destinationPort = 91 } == .accept)
    #expect(
      judge([tcp, match]) { ($0.destinationPort, $0.laterFragment) = (80, true) } == .accept)
    #expect(judge([tcp, match]) { ($0.destinationPort, $0.transport) = (80, 17) } == .accept)
  }

  @Test func negatedPortsToo() {
    let match = Match.udp(
      UDPMatch(source: .all, destination: PortRange(53, 53), inverted: .destination))
    let udp = Match.transport(17, negated: false)
    #expect(judge([udp, match]) { ($0.transport, $0.destinationPort) = (17, 53) } == .accept)
    #expect(judge([udp, match]) { ($0.transport, $0.destinationPort) = (17, 54) } == .drop)
    #expect(judge([udp, match]) { ($0.transport, $0.laterFragment) = (17, true) } == .accept)
  }

  @Test func flagsUnderAMask() {
    func match(_ inverted: TCPMatch.Inverted) -> Match {
      .tcp(
        TCPMatch(
          source: .all, destination: .all, option: 0, flagMask: 0x17, flagValue: 0x02,
          inverted: inverted))
    }
    #expect(judge([tcp, match([])]) { $0.tcpFlags = 0x02 } == .drop)
    #expect(judge([tcp, match([])]) { $0.tcpFlags = 0xc2 } == .drop)
    #expect(judge([tcp, match([])]) { $0.tcpFlags = 0x12 } == .accept)
    #expect(judge([tcp, match(.flags)]) { $0.tcpFlags = 0x12 } == .drop)
    #expect(judge([tcp, match(.flags)]) { $0.tcpFlags = 0x02 } == .accept)
  }

  @Test func aTCPOptionIsTheKernelsToFindForPacketsWithTheRightPorts() {
    let match = Match.tcp(
      TCPMatch(
        source: .all, destination: PortRange(80, 80), option: 2, flagMask: 0, flagValue: 0,
        inverted: []))
    #expect(judge([tcp, match]) { $0.destinationPort = 80 } == .punt(.unknown("tcp option")))
    #expect(judge([tcp, match]) { $0.destinationPort = 81 } == .accept)
  }

  @Test func eitherPortCountsOnce() {
    let match = Match.multiport(
      MultiportMatch(
        side: .either, ports: [PortRange(80, 80), PortRange(100, 200)], negated: false))
    let flat = RuleTable.legacy([Rule([tcp, match], .fallThrough)]).flat()
    let cases: [(UInt16, UInt16, Int)] = [
      (80, 9, 1), (9, 80, 1), (80, 80, 1), (150, 80, 1), (99, 201, 0), (100, 9, 1), (9, 200, 1),
    ]
    for (from, to, count) in cases {
      let packet = TestPacket.with { ($0.sourcePort, $0.destinationPort) = (from, to) }
      #expect(flat.count(packet, "BASE", 1) == count, "\(from) \(to)")
    }
  }

  @Test func controlMessagesByTypeAndCode() {
    func match(_ type: UInt8, _ low: UInt8, _ high: UInt8, _ negated: Bool = false) -> [Match] {
      [
        .transport(1, negated: false),
        .icmp(ICMPMatch(six: false, type: type, lowCode: low, highCode: high, negated: negated)),
      ]
    }
    func message(_ type: UInt8, _ code: UInt8) -> (inout TestPacket) -> Void {
      { ($0.transport, $0.type, $0.code) = (1, type, code) }
    }
    #expect(judge(match(3, 1, 4), message(3, 0)) == .accept)
    #expect(judge(match(3, 1, 4), message(3, 1)) == .drop)
    #expect(judge(match(3, 1, 4), message(3, 4)) == .drop)
    #expect(judge(match(3, 1, 4), message(3, 5)) == .accept)
    #expect(judge(match(3, 1, 4, true), message(3, 5)) == .drop)
    #expect(judge(match(255, 0, 255), message(8, 0)) == .drop)
    // Of ICMPv6, 255 is a type.
    let six: [Match] = [
      .transport(58, negated: false),
      .icmp(ICMPMatch(six: true, type: 255, lowCode: 0, highCode: 255, negated: false)),
    ]
    #expect(judge(six) { ($0.family, $0.transport, $0.type) = (.ip6, 58, 128) } == .accept)
    #expect(judge(six) { ($0.family, $0.transport, $0.type) = (.ip6, 58, 255) } == .drop)
  }

  @Test func hopsAreOneLessFromForwardOn() {
    let match = Match.ttl(.less, 64)
    #expect(judge([match], hook: .prerouting) { $0.ttl = 63 } == .drop)
    #expect(judge([match], hook: .prerouting) { $0.ttl = 64 } == .accept)
    for hook in [ChainHook.forward, .postrouting] {
      #expect(judge([match], hook: hook) { $0.ttl = 64 } == .drop)
      #expect(judge([match], hook: hook) { $0.ttl = 65 } == .accept)
    }
    #expect(judge([.ttl(.equal, 254)]) { $0.ttl = 255 } == .drop)
    #expect(judge([.ttl(.notEqual, 255)]) { $0.ttl = 255 } == .drop)
  }

  @Test func numbersOfTheHeader() {
    #expect(judge([.length(100, 200, negated: false)]) { $0.length = 99 } == .accept)
    #expect(judge([.length(100, 200, negated: false)]) { $0.length = 200 } == .drop)
    #expect(judge([.length(100, 200, negated: true)]) { $0.length = 201 } == .drop)
    #expect(judge([.dscp(46, negated: false)]) { $0.tos = 0xbb } == .drop)
    #expect(judge([.dscp(46, negated: false)]) { $0.tos = 0xbc } == .accept)
    #expect(judge([.tos(value: 2, mask: 0x0a, negated: false)]) { $0.tos = 0xf7 } == .drop)
    #expect(judge([.tos(value: 2, mask: 0x0a, negated: false)]) { $0.tos = 0xff } == .accept)
    #expect(judge([.fragment(negated: false)]) { $0.laterFragment = true } == .drop)
    #expect(judge([.fragment(negated: false)]) { $0.laterFragment = false } == .accept)
    #expect(judge([.fragment(negated: true)]) { $0.laterFragment = false } == .drop)
  }

  @Test func marksUnderMasks() {
    let low = Match.mark(MaskedMatch(value: 1, mask: 0xff, negated: false))
    #expect(judge([low]) { $0.mark = 0x101 } == .drop)
    #expect(judge([low]) { $0.mark = 0x102 } == .accept)
    let whole = Match.mark(MaskedMatch(value: 0, mask: .max, negated: true))
    #expect(judge([whole]) { $0.mark = 0 } == .accept)
    #expect(judge([whole]) { $0.mark = 1 } == .drop)
  }

  @Test func interfacesByNameAndByItsBeginning() {
    let match = Match.input(InterfaceMatch("eth", wildcard: true))
    #expect(judge([match]) { $0.input = "eth7" } == .drop)
    #expect(judge([match]) { $0.input = "et" } == .accept)
    #expect(judge([.output(InterfaceMatch("eth1"))]) { $0.output = "eth1" } == .drop)
    #expect(judge([.output(InterfaceMatch("eth1"))]) { $0.output = "eth10" } == .accept)
    #expect(
      judge([.output(InterfaceMatch("eth1", negated: true))]) { $0.output = "eth10" } == .drop)
    // Where there is none yet.
    #expect(judge([.output(InterfaceMatch("eth1"))], hook: .prerouting) { _ in }.isPunt)
  }

  @Test func rangesOfAddresses() {
    let side = AddressRangeMatch.Side(low: 0x0a00_0005, high: 0x0a00_0009, negated: false)
    let match = Match.addressRange(AddressRangeMatch(six: false, source: nil, destination: side))
    for (address, judgement) in [(4, Judgement.accept), (5, .drop), (9, .drop), (10, .accept)] {
      #expect(judge([match]) { $0.destination = 0x0a00_0000 + UInt128(address) } == judgement)
    }
  }

  @Test func typesOfAddresses() {
    func match(_ source: UInt16, _ to: UInt16, _ flags: AddressTypeMatch.Flags = []) -> [Match] {
      [.addressType(AddressTypeMatch(source: source, destination: to, flags: flags))]
    }
    // Destinations of what is forwarded are unicast.
    #expect(judge(match(0, 1 << 1)) { _ in } == .drop)
    #expect(judge(match(0, 1 << 2)) { _ in } == .accept)
    #expect(judge(match(0, 1 << 2, .invertDestination)) { _ in } == .drop)
    #expect(judge(match(1 << 3, 0)) { $0.sourceType = 3 } == .drop)
    #expect(judge(match(1 << 3, 0)) { $0.sourceType = 1 } == .accept)
    #expect(judge(match(1 << 3, 0, .invertSource)) { $0.sourceType = 1 } == .drop)
    #expect(judge(match(0, 1 << 1, .limitToInput)) { _ in }.isPunt)
    #expect(judge([.packetType(0, negated: false)]) { _ in } == .drop)
    #expect(judge([.packetType(1, negated: false)]) { _ in } == .accept)
  }

  @Test func theSourceOfTheFrame() {
    let match = Match.sourceMAC([2, 0, 0, 0, 0, 9], negated: false)
    #expect(judge([match]) { $0.sourceMAC = [2, 0, 0, 0, 0, 9] } == .drop)
    #expect(judge([match]) { $0.sourceMAC = [2, 0, 0, 0, 0, 8] } == .accept)
  }

  @Test func membersOfIPSets() {
    var set = IPSet(name: "s")
    (set.index, set.type, set.family) = (4, "hash:ip", 2)
    func match(_ index: UInt16, flags: UInt32 = 0) -> [Match] {
      [.set(SetMatch(index: index, dimensions: [true], negated: false, flags: flags))]
    }
    #expect(judge(match(4), sets: [set]) { $0.ipsets = [4] } == .drop)
    #expect(judge(match(4), sets: [set]) { $0.ipsets = [] } == .accept)
    #expect(judge(match(5), sets: [set]) { $0.ipsets = [5] }.isPunt)
    #expect(judge(match(4, flags: 8), sets: [set]) { $0.ipsets = [] }.isPunt)
    var counting = set
    counting.features = .counters
    #expect(judge(match(4), sets: [counting]) { $0.ipsets = [] } == .punt(.effect("set s")))
    var odd = set
    odd.type = "hash:mac"
    #expect(judge(match(4), sets: [odd]) { $0.ipsets = [] } == .punt(.unknown("set s")))
  }
}
