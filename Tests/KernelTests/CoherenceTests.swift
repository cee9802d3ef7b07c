// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// Commands by chance while traffic flows: what becomes of each frame is explained by the configuration
  /// before or after the command that was under way, never by an older one.
  @Suite(.needsFpd) struct CoherenceTests {
    /// Linux alone has to keep the model as well: it is the model's test.
    @Test(arguments: CoherenceModel.Topology.allCases, ["linux", "xdp", "tc"])
    func everyFrameIsExplained(_ topology: CoherenceModel.Topology, _ hook: String) throws {
      let seed = Self.number("SEED", UInt64(1))
      let commands = Self.number("COMMANDS", 200)
      if let way = getenv("FPD_COHERENCE_WAY"), String(cString: way) != "\(topology) \(hook)" {
        return
      }
      // Each in a namespace of its own, so that nothing of what it keeps for good lasts longer.
      for round in 0..<(commands + 199) / 200 {
        let run = try CoherenceRun(
          topology, hook: hook == "linux" ? nil : hook, seed: seed + UInt64(round))
        try run.go(min(200, commands - round * 200))
      }
    }

    /// Where the kernel has never used a route itself, it does not count it as a change when that is replaced; and
    /// where it has, it does.
    @Test(arguments: ["xdp", "tc"], [false, true])
    func replacedRoutesAreNotKept(_ hook: String, _ areUsed: Bool) throws {
      let run = try CoherenceRun(.router, hook: hook, seed: 1, replaces: areUsed)
      try run.go(40)
    }

    private static func number<Number: FixedWidthInteger>(_ name: String, _ usual: Number) -> Number
    {
      getenv("FPD_COHERENCE_\(name)").flatMap { Number(String(cString: $0)) } ?? usual
    }
  }
}

/// One stream of commands in one place.
private final class CoherenceRun {
  private let bed: CoherenceBed
  private let hook: String?
  private let seed: UInt64
  private var model: CoherenceModel
  private var commands: CoherenceCommands
  private var fpd: Fpd?
  /// What those that were killed had decided: their counts are lost with them.
  private var decidedBefore = 0
  private var run: LoadGenerator.Run?
  private var turns: [Turn] = []

  /// A command, and the numbers of the frames that were sent next when it was given and when it had returned.
  private struct Turn {
    let line: String
    let begin: Int
    let end: Int
    let outcomes: [LoadWitness.Outcome]
    var between: [LoadWitness.Outcome] = []
    var meanwhile: [LoadWitness.Outcome]?
  }

  private static let window = 192
  /// What is sent behind a frame until it has been judged: a window, and what a device has taken at once.
  private static let margin = window + 64

  private let areUsed: Bool?

  /// `replaces`: routes are replaced, and nothing else is done; says whether the kernel uses them.
  init(
    _ topology: CoherenceModel.Topology, hook: String?, seed: UInt64, replaces areUsed: Bool? = nil
  ) throws {
    self.hook = hook
    self.areUsed = areUsed
    self.seed = seed
    model = CoherenceModel(topology)
    commands = CoherenceCommands(seed: seed, topology)
    commands.onlyReplaces = areUsed != nil
    bed = try CoherenceBed(topology, model)
  }

  func go(_ count: Int) throws {
    if let hook {
      fpd = try Fpd.begin(bed.middle, FastLine.configuration(hook), after: nil)
      try follow()
    }
    let run = try bed.generator.start(
      .init(frames: CoherenceBed.tracked, time: .seconds(120), window: Self.window),
      cpu: sysconf(Int32(_SC_NPROCESSORS_ONLN)) - 1)
    self.run = run
    turns.append(
      Turn(line: "nothing", begin: 0, end: 0, outcomes: model.outcomes))
    more()
    do {
      for number in 0..<count {
        commands.allowsPolicies = number >= count * 4 / 5
        try attend(number)
        try give(commands.next(model))
      }
      try finish(run)
    } catch {
      fpd?.process.signal(SIGCONT)
      _ = try? fpd?.stop()
      throw error
    }
  }

  // MARK: fpd

  /// It runs, is stopped somewhere in its work, goes on, is killed, and is succeeded.
  private func attend(_ number: Int) throws {
    guard let fpd else { return }
    switch number % 60 {
    case 24: fpd.process.signal(SIGSTOP)
    case 36:
      fpd.process.signal(SIGCONT)
      try follow()
    case 44:
      decidedBefore += Self.decided(try fpd.stats("p1"))
      fpd.kill()
    case 52:
      self.fpd = try Fpd.begin(bed.middle, FastLine.configuration(hook ?? ""), after: fpd)
      try follow()
    case 25..<36, 45..<52: break
    default: if number.isMultiple(of: 3) { try follow() }
    }
  }

  private static func decided(_ counters: FastCounters) -> Int {
    Int(counters.forwarded + counters.dropped)
  }

  private func follow() throws {
    guard let fpd else { return }
    try fpd.wait()
    if run != nil { more() }
  }

