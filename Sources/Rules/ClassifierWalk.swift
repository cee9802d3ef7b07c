// SPDX-License-Identifier: Apache-2.0
import Introspection

/// From the rules that a packet meets to what becomes of it: `struct filter_turn` and the words of rules in
/// `fpm/filter.h`.
extension Classifier.Build {
  /// What packets meet from a place on that meet no condition any more.
  private struct Turn {
    var always = ClassifierLayout.none
    var end = ClassifierEnd.accept
    var rule = ClassifierLayout.none
    var origins: [Int] = []
  }

  mutating func layWalk() {
    layTurns()
    layRules()
  }

  private mutating func layTurns() {
    let count = ruleset.rules.count
    var turns = [Turn](repeating: Turn(), count: count + 1)
    for index in stride(from: count - 1, through: 0, by: -1) {
      turns[index] = rules[index].isUnconditional ? turn(at: index, turns) : turns[index + 1]
    }
    writer.align(to: 64)
    writer.set(UInt32(writer.end), at: ClassifierLayout.turns)
    var shared: [[Int]: UInt32] = [:]
    for (index, turn) in turns.enumerated() {
      let words = [turn.always, turn.end.rawValue, counter(of: turn, &shared), turn.rule]
      for (offset, word) in words.enumerated() {
        if index == 0 { writer.set(word, at: ClassifierLayout.first + offset * 4) }
        writer.append(word)
      }
    }
  }

  private func turn(at index: Int, _ turns: [Turn]) -> Turn {
    let rule = ruleset.rules[index]
    var turn: Turn
    switch rule.action {
    case .next: turn = turns[index + 1]
    // One that changes something has a bit of its own.
    case .skip(let place), .change(_, let place): turn = turns[place]
    case .accept:
      turn = turns[stageEnds[index]]
      if turn.always == ClassifierLayout.none { turn.rule = UInt32(index) }
    case .drop: turn = Turn(end: .drop, rule: UInt32(index))
    case .punt(let cause): turn = Turn(end: ClassifierEnd(cause), rule: UInt32(index))
    }
    turn.always = UInt32(index)
    if rule.counts { turn.origins.insert(rule.origin, at: 0) }
    if turn.origins.count > ClassifierLayout.originsMax {
      // Far more than there are in earnest.
      turn.end = .tooMany
      turn.origins.removeLast()
    }
    return turn
  }

  /// The counter of all that is met on the way from a turn on. What the kernel decides it counts itself.
  private mutating func counter(of turn: Turn, _ shared: inout [[Int]: UInt32]) -> UInt32 {
    guard turn.end == .accept || turn.end == .drop else { return ClassifierLayout.none }
    if turn.origins.isEmpty { return ClassifierLayout.none }
    if turn.origins.count == 1 { return UInt32(turn.origins[0]) }
    if let known = shared[turn.origins] { return known }
    let counter = UInt32(counters.count)
    counters.append(turn.origins)
    shared[turn.origins] = counter
    return counter
  }

