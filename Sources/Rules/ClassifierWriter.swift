// SPDX-License-Identifier: Apache-2.0

/// The words of an image while it grows. Places are in bytes.
struct ClassifierWriter {
  private(set) var words: [UInt32]
  /// Where records of each length are, by their hash.
  private var known: [Int: Known] = [:]

  private struct Known {
    var slots = [UInt32](repeating: 0, count: 256)
    var count = 0
  }

  init() {
    words = [UInt32](repeating: 0, count: ClassifierLayout.headSize / 4)
    let first = ClassifierLayout.bits
    for bit in 0..<64 {
      let slot = Int((ClassifierLayout.deBruijn << UInt64(bit)) >> 58)
      words[first / 4 + slot / 4] |= UInt32(bit) << UInt32(slot % 4 * 8)
    }
  }

  var end: Int { words.count * 4 }

  mutating func set(_ value: UInt32, at place: Int) { words[place / 4] = value }

  mutating func align(to size: Int) {
    while end % size != 0 { words.append(0) }
  }

  mutating func append(_ value: UInt32) { words.append(value) }

  mutating func append(_ value: UInt64) {
    words.append(UInt32(truncatingIfNeeded: value))
    words.append(UInt32(truncatingIfNeeded: value >> 32))
  }

  /// Room for so many equal entries.
  mutating func append(_ value: UInt32, times: Int) -> Int {
    let place = end
    words.append(contentsOf: repeatElement(value, count: times))
    return place
  }

  /// What has been appended since `place` is a record; where it, or an equal one, is.
  mutating func intern(from place: Int) -> UInt32 {
    let first = place / 4
    let length = words.count - first
    // Taken out and put back, for it would be copied otherwise.
    var known = self.known.removeValue(forKey: length) ?? Known()
    defer { self.known[length] = known }
    if known.count * 2 >= known.slots.count { grow(&known, length) }
    var slot = hash(first, length) & (known.slots.count - 1)
    while known.slots[slot] != 0 {
      let other = Int(known.slots[slot])
      if isEqual(other, first, length) {
        words.removeLast(length)
        return UInt32(other * 4)
      }
      slot = (slot + 1) & (known.slots.count - 1)
    }
    known.slots[slot] = UInt32(first)
    known.count += 1
    return UInt32(place)
  }

  private func grow(_ known: inout Known, _ length: Int) {
    let old = known.slots
    known.slots = [UInt32](repeating: 0, count: old.count * 4)
    for record in old where record != 0 {
      var slot = hash(Int(record), length) & (known.slots.count - 1)
      while known.slots[slot] != 0 { slot = (slot + 1) & (known.slots.count - 1) }
      known.slots[slot] = record
    }
  }

  private func isEqual(_ one: Int, _ other: Int, _ length: Int) -> Bool {
    for index in 0..<length where words[one + index] != words[other + index] { return false }
    return true
  }

  private func hash(_ first: Int, _ length: Int) -> Int {
    var hash: UInt64 = 0
    for index in first..<first + length {
      hash = (hash ^ UInt64(words[index])) &* 0x9e37_79b9_7f4a_7c15
      hash ^= hash >> 29
    }
    return Int(truncatingIfNeeded: hash >> 16)
  }
}
