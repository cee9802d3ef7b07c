// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Rules
import Testing

extension Kernel {
  /// fpm/filter.h in this kernel against the list of rules read from the top.
  @Suite struct FilterTests {
    private static func outcome(_ end: RulePacket.Judgement.End) -> Int32 {
      switch end {
      case .accept: -1
      case .drop: 1
      case .unknown: reason("RULE_UNKNOWN")
      case .effect: reason("RULE_EFFECT")
      case .tooMany: reason("RULES_TOO_MANY")
      }
    }

    private static func reason(_ name: String) -> Int32 {
      Int32(2 + (FilterProgram.reasons.firstIndex(of: name) ?? -100))
    }

    /// Packets of one ruleset, and what was counted for all of them.
    private func compare(
      _ ruleset: FlatRuleset, _ chance: inout RandomRules, packets: Int,
      by source: FilterProgram.Source,
      _ objects: inout [ClassifierShape: [UInt8]], _ note: String, mayGiveUp: Int = 0
    ) throws {
      let image = try Classifier.image(of: ruleset, interfaces: chance.interfaces)
      let bytes = try objects[image.shape] ?? source.object(of: image.shape)
      objects[image.shape] = bytes
      let program = try FilterProgram(bytes, image)
      var expected: [Int: (packets: UInt64, bytes: UInt64)] = [:]
      var givenUp = 0
      for _ in 0..<packets {
        let packet = chance.packet()
        var leaving = packet
        let list = leaving.walk(ruleset)
        let found = try program.judge(packet)
        if found.outcome == Self.reason("RULES_MET") {
          if list.met > 16 { continue }
          givenUp += 1
          if givenUp <= mayGiveUp { continue }
        }
        guard found.outcome == Self.outcome(list.end) else {
          Issue.record("\(note): \(packet): \(found), not \(list)")
          return
        }
        guard list.end != .accept || found.mark == leaving.mark else {
          Issue.record("\(note): \(packet): marked \(found.mark), not \(leaving.mark)")
          return
        }
        for origin in list.counted {
          let sum = expected[origin] ?? (0, 0)
          expected[origin] = (sum.packets + 1, sum.bytes + UInt64(packet.length))
        }
      }
      let counted = try program.counts()
      #expect(Set(counted.keys) == Set(expected.keys), "\(note)")
      for (origin, sum) in expected {
        #expect(counted[origin]?.packets == sum.packets, "\(note), origin \(origin)")
        #expect(counted[origin]?.bytes == sum.bytes, "\(note), origin \(origin)")
      }
    }

    static let compilers = ["clang", "/opt/swift/usr/bin/clang"].filter {
      (name: String) -> Bool in
      !name.contains("/") || access(name, X_OK) == 0
    }

    @Test(arguments: compilers) func aProgramSaysWhatTheRulesSay(_ compiler: String) throws {
      let source = try FilterProgram.Source(compiler: compiler)
      var objects: [ClassifierShape: [UInt8]] = [:]
      for (index, count) in [1, 3, 10, 30, 64, 65, 100, 200, 300, 1000, 5000].enumerated() {
        for turn in 0..<(count < 1000 ? 3 : 1) as Range<Int> {
          let seed = UInt64(index * 10 + turn + 1)
          var chance = RandomRules(seed: seed, wide: turn != 1)
          let ruleset = chance.ruleset(rules: count)
          try compare(
            ruleset, &chance, packets: 300, by: source, &objects, "\(count) rules, seed \(seed)")
        }
      }
    }

    /// What iptables' matches drop on sight, so that no rule is asked.
    @Test func aTransportHeaderThatIsCutShortIsTheKernels() throws {
      var load = RandomRules(seed: 2)
      let ruleset = FilterLoad.fiveTuples.ruleset(rules: 10, &load)
      let image = try Classifier.image(of: ruleset, interfaces: [])
      let program = try FilterProgram(FilterProgram.Source().object(of: image.shape), image)
      for (transport, size) in [(6, 20), (17, 8), (136, 8), (1, 8), (132, 12), (33, 12)] {
        var packet = RulePacket()
        packet.transport = UInt8(transport)
        let whole = Array(packet.datagram.prefix(20 + size))
        #expect(try program.judge(packet, as: whole).outcome == -1, "\(transport)")
        let cut = try program.judge(packet, as: whole.dropLast())
        #expect(cut.outcome == Self.reason("MALFORMED"), "\(transport)")
        // A later fragment has none, but one of TCP may not begin inside of the first one's.
        var fragment = Array(whole.prefix(21))
        fragment[7] = 2
        #expect(try program.judge(packet, as: fragment).outcome == -1, "\(transport)")
        fragment[7] = 1
        let early = try program.judge(packet, as: fragment)
        #expect(early.outcome == (transport == 6 ? Self.reason("MALFORMED") : -1), "\(transport)")
      }
    }

