// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON

/// Does a trial twice, in a router with fpd and in one without, and compares all that can be seen.
package struct Runner {
  /// `xdp` or `tc`.
  package let hook: String
  /// Compares Linux with itself: what differs then is a trial's fault.
  package var isDry = false
  /// Waits before each stage until Linux would tell every host of no way again: once in a second it does.
  package var isPatient = false

  package init(hook: String, isDry: Bool = false) { (self.hook, self.isDry) = (hook, isDry) }

  package struct Outcome {
    /// In which stage there was a difference, and which; empty when there was none.
    package var stage = 0
    package var problems: [String] = []
    /// What became of the packets, by fpd's own counters.
    package var fates: [String: Int] = [:]
    package var pairs = 0

    package var isSame: Bool { problems.isEmpty }
    /// Whether all that differs is which hosts were told of no way or of a better one.
    package var mayBeLimit = false
  }

  package func run(_ trial: Trial) throws -> Outcome {
    let plain = try Bed(trial, hook: hook, hasFpd: false)
    defer { _ = try? plain.close() }
    let fast = try Bed(trial, hook: hook, hasFpd: !isDry)
    var outcome = Outcome()
    do {
      try run(trial, plain, fast, &outcome)
    } catch {
      _ = try? fast.close()
      throw error
    }
    let status = try fast.close()
    if status != 0, outcome.isSame { outcome.problems = ["fpd ended with status \(status)"] }
    return outcome
  }

  private func run(_ trial: Trial, _ plain: Bed, _ fast: Bed, _ outcome: inout Outcome) throws {
    var firewalls: Set<String> = []
    // tolerated: with a killed fpd goes what it had counted for rules
    var hasDied = false
    for line in trial.build { firewalls.formUnion(Self.firewalls(line)) }
    var told = (plain: try plain.counters(), fast: try fast.counters())
    var warned = (plain: [IPv4Address: String](), fast: [IPv4Address: String]())
    for bed in [plain, fast] { try bed.begin() }
    // A fast path that does not run would always be right.
    outcome.problems = try fast.converge()
    if !outcome.isSame { return }
    var fates = try fast.fates()
    var lastSent = Instant.now
    for (number, stage) in trial.stages.enumerated() {
      for line in stage.changes { firewalls.formUnion(Self.firewalls(line)) }
      outcome.stage = number
      // Linux tells a host again when a second has passed.
      if isPatient { _ = eventually { Instant.now - lastSent > .milliseconds(1100) } }
      var heard = (plain: Bed.Heard(), fast: Bed.Heard())
      var expected = Observation()
      var found = Observation()
      expected.words = try plain.run(stage.changes)
      try fast.prepare(stage.manner)
      found.words = try fast.run(stage.changes)
      try plain.settle()
      try fast.settle()
      let complaints = stage.manner == .settled ? try fast.converge() : []
      let shots = stage.shots.filter(isComparable)
      try plain.send(shots, &heard.plain)
      try fast.send(shots, &heard.fast)
      lastSent = .now
      // What is late on a busy machine is waited for.
      for patience in [20, 200] {
        if Self.comparable(heard.plain) == Self.comparable(heard.fast) { break }
        try plain.listen(&heard.plain, patience: .milliseconds(patience))
        try fast.listen(&heard.fast, patience: .milliseconds(patience))
      }
      try fast.mend(stage.manner)
      expected.heard = Self.comparable(heard.plain)
      found.heard = Self.comparable(heard.fast)
      warned.plain.merge(Self.warned(heard.plain, number)) { first, _ in first }
      warned.fast.merge(Self.warned(heard.fast, number)) { first, _ in first }

      let now = (plain: try plain.counters(), fast: try fast.counters())
      expected.kernel = Self.growth(now.plain, told.plain)
      found.kernel = Self.growth(now.fast, told.fast)
      told = now
      // A killed fpd takes what it has counted with it.
      let later = try fast.fates()
      let fate = Self.growth(later, stage.manner == .dead ? [:] : fates)
      fates = later
      outcome.fates.merge(fate) { $0 + $1 }
      Self.account(for: fate, trial, stage, &expected, &found)
      if stage.manner == .dead { hasDied = true }
      if hasDied { firewalls = [] }
      expected.tables = try plain.tables(trial, firewalls, heard: heard.plain)
      found.tables = try fast.tables(trial, firewalls, heard: heard.fast)
      outcome.pairs += shots.count
      outcome.problems = found.problems(without: expected) + complaints
      if !outcome.isSame { return }
    }
    outcome.problems =
      Self.only(warned.fast, without: warned.plain).map { "told only with fpd: \($0)" }
      + Self.only(warned.plain, without: warned.fast).map { "told only without: \($0)" }
    outcome.mayBeLimit = !outcome.isSame
  }

  private static func only(
    _ told: [IPv4Address: String], without other: [IPv4Address: String]
  ) -> [String] {
    told.filter { other[$0.key] == nil }.values.sorted()
  }

  /// tolerated: a veth with XDP has its other end cut streams into segments before they are sent
  func isComparable(_ shot: Trial.Shot) -> Bool {
    hook == "tc" || shot.segment ?? 0 == 0
  }

  private static func comparable(_ heard: Bed.Heard) -> [String: [HeardFrame: Int]] {
    heard.mapValues(Observation.comparable).filter { !$0.value.isEmpty }
  }

  /// The hosts that were told of no way or of a better one, each with the first such message.
  /// tolerated: how many of them a host gets; which hosts do is compared
  private static func warned(_ heard: Bed.Heard, _ stage: Int) -> [IPv4Address: String] {
    var told: [IPv4Address: String] = [:]
    for (place, frames) in heard where place.hasPrefix("p") {
      for frame in frames where Observation.isLimited(frame) {
        guard let to = frame.ipv4?.destination, told[to] == nil else { continue }
        told[to] = "in stage \(stage), \(place) heard \(frame)"
      }
    }
    return told
  }

  private static func growth(_ now: [String: Int], _ then: [String: Int]) -> [String: Int] {
    now.merging(then) { $0 - $1 }.filter { $0.value != 0 }
  }

  /// What the fast path has forwarded, the kernel has not counted: it is fpd's to tell.
  private static func account(
    for fates: [String: Int], _ trial: Trial, _ stage: Trial.Stage, _ expected: inout Observation,
    _ found: inout Observation
  ) {
    let name = "ForwDatagrams"
    let isRouter = !trial.build.contains { $0.contains(" type bridge") }
    if isRouter, stage.manner != .dead {
      let counted = found.kernel[name, default: 0] + (fates["forwarded"] ?? 0)
      // The kernel counts before the rules of POSTROUTING, what is dropped there as well.
      let less = expected.kernel[name, default: 0] - counted
      let isRight = less >= 0 && less <= fates["dropped"] ?? 0
      found.kernel[name] = isRight ? expected.kernel[name] : counted
    } else {
      // tolerated: bridged and routed are one number of fpd's, and a killed one has lost it
      found.kernel[name] = nil
      expected.kernel[name] = nil
    }
  }

  /// Whose rules a command changes.
  private static func firewalls(_ line: String) -> Set<String> {
    if line.hasPrefix("iptables-legacy") { return ["iptables-legacy"] }
    if line.hasPrefix("iptables-nft") || line.hasPrefix("nft") { return ["nft"] }
    return []
  }
}
