// SPDX-License-Identifier: Apache-2.0
import Introspection

/// What the fast path counted at each rule and policy.
///
/// Rules of iptables-legacy have counters in the kernel that can be added to: what they were not given yet
/// is *owed*. For rules of nftables there is no such call, and the sums that are kept here are all there
/// is. Sums go on as long as their rules are there.
package struct RuleLedger: Equatable, Sendable {
  private var sums: [RuleOrigin: Tally] = [:]
  private var debts: [RuleOrigin: Tally] = [:]

  package init() {}

  /// All that the fast path counted at a rule.
  package func sum(_ rule: RuleOrigin) -> Tally { sums[rule.lasting] ?? .zero }

  /// The part of it that the kernel's counter does not have.
  package func owed(_ rule: RuleOrigin) -> Tally {
    rule.backend == .iptablesLegacy ? debts[rule] ?? .zero : sum(rule)
  }

  /// Enters what was counted since the last time, by rules of the tables that are known now.
  package mutating func add(_ counts: [RuleOrigin: Tally]) {
    for (rule, tally) in counts where tally != .zero {
      sums[rule.lasting, default: .zero] += tally
      if rule.backend == .iptablesLegacy { debts[rule, default: .zero] += tally }
    }
  }

  /// The same by rules of tables that others have taken the place of: counts are read late.
  package mutating func add(
    _ counts: [RuleOrigin: Tally], of old: [RuleTable], now: [RuleTable]
  ) {
    let isToday =
      old == now && zip(old, now).allSatisfy { $0.serial.value == $1.serial.value }
    if isToday { return add(counts) }
    var late = RuleLedger()
    late.add(counts)
    late.carry(from: old, to: now)
    sums.merge(late.sums) { $0 + $1 }
    debts.merge(late.debts) { $0 + $1 }
  }

  /// What to add to the kernel's counters. It is not owed any more: what the kernel does not take is to be
  /// given back.
  package mutating func takeOwed() -> [RuleOrigin: Tally] {
    defer { debts.removeAll() }
    return debts
  }

  package mutating func giveBack(_ counts: [RuleOrigin: Tally]) {
    debts.merge(counts) { $0 + $1 }
  }

  /// Names the rules as they are named in tables that took the place of others, and forgets those that
  /// are gone: of nftables what has another handle, of iptables-legacy what `RuleSuccession` does not find.
  package mutating func carry(from old: [RuleTable], to new: [RuleTable]) {
    if self.sums.isEmpty && self.debts.isEmpty { return }
    var sums: [RuleOrigin: Tally] = [:]
    var debts: [RuleOrigin: Tally] = [:]
    for table in old {
      guard let successor = new.first(where: { $0.succeeds(table) }) else { continue }
      if table.backend == .iptablesLegacy {
        let succession = table == successor ? nil : RuleSuccession(from: table, to: successor)
        for (rule, sum) in self.sums where table.holds(rule) {
          guard let later = Self.follow(rule, succession) else { continue }
          sums[later, default: .zero] += sum
          if let debt = self.debts[rule] { debts[later, default: .zero] += debt }
        }
      } else {
        let stays = Self.lasting(table, successor)
        for (rule, sum) in self.sums where stays.contains(rule) { sums[rule] = sum }
      }
    }
    (self.sums, self.debts) = (sums, debts)
  }

  private static func follow(_ rule: RuleOrigin, _ succession: RuleSuccession?) -> RuleOrigin? {
    guard let succession else { return rule }
    guard let number = succession.number(rule.number, in: rule.chain) else { return nil }
    var later = rule
    (later.number, later.handle) = (number, UInt64(number))
    return later
  }

  /// The rules of nftables that are in both.
  private static func lasting(_ old: RuleTable, _ new: RuleTable) -> Set<RuleOrigin> {
    var rules: Set<RuleOrigin> = []
    for chain in old.chains {
      guard let successor = new.chain(named: chain.name) else { continue }
      let contents = Dictionary(
        chain.rules.map { ($0.handle, $0) }, uniquingKeysWith: { first, _ in first })
      for (place, rule) in successor.rules.enumerated() where contents[rule.handle] == rule {
        rules.insert(new.origin(successor, place + 1).lasting)
      }
    }
    return rules
  }
}

extension RuleTable {
  /// Whether this is a later reading of a table. One of nftables that was made again under its old name is
  /// another: handles begin anew in it.
  fileprivate func succeeds(_ table: RuleTable) -> Bool {
    family == table.family && name == table.name
      && (backend == .iptablesLegacy) == (table.backend == .iptablesLegacy)
      && serial.value == table.serial.value
  }
}
