// SPDX-License-Identifier: Apache-2.0
import Introspection

/// How long reading this namespace's rulesets takes, and what they need in memory.
enum Measurement {
  static func run(rounds: Int) throws {
    let reader = try RulesetReader()
    let before = resident()
    var kept: [RuleTable] = []
    for round in 1...max(1, rounds) {
      let clock = ContinuousClock()
      var legacy: [RuleTable] = []
      var nftables: [RuleTable] = []
      var sets: [IPSet] = []
      let legacyTime = try clock.measure { legacy = try reader.readLegacy() }
      let nftablesTime = try clock.measure { nftables = try reader.readNftables().tables }
      let setsTime = try clock.measure { sets = try reader.readSets() }
      let compareTime = clock.measure { _ = kept == legacy + nftables }
      kept = legacy + nftables
      print(
        "round \(round): legacy \(count(legacy)) rules in \(legacyTime), nftables "
          + "\(count(nftables)) in \(nftablesTime), \(sets.count) sets in \(setsTime), compared in "
          + "\(compareTime), resident \(before) -> \(resident()) KiB")
    }
    for table in kept {
      print(
        "\(table.backend.rawValue) \(table.family.name) \(table.name): \(table.ruleCount) rules, "
          + "\(table.unmodelledRuleCount) not modelled in full \(table.unmodelledNames)")
    }
  }

  private static func count(_ tables: [RuleTable]) -> Int {
    tables.reduce(0) { $0 + $1.ruleCount }
  }

  private static func resident() -> Int {
    guard case .success(let text) = ProcFile.read("/proc/self/statm") else { return 0 }
    let fields = text.split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4 : 0
  }
}
