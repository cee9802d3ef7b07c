// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import Rules
import Testing

@Suite struct ClassifierTests {
  /// An image says of every packet what the list says, and counts what the list counts.
  private func compare(
    _ ruleset: FlatRuleset, _ chance: inout RandomRules, packets: Int, _ note: String
  ) throws {
    let image = try Classifier.image(of: ruleset, interfaces: chance.interfaces)
    #expect(image.bytes.count == image.shape.valueSize)
    let walk = ImageWalk(image)
    for _ in 0..<packets {
      let packet = chance.packet()
      let expected = packet.judge(by: ruleset)
      let found = walk.judge(packet)
      // What meets more rules than can be remembered is the kernel's.
      if found.end == .rulesMet && expected.met > 16 { continue }
      guard found.end == .end(expected.end), found.counted == expected.counted else {
        Issue.record("\(note): \(packet): \(found), not \(expected)")
        return
      }
    }
  }

  @Test func imagesOfSmallRulesetsSayWhatTheRulesSay() throws {
    for seed in 1...2000 as ClosedRange<UInt64> {
      var chance = RandomRules(seed: seed)
      let ruleset = chance.ruleset(rules: 1 + chance.below(64))
      try compare(ruleset, &chance, packets: 30, "seed \(seed)")
    }
  }

  @Test func imagesOfLargerRulesetsSayWhatTheRulesSay() throws {
    for seed in 1...300 as ClosedRange<UInt64> {
      var chance = RandomRules(seed: seed, wide: seed % 2 == 0)
      let ruleset = chance.ruleset(rules: 60 + chance.below(300))
      try compare(ruleset, &chance, packets: 100, "seed \(seed)")
    }
  }

  @Test(arguments: [4000, 4097, 10_000, 16_385])
  func imagesOfLargeRulesetsSayWhatTheRulesSay(_ count: Int) throws {
    var chance = RandomRules(seed: UInt64(count))
    let ruleset = chance.ruleset(rules: count)
    try compare(ruleset, &chance, packets: 200, "\(count) rules")
  }

  @Test func theSameRulesMakeTheSameImage() throws {
    var chance = RandomRules(seed: 9)
    let ruleset = chance.ruleset(rules: 500)
    let image = try Classifier.image(of: ruleset, interfaces: chance.interfaces)
    #expect(try Classifier.image(of: ruleset, interfaces: chance.interfaces) == image)
  }

  @Test func otherRulesOfTheSameShapeNeedNoOtherProgram() throws {
    func image(_ first: UInt128, _ count: UInt128) throws -> ClassifierImage {
      try Classifier.image(of: Self.blacklist((0..<count).map { first + $0 * 77 }), interfaces: [])
    }
    let (one, other) = (try image(0x0a00_0001, 100), try image(0xc0a8_0000, 120))
    #expect(one.bytes != other.bytes)
    #expect(one.shape == other.shape)
    #expect(one.shape.definitions == other.shape.definitions)
    #expect(one.shape.fields == 0b11111, "what most rules ask for")
  }

  static func blacklist(_ addresses: [UInt128]) -> FlatRuleset {
    var ruleset = FlatRuleset(family: .ip)
    for number in 0...addresses.count {
      let isPolicy = number == addresses.count
      ruleset.origins.append(
        .init(
          family: .ip, backend: .iptablesLegacy, table: "filter", chain: "FORWARD",
          number: isPolicy ? 0 : number + 1, handle: 0))
      ruleset.rules.append(
        FlatRule(
          conditions: isPolicy ? [] : [.field(.destination, ValueSet(addresses[number]))],
          action: isPolicy ? .accept : .drop, origin: number, counts: true))
    }
    ruleset.stages = [
      .init(
        hook: .forward, priority: 0, backend: .iptablesLegacy, table: "filter", chain: "FORWARD",
        rules: 0..<ruleset.rules.count)
    ]
    return ruleset
  }

  @Test func withoutConditionsNothingIsLookedUp() throws {
    let image = try Classifier.image(of: Self.blacklist([]), interfaces: [])
    #expect(image.shape.fields == 0)
    let found = ImageWalk(image).judge(RulePacket())
    #expect(found.end == .end(.accept) && found.counted == [0])
  }

