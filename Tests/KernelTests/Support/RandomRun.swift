// SPDX-License-Identifier: Apache-2.0
import Glibc
import Introspection
import Lab
import Testing

/// Sends random packets through random rulesets of a tool, on a router with fpd and on one without, and
/// compares what comes out and what the rules count. What differs is shrunk to a ruleset that one can read.
///
/// FPD_RANDOM_RULESETS=2000 is how many in all, over tools and hooks; FPD_RANDOM_SEED=2 makes others;
/// FPD_RANDOM_WAY='iptables-nft tc' picks ways, FPD_RANDOM_ONLY=17 the ruleset of that number;
/// FPD_RANDOM_SHRINK=600 gives seconds to shrink a difference in, FPD_RANDOM_FAILURES=1 ends after so many; FPD_RANDOM_SHOW=1 prints what the tools are
/// given; FPD_RANDOM_DRY=1 compares Linux with itself, which tests the test.
final class RandomRun {
  private let tool: Firewall.Tool
  private let hook: String
  private let plain: RandomBed
  private let fast: RandomBed
  private let seed = UInt64(RandomRun.number("FPD_RANDOM_SEED") ?? 1)
  private let only = RandomRun.number("FPD_RANDOM_ONLY")
  private let isDry = getenv("FPD_RANDOM_DRY") != nil
  private let shows = getenv("FPD_RANDOM_SHOW") != nil
  private let count: Int
  private static let packetsPerRuleset = 200
  /// Rulesets that one program judges, before there is another.
  private static let lookLength = 8
  private let failuresMax = RandomRun.number("FPD_RANDOM_FAILURES") ?? 3

  private var done = 0
  private var refused = 0
  private var failures = 0
  private var fates: [String: Int] = [:]
  /// Of the rules that count, those that some packet met.
  private var met = (some: 0, all: 0)

  /// Whether this way is to be taken.
  static func isWanted(_ tool: Firewall.Tool, _ hook: String) -> Bool {
    guard let way = getenv("FPD_RANDOM_WAY") else { return true }
    let words = String(cString: way).split(separator: " ").map(String.init)
    return words.allSatisfy { $0 == tool.rawValue || $0 == hook }
  }

  static func number(_ name: String) -> Int? {
    getenv(name).flatMap { Int(String(cString: $0)) }
  }

  init(_ tool: Firewall.Tool, on hook: String) throws {
    (self.tool, self.hook) = (tool, hook)
    let ways = Firewall.Tool.allCases.count * 2
    count = Self.number("FPD_RANDOM_RULESETS").map { ($0 + ways - 1) / ways } ?? 14
    plain = try RandomBed(nil)
    fast = try RandomBed(isDry ? nil : hook)
  }

