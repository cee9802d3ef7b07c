// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Firewall rules, made with the real tools, that the fast path judges by itself.
  @Suite(.needsFpd) struct FastFilterTests {
    /// How rules are changed, and the hook.
    struct Way: Sendable, CustomTestStringConvertible {
      var tool: String
      var hook: String
      var testDescription: String { "\(tool) on \(hook)" }

      /// A rule for all of the load, or the same taken away.
      func rule(_ target: String, add: Bool = true) -> [String] {
        tool == "nft"
          ? add
            ? ["nft add rule ip fw forward udp dport 9 \(target.lowercased())"]
            : ["nft flush chain ip fw forward"]
          : ["\(tool) -\(add ? "A" : "D") FORWARD -p udp --dport 9 -j \(target)"]
      }

      /// A chain with a rule that none of the load meets.
      var beginning: [String] {
        tool == "nft"
          ? [
            "nft add table ip fw",
            "nft add chain ip fw forward { type filter hook forward priority 0; }",
            "nft add rule ip fw forward ip saddr 10.9.0.0/16 drop",
          ] : ["\(tool) -A FORWARD -s 10.9.0.0/16 -j DROP"]
      }
    }

    static let ways = ["iptables-legacy", "iptables-nft", "nft"].flatMap { tool in
      ["xdp", "tc"].map { Way(tool: tool, hook: $0) }
    }

    @Test(arguments: ways) func rulesAreJudgedWithoutTheKernel(_ way: Way) throws {
      let fast = try FastLine(.router, hook: way.hook, tracking: 100_000)
      try change(fast, way.beginning)
      let modules = try fast.fpd.interface("p1")["modules"]?.array ?? []
      let graph = try fast.fpd.graph("p1").text()
      #expect(modules == ["filter", "router"], "\(graph)")

      var (tally, counted) = try send(100_000, fast)
      #expect(tally.isWhole && Int(counted.forwarded) == tally.sent, "\(tally), \(counted)")
      #expect(counted.punted == [:])

      try change(fast, way.rule("DROP"))
      (tally, counted) = try send(100_000, fast)
      #expect(tally.arrived == 0 && Int(counted.dropped) == tally.sent, "\(tally), \(counted)")
      #expect(counted.punted == [:])

      try change(fast, way.rule("DROP", add: false))
      (tally, counted) = try send(10_000, fast)
      #expect(tally.isWhole && Int(counted.forwarded) == tally.sent, "\(tally), \(counted)")

      try change(fast, way.rule("REJECT"))
      (tally, counted) = try send(1000, fast)
      // Its answers make the router and the sender talk of addresses, too.
      #expect(tally.arrived == 0 && counted.forwarded == 0 && counted.dropped == 0, "\(counted)")
      #expect(counted.punted["rule-effect"] == Int64(tally.sent), "\(counted)")

      #expect(try fast.fpd.stop() == 0)
    }

    private func change(_ fast: FastLine, _ lines: [String]) throws {
      try fast.middle.run(lines: lines)
      try fast.fpd.wait()
      try fast.expectAccelerated()
    }

    /// At a rate, since frames that are dropped leave no room in a window.
    private func start(_ frames: Int, _ fast: FastLine) throws -> LoadGenerator.Run {
      fast.line.sink.reset()
      return try fast.line.generator.start(
        .init(frames: frames, time: .seconds(90), rate: 100_000),
        cpu: sysconf(Int32(_SC_NPROCESSORS_ONLN)) - 1)
    }

    private func send(_ frames: Int, _ fast: FastLine) throws -> (LoadSink.Tally, FastCounters) {
      let before = try fast.fpd.stats("p1")
      let run = try start(frames, fast)
      #expect(eventually(within: .seconds(60)) { run.hasEnded })
      let tally = try fast.finish(run)
      let after = try fast.fpd.stats("p1")
      return (
        tally,
        FastCounters(
          forwarded: after.forwarded - before.forwarded, dropped: after.dropped - before.dropped,
          punted: after.punted(since: before))
      )
    }
  }
}

extension Namespace {
  func run(lines: [String]) throws { for line in lines { try run(line) } }
}
