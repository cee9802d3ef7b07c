// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON

/// Trials by chance, one after the other, until there have been enough.
package struct Campaign {
  package var seed: UInt64 = 1
  /// From this one on; with the seed it names a trial.
  package var first = 0
  package var trials = Int.max
  package var pairs = Int.max
  package var time: Duration?
  package var hooks = ["xdp", "tc"]
  /// Networks of one kind only: one of `kinds`, which not every kernel can build.
  package var kind: String?
  package static let kinds = World.further.map(\.name)
  package var isDry = false
  /// How long a difference may be made smaller.
  package var shrinking = Duration.seconds(60)
  /// After so many differences there is no use in going on.
  package var failuresMax = 3
  /// Where trials that differ are written.
  package var directory: String?
  /// Progress and findings, for people.
  package var tell: (String) -> Void = {
    print($0)
    fflush(nil)
  }

  package init() {}

  /// How many trials `make test` does, from seed 1 on: some ten minutes.
  package static let seededTrials = 200

  package struct Summary {
    package var trials = 0
    package var stages = 0
    package var pairs = 0
    package var distinct = 0
    package var byName: [String: Int] = [:]
    package var fates: [String: Int] = [:]
    /// Trials that differed once and not again, and those where Linux differs from itself.
    package var unsteady = 0
    package var failures: [String] = []
    package var took = Duration.zero

    /// Of the packets that fpd looked at, those it decided.
    package var share: Double {
      let decided = (fates["forwarded"] ?? 0) + (fates["dropped"] ?? 0)
      // Stations greet, and what tells that frames are through is broadcast.
      let all = fates.values.reduce(0, +) - (fates["multicast"] ?? 0)
      return all == 0 ? 0 : Double(decided) / Double(all)
    }
  }

  package func run() throws -> Summary {
    var summary = Summary()
    var seen: Set<Int> = []
    let started = Instant.now
    var told = started
    var number = first
    while number - first < trials, summary.pairs < pairs, summary.failures.count < failuresMax {
      if let time, Instant.now - started >= time { break }
      let trial = trial(number)
      let runner = runner(number)
      let outcome = try runner.run(trial)
      summary.trials += 1
      summary.stages += trial.stages.count
      summary.pairs += outcome.pairs
      summary.byName[trial.name, default: 0] += outcome.pairs
      summary.fates.merge(outcome.fates) { $0 + $1 }
      trial.addPairs(to: &seen, ofStages: outcome.stage + 1, where: runner.isComparable)
      if !outcome.isSame { try judge(trial, number, runner, outcome, &summary) }
      number += 1
      summary.took = Instant.now - started
      if Instant.now - told > .seconds(15) {
        told = .now
        tell(summary.line)
      }
    }
    summary.distinct = seen.count
    summary.took = Instant.now - started
    return summary
  }

  /// The trial of a number.
  package func trial(_ number: Int) -> Trial {
    var maker = TrialMaker(seed: seed &* 1_000_003 &+ UInt64(number), kind: kind)
    return maker.make()
  }

  private func runner(_ number: Int) -> Runner {
    Runner(hook: hooks[number % hooks.count], isDry: isDry)
  }

  /// How many distinct pairs there are in the trials, when all of them are done.
  package func count() -> Int {
    var seen: Set<Int> = []
    for number in first..<first + trials {
      trial(number).addPairs(to: &seen, ofStages: .max, where: runner(number).isComparable)
    }
    return seen.count
  }

  // MARK: Differences

  private func judge(
    _ trial: Trial, _ number: Int, _ runner: Runner, _ outcome: Runner.Outcome,
    _ summary: inout Summary
  ) throws {
    // Nothing behind the difference matters.
    var subject = trial
    if outcome.stage + 1 < trial.stages.count {
      subject.stages.removeSubrange((outcome.stage + 1)...)
    }
    let words = outcome.problems.joined(separator: "\n    ")
    var runner = runner
    runner.isPatient = outcome.mayBeLimit
    // What is decided by the moment comes up once; what is wrong, again and again.
    var (again, problems) = (0, outcome.problems)
    for _ in 0..<6 where again < 3 {
      let outcome = try runner.run(subject)
      if !outcome.isSame { (again, problems) = (again + 1, outcome.problems) }
    }
    if again < 3 {
      summary.unsteady += 1
      tell("trial \(number) on \(runner.hook), \(trial.name): not steadily: \(words)")
      try keep(subject, "unsteady", number, runner, words)
      return
    }
    var linux = runner
    linux.isDry = true
    if !runner.isDry, try differs(subject, linux, inOneOf: 8) {
      summary.unsteady += 1
      tell("trial \(number), \(trial.name): Linux differs from itself: \(words)")
      try keep(subject, "linux", number, runner, words)
      return
    }
    var shrinking = Shrinking(subject, within: shrinking)
    shrinking.run(Trial.reductions) { smaller in
      // What cannot even be built does not fail in the way that is looked for.
      guard let outcome = try? runner.run(smaller), !outcome.isSame else { return false }
      problems = outcome.problems
      return true
    }
    // What is left may differ by chance, where what it came from did not.
    var least = shrinking.subject
    if !runner.isDry, try differs(least, linux, inOneOf: 4) {
      (least, problems) = (subject, outcome.problems)
    }
    let text = """
      trial \(number) of seed \(seed) on \(runner.hook) differs, shrunk in \(shrinking.tries) tries\
      \(shrinking.isLeast ? "" : ", not to the end"); what was seen first: \(words.prefix(500))
      \(least.listing)
        \(problems.joined(separator: "\n  "))
      """
    summary.failures.append(text)
    tell(text)
    try keep(least, "different", number, runner, problems.joined(separator: "\n"))
  }

  private func differs(_ trial: Trial, _ runner: Runner, inOneOf tries: Int) throws -> Bool {
    for _ in 0..<tries where try !runner.run(trial).isSame { return true }
    return false
  }

  private func keep(
    _ trial: Trial, _ word: String, _ number: Int, _ runner: Runner, _ note: String
  ) throws {
    guard let directory else { return }
    guard case .object(var object) = trial.json else { return }
    object["hook"] = .string(runner.hook)
    object["note"] = .string(note)
    try TextFile.write(
      "\(directory)/\(word)-\(seed)-\(number).json", JSON.object(object).text(pretty: true) + "\n")
  }
}

