// SPDX-License-Identifier: Apache-2.0
import Introspection

/// Writes the rules of one stage, in which places further down are not known yet.
struct FlatWriter {
  /// A place in the list that is settled when the list gets there.
  struct Label: Hashable {
    fileprivate var number: Int
  }

  private(set) var rules: [FlatRule]
  /// Whether there was more than there is room for: all that comes now is the kernel's.
  private(set) var isFull = false
  private let limit: Int
  private var places: [Int?] = []
  private var open: [(rule: Int, label: Int, change: RuleChange?)] = []
  private var ranges: Int
  private let start: Int

  init(continuing rules: [FlatRule], ranges: Int, limit: Int) {
    (self.rules, self.ranges, self.limit) = (rules, ranges, limit)
    start = rules.count
  }

  /// How many ranges all conditions have together.
  var rangeCount: Int { ranges }

  /// A set of a few ranges on average.
  private var rangeLimit: Int { limit.multipliedReportingOverflow(by: 20).partialValue }

  mutating func label() -> Label {
    places.append(nil)
    return Label(number: places.count - 1)
  }

  /// The next rule that is written is where the label leads.
  mutating func place(_ label: Label) {
    if !isFull { places[label.number] = rules.count }
  }

  mutating func stop() { isFull = true }

  mutating func write(
    _ conditions: Conjunction, _ action: FlatRule.Action, origin: Int, counts: Bool
  ) {
    guard !isFull, conditions.isPossible else { return }
    ranges += conditions.rangeCount
    guard rules.count < limit, ranges <= rangeLimit else {
      isFull = true
      return
    }
    rules.append(
      FlatRule(conditions: conditions.conditions, action: action, origin: origin, counts: counts))
  }

  /// Whoever meets it goes on from the label, with something changed if so.
  mutating func skip(
    _ conditions: Conjunction, changing change: RuleChange? = nil, to label: Label, origin: Int,
    counts: Bool
  ) {
    let before = rules.count
    write(conditions, .next, origin: origin, counts: counts)
    if rules.count > before { open.append((before, label.number, change)) }
  }

  /// Ends the stage with what meets every packet that comes there.
  mutating func finish(_ action: FlatRule.Action, origin: Int, counts: Bool) -> Range<Int> {
    let last = rules.count
    rules.append(
      FlatRule(
        conditions: [], action: isFull ? .punt(.tooMany) : action, origin: origin,
        counts: isFull ? false : counts))
    for (rule, label, change) in open {
      let target = places[label] ?? last
      if let change {
        rules[rule].action = .change(change, to: target)
      } else if target > rule + 1 {
        rules[rule].action = .skip(to: target)
      }
    }
    open.removeAll()
    compact()
    return start..<rules.count
  }

  /// Takes out what does nothing, such as skips that lead to the next rule. From the end, so that
  /// what lies between is out already.
  private mutating func compact() {
    /// For each place the first one from there on that stays.
    var stays = Array(start...rules.count)
    var new = stays
    for place in (start..<rules.count).reversed() {
      let next = stays[place + 1 - start]
      if case .skip(let target) = rules[place].action, stays[target - start] == next {
        rules[place].action = .next
      }
      if rules[place].action == .next && !rules[place].counts { stays[place - start] = next }
    }
    var count = start
    for place in start..<rules.count where stays[place - start] == place {
      new[place - start] = count
      rules[count] = rules[place]
      count += 1
    }
    rules.removeLast(rules.count - count)
    for place in start..<count {
      switch rules[place].action {
      case .skip(let target): rules[place].action = .skip(to: new[stays[target - start] - start])
      case .change(let change, let target):
        rules[place].action = .change(change, to: new[stays[target - start] - start])
      default: break
      }
    }
  }
}
