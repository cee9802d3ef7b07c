// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Oracle
import Testing

/// The fast path against the kernel, as docs/oracle.md tells.
@Suite(.serialized, .enabled("needs root, to make network namespaces") { geteuid() == 0 })
struct OracleTests {
  private static let corpus = "Tests/Oracle/corpus"

  init() { Leftovers.failOnExit() }

  /// What differed once does not any more.
  @Test(arguments: Leftovers.entries(of: corpus).sorted(), ["xdp", "tc"])
  func onceDifferent(_ file: String, _ hook: String) throws {
    let trial = try Trial(JSON(parsing: TextFile.read("\(Self.corpus)/\(file)")))
    let outcome = try Runner(hook: hook).run(trial)
    #expect(outcome.isSame, "\(outcome.problems.joined(separator: "\n  "))\n\(trial.listing)")
  }

  /// FPD_ORACLE_TRIALS=N trials from FPD_ORACLE_SEED on.
  @Test func doesAsLinuxDoes() throws {
    var campaign = Campaign()
    if let seed = Self.number("FPD_ORACLE_SEED") { campaign.seed = UInt64(seed) }
    campaign.trials = Self.number("FPD_ORACLE_TRIALS") ?? Campaign.seededTrials
    let summary = try campaign.run()
    print(summary.text)
    #expect(summary.failures.isEmpty)
    // A fast path that does nothing is always right; and a trial that is different each time tells nothing.
    #expect(summary.share > 0.2, "\(summary.fates)")
    #expect(summary.unsteady * 5 <= summary.trials, "\(summary.unsteady) of \(summary.trials)")
  }

  /// The same where connections are followed, of a router that every kernel can be.
  @Test func followsConnectionsAsLinuxDoes() throws {
    var campaign = Campaign()
    campaign.kind = "connections"
    if let seed = Self.number("FPD_ORACLE_SEED") { campaign.seed = UInt64(seed) }
    campaign.trials = min(Self.number("FPD_ORACLE_TRIALS") ?? 25, 25)
    let summary = try campaign.run()
    print(summary.text)
    #expect(summary.failures.isEmpty)
    #expect(summary.fates["forwarded"] ?? 0 > 50 * summary.trials, "\(summary.fates)")
    #expect(summary.unsteady * 5 <= summary.trials, "\(summary.unsteady) of \(summary.trials)")
  }

  /// A trial is the same when it was written and read.
  @Test func trialsAreKeptWhole() throws {
    for number in 0..<40 {
      let trial = Campaign().trial(number)
      #expect(try Trial(JSON(parsing: trial.json.text())) == trial)
    }
  }

  private static func number(_ name: String) -> Int? {
    getenv(name).flatMap { Int(String(cString: $0)) }
  }
}
