// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

@Suite struct FirewallPacketTests {
  private let own = MAC(number: 0x0a01)
  private let gateway = MAC(number: 0x0101)

  @Test(arguments: [1, 6, 17, 33, 47, 132, 136] as [UInt8])
  func packetsAreToldByTheirNumber(_ transport: UInt8) {
    var packet = FirewallPacket(number: 517)
    packet.transport = transport
    let frame = Frame(packet.frame(from: own, to: gateway))
    #expect(FirewallPacket.number(behind: frame) == 517)
    #expect(frame.ipv4?.totalLength == 60 && frame.ipv4?.checksumIsRight == true)
    #expect(frame.ipv4?.transportChecksumIsRight != false)
  }

  @Test func answersAreToldByWhatTheyAnswer() {
    let packet = FirewallPacket(number: 77)
    let sent = packet.frame(from: own, to: gateway)
    let error = IPv4(
      from: "10.0.1.1", to: "10.77.1.1", .icmp(type: 3, code: 1, Array(sent.dropFirst(14))))
    let frame = Frame(Packet(from: gateway, to: own, .ipv4(error)).bytes)
    #expect(FirewallPacket.number(behind: frame) == 77)
    let reset = IPv4(
      from: "10.9.1.1", to: "10.77.1.1",
      .tcp(.init(from: 1, to: 2, .rst) { $0.sequence = 77 << 12 }))
    #expect(
      FirewallPacket.number(behind: Frame(Packet(from: gateway, to: own, .ipv4(reset)).bytes))
        == 77)
  }
}
