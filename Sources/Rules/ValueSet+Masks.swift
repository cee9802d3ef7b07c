// SPDX-License-Identifier: Apache-2.0

extension ValueSet {
  /// The values of a field whose bits above `low` are one of these numbers' when the lowest `low` bits
  /// of both count as nothing; numbers that have any of these bits set are none's.
  func withoutLowBits(_ low: Int) -> ValueSet {
    guard low > 0 else { return self }
    guard low < 128 else { return contains(0) ? ValueSet(0 ... .max) : .none }
    let ones = (UInt128(1) << UInt128(low)) - 1
    var found: [ClosedRange<UInt128>] = []
    found.reserveCapacity(ranges.count)
    for range in ranges {
      let (first, carried) = range.lowerBound.addingReportingOverflow(ones)
      if carried { continue }
      let start = first & ~ones
      let end = range.upperBound & ~ones
      if start <= end { found.append(start...(end | ones)) }
    }
    return ValueSet(found)
  }

  /// Each number moved up by `bits`, and what it is with any bits behind it.
  func shifted(_ bits: Int) -> ValueSet {
    guard bits > 0 else { return self }
    let ones = (UInt128(1) << UInt128(bits)) - 1
    return ValueSet(
      ranges.map { ($0.lowerBound << UInt128(bits))...($0.upperBound << UInt128(bits) | ones) })
  }

  /// Each number greater by one.
  func incremented() -> ValueSet {
    ValueSet(
      ranges.compactMap {
        guard $0.lowerBound < .max else { return nil }
        return ($0.lowerBound + 1)...($0.upperBound == .max ? .max : $0.upperBound + 1)
      })
  }

  /// The numbers, where there are no ranges of more than one and not too many.
  var singles: [UInt128]? {
    var numbers: [UInt128] = []
    for range in ranges {
      guard range.lowerBound == range.upperBound else { return nil }
      numbers.append(range.lowerBound)
    }
    return numbers
  }

  /// The numbers up to `last` whose image lies in the set.
  func preimage(upTo last: UInt128, _ image: (UInt128) -> UInt128) -> ValueSet {
    var found: [ClosedRange<UInt128>] = []
    var start: UInt128?
    var number: UInt128 = 0
    while true {
      if contains(image(number)) {
        start = start ?? number
      } else if let first = start {
        found.append(first...(number - 1))
        start = nil
      }
      if number == last { break }
      number += 1
    }
    if let start { found.append(start...last) }
    return ValueSet(found)
  }
}
