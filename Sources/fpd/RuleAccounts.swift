// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

/// Keeps account of what rules counted on the fast path, and gives the kernel its part.
final class RuleAccounts {
  private(set) var ledger = RuleLedger()
  /// The rules as they are known now.
  private(set) var tables: [RuleTable] = []
  /// Why the kernel did not take the last counts; they are offered again.
  private(set) var problem: String?
  private let kernel = LegacyCounters()

  /// The rules are others now, or the same.
  func follow(_ tables: [RuleTable]) {
    ledger.carry(from: self.tables, to: tables)
    self.tables = tables
  }

  /// Enters what was counted since the last time, by the rules of tables that need not be today's any more.
  func enter(_ counts: [RuleOrigin: Tally], of tables: [RuleTable]) {
    ledger.add(counts, of: tables, now: self.tables)
  }

  /// Gives the kernel what it is owed.
  ///
  /// - Parameter unchanged: the identity of the rules proves that no table was replaced since the last
  ///   call.
  func settle(unchanged: Bool = false) {
    let owed = ledger.takeOwed()
    if owed.isEmpty { return }
    let outcome = kernel.add(owed, of: tables, unchanged: unchanged)
    ledger.giveBack(outcome.left)
    problem = outcome.problem
  }

  /// What the kernel itself counted, by `RuleOrigin.lasting`, with what it was given.
  func kernelCounts(of tables: [RuleTable]) throws -> [RuleOrigin: Tally] {
    var counts = try kernel.counts(of: tables)
    if tables.contains(where: { $0.backend != .iptablesLegacy }) {
      counts.merge(try RulesetReader().readNftablesCounts()) { $1 }
    }
    return counts
  }
}