    @Test func anInterfaceOfAnotherNameIsTheKernels() throws {
      var chance = RandomRules(seed: 3)
      var ruleset = chance.ruleset(rules: 1)
      ruleset.rules.insert(
        FlatRule(
          conditions: [.interfaceIndex(.input, chance.interfaces[0].index, negated: false)],
          action: .drop, origin: 0, counts: true), at: 0)
      ruleset.rules[1].action = .accept
      ruleset.stages[0].rules = 0..<2
      let image = try Classifier.image(of: ruleset, interfaces: chance.interfaces)
      let program = try FilterProgram(FilterProgram.Source().object(of: image.shape), image)
      var packet = RulePacket()
      packet.input = chance.interfaces[0]
      #expect(try program.judge(packet).outcome == 1)
      packet.input = chance.interfaces[1]
      #expect(try program.judge(packet).outcome == -1)
      packet.input.name = "renamed"
      #expect(try program.judge(packet).outcome == Self.reason("CHANGED"))
      packet.input = ClassifierInterface(index: 99, name: "eth0")
      #expect(try program.judge(packet).outcome == Self.reason("CHANGED"))
    }

    /// As on kernels that have no may_goto, where a packet that needs too many turns is punted.
    @Test func aProgramWithBoundedLoopsDoesToo() throws {
      let source = try FilterProgram.Source(bounded: true)
      var objects: [ClassifierShape: [UInt8]] = [:]
      for count in [5, 20] {
        var chance = RandomRules(seed: UInt64(count))
        let ruleset = chance.ruleset(rules: count)
        try compare(
          ruleset, &chance, packets: 300, by: source, &objects, "\(count) rules", mayGiveUp: 30)
      }
      var load = RandomRules(seed: 1)
      let many = FilterLoad.fiveTuplesMet.ruleset(rules: 5000, &load)
      let image = try Classifier.image(of: many, interfaces: [])
      let program = try FilterProgram(source.object(of: image.shape), image)
      for packet in FilterLoad.fiveTuplesMet.packets(300, many, &load) {
        let found = try program.judge(packet)
        #expect(found.outcome == Self.outcome(packet.judge(by: many).end))
      }
      #expect(try program.size().verified < 100_000)
    }

    /// Figures of this machine, where somebody wants them: FPD_MEASURE=1.
    @Test(.enabled("measures when FPD_MEASURE is set") { getenv("FPD_MEASURE") != nil })
    func whatItCosts() throws {
      let source = try FilterProgram.Source()
      for kind in FilterLoad.allCases {
        for count in [1, 10, 100, 1000, 10_000] {
          var load = RandomRules(seed: 7)
          let ruleset = kind.ruleset(rules: count, &load)
          let began = ContinuousClock.now
          let image = try Classifier.image(of: ruleset, interfaces: [])
          let built = ContinuousClock.now - began
          let bytes = try source.object(of: image.shape)
          let loading = ContinuousClock.now
          let program = try FilterProgram(bytes, image)
          let loaded = ContinuousClock.now - loading
          let cost = try program.cost(of: kind.packets(1024, ruleset, &load))
          let size = try program.size()
          print(
            "\(kind) \(count) rules: \(cost.with - cost.without) ns (\(cost.with) - \(cost.without)),",
            "image \(image.used / 1024) of \(image.shape.size / 1024) KiB made in \(built),",
            "three programs and their maps loaded in \(loaded),",
            "\(size.instructions) instructions, \(size.verified) verified")
        }
      }
    }
  }
}
