// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// A new program takes the place of the old one between two packets.
  @Suite(.needsFpd) struct FastSwapTests {
    /// A change of the configuration, there and back, for which the programs that follow it differ.
    struct Change: Sendable, CustomTestStringConvertible {
      var kind: FastLine.Kind
      var hook: String
      var there: String
      var back: String
      /// Until the next program runs, the old one leaves packets to the kernel.
      var punts = false
      var testDescription: String { "\(kind) on \(hook): \(there)" }

      /// Bridges on the machine: the router may have to know of them.
      static let bridges = Change(
        kind: .router, hook: "xdp", there: "ip link add br9 type bridge", back: "ip link del br9")
      static func path(_ hook: String) -> Change {
        Change(
          kind: .router, hook: hook, there: "sysctl -qw net.ipv4.conf.p1.rp_filter=1",
          back: "sysctl -qw net.ipv4.conf.p1.rp_filter=0", punts: true)
      }
      /// The bridge's host is reached, or not, by a router behind the bridge.
      static func host(_ hook: String) -> Change {
        Change(
          kind: .bridge, hook: hook, there: "ip addr add 10.0.0.254/24 dev br0",
          back: "ip addr del 10.0.0.254/24 dev br0")
      }
    }

    @Test(arguments: [Change.bridges, .host("xdp"), .host("tc")])
    func twoHundredSwapsUnderLoadLoseReorderAndDoubleNothing(_ change: Change) throws {
      let outcome = try swaps(200, change, frames: change.hook == "xdp" ? 5_000_000 : 1_000_000)
      #expect(outcome.tally.isWhole, "\(outcome.tally)")
      #expect(outcome.punted == [:])
      #expect(outcome.forwarded == outcome.tally.sent)
    }

    /// A packet that the old program is not sure of takes the kernel's path, which is another queue: it
    /// may be overtaken there, but it is neither lost nor doubled.
    @Test(arguments: [Change.path("xdp"), .path("tc")])
    func programsThatNoLongerFitLeavePacketsToTheKernel(_ change: Change) throws {
      let outcome = try swaps(50, change, frames: 1_000_000)
      #expect(outcome.tally.lost == 0 && outcome.tally.duplicated == 0, "\(outcome.tally)")
      #expect(outcome.tally.damaged == 0, "\(outcome.tally)")
      #expect(Set(outcome.punted.keys) == ["changed"])
      #expect(outcome.forwarded + outcome.punted.values.reduce(0, +) == outcome.tally.sent)
    }

    struct Outcome {
      var tally: LoadSink.Tally
      var forwarded: Int
      var punted: [String: Int]
    }

    /// Under load: makes so many changes, each of which must have another program in the slot by the time
    /// `wait` returns.
    private func swaps(_ count: Int, _ change: Change, frames: Int) throws -> Outcome {
      let fast = try FastLine(change.kind, hook: change.hook, tracking: 120_000_000)
      let slot = try fast.slot()
      var programs = [slot.program]
      #expect(programs[0] != 0)
      let generation = try fast.fpd.generation()
      let before = try fast.fpd.stats("p1")
      let held = try DatapathBench.held(by: fast.fpd.pid).count
      let start = Instant.now
      let run = try fast.start(frames: 120_000_000)
      for number in 0..<count {
        try fast.middle.run(number.isMultiple(of: 2) ? change.there : change.back)
        try fast.fpd.wait()
        let now = slot.program
        #expect(now != 0 && now != programs.last, "change \(number)")
        programs.append(now)
        if run.hasEnded { break }
      }
      let duration = Instant.now - start
      #expect(eventually(within: .seconds(60)) { run.sent >= frames || run.hasEnded })
      let tally = try fast.finish(run)
      let after = try fast.fpd.stats("p1")
      #expect(Set(programs).count == count + 1)
      #expect(try fast.fpd.generation() >= generation + Int64(count))
      #expect(tally.sent >= frames)
      // Programs that have been replaced are given up.
      #expect(try DatapathBench.held(by: fast.fpd.pid).count <= held + 2)
      try fast.expectAccelerated()
      print(
        "\(change.testDescription): \(count) swaps in \(duration), \(tally), punted",
        after.punted(since: before))
      #expect(try fast.fpd.stop() == 0)
      return Outcome(
        tally: tally, forwarded: Int(after.forwarded - before.forwarded),
        punted: after.punted(since: before).mapValues(Int.init))
    }
  }
}
