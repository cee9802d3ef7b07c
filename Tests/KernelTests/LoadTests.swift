// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// The counters that later say what the fast path loses: they must find nothing where nothing is lost,
  /// and the true number where something is.
  @Suite struct LoadTests {
    /// A router or bridge between a generator and a sink that tracks `frames` frames.
    struct Line {
      let bed: Testbed
      let middle: Namespace
      let generator: LoadGenerator
      let sink: LoadSink

      /// A router with routes for the first ten of the `destinations`, and one for all others.
      static func router(
        tracking frames: Int, length: Int = 60, destinations: Int = 10, timed: Bool = false
      ) throws -> Line {
        let bed = try Testbed.hostRouterHost()
        let router = try bed["router"]
        try router.ip(
          batch: [
            "neigh replace 10.0.2.2 lladdr \(bed["right"].mac(of: "eth0")) dev p2 nud permanent"
          ] + ["0.0.0.0/0", "10.100.16.0/20"].map { "route add \($0) via 10.0.2.2" }
            + (0..<10).map { "route add 10.100.\($0).0/24 via 10.0.2.2" })
        try router.run("ethtool -K p1 gro on")
        let sink = try LoadSink(
          in: try bed["right"], device: "eth0", tracking: frames, flows: 32, timed: timed)
        let traffic = try LoadTraffic(
          from: bed["left"].mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1"
        ) {
          $0.flows = 32
          $0.destinations = destinations
          $0.step = 256
          $0.length = length
        }
        return Line(
          bed: bed, middle: router,
          generator: try LoadGenerator(
            in: try bed["left"], device: "eth0", traffic, sink: sink), sink: sink)
      }

      static func bridge(tracking frames: Int) throws -> Line {
        let bed = try Testbed.bridged(hosts: 2)
        let bridge = try bed["switch"]
        try bridge.run("ethtool -K p1 gro on")
        let (from, to) = (try bed["h1"].mac(of: "eth0"), try bed["h2"].mac(of: "eth0"))
        try bridge.run("bridge fdb replace \(to) dev p2 master static")
        let sink = try LoadSink(in: try bed["h2"], device: "eth0", tracking: frames, flows: 32)
        let traffic = LoadTraffic(from: from, "10.0.0.1", to: to, "10.0.0.2") { $0.flows = 32 }
        return Line(
          bed: bed, middle: bridge,
          generator: try LoadGenerator(
            in: try bed["h1"], device: "eth0", traffic, sink: sink), sink: sink)
      }

      func send(_ bounds: LoadGenerator.Bounds) throws -> LoadSink.Tally {
        sink.reset()
        let sent = try generator.send(bounds, cpu: lastCPU)
        sink.settle()
        return try sink.tally(sent: sent.frames)
      }
    }

    @Test func linuxRoutesHalfAMillionFramesWithoutLoss() throws {
      let line = try Line.router(tracking: 500_000)
      let tally = try line.send(
        .init(frames: 500_000, time: .seconds(30), rate: 200_000, window: 192))
      #expect(tally.sent == 500_000)
      #expect(tally.isWhole, "\(tally)")
    }

    @Test func linuxBridgesHalfAMillionFramesWithoutLoss() throws {
      let line = try Line.bridge(tracking: 500_000)
      let tally = try line.send(
        .init(frames: 500_000, time: .seconds(30), rate: 200_000, window: 192))
      #expect(tally.sent == 500_000)
      #expect(tally.isWhole, "\(tally)")
    }

    @Test func windowKeepsFullRateFromLosing() throws {
      let line = try Line.router(tracking: 2_000_000)
      let tally = try line.send(.init(frames: 2_000_000, time: .seconds(30), window: 192))
      #expect(tally.sent == 2_000_000)
      #expect(tally.isWhole, "\(tally)")
    }

    @Test(arguments: IPTables.allCases)
    func everyThousandthFrameThatARuleDropsIsMissed(_ kind: IPTables) throws {
      let line = try Line.router(tracking: 100_000)
      try line.middle.run(
        "\(kind.rawValue) -A FORWARD -m statistic --mode nth --every 1000 --packet 0 -j DROP")
      let tally = try line.send(
        .init(frames: 100_000, time: .seconds(30), rate: 100_000, window: 192))
      #expect(tally.sent == 100_000)
      #expect(tally.lost == 100, "\(tally)")
      #expect(tally.firstLost == 0 && tally.reordered == 0 && tally.duplicated == 0, "\(tally)")
    }

    @Test func windowIsNotClosedForEverByWhatIsLost() throws {
      let line = try Line.router(tracking: 100_000)
      try line.middle.run(
        "iptables-legacy -A FORWARD -m statistic --mode nth --every 100 --packet 0 -j DROP")
      let tally = try line.send(.init(frames: 100_000, time: .seconds(30), window: 192))
      #expect(tally.sent == 100_000)
      #expect(tally.lost == 1000, "\(tally)")
    }

    /// Frames by hand, so that their order is known: 8 were sent, of two flows in turn.
    @Test func whatOvertakesIsDoubledMissingOrDamagedIsCounted() throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      let sink = try LoadSink(in: router, device: "p1", tracking: 8, flows: 2)
      let mouth = try Capture("eth0", in: try bed["left"])
      let macs = (from: try bed["left"].mac(of: "eth0"), to: try router.mac(of: "p1"))
      func send(_ number: UInt64, flow: UInt32? = nil, fault: UInt16 = 0) throws {
        let payload =
          withUnsafeBytes(of: LoadSink.magic) { Array($0) }
          + withUnsafeBytes(of: flow ?? UInt32(number % 2)) { Array($0) }
          + withUnsafeBytes(of: number) { Array($0) }
        try mouth.send(
          Packet(
            from: macs.from, to: macs.to,
            .ipv4(
              IPv4(from: "10.0.1.2", to: "10.0.2.2", .udp(from: 1, to: 9, payload)) {
                $0.checksumFault = fault
              })))
      }
      // 3 before 1 overtakes in its flow; 2 before 1 does not; 6 comes twice; 5 and 7 do not come.
      for number in [0, 3, 2, 1, 4, 6, 6] as [UInt64] { try send(number) }
      #expect(eventually { sink.count.frames == 7 })
      let before = try sink.tally(sent: 8)
      #expect(before.arrived == 6 && before.lost == 2 && before.firstLost == 5, "\(before)")
      #expect(
        before.reordered == 1 && before.duplicated == 1 && before.damaged == 0, "\(before)")
      try send(5, fault: 1)
      try send(8)
      try send(7, flow: 2)
      #expect(eventually { sink.count.frames == 10 })
      let tally = try sink.tally(sent: 8)
      #expect(tally.damaged == 3 && tally.lost == 1 && tally.firstLost == 7, "\(tally)")
      sink.reset()
      #expect(try sink.tally(sent: 8).lost == 8)
    }

    /// Of the generator's frames, and of one that comes late: its number has left before.
    @Test func delaysAreThoseOfTheFrames() throws {
      let line = try Line.router(tracking: 100_000, timed: true)
      #expect(
        try line.send(.init(frames: 10_000, time: .seconds(30), rate: 100_000, window: 192)).isWhole
      )
      let delays = line.sink.delays
      #expect(delays.count == 10_000)
      #expect(delays.mean > 0 && delays.mean < 100_000, "\(delays.mean) µs")
      #expect(delays.quantile(0.5) <= delays.quantile(0.99))
      let mouth = try Capture("eth0", in: try line.bed["left"])
      let payload =
        withUnsafeBytes(of: LoadSink.magic) { Array($0) }
        + withUnsafeBytes(of: UInt32(0)) { Array($0) }
        + withUnsafeBytes(of: UInt64(9_999)) { Array($0) }
      let macs = (
        from: try line.bed["left"].mac(of: "eth0"), to: try line.middle.mac(of: "p1")
      )
      let sent = Instant.now
      _ = eventually { Instant.now > sent + .milliseconds(300) }
      try mouth.send(
        Packet(
          from: macs.from, to: macs.to,
          .ipv4(IPv4(from: "10.0.1.2", to: "10.100.0.1", .udp(from: 1, to: 9, payload)))))
      #expect(eventually { line.sink.delays.count == 10_001 })
      let late = line.sink.delays - delays
      #expect(late.mean > 300_000 && late.mean < 5_000_000, "\(late.mean) µs")
      #expect((late.quantile(1) / late.mean - 1).magnitude < 0.04)
    }

    @Test func aMachineInTheMiddleHasACPUOfItsOwn() throws {
      let line = try Line.router(tracking: 100_000)
      let threads = try line.middle.takePackets(of: "p1", on: lastCPU)
      func used() throws -> Int {
        try threads.reduce(0) { sum, thread in
          let words = try TextFile.read("/proc/\(thread)/schedstat").split(separator: " ")
          return sum + (Int(words.first ?? "") ?? 0)
        }
      }
      let before = try used()
      #expect(
        try line.send(.init(frames: 100_000, time: .seconds(30), rate: 100_000, window: 192))
          .isWhole)
      #expect(try used() - before > 1_000_000)
      for thread in threads {
        let status = try TextFile.read("/proc/\(thread)/status")
        #expect(status.contains("Cpus_allowed_list:\t\(lastCPU)\n"))
      }
    }

    @Test func pairsAskAtTheSameTime() throws {
      let bed = try Testbed.bridged(hosts: 4)
      let stream = LoadStream([
        .init(from: try bed["h1"], to: try bed["h2"], "10.0.0.2"),
        .init(from: try bed["h3"], to: try bed["h4"], "10.0.0.4"),
      ])
      let ports = ["p1", "p2", "p3", "p4"]
      func packets() throws -> [Int] {
        try ports.map {
          let text = try bed["switch"].run("ip -j -s link show \($0)").output
          return Int(try JSON(parsing: text).at("0.stats64.rx.packets")?.int ?? 0)
        }
      }
      let before = try packets()
      let amount = try stream.requests(.milliseconds(300), sessions: 2)
      #expect(amount.count > 100 && amount.delays.count == amount.count)
      #expect(amount.delays.mean > 1 && amount.busy > .zero)
      // Each pair has its half.
      let half = amount.count / 2
      #expect(try zip(packets(), before).allSatisfy { $0 - $1 >= half })
    }

    @Test func rateIsNotExceeded() throws {
      let line = try Line.router(tracking: 100_000)
      line.sink.reset()
      let sent = try line.generator.send(
        .init(frames: 100_000, time: .seconds(30), rate: 100_000, window: 192))
      #expect(sent.frames == 100_000 && sent.duration > .milliseconds(990), "\(sent)")
    }

    @Test func runEndsAtItsTimeAndWhenStopped() throws {
      let line = try Line.router(tracking: 0)
      let start = Instant.now
      let sent = try line.generator.send(.init(time: .milliseconds(300), rate: 10_000))
      #expect(Instant.now - start < .seconds(5))
      #expect((1...3100).contains(sent.frames), "\(sent)")
      let run = try line.generator.start(.init(time: .seconds(60)))
      #expect(eventually { run.sent > 10_000 })
      run.stop()
      _ = try run.finish()
      #expect(Instant.now - start < .seconds(20))
    }

    @Test func longFramesArriveWhole() throws {
      let line = try Line.router(tracking: 20_000, length: 1514)
      let tally = try line.send(
        .init(frames: 20_000, time: .seconds(30), rate: 50_000, window: 192))
      #expect(tally.isWhole, "\(tally)")
      #expect(line.sink.count.bytes == 20_000 * 1514)
    }

    @Test func otherTrafficPassesTheSink() throws {
      let bed = try Testbed.hostRouterHost()
      let sink = try LoadSink(in: try bed["right"], device: "eth0")
      #expect(try bed["left"].ping("10.0.2.2") != nil)
      #expect(sink.count.frames == 0)
      #expect(sink.count.others >= 2)  // ARP, and the echo request
    }

    /// The programs the benchmark compares with must forward as the router and the bridge do: here the
    /// kernel itself would drop everything.
    @Test(arguments: ["forward", "trie"]) func yardstickRoutes(_ name: String) throws {
      // 32 flows, each to its own network: most by the default route or another that is found on the
      // way back through the table.
      let line = try Line.router(tracking: 200_000, destinations: 32)
      try line.middle.run("iptables-legacy -P FORWARD DROP")
      let unaided = try line.send(
        .init(frames: 1000, time: .seconds(30), rate: 100_000, window: 192))
      #expect(unaided.lost == 1000)
      let program = try LoadProgram(name).attach(to: "p1", in: line.middle)
      let tally = try line.send(.init(frames: 200_000, time: .seconds(30), window: 192))
      #expect(tally.sent == 200_000 && tally.isWhole, "\(tally)")
      withExtendedLifetime(program) {}
    }

    @Test func yardstickBridges() throws {
      let line = try Line.bridge(tracking: 200_000)
      try line.middle.nft(
        "table bridge t {\n chain f {\n type filter hook forward priority 0; policy drop;\n }\n}\n")
      let unaided = try line.send(
        .init(frames: 1000, time: .seconds(30), rate: 100_000, window: 192))
      #expect(unaided.lost == 1000)
      let program = try LoadProgram("bridge").attach(to: "p1", in: line.middle)
      let tally = try line.send(.init(frames: 200_000, time: .seconds(30), window: 192))
      #expect(tally.sent == 200_000 && tally.isWhole, "\(tally)")
      withExtendedLifetime(program) {}
    }

    /// Things happen beside the load: what a test of swaps does.
    @Test func loadRunsBesideOtherThings() throws {
      let line = try Line.router(tracking: 5_000_000)
      line.sink.reset()
      let run = try line.generator.start(
        .init(frames: 5_000_000, time: .seconds(60), window: 192), cpu: lastCPU)
      var changes = 0
      while !run.hasEnded {
        try line.middle.run("ip link add dummy0 type bridge")
        try line.middle.run("ip link del dummy0")
        changes += 1
      }
      let sent = try run.finish()
      line.sink.settle()
      let tally = try line.sink.tally(sent: sent.frames)
      #expect(tally.sent == 5_000_000 && tally.isWhole, "\(tally)")
      #expect(changes > 5)
    }

    @Test func streamCarriesBytesAndRequests() throws {
      let bed = try Testbed.hostRouterHost()
      let stream = try LoadStream(from: bed["left"], to: bed["right"], "10.0.2.2")
      #expect(try stream.bulk(.milliseconds(300)).count > 1 << 20)
      #expect(try stream.requests(.milliseconds(300)).count > 100)
      try bed["router"].sysctl("net.ipv4.ip_forward=0")
      #expect(throws: LabError.self) { try stream.requests(.milliseconds(300)) }
    }
  }
}

/// Where the load runs: a CPU that other things can keep away from, where there is more than one.
private let lastCPU = sysconf(Int32(_SC_NPROCESSORS_ONLN)) - 1
