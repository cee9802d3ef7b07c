// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  @Suite struct LabTestbedTests {
    @Test func hostsReachEachOtherThroughTheRouter() throws {
      let bed = try Testbed.hostRouterHost()
      #expect(try bed["left"].ping("10.0.2.2") == 63)
    }

    @Test func hostsReachEachOtherOverTheBridge() throws {
      let bed = try Testbed.bridged(hosts: 3)
      #expect(try bed["h1"].ping("10.0.0.3") == 64)
    }

    @Test func hostsReachEachOtherAlongTheChain() throws {
      let bed = try Testbed.chain(routers: 3)
      #expect(try bed["left"].ping("10.0.3.2") == 61)
      try bed["r2"].sysctl("net.ipv4.ip_forward=0")
      #expect(try bed["left"].ping("10.0.3.2", within: .milliseconds(300)) == nil)
    }

    @Test func sentFrameIsCapturedAsItWasBuilt() throws {
      let bed = try Testbed.bridged(hosts: 1)
      let (host, bridge) = (try bed["h1"], try bed["switch"])
      let ear = try Capture("p1", in: bridge)
      let mouth = try Capture("eth0", in: host)
      let packet = Packet(
        from: "02:00:00:00:00:01", to: "02:00:00:00:00:02", tags: [VLANTag(7, priority: 3)],
        .ipv4(IPv4(from: "10.0.0.1", to: "10.0.0.9", .udp(from: 1000, to: 53, [1, 2, 3]))))
      try mouth.send(packet)
      let frame = try ear.first { $0.source == "02:00:00:00:00:01" }
      #expect(frame?.bytes == packet.bytes)
      #expect(frame?.tags == [VLANTag(7, priority: 3)])
    }

    @Test func kernelAnswersTheEchoTheBuilderMade() throws {
      let bed = try Testbed.hostRouterHost()
      let (left, router) = (try bed["left"], try bed["router"])
      let line = try Capture("eth0", in: left)
      try line.send(
        Packet(
          from: try left.mac(of: "eth0"), to: try router.mac(of: "p1"),
          .ipv4(IPv4(from: "10.0.1.2", to: "10.0.2.2", .echo(identifier: 77, Array(0..<32))))))
      let reply = try line.first { $0.description.contains("ICMP echo reply") }
      #expect(reply?.ipv4?.ttl == 63)
      #expect(reply?.ipv4?.checksumIsRight == true)
    }

    @Test func kernelDropsTheHeaderWithABadChecksum() throws {
      let bed = try Testbed.hostRouterHost()
      let (left, router) = (try bed["left"], try bed["router"])
      let line = try Capture("eth0", in: left)
      func echo(_ identifier: UInt16, fault: UInt16) throws {
        try line.send(
          Packet(
            from: try left.mac(of: "eth0"), to: try router.mac(of: "p1"),
            .ipv4(
              IPv4(from: "10.0.1.2", to: "10.0.1.1", .echo(identifier: identifier)) {
                $0.checksumFault = fault
              })))
      }
      try echo(1, fault: 0x1111)
      try echo(2, fault: 0)
      let replies = try line.frames(within: .seconds(2)) { frames in
        frames.contains { !$0.outgoing && $0.description.contains("echo reply") }
      }.filter { !$0.outgoing && $0.description.contains("echo reply") }
      // The first to come back is the second that went out.
      #expect(replies.count == 1)
      #expect(replies.first?.bytes.dropFirst(38).prefix(2) == [0, 2])
    }

    @Test func tcpdumpReadsThePcapFile() throws {
      let directory = try TemporaryDirectory("pcap")
      let packets = [
        Packet(
          from: "02:00:00:00:00:01", to: .broadcast,
          .arp(.request(from: ("02:00:00:00:00:01", "10.0.0.1"), for: "10.0.0.2"))),
        Packet(
          from: "02:00:00:00:00:01", to: "02:00:00:00:00:02",
          .ipv4(IPv4(from: "10.0.0.1", to: "10.0.0.2", .tcp(.init(from: 1, to: 2, [.syn]))))),
        Packet(
          from: "02:00:00:00:00:01", to: "02:00:00:00:00:02",
          .ipv6(IPv6(from: "2001:db8::1", to: "2001:db8::2", .udp(from: 5, to: 6, [9])))),
      ]
      let path = "\(directory.path)/file.pcap"
      try PcapFile.write(packets.map { Frame($0.bytes, time: 1_000_000_007) }, to: path)
      let text = try Command.run(["tcpdump", "-vvv", "-nr", path]).check().output
      #expect(text.contains("who-has 10.0.0.2 tell 10.0.0.1"))
      #expect(text.contains("(correct)"))
      #expect(text.contains("[udp sum ok]"))
      #expect(!text.contains("incorrect") && !text.contains("bad"))
    }
  }
}