extension Campaign.Summary {
  var line: String {
    let share = Int((share * 100).rounded())
    return "\(trials) trials, \(pairs) pairs in \(took.components.seconds) s, "
      + "\(share) % decided by the fast path, \(unsteady) unsteady, \(failures.count) different"
  }

  /// With what the pairs were and what became of the packets.
  package var text: String {
    let names = byName.sorted { $0.key < $1.key }.map { "  \($0.key): \($0.value)" }
    let ends = fates.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
    return
      (["\(line); \(distinct) distinct pairs"] + names
      + ["  " + ends.map { "\($0.key) \($0.value)" }.joined(separator: ", ")])
      .joined(separator: "\n")
  }
}

extension Trial {
  /// Of the first stages, as far as they are sent. Each stage is another configuration; packets that differ in
  /// nothing but their number are one.
  fileprivate func addPairs(
    to seen: inout Set<Int>, ofStages count: Int, where isSent: (Shot) -> Bool
  ) {
    var configuration = Hasher()
    configuration.combine(build)
    for stage in stages.prefix(count) {
      configuration.combine(stage.changes)
      for shot in stage.shots where isSent(shot) {
        var pair = configuration
        var head = Array(shot.bytes.prefix(42))
        if head.count > 26, head[12] == 8, head[13] == 0 {
          for place in [18, 19, 24, 25] { head[place] = 0 }
        }
        pair.combine(shot.port)
        pair.combine(shot.bytes.count)
        pair.combine(head)
        seen.insert(pair.finalize())
      }
    }
  }
}
