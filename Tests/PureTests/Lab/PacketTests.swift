// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

@Suite struct PacketTests {
  private let a: MAC = "02:00:00:00:00:0a"
  private let b: MAC = "02:00:00:00:00:0b"

  private func frame(_ content: Packet.Content, tags: [VLANTag] = [], paddedTo: Int = 0) -> Frame {
    Frame(Packet(from: a, to: b, tags: tags, paddedTo: paddedTo, content).bytes)
  }

  private func describes(_ frame: Frame, _ text: String) -> Bool {
    frame.description == "02:00:00:00:00:0a > 02:00:00:00:00:0b \(text)"
  }

  /// The example header of many a textbook, whose checksum is known to be b861.
  @Test func ipv4HeaderMatchesAKnownOne() {
    var packet = IPv4(
      from: "192.168.0.1", to: "192.168.0.199", .raw(protocol: 17, Array(repeating: 0, count: 95)))
    packet.dontFragment = true
    let header: [UInt8] = [
      0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
      0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ]
    #expect(Array(packet.bytes.prefix(20)) == header)
  }

  @Test func udpIsDescribedInOneLine() {
    let packet = IPv4(from: "10.0.0.1", to: "10.0.0.2", .udp(from: 1000, to: 53, [1, 2, 3]))
    #expect(
      describes(
        frame(.ipv4(packet), tags: [VLANTag(7)]),
        "vlan 7 IPv4 10.0.0.1 > 10.0.0.2 ttl 64 UDP 1000 > 53 len 3 (49 bytes)"))
  }

  @Test(arguments: [0, 1, 2, 3, 40, 1471])
  func transportChecksumsAreRightForEveryLength(_ length: Int) {
    let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let tcp = Transport.TCP(from: 80, to: 40000, [.ack, .psh]) { $0.payload = payload }
    for transport in [Transport.udp(from: 1, to: 2, payload), .tcp(tcp)] {
      let seen = frame(.ipv4(IPv4(from: "10.0.0.1", to: "10.255.0.2", transport)))
      #expect(seen.ipv4?.checksumIsRight == true)
      #expect(seen.ipv4?.transportChecksumIsRight == true)
      #expect(seen.payload == payload)
    }
  }

  @Test func faultsAreSeen() {
    let badHeader = IPv4(from: "10.0.0.1", to: "10.0.0.2", .udp(from: 1, to: 2)) {
      $0.checksumFault = 1
    }
    #expect(frame(.ipv4(badHeader)).description.contains("[bad header checksum]"))
    let badTransport = IPv4(
      from: "10.0.0.1", to: "10.0.0.2", .udp(from: 1, to: 2, [5], checksum: .wrong))
    #expect(frame(.ipv4(badTransport)).description.contains("[bad transport checksum]"))
    let none = IPv4(from: "10.0.0.1", to: "10.0.0.2", .udp(from: 1, to: 2, [5], checksum: .none))
    #expect(frame(.ipv4(none)).ipv4?.transportChecksumIsRight == nil)
    let long = IPv4(from: "10.0.0.1", to: "10.0.0.2", .udp(from: 1, to: 2)) {
      $0.claimedLength = 1000
    }
    #expect(frame(.ipv4(long)).description.contains("[cut short]"))
  }

  @Test func paddingIsNotPayload() {
    let packet = IPv4(from: "10.0.0.1", to: "10.0.0.2", .udp(from: 1, to: 2, [9]))
    let seen = frame(.ipv4(packet), paddedTo: 60)
    #expect(seen.bytes.count == 60)
    #expect(seen.ipv4?.padding == 17)
    #expect(seen.payload == [9])
  }

  @Test func optionsAndFragmentsAreTold() {
    let packet = IPv4(from: "10.0.0.1", to: "10.0.0.2", .udp(from: 1, to: 2)) {
      $0.options = [7, 3, 4]
      $0.identification = 99
      $0.moreFragments = true
    }
    let text = frame(.ipv4(packet)).description
    #expect(text.contains("options 4") && text.contains("fragment 99@0+"))
    let later = IPv4(from: "10.0.0.1", to: "10.0.0.2", .raw(protocol: 17, [1, 2])) {
      $0.fragmentOffset = 185
    }
    let seen = frame(.ipv4(later))
    #expect(seen.description.contains("@1480") && !seen.description.contains("UDP"))
  }

  @Test func ipv6ExtensionsAreWalked() {
    let packet = IPv6(from: "2001:db8::1", to: "ff02::1", .echo()) {
      $0.extensions = [.hopByHop, .destinationOptions]
    }
    #expect(
      describes(
        frame(.ipv6(packet)),
        "IPv6 2001:db8::1 > ff02::1 hlim 64 hop-by-hop destination-options ICMPv6 echo (78 bytes)"))
  }

  @Test func arpIsDescribed() {
    #expect(
      describes(
        frame(.arp(.request(from: (a, "10.0.0.1"), for: "10.0.0.2"))),
        "ARP who has 10.0.0.2 tell 10.0.0.1 (42 bytes)"))
    #expect(
      describes(
        frame(.arp(.reply(from: (a, "10.0.0.1"), to: (b, "10.0.0.2")))),
        "ARP 10.0.0.1 is at 02:00:00:00:00:0a (42 bytes)"))
  }

  /// Whatever arrives is described, never trapped on.
  @Test func everyPrefixOfAFrameIsDescribed() {
    let tcp = Transport.TCP(from: 80, to: 40000, [.syn]) { $0.options = [2, 4, 5, 0xb4] }
    for content in [
      Packet.Content.ipv4(IPv4(from: "10.0.0.1", to: "10.0.0.2", .tcp(tcp))),
      .ipv6(IPv6(from: "::1", to: "::2", .tcp(tcp)) { $0.extensions = [.hopByHop] }),
      .arp(.request(from: (a, "10.0.0.1"), for: "10.0.0.2")),
    ] {
      let whole = frame(content, tags: [VLANTag(5), VLANTag(6)]).bytes
      for length in 0...whole.count {
        let cut = Frame(Array(whole.prefix(length)))
        #expect(!cut.description.isEmpty)
        _ = cut.payload
      }
    }
  }

  @Test func pcapFileComesBackAsItWasWritten() throws {
    let directory = try Lab.TemporaryDirectory("pcap")
    let frames = [Frame([1, 2, 3], time: 1_700_000_000_123_456_789), Frame([], time: 5)]
    let path = "\(directory.path)/x.pcap"
    try PcapFile.write(frames, to: path)
    #expect(try PcapFile.read(path) == frames)
    try directory.write("short", "nonsense, and nothing like a capture file")
    #expect(throws: LabError.self) { try PcapFile.read("\(directory.path)/short") }
  }
}
