// SPDX-License-Identifier: Apache-2.0
import Introspection

/// By how much the counters of a compiled ruleset (the map `fpd_rule_counts`) have gone on since they were
/// last read, rule by rule.
package struct RuleMeter: Sendable {
  private let origins: [RuleOrigin]
  private let counters: [[Int]]
  private var last: [Tally]

  /// Of a map in which nothing is counted yet.
  ///
  /// - Parameter counters: `ClassifierImage.counters`.
  package init(_ ruleset: FlatRuleset, counters: [[Int]]) {
    (origins, self.counters) = (ruleset.origins, counters)
    last = [Tally](repeating: .zero, count: counters.count)
  }

  /// - Parameter counts: each entry of the map, in order.
  package mutating func advance(_ counts: [Tally]) -> [RuleOrigin: Tally] {
    var gained: [RuleOrigin: Tally] = [:]
    for (place, now) in counts.enumerated() where place < last.count && now != last[place] {
      // A counter never goes back; a reading in the middle of an increment may seem so.
      guard now.packets >= last[place].packets, now.bytes >= last[place].bytes else { continue }
      let tally = Tally(
        packets: now.packets - last[place].packets, bytes: now.bytes - last[place].bytes)
      last[place] = now
      for origin in counters[place] where origins.indices.contains(origin) {
        gained[origins[origin], default: .zero] += tally
      }
    }
    return gained
  }
}
