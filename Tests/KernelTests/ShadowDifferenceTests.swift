// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Decisions that are made wrong on purpose are found.
  @Suite(.needsFpd) struct ShadowDifferenceTests {
    struct Case: Sendable, CustomTestStringConvertible {
      let change: SpoiltFpd.Change
      let kind: String
      /// What the lines tell of both.
      let fpd: String
      let linux: String
      var rule: String?
      var testDescription: String { "\(kind): \(change)" }
    }

    private static func change(_ file: String, _ line: String, _ by: String) -> SpoiltFpd.Change {
      .init(file: file, line: line, by: by)
    }

    static let cases = [
      Case(
        change: change(
          "router.h", "(u64)of_device(device, dev_addr)) & MAC_MASK;",
          "(u64)of_device(device, dev_addr)) & (MAC_MASK >> 8);"),
        kind: "other-bytes", fpd: "source MAC", linux: "sent by p2, with source MAC"),
      Case(
        change: change(
          "parse.h", "checksum + network_order(0x0100)",
          "checksum + network_order(0x0200)"),
        kind: "other-bytes", fpd: "header checksum", linux: "sent by p2, with header checksum"),
      Case(
        change: change(
          "router.h", "packet->egress_index = (u32)of_device(device, ifindex);",
          "packet->egress_index = (u32)of_device(device, ifindex) + 100;"),
        kind: "other-device", fpd: "forward by interface", linux: "sent by p2"),
      Case(
        change: change(
          "firewall.h", "outcome result = fp_filter_judge(packet, key, filter);",
          "outcome result = fp_filter_judge(packet, key, filter) == GO_ON ? DROP : GO_ON;"),
        kind: "sent", fpd: "drop", linux: "sent by p2", rule: "-d 10.200.0.1"),
      Case(
        change: change(
          "filter.h", "if (end == END_DROP)\n\t\treturn DROP;",
          "if (end == END_DROP)\n\t\treturn GO_ON;"),
        kind: "dropped", fpd: "forward by p2", linux: "dropped (NETFILTER_DROP",
        rule: "-d 10.100.0.0/16"
      ),
    ]

    @Test(arguments: cases, ["xdp", "tc"])
    func wrongDecisionsAreFound(_ row: Case, _ hook: String) throws {
      let shadow = try ShadowLine(.router, hook: hook, spoil: row.change) { router in
        if let rule = row.rule { try router.run("iptables-legacy -A FORWARD \(rule) -j DROP") }
      }
      let tally = try shadow.send(1000)
      // Whatever fpd thinks, Linux does what it does.
      let isDropped = row.kind == "dropped"
      #expect(isDropped ? tally.lost == 1000 : tally.isWhole, "\(tally)")
      let report = try shadow.report()
      report.expectSight()
      let differing = report.differing
      #expect(report.kinds("p1") == [row.kind: differing], "\(report.json.text())")
      #expect(differing <= 1000 && differing + report.unseen >= 1000, "\(report.json.text())")
      // Those that are never sent share a note for each flow; of the others the first 64 and the last 64.
      #expect(report.differences.count == (isDropped ? 32 : 128))
      let first = try #require(report.differences.first)
      #expect(first["kind"]?.string == row.kind && first["interface"] == "p1")
      #expect(first["fpd"]?.string?.contains(row.fpd) == true, "\(first.text())")
      #expect(first["linux"]?.string?.contains(row.linux) == true, "\(first.text())")
      #expect(first["packet"]?.string?.contains("10.0.1.2 > 10.100.") == true, "\(first.text())")

      let told = try shadow.fpd.fpctl("shadow")
      #expect(told.status == 1 && told.output.contains(row.kind), "\(told)")
      #expect(told.errors.contains("\(differing) packets"), "\(told)")
      // The frames are there as they came.
      let frames = try PcapFile.read(report.capture)
      #expect(frames.count >= 32)
      let own = try shadow.middle.mac(of: "p1")
      #expect(frames.allSatisfy { Array($0.bytes.prefix(6)) == own.bytes && $0.bytes[22] == 64 })
      #expect(shadow.fpd.log.contains("warning: shadow mode: "))
      #expect(try shadow.fpd.stop() == 0)
      #expect(access(report.capture, F_OK) == 0, "it is kept when fpd ends")
    }

    /// What became of packets is not seen: a difference where the kernel was seen to receive them, and none
    /// where the observer is not run at all.
    @Test(arguments: ["place == QUEUED", "place != FREED"], ["xdp", "tc"])
    func whatIsNotSeenIsToldApart(_ blind: String, _ hook: String) throws {
      let shadow = try ShadowLine(
        .router, hook: hook,
        spoil: Self.change(
          "live/observer.bpf.c", "struct net_device *device = kernel_get(skb->dev);",
          "if (\(blind)) return 0; struct net_device *device = kernel_get(skb->dev);"))
      #expect(try shadow.send(1000).isWhole)
      let report = try shadow.report()
      #expect(report.agreed == 0 && report.uncompared == 0, "\(report.json.text())")
      let told = try shadow.fpd.fpctl("shadow")
      if blind == "place == QUEUED" {
        report.expectSight()
        #expect(report.kinds("p1") == ["vanished": report.differing], "\(report.json.text())")
        #expect(report.differing + report.unseen >= 1000 && told.status == 1, "\(told)")
      } else {
        #expect(report.unseen >= 1000 && report.differing == 0, "\(report.json.text())")
        #expect(report.differences.isEmpty && told.status == 0, "\(told)")
        #expect(told.output.contains("1,000 unseen"), "\(told)")
      }
      #expect(try shadow.fpd.stop() == 0)
    }

    /// What Linux answers itself instead of forwarding it.
    @Test(arguments: ["xdp", "tc"]) func aPacketThatEndsHereIsMissed(_ hook: String) throws {
      let change = Self.change("router.h", "if (ipv4->ttl <= 1)", "if (ipv4->ttl == 0)")
      let shadow = try ShadowLine(.router, hook: hook, spoil: change)
      let mouth = try Capture("eth0", in: try shadow.line.bed["left"])
      let from = try shadow.line.bed["left"].mac(of: "eth0")
      for id in 1...3 as ClosedRange<UInt16> {
        try mouth.send(
          Packet(
            from: from, to: shadow.middle.mac(of: "p1"),
            .ipv4(
              IPv4(from: "10.0.1.2", to: "10.100.0.1", .udp(from: 1, to: 9, [1, 2, 3, 4])) {
                $0.ttl = 1
                $0.identification = id
              })))
      }
      let report = try shadow.report()
      let differing = report.differing
      #expect(differing > 0 && differing + report.unseen == 3, "\(report.json.text())")
      #expect(report.kinds("p1") == ["dropped": differing], "\(report.json.text())")
      #expect(report.differences.first?["packet"]?.string?.contains("TTL 1,") == true)
      #expect(try PcapFile.read(report.capture).count == differing)
      #expect(try shadow.fpd.stop() == 0)
    }
  }
}