  func run() throws {
    let started = Instant.now
    var told = started
    for number in only.map({ $0..<$0 + 1 }) ?? 0..<count {
      try run(number)
      done += 1
      if failures >= failuresMax { break }
      if Instant.now - told > .seconds(10) {
        told = .now
        print("\(tool.rawValue) on \(hook): \(done) of \(count) rulesets in \(told - started)")
      }
    }
    let (decided, all) = share
    print(
      "\(tool.rawValue) on \(hook), seed \(seed): \(done) rulesets in \(Instant.now - started), "
        + "\(refused) refused, \(decided) of \(all) packets fast, \(met.some) of \(met.all) counters met; \(fates)"
    )
    if shows { print(times) }
    if only == nil {
      #expect(refused * 50 <= done, "the tool refused \(refused) of \(done) rulesets")
      if !isDry { #expect(decided * 2 >= all && all > 0, "\(decided) of \(all) packets fast") }
    }
    #expect(try plain.close() == 0)
    #expect(try fast.close() == 0)
  }

  private var share: (decided: Int, all: Int) {
    let decided = (fates["forwarded"] ?? 0) + (fates["dropped"] ?? 0)
    // What the router is asked so as to know that packets are through is broadcast.
    return (decided, fates.values.reduce(0, +) - (fates["multicast"] ?? 0))
  }

  private func run(_ number: Int) throws {
    let look = FirewallMaker.Look(tool, number / Self.lookLength, seed: seed)
    let own = seed &* 1_000_003 &+ UInt64(number) &* 2 &+ (hook == "xdp" ? 0 : 1)
    var maker = FirewallMaker(look, seed: own)
    let firewall = maker.make()
    let trial = FirewallTrial(firewall, maker.packets(Self.packetsPerRuleset))
    if shows { print(firewall.description) }
    let before = try fast.fates()
    let outcome = try compare(trial)
    fates.merge(try fast.fates().merging(before) { $0 - $1 }.filter { $0.value != 0 }) { $0 + $1 }
    switch outcome {
    case .same: return
    case .refused(let words):
      refused += 1
      print("\(tool.rawValue), ruleset \(number): refused: \(words)")
    case .differ(let problems):
      failures += 1
      report(trial, number, problems)
    }
  }

  // MARK: One ruleset

  private enum Outcome {
    case same
    case refused(String)
    case differ([Problem])
  }

  private struct Problem {
    /// The packet, if it is about one.
    var packet: UInt16?
    var words: String
  }

  private var times: [String: Duration] = [:]

  private func timed<Result>(_ what: String, _ body: () throws -> Result) rethrows -> Result {
    let started = Instant.now
    defer { times[what, default: .zero] += Instant.now - started }
    return try body()
  }

  private func compare(_ trial: FirewallTrial) throws -> Outcome {
    defer {
      timed("tidying") { for bed in [plain, fast] { try? bed.tidy(except: trial.firewall) } }
    }
    let refusal = try timed("loading") { try plain.load(trial.firewall) }
    if let refusal { return .refused(refusal) }
    if let words = try timed("loading", { try fast.load(trial.firewall) }) {
      return .differ([Problem(words: "refused where fpd runs: \(words)")])
    }
    if let words = try timed("settling", { try fast.settle() }) {
      return .differ([Problem(words: words)])
    }
    let expected = try timed("sending") { try plain.send(trial.packets) }
    let found = try timed("sending") { try fast.send(trial.packets) }
    var problems: [Problem] = []
    for number in Set(expected.keys).union(found.keys).sorted()
    where expected[number] != found[number] {
      problems.append(
        Problem(
          packet: number,
          words: "with fpd \(Self.text(found[number])), without \(Self.text(expected[number]))"))
    }
    let left = try timed("counters") { try plain.counters(tool) }
    let right = try timed("counters") { try fast.counters(tool) }
    let rules = left.filter { !$0.hasPrefix(":") && !$0.hasPrefix("*") && $0 != "COMMIT" }
    met.all += rules.count
    met.some += rules.count { !$0.hasPrefix("[0:0]") && !$0.hasSuffix(": 0 0") }
    if left != right {
      let more = right.filter { !left.contains($0) }.prefix(5)
      let less = left.filter { !right.contains($0) }.prefix(5)
      problems.append(
        Problem(
          words: "counters with fpd:\n\(more.joined(separator: "\n"))\nand without:\n"
            + less.joined(separator: "\n")))
    }
    return problems.isEmpty ? .same : .differ(problems)
  }

  private static func text(_ frames: [String]?) -> String {
    frames.map { $0.joined(separator: "\n    ") } ?? "nothing"
  }

  // MARK: Failing

  private func report(_ trial: FirewallTrial, _ number: Int, _ problems: [Problem]) {
    var last = problems
    func differs(_ trial: FirewallTrial) -> Bool {
      guard case .differ(let problems)? = try? compare(trial) else { return false }
      last = problems
      return true
    }
    // One packet by itself, unless it takes those before it.
    var start = trial
    let first = problems.lazy.compactMap(\.packet).first
    if let packet = trial.packets.first(where: { $0.number == first }) {
      let alone = FirewallTrial(trial.firewall, [packet])
      if differs(alone) { start = alone }
    }
    let isSteady = start != trial || differs(trial)
    var shrinking = Shrinking(start, within: .seconds(Self.number("FPD_RANDOM_SHRINK") ?? 60))
    if isSteady { shrinking.run(FirewallTrial.reductions) { differs($0) } }
    let least = shrinking.subject
    Issue.record(
      """
      \(tool.rawValue) on \(hook), seed \(seed), ruleset \(number) (FPD_RANDOM_ONLY=\(number)): \
      \(isSteady ? "shrunk to \(least.firewall.ruleCount) rules in \(shrinking.tries) tries" : "not again")\
      \(isSteady && !shrinking.isLeast ? ", not to the end" : "")
      \(least.firewall.description)
      \(least.packets.prefix(3).map(describe).joined(separator: "\n"))
      \((isSteady ? last : problems).prefix(3).map { "\($0.packet.map { "packet \($0): " } ?? "")\($0.words)" }.joined(separator: "\n"))
      """)
  }

  private func describe(_ packet: FirewallPacket) -> String {
    let host = ContractHost(rawValue: packet.host) ?? .a
    let bytes = packet.frame(from: host.mac, to: host.gateway)
    return "host \(host.name) sends \(Frame(bytes))\n  \(hexadecimal(bytes))"
  }
}