  // MARK: Commands

  private func give(_ command: CoherenceCommand) throws {
    let run = try #require(run)
    if areUsed ?? (turns.count / 20 % 2 == 0) { try use() }
    let begin = run.sent - Self.margin
    try bed.middle.run(command.line, input: command.input)
    if let port = command.settlesPort {
      let forwards = try eventually {
        try bed.middle.run("bridge link show dev d\(port)").output.contains("state forwarding")
      }
      #expect(forwards, "d\(port) does not come back")
    }
    // A frame with this number or a higher one is not on its way yet.
    turns.append(
      Turn(
        line: command.line, begin: begin, end: run.sent, outcomes: command.after.outcomes,
        between: command.between, meanwhile: command.meanwhile?.outcomes))
    model = command.after
    more()
    // Only then a route is believed.
    let begun = Instant.now
    if areUsed != nil {
      _ = eventually(every: .milliseconds(10)) { Instant.now - begun > .milliseconds(250) }
    }
  }

  /// Has the kernel itself use all routes: what it has not used, programs do not keep. Half of the time they are not.
  private func use() throws {
    guard bed.topology != .bridge else { return }
    let lines = (0..<CoherenceModel.flows).map {
      "route get \(CoherenceCommands.destination($0))\n"
    }
    // Where there is none, or it leads nowhere, the tool says so and goes on.
    _ = try bed.middle.attempt(["ip", "-force", "-batch", "-"], input: lines.joined())
    more()
  }

  private func more() {
    guard let run else { return }
    let goal = run.sent + 500 + Self.margin
    let came = eventually(within: .seconds(20), every: .microseconds(200)) {
      run.sent >= goal || run.hasEnded
    }
    #expect(came && !run.hasEnded, "the load has ended behind \(turns.last?.line ?? "")")
  }

  // MARK: Judging

  private func finish(_ run: LoadGenerator.Run) throws {
    let end = run.sent - Self.margin
    let forwarded = try fpd.map { try ($0.wait(), $0.stats("p1")).1 }
    run.stop()
    let sent = try run.finish()
    bed.witness.settle()
    let name = "\(bed.topology) on \(hook ?? "Linux alone"), seed \(seed)"
    var wrong: [String] = []
    var judged = 0
    for (place, turn) in turns.enumerated() {
      let last = place + 1 < turns.count ? turns[place + 1].begin : end
      if place > 0 {
        let before = turns[place - 1].outcomes
        let allowed = (0..<CoherenceModel.flows).map { flow in
          Set([before, turn.outcomes, turn.meanwhile ?? before].map { $0[flow] } + turn.between)
        }
        judge(turn.begin..<turn.end, allowed, "during", place, &wrong)
      }
      judge(turn.end..<max(turn.end, last), turn.outcomes.map { [$0] }, "after", place, &wrong)
      judged += max(0, last - turn.end)
    }
    let count = bed.witness.count
    #expect(wrong.isEmpty, "\(name):\n\(wrong.prefix(12).joined(separator: "\n"))")
    #expect(count.duplicated == 0 && count.beyond == 0, "\(name): \(count)")
    #expect(judged > turns.count * 400, "\(name): only \(judged) judged")
    let fast = decidedBefore + (forwarded.map(Self.decided) ?? 0)
    print(
      "\(name): \(turns.count - 1) commands, \(sent.frames) frames, \(judged) between commands, "
        + "\(count.frames) arrived, \(fast) decided fast")
    if let fpd {
      #expect(fast > sent.frames / 20, "\(name): \(String(describing: forwarded))")
      #expect(try fpd.stop() == 0)
    }
  }

  /// Says where a range of frames came to what is not allowed: once for each flow.
  private func judge(
    _ frames: Range<Int>, _ allowed: [Set<LoadWitness.Outcome>], _ when: String, _ place: Int,
    _ wrong: inout [String]
  ) {
    var counts: [Int: (first: Int, count: Int, outcome: LoadWitness.Outcome)] = [:]
    for number in max(0, frames.lowerBound)..<max(0, frames.upperBound) {
      let flow = number % CoherenceModel.flows
      let outcome = bed.witness.outcome(of: number)
      if allowed[flow].contains(outcome) { continue }
      counts[flow] = (counts[flow]?.first ?? number, (counts[flow]?.count ?? 0) + 1, outcome)
    }
    for (flow, found) in counts.sorted(by: { $0.key < $1.key }) {
      let older = turns[..<max(0, place - (when == "during" ? 1 : 0))].lastIndex {
        $0.outcomes[flow] == found.outcome
      }
      wrong.append(
        "\(when) command \(place), `\(turns[place].line)`: \(found.count) frames of flow \(flow) in "
          + "\(frames) came to \(found.outcome), the first is \(found.first); allowed: "
          + "\(allowed[flow])\(older.map { "; as configured by command \($0)" } ?? "")")
    }
  }
}
