// SPDX-License-Identifier: Apache-2.0
import Introspection

// From a set of values that a loaded field may have to conditions.

extension Translator {
  /// What packets must meet so that `content`, loaded as `length` bytes, lies in `wanted`: any of the
  /// answers. `nil` where conditions cannot say it.
  func conditions(
    _ content: Loaded, _ length: Int, in wanted: ValueSet, _ met: Conjunction
  ) -> [Conjunction]? {
    let last: UInt128 = length >= 16 ? .max : (UInt128(1) << UInt128(length * 8)) - 1
    let wanted = wanted.intersection(ValueSet(0...last))
    let others = wanted.complement(upTo: last)
    switch content {
    case .constant(let number): return wanted.contains(number) ? [met] : []
    case .narrow(let field, let image):
      return having(met, field, wanted.preimage(upTo: field.last(family), image))
    case .fragmentOffset: return fragment(wanted, met)
    case .wide(let field, let mask, let shift, let hostOrder):
      return wide(field, mask, shift, hostOrder, wanted, others, met)
    case .interface(let side):
      if let names = Self.interfaces(wanted) {
        return names.map { name in having(met, [.interface(side, name)]) }
      }
      guard let names = Self.interfaces(others) else { return nil }
      return [
        having(
          met,
          names.map {
            .interface(side, InterfaceMatch($0.name, wildcard: $0.wildcard, negated: true))
          })
      ]
    case .interfaceIndex(let side):
      return discrete(wanted, others, met) { number, negated in
        .interfaceIndex(
          side, UInt32(truncatingIfNeeded: Self.swap32(number)), negated: negated)
      }
    case .sourceMAC:
      return discrete(wanted, others, met) { number, negated in
        .late(.sourceMAC(Self.bytes(number, 6), negated: negated))
      }
    }
  }

  private func having(_ met: Conjunction, _ field: Field, _ values: ValueSet) -> [Conjunction] {
    var met = met
    require(&met, field, values)
    return met.isPossible ? [met] : []
  }

  private func having(_ met: Conjunction, _ conditions: [Condition]) -> Conjunction {
    var met = met
    for condition in conditions { met.require(condition) }
    return met
  }

  /// One condition for each value, or all their opposites at once.
  private func discrete(
    _ wanted: ValueSet, _ others: ValueSet, _ met: Conjunction,
    _ condition: (UInt128, Bool) -> Condition
  ) -> [Conjunction]? {
    if let numbers = wanted.singles { return numbers.map { having(met, [condition($0, false)]) } }
    return others.singles.map { [having(met, $0.map { condition($0, true) })] }
  }

  /// Offsets of later fragments cannot be told apart.
  private func fragment(_ wanted: ValueSet, _ met: Conjunction) -> [Conjunction]? {
    let offsets = wanted.intersection(ValueSet(0...0x1fff))
    if offsets.isEmpty { return [] }
    switch offsets.ranges {
    case [0...0]: return having(met, .laterFragment, ValueSet(0))
    case [1...0x1fff]: return having(met, .laterFragment, ValueSet(1))
    case [0...0x1fff]: return [met]
    default: return nil
    }
  }

  private func wide(
    _ field: Field, _ mask: UInt128, _ shift: Int, _ hostOrder: Bool, _ wanted: ValueSet,
    _ others: ValueSet, _ met: Conjunction
  ) -> [Conjunction]? {
    let last = field.last(family)
    var (wanted, others) = (wanted, others)
    if hostOrder {
      // Ranges are of bytes in an order that numbers do not have.
      if let numbers = wanted.singles {
        wanted = ValueSet(numbers.map { Self.swap32($0) }.map { $0...$0 })
        others = wanted.complement(upTo: last)
      } else if let numbers = others.singles {
        others = ValueSet(numbers.map { Self.swap32($0) }.map { $0...$0 })
        wanted = others.complement(upTo: last)
      } else {
        return nil
      }
    }
    let low = mask == 0 ? 128 : mask.trailingZeroBitCount
    let prefix = low >= 128 ? 0 : last & ~((UInt128(1) << UInt128(low)) - 1)
    if mask == prefix && low >= shift {
      return having(
        met, field, wanted.shifted(shift).withoutLowBits(low).intersection(ValueSet(0...last)))
    }
    for (values, negated) in [(wanted, false), (others, true)] {
      guard let only = values.singles, only.count == 1, let number = only.first else { continue }
      let step = masked(field, number << UInt128(shift), mask, negated, met)
      if case .alternatives(let found) = step { return found.filter(\.isPossible) }
    }
    return nil
  }

  static func bytes(_ number: UInt128, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt128((count - 1 - $0) * 8)) }
  }

  // MARK: Names

  /// The interfaces whose names, padded to 16 bytes, lie in a set; `nil` where a range is neither of
  /// one name nor of all with the same beginning.
  private static func interfaces(_ names: ValueSet) -> [InterfaceMatch]? {
    var found: [InterfaceMatch] = []
    for range in names.ranges {
      let differing = range.lowerBound ^ range.upperBound
      let open = (128 - differing.leadingZeroBitCount + 7) / 8
      let ones: UInt128 =
        open >= 16 ? .max : (UInt128(1) << UInt128(open * 8)) - 1
      // As many bytes as differ must be free.
      guard differing == ones, range.lowerBound & ones == 0, open < 16 else { return nil }
      let fixed = bytes(range.lowerBound >> UInt128(open * 8), 16 - open)
      let text = fixed.prefix { $0 != 0 }
      // Behind its end a name is all zeroes.
      guard !text.isEmpty, fixed.dropFirst(text.count).allSatisfy({ $0 == 0 }) else { return nil }
      let name = String(decoding: text, as: UTF8.self)
      guard name.utf8.elementsEqual(text) else { return nil }
      found.append(InterfaceMatch(name, wildcard: text.count == fixed.count && open > 0))
    }
    return found
  }
}
