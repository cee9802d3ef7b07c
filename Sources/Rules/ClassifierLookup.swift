// SPDX-License-Identifier: Apache-2.0

/// How a program gets from a value to its interval: `lookup_16` and `lookup_32` of `fpm/filter.h`.
extension ClassifierWriter {
  /// One entry for each value.
  mutating func setTable(_ intervals: [ClassifierInterval], at place: Int, upTo last: UInt64) {
    for (index, interval) in intervals.enumerated() {
      let end = index + 1 < intervals.count ? intervals[index + 1].start : last + 1
      for value in interval.start..<end { set(interval.place, at: place + Int(value) * 4) }
    }
  }

  /// The entry for values of 16 bits.
  mutating func entry16(_ intervals: ArraySlice<ClassifierInterval>) -> UInt32 {
    if let only = intervals.first, intervals.count == 1 { return only.place }
    if intervals.count <= ClassifierLayout.borders + 1 { return line(intervals) }
    var entries: [UInt32] = []
    Self.split(intervals, by: 8, from: 0) { start, part in
      if let only = part.first, part.count == 1 {
        entries.append(only.place)
      } else if part.count <= ClassifierLayout.borders + 1 {
        entries.append(line(part))
      } else {
        entries.append(leaves(part, from: start))
      }
    }
    align(to: 64)
    let place = end
    for entry in entries { append(entry) }
    return UInt32(place) | ClassifierLayout.block
  }

  /// The entry for values of 32 bits.
  mutating func entry32(_ intervals: [ClassifierInterval]) -> UInt32 {
    // By the upper half; runs of equal entries are one interval of it.
    var halves: [ClassifierInterval] = []
    var (index, upper) = (0, UInt64(0))
    while upper <= 0xffff {
      let first = upper << 16
      while index + 1 < intervals.count, intervals[index + 1].start <= first { index += 1 }
      let next = index + 1 < intervals.count ? intervals[index + 1].start : 1 << 32
      let entry: UInt32
      var following = upper + 1
      if next >= (upper + 1) << 16 {
        entry = intervals[index].place
        following = next >> 16
      } else {
        var end = index
        while end < intervals.count, intervals[end].start < (upper + 1) << 16 { end += 1 }
        entry = entry16(
          ArraySlice(
            intervals[index..<end].map {
              ClassifierInterval(
                start: $0.start < first ? 0 : $0.start - first, place: $0.place)
            }))
      }
      if halves.last?.place != entry {
        halves.append(ClassifierInterval(start: upper, place: entry))
      }
      upper = following
    }
    if halves.count <= ClassifierLayout.borders + 1 { return line(halves[...]) }
    align(to: 64)
    let place = append(0, times: 1 << 16)
    setTable(halves, at: place, upTo: 0xffff)
    return UInt32(place) | ClassifierLayout.block
  }

  /// A line of borders, and what lies between them.
  private mutating func line(_ intervals: ArraySlice<ClassifierInterval>) -> UInt32 {
    align(to: 64)
    let place = end
    let borders = intervals.dropFirst().map(\.start)
    for word in 0..<3 {
      var lanes: UInt64 = 0
      for lane in 0..<3 {
        let number = word * 3 + lane
        let border = number < borders.count ? borders[number] : ClassifierLayout.noBorder
        lanes |= border << UInt64(lane * 17)
      }
      append(lanes)
    }
    for interval in intervals { append(interval.place) }
    for _ in intervals.count..<ClassifierLayout.borders + 1 { append(0 as UInt32) }
    return intern(from: place) | ClassifierLayout.line
  }

  /// 256 places, by the lower byte.
  private mutating func leaves(
    _ intervals: ArraySlice<ClassifierInterval>, from start: UInt64
  ) -> UInt32 {
    align(to: 64)
    let place = end
    Self.split(intervals, by: 0, from: start) { _, part in append(part.first?.place ?? 0) }
    return UInt32(place) | ClassifierLayout.block
  }

  /// For each of 256 pieces of 1 << `shift` values from `begin` on, the intervals that have a part in it.
  private static func split(
    _ intervals: ArraySlice<ClassifierInterval>, by shift: UInt64, from begin: UInt64,
    _ take: (UInt64, ArraySlice<ClassifierInterval>) -> Void
  ) {
    var first = intervals.startIndex
    for piece in 0..<256 as Range<UInt64> {
      let start = begin + piece << shift
      while first + 1 < intervals.endIndex, intervals[first + 1].start <= start { first += 1 }
      var end = first + 1
      while end < intervals.endIndex, intervals[end].start < start + 1 << shift { end += 1 }
      take(start, intervals[first..<end])
    }
  }
}
