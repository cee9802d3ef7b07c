// SPDX-License-Identifier: Apache-2.0
import Introspection
import Testing

/// How rules of iptables-legacy are found again after their table was replaced.
@Suite struct RuleSuccessionTests {
  private func rule(_ last: UInt32, _ target: Target = .drop) -> Rule {
    Rule([.source(.ipv4(0x0a00_0000 | last, mask: .max, negated: false))], target)
  }

  private func numbers(_ old: [Rule], _ new: [Rule]) -> [Int?] {
    let succession = RuleSuccession(from: .legacy(old), to: .legacy(new))
    return (1...max(1, old.count)).map { succession.number($0, in: "BASE") }
  }

  @Test func rulesThatStayKeepTheirNumbers() {
    #expect(numbers([rule(1), rule(2)], [rule(1), rule(2)]) == [1, 2])
    #expect(numbers([rule(1), rule(2)], [rule(1), rule(2), rule(3)]) == [1, 2])
  }

  @Test func rulesMoveWithWhatIsInsertedAndDeletedBeforeThem() {
    #expect(numbers([rule(1), rule(2)], [rule(9), rule(1), rule(2)]) == [2, 3])
    #expect(numbers([rule(1), rule(2), rule(3)], [rule(2), rule(3)]) == [nil, 1, 2])
    #expect(numbers([rule(1), rule(2)], [rule(2), rule(1)]) == [2, 1])
    #expect(numbers([rule(1), rule(2)], []) == [nil, nil])
  }

  @Test func whatSaysSomethingElseIsAnotherRule() {
    #expect(numbers([rule(1, .drop)], [rule(1, .accept)]) == [nil])
    #expect(numbers([rule(1, .jump("a"))], [rule(1, .goto("a"))]) == [nil])
    let (five, six) = (
      UnknownExtension("limit", fingerprint: 5), UnknownExtension("limit", fingerprint: 6)
    )
    #expect(numbers([Rule([.unknown(five)])], [Rule([.unknown(six)])]) == [nil])
    #expect(numbers([Rule([.unknown(five)])], [rule(1), Rule([.unknown(five)])]) == [2])
  }

  @Test func equalRulesAreEachFollowedToOneOfTheirOwn() {
    #expect(numbers([rule(1), rule(1)], [rule(1), rule(1)]) == [1, 2])
    // The second keeps its number, the first takes the free one.
    #expect(numbers([rule(1), rule(1)], [rule(9), rule(1), rule(1)]) == [3, 2])
    #expect(numbers([rule(1), rule(1), rule(1)], [rule(1)]) == [1, nil, nil])
    #expect(numbers([rule(2), rule(1), rule(1)], [rule(1), rule(2), rule(1)]) == [2, 1, 3])
  }

  @Test func policiesStayWithTheirChains() {
    let drop = RuleTable.legacy([rule(1)], policy: .drop)
    let succession = RuleSuccession(from: .legacy([]), to: drop)
    #expect(succession.number(0, in: "BASE") == 0)
    #expect(succession.number(0, in: "OTHER") == nil)
    #expect(succession.number(1, in: "BASE") == nil)
    #expect(succession.number(-1, in: "BASE") == nil)
  }

  @Test func chainsOfTheUserAreFollowedByName() {
    let old = RuleTable.legacy([], users: [Chain("a", [rule(1)]), Chain("b", [rule(2)])])
    let new = RuleTable.legacy([], users: [Chain("b", [rule(3), rule(2)])])
    let succession = RuleSuccession(from: old, to: new)
    #expect(succession.number(1, in: "a") == nil)
    #expect(succession.number(1, in: "b") == 2)
    // They have no policy.
    #expect(succession.number(0, in: "b") == nil)
  }

  @Test func manyRulesAreFollowedInNoTime() {
    let many = (0..<20_000).map { rule(UInt32($0)) }
    let clock = ContinuousClock()
    var found: [Int?] = []
    let time = clock.measure { found = numbers(many, [rule(1 << 20)] + many.reversed()) }
    #expect(found.first == 20_001 && found.last == 2)
    #expect(time < .seconds(5))
  }
}
