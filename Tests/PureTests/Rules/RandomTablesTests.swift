// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Testing

@Suite struct RandomTablesTests {
  private let sets: [IPSet] = {
    var four = IPSet(name: "blocked")
    (four.index, four.type, four.family) = (7, "hash:ip", 2)
    return [four]
  }()

  private func sets(_ family: RuleFamily) -> [IPSet] {
    sets.map { set in
      var set = set
      set.family = family.rawValue
      return set
    }
  }

  /// Rules all of whose meaning is known: nothing is punted but later fragments that come to a rule on
  /// ports, and verdict and counters are the kernel's.
  @Test(arguments: [RuleFamily.ip, .ip6]) func flatRulesJudgeAsTheKernelDoes(family: RuleFamily) {
    var met: [String: Int] = [:]
    for seed in 0..<1500 {
      var make = RandomTables(seed: UInt64(seed), family: family, strange: false)
      let tables = make.tables()
      let flat = FlatRuleset(family: family, tables: tables, sets: sets(family))
      for _ in 0..<20 {
        let packet = make.packet()
        let found = flat.judge(packet)
        met["\(found.judgement)", default: 0] += 1
        if packet.laterFragment && found.judgement == .punt(.unknown("fragment")) { continue }
        for blind in [false, true] {
          var kernel = KernelInterpreter(packet) { blind }
          let expected = kernel.judge(tables)
          #expect(
            found.judgement == expected && found.counted == kernel.counted,
            "seed \(seed): \(found.judgement), not \(String(describing: expected)), \(packet)")
          if found.judgement != expected || found.counted != kernel.counted { return }
        }
      }
    }
    // The comparison is worth nothing when all packets fare alike.
    #expect(met["accept", default: 0] > 3000 && met["drop", default: 0] > 3000)
  }

  /// With unknown matches and effects: what is not punted is so whatever they would have said.
  @Test(arguments: [RuleFamily.ip, .ip6]) func whatIsNotPuntedDoesNotHangOnTheUnknown(
    family: RuleFamily
  ) {
    var (decided, punted) = (0, 0)
    for seed in 0..<1500 {
      var make = RandomTables(seed: 1_000_000 + UInt64(seed), family: family, strange: true)
      let tables = make.tables()
      let flat = FlatRuleset(family: family, tables: tables, sets: sets(family))
      for _ in 0..<20 {
        let packet = make.packet()
        let found = flat.judge(packet)
        if found.judgement.isPunt {
          punted += 1
          continue
        }
        decided += 1
        for guess in 0..<8 {
          var coin = SeededGenerator(seed: UInt64(guess))
          var kernel = KernelInterpreter(packet) {
            guess == 0 ? true : guess == 1 ? false : coin.next() & 1 == 0
          }
          let expected = kernel.judge(tables)
          #expect(
            found.judgement == expected && found.counted == kernel.counted,
            "seed \(seed), guess \(guess), \(packet)")
          if found.judgement != expected || found.counted != kernel.counted { return }
        }
      }
    }
    #expect(decided > 10_000 && punted > 3000, "\(decided) decided, \(punted) punted")
  }

  /// A list that is cut short decides nothing otherwise than the whole.
  @Test func rulesThatDoNotFitArePunted() {
    var cut = 0
    for seed in 0..<600 {
      var make = RandomTables(seed: 2_000_000 + UInt64(seed), family: .ip, strange: false)
      let tables = make.tables()
      let flat = FlatRuleset(family: .ip, tables: tables, sets: sets, limit: 6)
      for _ in 0..<10 {
        let packet = make.packet()
        let found = flat.judge(packet)
        if found.judgement == .punt(.tooMany) {
          cut += 1
          continue
        }
        if found.judgement == .punt(.unknown("fragment")) { continue }
        var kernel = KernelInterpreter(packet)
        let expected = kernel.judge(tables)
        #expect(
          found.judgement == expected && found.counted == kernel.counted,
          "seed \(seed): \(found.judgement), not \(String(describing: expected))")
      }
    }
    #expect(cut > 500)
  }
}