  /// The list has been told already that rules behind routing see one less.
  @Test func fieldsAreAsThePacketCameIn() throws {
    for hook in [ChainHook.prerouting, .forward, .postrouting] {
      var ruleset = Self.blacklist([1])
      ruleset.rules[0].conditions = [.field(.ttl, ValueSet(10))]
      ruleset.stages[0].hook = hook
      let walk = ImageWalk(try Classifier.image(of: ruleset, interfaces: []))
      for value in 9...12 {
        var packet = RulePacket()
        packet.ttl = UInt8(value)
        #expect(walk.judge(packet).end == .end(value == 10 ? .drop : .accept))
      }
    }
  }

  @Test func interfacesThatAreNewOrRenamedAreTheKernels() throws {
    var ruleset = Self.blacklist([1])
    ruleset.rules[0].conditions = [.interface(.input, InterfaceMatch("eth", wildcard: true))]
    let known = [ClassifierInterface(index: 7, name: "eth0"), .init(index: 70_000, name: "wan")]
    let walk = ImageWalk(try Classifier.image(of: ruleset, interfaces: known))
    func end(_ index: UInt32, _ name: String) -> ImageWalk.End {
      var packet = RulePacket()
      packet.input = ClassifierInterface(index: index, name: name)
      return walk.judge(packet).end
    }
    #expect(end(7, "eth0") == .end(.drop))
    #expect(end(70_000, "wan") == .end(.accept))
    #expect(end(7, "wan") == .changed)
    #expect(end(8, "eth0") == .changed)
    #expect(end(8, "") == .changed)
  }

  @Test func whatHasNoImageIsRefused() {
    #expect(throws: ClassifierRefusal.family) {
      try Classifier.image(of: FlatRuleset(family: .ip6), interfaces: [])
    }
    #expect(throws: ClassifierRefusal.tooManyRules(70_001)) {
      try Classifier.image(of: Self.blacklist((0..<70_000).map { $0 }), interfaces: [])
    }
  }

  @Test func countersBehindTheOriginsStandForSeveral() throws {
    var ruleset = Self.blacklist([5])
    let second = Self.blacklist([])
    ruleset.origins += second.origins
    ruleset.rules.append(
      FlatRule(conditions: [], action: .accept, origin: 2, counts: true))
    ruleset.stages.append(ruleset.stages[0])
    ruleset.stages[1].rules = 2..<3
    let image = try Classifier.image(of: ruleset, interfaces: [])
    #expect(image.counters == [[0], [1], [2], [1, 2]])
  }

  @Test func aRuleAboutASetSaysWhereTheKernelHasItAndWhatIsAsked() throws {
    var ruleset = Self.blacklist([5])
    let plain = try Classifier.image(of: ruleset, interfaces: [], sets: 1)
    #expect(!plain.shape.asksKernel)
    #expect(!plain.shape.definitions.contains("FILTER_ASKS_KERNEL"))
    ruleset.rules[0].conditions.append(
      .late(.ipset(index: 0x123, dimensions: [false, true], negated: true)))
    for sets in [nil, 0xffff_8881_0000_4000] as [UInt64?] {
      let image = try Classifier.image(of: ruleset, interfaces: [], sets: sets)
      #expect(image.shape.asksKernel && image.shape.usesTransport)
      #expect(image.shape.definitions.contains("#define FILTER_ASKS_KERNEL 1\n"))
      let (words, value) = image.bytes.withUnsafeBytes { bytes in
        let place = Int(bytes.load(fromByteOffset: ClassifierLayout.checks, as: UInt32.self))
        return (
          (0..<2).map { bytes.load(fromByteOffset: place + $0 * 4, as: UInt32.self) },
          bytes.load(fromByteOffset: place + 8, as: UInt64.self)
        )
      }
      #expect(words == [0x305, 0x0202_0123])
      #expect(value == sets ?? 0)
    }
    ruleset.rules[0].conditions = [.late(.sourceType(4))]
    let typed = try Classifier.image(of: ruleset, interfaces: [])
    #expect(typed.shape.asksKernel)
    // Sets may have ports where no other condition asks for them.
    func looksBehind(_ checks: UInt32) -> Bool {
      ClassifierShape(fields: 1, summary: 0, size: 1 << 16, counters: 64, checks: checks)
        .usesTransport
    }
    #expect(looksBehind(1 << ClassifierCheck.set.rawValue))
    #expect(!looksBehind(1 << ClassifierCheck.sourceType.rawValue))
  }
}