  private mutating func layRules() {
    var lists: [[Record]: UInt64] = [:]
    var records: [Record] = []
    var isLast: [Bool] = []
    var words: [UInt64] = []
    let conditionsEnd = (rules.lastIndex { !$0.isUnconditional && !$0.isImpossible } ?? -1) + 1
    for (index, rule) in ruleset.rules.enumerated() {
      var place: UInt32
      switch rule.action {
      case .next: place = UInt32(index + 1)
      case .skip(let to), .change(_, let to): place = UInt32(to)
      case .accept: place = UInt32(stageEnds[index])
      case .drop: place = ClassifierLayout.ruleEnds | ClassifierEnd.drop.rawValue
      case .punt(let cause): place = ClassifierLayout.ruleEnds | ClassifierEnd(cause).rawValue
      }
      if place & ClassifierLayout.ruleEnds == 0, place >= conditionsEnd {
        place |= ClassifierLayout.ruleIsLast
      }
      var late = rules[index].late.map(Record.late)
      switch rules[index].change {
      case .mark(let change):
        late.insert(.change(change), at: 0)
        place |= ClassifierLayout.ruleChanges
      case .untracked: place |= ClassifierLayout.ruleUntracks
      case nil: break
      }
      if late.count > ClassifierLayout.checksMax || records.count + late.count > 0xffff {
        // Whether such a packet meets the rule only the kernel says.
        late = []
        place = ClassifierLayout.ruleEnds | ClassifierEnd.tooMany.rawValue
      }
      var number: UInt64 = 0
      if !late.isEmpty {
        number = lists[late] ?? UInt64(records.count + 1)
        if lists[late] == nil {
          lists[late] = number
          records += late
          isLast += late.indices.map { $0 == late.count - 1 }
        }
      }
      let counter = rule.counts ? UInt32(rule.origin) : ClassifierLayout.ruleNoCounter
      words.append(UInt64(place) | UInt64(counter) << 24 | number << 48)
    }
    writer.align(to: 64)
    writer.set(UInt32(writer.end), at: ClassifierLayout.rules)
    for word in words { writer.append(word) }
    writer.set(UInt32(writer.end), at: ClassifierLayout.checks)
    for (record, isLast) in zip(records, isLast) { lay(record, isLast: isLast) }
  }

  /// What a rule has besides its fields: what it changes, and conditions.
  private enum Record: Hashable {
    case late(LateCondition)
    case change(MarkChange)
  }

  private mutating func lay(_ record: Record, isLast: Bool) {
    switch record {
    case .late(let condition): lay(condition, isLast: isLast)
    case .change(let change):
      lay(
        .change, isNegated: false, isLast: isLast, argument: change.packet,
        value: UInt64(change.constant), mask: UInt64(change.connection))
    }
  }

  private mutating func lay(_ condition: LateCondition, isLast: Bool) {
    var (value, mask, argument) = (UInt64(0), UInt64(0), UInt32(0))
    let kind: ClassifierCheck
    let isNegated: Bool
    switch condition {
    case .marks(let marks, let negated):
      argument = marks.packet
      (value, mask) = (UInt64(marks.constant), UInt64(marks.connection))
      (kind, isNegated) = (.marks, negated)
    case .maskedAddress(let source, let address, let under, let negated):
      (value, mask) = (UInt64(address & 0xffff_ffff), UInt64(under & 0xffff_ffff))
      (kind, isNegated) = (source ? .source : .destination, negated)
    case .maskedMark(let mark, let under, let negated):
      (value, mask) = (UInt64(mark), UInt64(under))
      (kind, isNegated) = (.mark, negated)
    case .maskedConnectionMark(let mark, let under, let negated):
      (value, mask) = (UInt64(mark), UInt64(under))
      (kind, isNegated) = (.connectionMark, negated)
    case .sourceMAC(let address, let negated):
      for (index, byte) in address.prefix(6).enumerated() {
        value |= UInt64(byte) << UInt64(index * 8)
      }
      mask = 0xffff_ffff_ffff
      (kind, isNegated) = (.sourceMAC, negated)
    case .sourceType(let types):
      argument = UInt32(types)
      (kind, isNegated) = (.sourceType, false)
    case .ipset(let index, let dimensions, let negated):
      argument = UInt32(index) | UInt32(dimensions.count) << 24
      for (number, isSource) in dimensions.enumerated() where isSource {
        argument |= 1 << UInt32(16 + number)
      }
      value = sets
      (kind, isNegated) = (.set, negated)
    }
    lay(
      kind, isNegated: isNegated, isLast: isLast, argument: argument, value: value, mask: mask)
  }

  private mutating func lay(
    _ kind: ClassifierCheck, isNegated: Bool, isLast: Bool, argument: UInt32, value: UInt64,
    mask: UInt64
  ) {
    checks |= 1 << kind.rawValue
    writer.append(
      kind.rawValue | (isNegated ? ClassifierLayout.checkNegated : 0)
        | (isLast ? ClassifierLayout.checkLast : 0))
    writer.append(argument)
    writer.append(value)
    writer.append(mask)
  }
}
