// SPDX-License-Identifier: Apache-2.0
import Control
import Introspection
import OrderedJSON
import Rules

extension Daemon {
  /// The rules of all firewalls, where each is decided, and what it counted.
  func rules(_ request: Request) throws(Refusal) -> JSON {
    let (table, chain) = (try request.text("table"), try request.text("chain"))
    if chain != nil && table == nil {
      throw Refusal(.usage, "a \"chain\" needs its \"table\"")
    }
    let tables = tracker.state.legacyTables + tracker.state.nftables
    accounts.follow(tables)
    takeRuleCounts()
    // Where nothing is hooked into the way there is nothing compiled.
    let list =
      rulebook.ruleset ?? FlatRuleset(family: .ip, tables: tables, sets: tracker.state.sets)
    let report = RulesReport(
      tables: tables, sets: tracker.state.sets, placement: RulePlacement([list]),
      kernel: try kernelCounts(tables.filter { table == nil || $0.name == table }),
      ledger: accounts.ledger)
    return try report.json(table: table, chain: chain)
  }

  private func kernelCounts(_ tables: [RuleTable]) throws(Refusal) -> [RuleOrigin: Tally] {
    do { return try accounts.kernelCounts(of: tables) } catch {
      throw Refusal(.internal, String(describing: error))
    }
  }
}
