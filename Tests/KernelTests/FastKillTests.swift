// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc
import Lab
import Testing

extension Kernel {
  /// What fpd attached does not need fpd: killed, it goes on and stays right, and a successor takes over.
  @Suite(.needsFpd) struct FastKillTests {
    @Test(arguments: [FastLine.Kind.router, .bridge], ["xdp", "tc"])
    func killAndRestartUnderLoadLoseNothing(_ kind: FastLine.Kind, _ hook: String) throws {
      let fast = try FastLine(kind, hook: hook, tracking: 120_000_000)
      let slot = try fast.slot()
      let program = slot.program
      #expect(program != 0)
      let before = try fast.fpd.stats("p1")
      let run = try fast.start(frames: 120_000_000)
      fast.more(100_000, of: run)
      let counted = try fast.fpd.stats("p1")
      fast.fpd.kill()
      fast.more(300_000, of: run)
      #expect(slot.program == program)
      try fast.restart()
      try fast.expectAccelerated()
      #expect(try fast.slot().program != program)
      fast.more(300_000, of: run)
      let tally = try fast.finish(run)
      let after = try fast.fpd.stats("p1")
      print("\(kind) on \(hook), killed and restarted: \(tally)")
      #expect(tally.isWhole, "\(tally)")
      #expect(counted.forwarded > before.forwarded)
      #expect(after.forwarded - before.forwarded == tally.sent)
      #expect(after.punted(since: before) == [:])
      #expect(try fast.fpd.stop() == 0)
    }

    /// What changes while nobody follows, and how many of a thousand frames arrive then.
    enum Change: String, CaseIterable, Sendable {
      case nextHop, rule, nftRule, reversePath, forwardingOff, linkDown
    }

    @Test(arguments: Change.allCases, ["xdp", "tc"])
    func withFpdDeadAChangeIsObeyedByTheNextPacket(_ change: Change, _ hook: String) throws {
      let fast = try FastLine(.router, hook: hook, tracking: 10_000)
      let (line, router) = (fast.line, fast.middle)
      let third = try line.bed.add("third")
      try line.bed.cable(
        .init(third, "eth0", "10.0.3.2/24"), .init(router, "p3", "10.0.3.1/24"))
      let other = try LoadSink(in: third, device: "eth0")
      try router.ip(batch: [
        "neigh replace 10.0.3.2 lladdr \(third.mac(of: "eth0")) dev p3 nud permanent",
        // The way back is another one, which matters only where it is looked for.
        "route add 10.0.1.2/32 dev p3",
      ])
      try FastLine.quieten(router)
      try fast.fpd.wait()
      try fast.expectAccelerated()
      let program = try fast.slot().program
      fast.fpd.kill()

      let forwarded = try router.forwardedByKernel()
      #expect(try send(fast) == 1000)
      #expect(try router.forwardedByKernel() == forwarded)
      try apply(change, router)
      #expect(try send(fast) == 0)
      #expect(other.count.frames == (change == .nextHop ? 1000 : 0))
      #expect(try fast.slot().program == program)

      try fast.restart()
      #expect(try fast.fpd.stop() == 0)
    }

    /// Stopped, or gone: replaces are counted, since programs compare with it.
    @Test func replacesAreCountedWithoutFpd() throws {
      let fast = try FastLine(.router, hook: "xdp", tracking: 10_000)
      let held = try DatapathBench.held(by: fast.fpd.pid)
      let place = try "\(fast.middle.pins())/\(fast.middle.ifindex(of: "p1"))-xdp"
      let elsewhere = try Namespace("elsewhere")
      func counts() throws -> Bool {
        let before = try Self.replaces(at: place)
        try elsewhere.run("iptables-legacy -A FORWARD -j DROP")
        return try Self.replaces(at: place) > before
      }
      #expect(try counts())
      fast.fpd.process.signal(SIGSTOP)
      #expect(try counts())
      fast.fpd.process.signal(SIGCONT)
      fast.fpd.kill()
      #expect(try counts())
      try fast.restart()
      #expect(try counts())
      #expect(try fast.fpd.stop() == 0)
      #expect(access(place, F_OK) != 0)
      #expect(eventually { DatapathBench.present(held).isEmpty })
    }

    private static func replaces(at place: String) throws -> UInt64 {
      let map = bpf_obj_get("\(place)/replaces")
      try #require(map >= 0)
      defer { close(map) }
      var (first, number): (UInt32, UInt64) = (0, 0)
      try #require(bpf_map_lookup_elem(map, &first, &number) == 0)
      return number
    }

    /// What the predecessor left on one hook makes room for what belongs on the other.
    @Test(arguments: ["xdp", "tc"]) func successorWithAnotherHook(_ hook: String) throws {
      let fast = try FastLine(.router, hook: hook, tracking: 10_000)
      let held = try DatapathBench.held(by: fast.fpd.pid)
      fast.fpd.kill()
      try fast.restart(hook: hook == "xdp" ? "tc" : "xdp")
      try fast.expectAccelerated()
      let before = try fast.fpd.stats("p1")
      #expect(try send(fast) == 1000)
      #expect(try fast.fpd.stats("p1").forwarded - before.forwarded == 1000)
      let link = try fast.middle.run("ip -d link show dev p1").output
      #expect(link.contains("prog/xdp") == (hook == "tc"), "\(link)")
      let index = try fast.middle.ifindex(of: "p1")
      let pins = "\(try fast.middle.pins())/\(index)"
      #expect(eventually { access("\(pins)-\(hook)", F_OK) != 0 })
      #expect(access("\(pins)-\(fast.hook)", F_OK) == 0)
      // The count of replaced rulesets goes on in the successor's hands.
      #expect(
        try eventually {
          try DatapathBench.present(held).isSubset(of: DatapathBench.held(by: fast.fpd.pid))
        })
      let kept = DatapathBench.present(held)
      #expect(kept.count <= 3, "a map, a program and a link: \(kept)")
      #expect(try fast.fpd.stop() == 0)
    }

    /// How many of a thousand frames arrive where they went at first.
    private func send(_ fast: FastLine) throws -> Int {
      fast.line.sink.reset()
      let sent = try fast.line.generator.send(
        .init(frames: 1000, time: .seconds(20), rate: 20_000))
      #expect(sent.frames == 1000)
      fast.line.sink.settle()
      return fast.line.sink.count.frames
    }

    private func apply(_ change: Change, _ router: Namespace) throws {
      switch change {
      case .nextHop:
        try router.ip(batch: (0..<10).map { "route replace 10.100.\($0).0/24 via 10.0.3.2" })
      case .rule: try router.run("iptables-legacy -A FORWARD -j DROP")
      case .nftRule: try router.run("iptables-nft -A FORWARD -j DROP")
      case .reversePath: try router.sysctl("net.ipv4.conf.p1.rp_filter=1")
      case .forwardingOff: try router.sysctl("net.ipv4.conf.p1.forwarding=0")
      case .linkDown: try router.run("ip link set p2 down")
      }
    }
  }
}

extension Namespace {
  /// How many packets the kernel's own IPv4 has forwarded.
  func forwardedByKernel() throws -> Int {
    let text = try inside { try TextFile.read("/proc/thread-self/net/snmp") }
    let lines = text.split(separator: "\n").filter { $0.hasPrefix("Ip:") }
      .map { $0.split(separator: " ") }
    guard lines.count == 2, let column = lines[0].firstIndex(of: "ForwDatagrams"),
      let count = Int(lines[1][column])
    else { throw LabError("/proc/net/snmp tells nothing of IP: \(text)") }
    return count
  }
}
