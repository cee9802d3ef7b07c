// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Pods whose packets are routed into a VXLAN device: the fast path hands them to the device, and the
  /// kernel encapsulates.
  @Suite(.needsFpd) struct OverlayTests {
    /// pod1 10.244.1.2 – p1 `node1` – `node2` p2 – pod2 10.244.2.2.
    private static func overlay() throws -> Testbed {
      let bed = try Testbed.overlay()
      for number in 1...2 {
        let pod = try bed.add("pod\(number)")
        try bed.cable(
          .init(pod, "eth0", "10.244.\(number).2/24"),
          .init(bed["node\(number)"], "p\(number)", "10.244.\(number).1/24"))
        try pod.run("ip route add default via 10.244.\(number).1")
      }
      return bed
    }

    /// What fpd has forwarded of what came in by an interface.
    private static func forwarded(_ fpd: Fpd, _ interface: String) throws -> Int {
      let document = try JSON(parsing: fpd.fpctl(["stats", "--json"]).check().output)
      let found = document["interfaces"]?.array?.first { $0["name"]?.string == interface }
      return Int(found?["forwarded"]?["packets"]?.int ?? 0)
    }

    @Test func podsTalkThroughTheFastPathAndVXLAN() throws {
      let bed = try Self.overlay()
      let (pod1, pod2) = (try bed["pod1"], try bed["pod2"])
      #expect(try eventually { try pod1.ping("10.244.2.2", within: .milliseconds(300)) == 62 })
      let fpds = [try Fpd(in: try bed["node1"]), try Fpd(in: try bed["node2"])]
      for fpd in fpds { try fpd.wait() }

      let ways = [(fpds[0], "p1"), (fpds[1], "flannel.1"), (fpds[1], "p2"), (fpds[0], "flannel.1")]
      let before = try ways.map(Self.forwarded)
      #expect(try pod1.ping("10.244.2.2") == 62)
      #expect(try ways.map(Self.forwarded) == before.map { $0 + 1 })

      let receiver = try HostSocket(.udp, "10.244.2.2", port: 4001, in: pod2)
      let sender = try HostSocket(.udp, "10.244.1.2", port: 4000, in: pod1)
      let message = (0..<1300).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      try sender.send(message, to: "10.244.2.2", port: 4001)
      #expect(receiver.receive() == message)
      for fpd in fpds { try fpd.stop() }
    }

    /// Pods on a bridge, as flannel's are: what comes out of VXLAN goes to the pod's port at once, or into the bridge
    /// where somebody listens there.
    @Test func podsOnBridgesTalkThroughVXLAN() throws {
      let bed = try Testbed.overlay()
      for number in 1...2 {
        let node = try bed["node\(number)"]
        let pod = try bed.add("pod\(number)")
        try node.ip(batch: [
          "link add cni0 type bridge", "addr add 10.244.\(number).1/24 dev cni0",
          "link set cni0 up",
        ])
        try bed.cable(
          .init(pod, "eth0", "10.244.\(number).2/24"), .init(node, "p\(number)"))
        try node.ip(batch: ["link set p\(number) master cni0"])
        try pod.run("ip route add default via 10.244.\(number).1")
        try pod.run("ethtool -K eth0 gro off")
      }
      let (node2, pod1) = (try bed["node2"], try bed["pod1"])
      #expect(try eventually { try pod1.ping("10.244.2.2", within: .milliseconds(300)) == 62 })
      let fpds = [try Fpd(in: try bed["node1"]), try Fpd(in: node2)]
      for fpd in fpds { try fpd.wait() }
      /// How many packets out of the tunnel were fast, and how many frames the bridge's own device has sent, and the
      /// pod's port, which does not count what takes the short way.
      func amounts() throws -> (fast: Int, byBridge: Int, byPort: Int) {
        let devices = try node2.inside { try TextFile.read("/proc/thread-self/net/dev") }
        func sent(_ device: String) throws -> Int {
          let line = try #require(
            devices.split(separator: "\n").first { $0.contains(" \(device):") })
          return try #require(Int(line.split(separator: ":")[1].split(separator: " ")[8 + 1]))
        }
        return (try Self.forwarded(fpds[1], "flannel.1"), try sent("cni0"), try sent("p2"))
      }
      let before = try amounts()
      for _ in 0..<9 { #expect(try pod1.ping("10.244.2.2") == 62) }
      let alone = try amounts()
      #expect(alone.fast == before.fast + 9)
      #expect(alone.byBridge < before.byBridge + 3 && alone.byPort < before.byPort + 3)
      let tap = try Tap("cni0", in: node2)
      #expect(try pod1.ping("10.244.2.2") == 62)
      let watched = try amounts()
      #expect(watched.fast == alone.fast + 1 && watched.byBridge > alone.byBridge)
      #expect(try tap.take(outgoing: true).contains { $0.outgoing && $0.bytes[12...13] == [8, 0] })
      for fpd in fpds { try fpd.stop() }
    }

    /// What comes out of a tunnel for all keeps a note of where it came from, and what goes into one asks for it.
    @Test func tunnelsForAllAreLeftToTheKernel() throws {
      let bed = try Testbed.overlay()
      let node = try bed["node1"]
      try node.ip(batch: ["link add vx9 type vxlan external dstport 4790", "link set vx9 up"])
      let fpd = try Fpd(in: node)
      try fpd.wait()
      #expect(try fpd.interface("vx9")["hook"] == "none")
      #expect(try fpd.interface("flannel.1")["hook"] == "tc")
      try fpd.stop()
    }

    /// Segments stay whole up to the device that has to cut them.
    @Test func streamsInLargeSegmentsArriveWhole() throws {
      let bed = try Self.overlay()
      // Routers drop what does not fit between pods and the VXLAN device, and say so.
      for number in 1...2 { try bed["pod\(number)"].run("ip link set eth0 mtu 1450") }
      let fpds = [try Fpd(in: try bed["node1"]), try Fpd(in: try bed["node2"])]
      for fpd in fpds { try fpd.wait() }
      let server = try HostSocket(.tcp, "10.244.2.2", port: 5001, in: try bed["pod2"])
      try server.listen()
      let client = try HostSocket(.tcp, "10.244.1.2", port: 5000, in: try bed["pod1"])
      try client.connect(to: "10.244.2.2", port: 5001)
      let accepted = try server.accept()
      let before = try Self.forwarded(fpds[0], "p1")
      let there = try client.stream(4 << 20, to: accepted)
      let packets = try Self.forwarded(fpds[0], "p1") - before
      let back = try accepted.stream(1 << 20, to: client)
      #expect(there.bytes == 4 << 20)
      #expect(there.sum == Self.sum(4 << 20))
      #expect(back.bytes == 1 << 20)
      #expect(back.sum == Self.sum(1 << 20))
      #expect(packets > 0)
      // 4 MiB in segments of 1398 bytes would be 3000 packets.
      #expect(packets < 2000, "\(packets) packets: segments were cut before they were forwarded")
      for fpd in fpds { try fpd.stop() }
    }

    /// The sum of what `stream` sends.
    private static func sum(_ count: Int) -> UInt64 {
      (0..<count).reduce(0) { total, place in
        let byte = place % (1 << 16)
        return total &* 31 &+ UInt64(UInt8(truncatingIfNeeded: byte &* 31 &+ byte >> 8))
      }
    }
  }
}
