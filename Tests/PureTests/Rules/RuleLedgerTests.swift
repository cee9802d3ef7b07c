// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Testing

@Suite struct RuleLedgerTests {
  private func rule(_ last: UInt32, handle: UInt64 = 1) -> Rule {
    var rule = Rule([.source(.ipv4(0x0a00_0000 | last, mask: .max, negated: false))])
    rule.handle = handle
    return rule
  }

  private func legacy(_ last: UInt32...) -> RuleTable {
    .legacy(last.enumerated().map { rule($1, handle: UInt64($0 + 1)) })
  }

  private func origin(_ table: RuleTable, _ number: Int) -> RuleOrigin {
    table.origin(table.chains[0], number)
  }

  private let ten = Tally(packets: 10, bytes: 1000)
  private let one = Tally(packets: 1, bytes: 60)

  @Test func countsOfLegacyRulesAreOwedUntilTheyAreTaken() {
    let table = legacy(1, 2)
    var ledger = RuleLedger()
    ledger.add([origin(table, 1): ten, origin(table, 2): .zero])
    ledger.add([origin(table, 1): one, origin(table, 0): one])
    #expect(ledger.sum(origin(table, 1)) == Tally(packets: 11, bytes: 1060))
    #expect(ledger.owed(origin(table, 1)) == Tally(packets: 11, bytes: 1060))
    let taken = ledger.takeOwed()
    #expect(taken == [origin(table, 1): ten + one, origin(table, 0): one])
    #expect(ledger.takeOwed().isEmpty && ledger.owed(origin(table, 1)) == .zero)
    #expect(ledger.sum(origin(table, 1)) == ten + one)
    ledger.add([origin(table, 1): one])
    ledger.giveBack([origin(table, 1): ten])
    #expect(ledger.takeOwed() == [origin(table, 1): ten + one])
  }

  @Test func countsOfNftablesStayInTheLedger() {
    let table = RuleTable.nftables([rule(1, handle: 4), rule(2, handle: 9)])
    var ledger = RuleLedger()
    ledger.add([origin(table, 2): ten])
    #expect(ledger.takeOwed().isEmpty)
    #expect(ledger.sum(origin(table, 2)) == ten && ledger.owed(origin(table, 2)) == ten)
    #expect(ledger.sum(origin(table, 1)) == .zero)
  }

  @Test func rulesOfNftablesKeepTheirCountsByHandle() {
    let old = RuleTable.nftables([rule(1, handle: 4), rule(2, handle: 9), rule(3, handle: 11)])
    var ledger = RuleLedger()
    ledger.add([origin(old, 1): ten, origin(old, 2): one, origin(old, 3): one])
    let new = RuleTable.nftables([rule(8, handle: 12), rule(2, handle: 9), rule(7, handle: 11)])
    ledger.carry(from: [old], to: [new])
    #expect(ledger.sum(origin(new, 2)) == one)
    #expect(ledger.sum(origin(new, 1)) == .zero, "another handle is another rule")
    #expect(ledger.sum(origin(new, 3)) == .zero, "a handle with another rule is another rule")
    #expect(ledger.sum(origin(old, 1)) == .zero)
  }

  @Test func aTableMadeAgainUnderItsNameBeginsAnew() {
    var old = RuleTable.nftables([rule(1, handle: 4)])
    var ledger = RuleLedger()
    ledger.add([origin(old, 1): ten])
    old.serial.value = 7
    var same = old
    ledger.carry(from: [old], to: [same])
    #expect(ledger.sum(origin(old, 1)) == ten)
    same.serial.value = 8
    #expect(same == old)
    ledger.carry(from: [old], to: [same])
    #expect(ledger.sum(origin(old, 1)) == .zero)
  }

  @Test func whoMadeATableOfNftablesDoesNotMatter() {
    let old = RuleTable.nftables([rule(1, handle: 4)])
    var new = old
    new.backend = .iptablesNft
    var ledger = RuleLedger()
    ledger.add([origin(old, 1): ten])
    ledger.carry(from: [old], to: [new])
    #expect(ledger.sum(origin(new, 1)) == ten)
    // iptables-legacy may have a table of that name, too.
    #expect(ledger.sum(origin(legacy(1), 1)) == .zero)
    ledger.carry(from: [new], to: [legacy(1)])
    #expect(ledger == RuleLedger())
  }

  @Test func rulesOfLegacyKeepTheirCountsByWhatTheySay() {
    let (old, new) = (legacy(1, 2, 3), legacy(9, 1, 3))
    var ledger = RuleLedger()
    ledger.add([origin(old, 1): ten, origin(old, 2): one, origin(old, 3): one, origin(old, 0): one])
    ledger.carry(from: [old], to: [new])
    #expect(ledger.sum(origin(new, 1)) == .zero)
    #expect(ledger.sum(origin(new, 2)) == ten && ledger.owed(origin(new, 2)) == ten)
    #expect(
      ledger.takeOwed() == [origin(new, 2): ten, origin(new, 3): one, origin(new, 0): one])
    ledger.carry(from: [new], to: [])
    #expect(ledger == RuleLedger())
  }

  @Test func countsThatComeLateAreEnteredUnderTheNamesOfToday() {
    let (old, new) = (legacy(1, 2), legacy(9, 1))
    var ledger = RuleLedger()
    ledger.add([origin(new, 2): one])
    ledger.add([origin(old, 1): ten, origin(old, 2): ten], of: [old], now: [new])
    #expect(ledger.takeOwed() == [origin(new, 2): ten + one])
    #expect(ledger.sum(origin(new, 2)) == ten + one && ledger.sum(origin(new, 1)) == .zero)
    ledger.add([origin(new, 1): ten], of: [new], now: [new])
    #expect(ledger.takeOwed() == [origin(new, 1): ten])
  }

  @Test func whatWasGivenToTheKernelIsNotOwedAfterCarrying() {
    let (old, new) = (legacy(1), legacy(2, 1))
    var ledger = RuleLedger()
    ledger.add([origin(old, 1): ten])
    _ = ledger.takeOwed()
    ledger.carry(from: [old], to: [new])
    #expect(ledger.sum(origin(new, 2)) == ten && ledger.owed(origin(new, 2)) == .zero)
  }
}
