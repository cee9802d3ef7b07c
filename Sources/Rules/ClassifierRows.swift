// SPDX-License-Identifier: Apache-2.0

/// A row under construction: a bit for each rule, changed a few bits at a time.
struct ClassifierRow {
  private let summary: Int
  private var chunks: [UInt64]
  /// Where the eight chunks of each group are in the image, for groups that have not changed since.
  private var blocks: [UInt32]
  private var stale: [Bool]
  private var changed: [Int]

  private static let group = 8

  init(rules: Int, summary: Int) {
    self.summary = summary
    let groups = (rules + 511) / 512
    chunks = [UInt64](repeating: 0, count: max(groups, 1) * Self.group)
    blocks = [UInt32](repeating: 0, count: groups)
    stale = [Bool](repeating: true, count: groups)
    changed = Array(0..<groups)
  }

  mutating func toggle(_ rule: Int) {
    chunks[rule / 64] ^= 1 << UInt64(rule % 64)
    let group = rule / 512
    if !stale[group] {
      stale[group] = true
      changed.append(group)
    }
  }

  /// Where the row is in the image, as it stands.
  mutating func intern(in writer: inout ClassifierWriter) -> UInt32 {
    if summary == 0 {
      let place = writer.end
      writer.append(chunks[0])
      return writer.intern(from: place)
    }
    for group in changed {
      let place = writer.end
      for chunk in group * Self.group..<(group + 1) * Self.group { writer.append(chunks[chunk]) }
      blocks[group] = writer.intern(from: place)
      stale[group] = false
    }
    changed.removeAll(keepingCapacity: true)
    let place = writer.end
    for part in 0..<summary {
      var word: UInt64 = 0
      let end = min((part + 1) * 64, chunks.count)
      var chunk = part * 64
      while chunk < end {
        if chunks[chunk] != 0 { word |= 1 << UInt64(chunk % 64) }
        chunk += 1
      }
      writer.append(word)
    }
    for block in blocks { writer.append(block) }
    if blocks.count % 2 != 0 { writer.append(0 as UInt32) }
    return writer.intern(from: place)
  }
}

/// From a value on, up to the next, a field leads to this place.
struct ClassifierInterval {
  var start: UInt64
  var place: UInt32
}

extension ClassifierRow {
  /// The rows of a field, over all its values. `self` has the rules that do not look at the field;
  /// `sets` are the values with which the others agree.
  consuming func intervals(
    of sets: [(rule: Int, set: ValueSet)], upTo last: UInt64, in writer: inout ClassifierWriter
  ) -> [ClassifierInterval] {
    // Where a rule begins or ceases to apply: the value, and the rule.
    var turns: [UInt64] = []
    for (rule, set) in sets {
      for range in set.ranges {
        turns.append(UInt64(range.lowerBound) << 20 | UInt64(rule))
        if range.upperBound < last {
          turns.append((UInt64(range.upperBound) + 1) << 20 | UInt64(rule))
        }
      }
    }
    turns.sort()
    var found: [ClassifierInterval] = []
    var (index, start) = (0, UInt64(0))
    while true {
      while index < turns.count, turns[index] >> 20 == start {
        toggle(Int(turns[index] & 0xfffff))
        index += 1
      }
      let place = intern(in: &writer)
      if found.last?.place != place { found.append(ClassifierInterval(start: start, place: place)) }
      guard index < turns.count else { return found }
      start = turns[index] >> 20
    }
  }
}
