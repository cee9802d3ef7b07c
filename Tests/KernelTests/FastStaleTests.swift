// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// From the moment a tool has returned no packet is judged by what the rules and sets were before, whatever
  /// fpd does or whether it runs. The load is at full rate, every second frame to the destination that is
  /// dropped and no longer dropped.
  @Suite(.needsFpd) struct FastStaleTests {
    @Test(arguments: DropSwitch.all, ["xdp", "tc"])
    func noPacketIsJudgedByOldRules(_ way: DropSwitch, _ hook: String) throws {
      let line = try SwitchedLine(way, hook: hook)
      try line.expectFast()
      try line.flip(50)

      // Stopped somewhere in its work, perhaps for good.
      line.fast.fpd.process.signal(SIGSTOP)
      try line.flip(15, mayWait: false)
      line.fast.fpd.process.signal(SIGCONT)
      try line.expectFast()
      try line.flip(10)

      line.fast.fpd.kill()
      try line.flip(16, mayWait: false)
      try line.fast.restart()
      try line.expectFast()
      try line.flip(9)
      try line.expectFast()
      try line.finish()
    }
  }
}

/// A router under load, with a switch that drops every second frame, and what arrived in between.
private final class SwitchedLine {
  let fast: FastLine
  private let way: DropSwitch
  private let run: LoadGenerator.Run
  private let before: FastCounters
  private var isOn = false
  /// Frames that were sent after a call had returned, and judged before the next.
  private var judged: [(frames: Range<Int>, isOn: Bool)] = []
  private var begin = 0
  private var flips = 0
  private var uncounted = 0

  private static let tracked = 100_000_000
  private static let window = 192
  /// What is sent behind a frame until it has been judged: a window, and what a device has taken at once.
  private static let margin = window + 64
  /// The frames to the destination, and those to the other.
  private static let switched: UInt64 = 0x5555_5555_5555_5555

  init(_ way: DropSwitch, hook: String) throws {
    self.way = way
    fast = try FastLine(.router, hook: hook, tracking: Self.tracked, destinations: 2)
    for call in way.beginning { try call.make(in: fast.middle) }
    try fast.fpd.wait()
    try fast.expectAccelerated()
    before = try fast.fpd.stats("p1")
    run = try fast.start(frames: Self.tracked)
  }

  /// On or off so many times, mostly in less time than fpd needs to follow; now and then it may.
  func flip(_ times: Int, mayWait: Bool = true) throws {
    for _ in 0..<times {
      flips += 1
      try turn(!isOn)
      if mayWait, flips % 15 == 0 { try expectFast() }
    }
  }

  private func turn(_ on: Bool) throws {
    end()
    if judged.count % 5 == 3, let aside = way.aside { try aside.make(in: fast.middle) }
    try (on ? way.on : way.off).make(in: fast.middle)
    // A frame with this number or a higher one is not on its way yet.
    begin = run.sent
    isOn = on
    more(500 + Self.margin)
  }

  /// What was sent before is judged before the next call begins, but for the last of it.
  private func end() {
    let end = run.sent - Self.margin
    if begin < end { judged.append((begin..<end, isOn)) }
  }

  private func more(_ frames: Int) {
    let goal = run.sent + frames
    let came = eventually(within: .seconds(20), every: .microseconds(200)) {
      run.sent >= goal || run.hasEnded
    }
    #expect(came && !run.hasEnded, "\(way.testDescription): the load has ended")
  }

  /// With fpd having followed, packets of both kinds are decided without the kernel.
  func expectFast() throws {
    try fast.fpd.wait()
    try fast.expectAccelerated()
    more(Self.margin)
    let sent = run.sent
    let before = try fast.fpd.stats("p1")
    let missing = sent - counted(before)
    if missing > uncounted + 2 * Self.margin {
      print(
        "\(way.testDescription): \(missing - uncounted) frames not counted before flip \(flips)")
      uncounted = missing
    }
    more(1000)
    let after = try fast.fpd.stats("p1")
    let (dropped, forwarded) = (after.dropped - before.dropped, after.forwarded - before.forwarded)
    #expect(forwarded > 100 && (isOn ? dropped > 100 : dropped == 0), "\(before), \(after)")
    #expect(after.punted(since: before) == [:])
  }

  private func counted(_ now: FastCounters) -> Int {
    let punted = now.punted(since: before).values.reduce(0, +)
    return Int(now.forwarded - before.forwarded + now.dropped - before.dropped + punted)
  }

  func finish() throws {
    end()
    let tally = try fast.finish(run)
    let after = try fast.fpd.stats("p1")
    let sink = fast.line.sink
    var count = (on: 0, off: 0)
    for (frames, isOn) in judged {
      let sent = LoadSink.count(frames, places: Self.switched)
      let came = try sink.arrived(frames, places: Self.switched)
      if isOn { count.on += sent } else { count.off += sent }
      #expect(came == (isOn ? 0 : sent), "\(came) of \(sent) came in \(frames), dropped: \(isOn)")
    }
    #expect(judged.count == flips + 1)
    #expect(count.on > 10_000 && count.off > 10_000)
    let others = LoadSink.count(0..<tally.sent, places: ~Self.switched)
    #expect(try sink.arrived(0..<tally.sent, places: ~Self.switched) == others)
    #expect(tally.duplicated == 0 && tally.damaged == 0, "\(tally)")
    let dropped = after.dropped - before.dropped
    let forwarded = after.forwarded - before.forwarded
    let punted = after.punted(since: before)
    print(
      "\(way.testDescription) on \(fast.hook), \(flips) times: \(count.on) frames judged when dropped, "
        + "\(count.off) when not; \(forwarded) forwarded and \(dropped) dropped fast, punted \(punted)"
    )
    let reasons: Set = way.asksSet ? [] : ["rules-changed", "netfilter-hook"]
    #expect(reasons.isSuperset(of: punted.keys), "\(punted)")
    if way.asksSet {
      #expect(forwarded == tally.arrived && dropped == tally.lost)
    } else {
      // In the midst of a change fpd may take its hands off, and what passes then is not counted.
      #expect(counted(after) <= tally.sent)
    }
    #expect(try fast.fpd.stop() == 0)
  }
}
