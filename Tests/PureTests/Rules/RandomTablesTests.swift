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
        var leaving = packet
        let found = flat.judge(changing: &leaving)
        met["\(found.judgement)", default: 0] += 1
        if packet.laterFragment && found.judgement == .punt(.unknown("fragment")) { continue }
        for blind in [false, true] {
          var kernel = KernelInterpreter(packet) { blind }
          let expected = kernel.judge(tables)
          #expect(
            found.judgement == expected && found.counted == kernel.counted,
            "seed \(seed): \(found.judgement), not \(String(describing: expected)), \(packet)")
          if found.judgement != expected || found.counted != kernel.counted { return }
          if leaving.mark != packet.mark { met["marked", default: 0] += 1 }
          guard expected != .accept || leaving.mark == kernel.packet.mark else {
            Issue.record("seed \(seed): marked \(leaving.mark), not \(kernel.packet.mark)")
            return
          }
        }
      }
    }
    #expect(met["marked", default: 0] > 1000)
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

  /// Where connections are tracked, with chains before, between and behind conntrack and NAT: what the list
  /// says is what the hooks say one after the other. Of other addresses than those that a packet is
  /// classified by the list knows nothing, and says so.
  @Test(arguments: [RuleFamily.ip, .ip6]) func flatRulesKnowConnectionsAsTheKernelDoes(
    family: RuleFamily
  ) {
    var met: [String: Int] = [:]
    for seed in 0..<3000 {
      var make = RandomTables(
        seed: 3_000_000 + UInt64(seed), family: family, strange: false, tracked: true)
      let tables = make.tables()
      let hooks = make.hooks(tables)
      let flat = FlatRuleset(family: family, tables: tables, sets: sets(family), hooks: hooks)
      let isTranslated = hooks.contains { $0.owner == .nat }
      let isTracked = hooks.contains { $0.owner == .conntrack }
      for _ in 0..<20 {
        var packet = make.packet()
        if !isTranslated { (packet.connection.arriving, packet.connection.leaving) = (nil, nil) }
        var leaving = packet
        let found = flat.judge(changing: &leaving)
        met[found.judgement.name, default: 0] += 1
        for stage in flat.stages { met["\(stage.view)", default: 0] += 1 }
        if packet.connection.isMissing && isTracked && !leaving.connection.isUntracked {
          // The kernel's, unless rules drop it before.
          var kernel = KernelInterpreter(packet) { false }
          guard let expected = kernel.judge(tables, hooks) else { continue }
          met["stranger \(expected)", default: 0] += 1
          if !found.judgement.isPunt, found.judgement != expected || found.counted != kernel.counted
          {
            Issue.record("seed \(seed): \(found), not \(expected) \(kernel.counted)")
            return
          }
          continue
        }
        if leaving.connection.isUntracked {
          // What was translated is the kernel's then.
          if packet.connection.arriving != nil || packet.connection.leaving != nil { continue }
          met["not tracked \(found.judgement.name)", default: 0] += 1
        }
        switch found.judgement {
        case .punt(.unknown("fragment")) where packet.laterFragment: continue
        case .punt(.unknown("before NAT")), .punt(.unknown("behind NAT")):
          if !isTranslated { Issue.record("seed \(seed): there is no NAT") }
          continue
        case .punt(.unknown("conntrack")), .punt(.unknown("connmark")):
          if isTracked { Issue.record("seed \(seed): connections are tracked") }
          continue
        case .punt(.effect("CONNMARK")), .punt(.effect("ct set")), .punt(.effect("meta set")):
          if isTracked { Issue.record("seed \(seed): connections are tracked") }
          continue
        // Conditions behind what changes a mark.
        case .punt(.effect("mark")): continue
        case .punt(.newMark):
          var kernel = KernelInterpreter(packet) { false }
          if kernel.judge(tables, hooks) != nil { Issue.record("seed \(seed): no new mark") }
          continue
        default: break
        }
        for blind in [false, true] {
          var kernel = KernelInterpreter(packet) { blind }
          let expected = kernel.judge(tables, hooks)
          guard found.judgement == expected && found.counted == kernel.counted else {
            Issue.record(
              "seed \(seed): \(found), not \(String(describing: expected)) \(kernel.counted)")
            return
          }
          guard expected != .accept || leaving.mark == kernel.packet.mark else {
            Issue.record("seed \(seed): marked \(leaving.mark), not \(kernel.packet.mark)")
            return
          }
        }
      }
    }
    for (name, least) in [
      "accept": 5000, "drop": 5000, "before NAT": 50, "behind NAT": 100, "conntrack": 100,
      "untracked": 5000, "arriving": 2000, "routed": 20_000, "leaving": 2000, "plain": 2000,
      "stranger drop": 500, "not tracked accept": 50, "not tracked drop": 300,
    ] {
      #expect(met[name, default: 0] > least, "\(name): \(met)")
    }
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

extension Judgement {
  fileprivate var name: String {
    switch self {
    case .accept: "accept"
    case .drop: "drop"
    case .punt(let cause): cause.name
    }
  }
}
