// SPDX-License-Identifier: Apache-2.0

/// A set of numbers, as ranges that neither touch nor overlap, in order.
package struct ValueSet: Equatable, Hashable, Sendable {
  package private(set) var ranges: [ClosedRange<UInt128>]

  package static let none = ValueSet([])

  /// Any ranges, in any order.
  package init(_ ranges: [ClosedRange<UInt128>]) {
    var merged: [ClosedRange<UInt128>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = merged.last,
        last.upperBound == .max || range.lowerBound <= last.upperBound + 1
      {
        merged[merged.count - 1] =
          last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    self.ranges = merged
  }

  package init(_ range: ClosedRange<UInt128>) { ranges = [range] }
  package init(_ value: UInt128) { ranges = [value...value] }

  package var isEmpty: Bool { ranges.isEmpty }

  package func contains(_ value: UInt128) -> Bool {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < value { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].lowerBound <= value
  }

  package func union(_ other: ValueSet) -> ValueSet { ValueSet(ranges + other.ranges) }

  package func intersection(_ other: ValueSet) -> ValueSet {
    var found: [ClosedRange<UInt128>] = []
    var (mine, theirs) = (0, 0)
    while mine < ranges.count, theirs < other.ranges.count {
      let (left, right) = (ranges[mine], other.ranges[theirs])
      let low = max(left.lowerBound, right.lowerBound)
      let high = min(left.upperBound, right.upperBound)
      if low <= high { found.append(low...high) }
      if left.upperBound < right.upperBound { mine += 1 } else { theirs += 1 }
    }
    return ValueSet(found)
  }

  /// Everything from 0 to `last` that is not in the set.
  package func complement(upTo last: UInt128) -> ValueSet {
    var found: [ClosedRange<UInt128>] = []
    var next: UInt128 = 0
    for range in ranges {
      if range.lowerBound > last { break }
      if range.lowerBound > next { found.append(next...(range.lowerBound - 1)) }
      guard range.upperBound < last else { return ValueSet(found) }
      next = range.upperBound + 1
    }
    found.append(next...last)
    return ValueSet(found)
  }
}
