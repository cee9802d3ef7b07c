// SPDX-License-Identifier: Apache-2.0
import Introspection

/// Conditions that must all hold, while they are gathered: one set of values to a field.
struct Conjunction: Equatable {
  private(set) var numbers: [Number] = []
  private(set) var others: [Condition] = []
  /// Whether a packet can meet them at all.
  private(set) var isPossible = true
  /// There are conditions besides whose meaning is not known: what about.
  private(set) var doubt: String?
  /// How often conditions became stricter: two states of one conjunction with the same number are the
  /// same.
  private(set) var steps = 0

  struct Number: Equatable {
    var field: Field
    var values: ValueSet

    var isHeavy: Bool {
      values.ranges.count > Conjunction.heavy || field == .mark
        || field == .connection && values.intersection(SettledConnection.tracked) != values
    }
  }

  static let none = Conjunction()

  /// The values a field may still have; `nil` when any.
  subscript(field: Field) -> ValueSet? { numbers.first { $0.field == field }?.values }

  /// As a flat rule holds them.
  var conditions: [Condition] { numbers.map { .field($0.field, $0.values) } + others }

  mutating func require(_ field: Field, _ values: ValueSet, _ family: RuleFamily) {
    let last = field.last(family)
    if let at = numbers.firstIndex(where: { $0.field >= field }), numbers[at].field == field {
      let both = numbers[at].values.intersection(values)
      if both == numbers[at].values { return }
      numbers[at].values = both
      if both.isEmpty { isPossible = false }
    } else {
      let values = values.intersection(ValueSet(0...last))
      if values.ranges == [0...last] { return }
      let at = numbers.firstIndex { $0.field > field } ?? numbers.count
      numbers.insert(Number(field: field, values: values), at: at)
      if values.isEmpty { isPossible = false }
    }
    steps += 1
  }

  mutating func require(_ condition: Condition) {
    if case .interface(let side, let match) = condition { return require(side, match) }
    guard !others.contains(condition) else { return }
    others.append(condition)
    steps += 1
  }

  mutating func requireUnknown(_ what: String) { doubt = doubt ?? what }

  mutating func requireImpossible() {
    isPossible = false
    steps += 1
  }

  /// A name that is known settles the other conditions on it.
  private mutating func require(_ side: Condition.Direction, _ match: InterfaceMatch) {
    for case .interface(side, let known) in others {
      if known == match { return }
      if !known.negated && !known.wildcard {
        if !match.holds(known.name) { requireImpossible() }
        return
      }
    }
    others.append(.interface(side, match))
    steps += 1
  }

  // MARK: What is too dear to be asked again in every rule of a chain

  /// Sets of so many ranges are looked at once, before a chain, and not in each of its rules; so are marks, and
  /// whether a packet is tracked, which may be others by then.
  static let heavy = 64

  var isHeavy: Bool { numbers.contains(where: \.isHeavy) || others.contains(where: \.isLate) }

  /// The conditions without those.
  var light: Conjunction {
    var light = self
    light.numbers.removeAll(where: \.isHeavy)
    light.others.removeAll(where: \.isLate)
    return light
  }

  /// How many ranges the sets have together.
  var rangeCount: Int { numbers.reduce(0) { $0 + $1.values.ranges.count } }
}

extension Field: Comparable {
  package static func < (a: Field, b: Field) -> Bool { a.rawValue < b.rawValue }
}

extension Condition {
  fileprivate var isLate: Bool { if case .late = self { true } else { false } }
}

extension InterfaceMatch {
  /// Whether an interface of this name meets the condition.
  package func holds(_ interface: String) -> Bool {
    (wildcard ? interface.utf8.starts(with: name.utf8) : interface == name) != negated
  }
}
