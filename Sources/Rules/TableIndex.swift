// SPDX-License-Identifier: Apache-2.0
import Introspection

/// A table arranged for going through it: chains and sets by name.
final class TableIndex {
  let table: RuleTable
  private let chains: [String: Int]
  private let sets: [String: Int]
  private var contents: [Asked: SetContents?] = [:]

  private struct Asked: Hashable {
    var set: String
    var lengths: [Int]
  }

  init(_ table: RuleTable) {
    self.table = table
    chains = Dictionary(
      table.chains.indices.map { (table.chains[$0].name, $0) },
      uniquingKeysWith: { first, _ in first })
    sets = Dictionary(
      table.sets.indices.map { (table.sets[$0].name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  var backend: RuleTable.Backend { table.backend }
  var family: RuleFamily { table.family }

  /// A chain that rules can jump to.
  func chain(_ name: String) -> Int? {
    chains[name].flatMap { table.chains[$0].base == nil ? $0 : nil }
  }

  func set(_ name: String) -> NamedSet? { sets[name].map { table.sets[$0] } }

  /// What a set holds that is asked with values of these lengths; `nil` where that is not known for
  /// certain. Taken apart once.
  func contents(_ name: String, lengths: [Int]) -> SetContents? {
    let asked = Asked(set: name, lengths: lengths)
    if let known = contents[asked] { return known }
    let found = set(name).flatMap { SetContents($0, lengths: lengths) }
    contents[asked] = .some(found)
    return found
  }
}

/// The elements of a set or map of nftables, as ranges of numbers in network order.
struct SetContents {
  /// A range for each field of the key.
  struct Box {
    var ranges: [ClosedRange<UInt128>]
    var value: NamedSet.Element.Value?
  }
  var boxes: [Box] = []
  /// Lengths of the fields; one where the key is no concatenation.
  var lengths: [Int]
  /// The element that stands for all others.
  var catchAll: NamedSet.Element?
  /// Of a map, whether a key may lie in two elements: which of them is found is not known.
  var mayOverlap = false

  /// Fails for sets that change without a new generation of the ruleset, whose elements are not known,
  /// and such as have elements that do something when they are found.
  init?(_ set: NamedSet, lengths: [Int]) {
    guard set.flags.isDisjoint(with: [.timeout, .dynamic, .objectMap]), set.timeout == 0,
      set.statements.isEmpty, set.flags.contains(.anonymous) || set.isRead
    else { return nil }
    let padded = lengths.reduce(0) { $0 + (lengths.count > 1 ? ($1 + 3) & ~3 : $1) }
    // Not every kernel tells the lengths of a concatenation.
    guard padded == set.keyLength, set.fields.isEmpty || set.fields == lengths.map(UInt32.init)
    else { return nil }
    self.lengths = lengths
    var elements: [NamedSet.Element] = []
    for element in set.elements {
      if element.runsStatements { return nil }
      if element.isCatchAll { catchAll = element } else { elements.append(element) }
    }
    guard lengths.allSatisfy({ (1...16).contains($0) }) else { return nil }
    if set.flags.contains(.interval) && !elements.contains(where: { $0.keyEnd != nil }) {
      guard lengths.count == 1,
        readIntervals(elements, lengths[0], strict: set.flags.contains(.anonymous))
      else { return nil }
    } else {
      guard readBoxes(elements) else { return nil }
      mayOverlap = set.flags.contains([.interval, .map]) && !areApart
    }
  }

  /// Of a tree of intervals: an element covers all up to the next one, which may be an end.
  private mutating func readIntervals(
    _ elements: [NamedSet.Element], _ length: Int, strict: Bool
  ) -> Bool {
    var marks: [(key: UInt128, element: NamedSet.Element)] = []
    for element in elements {
      guard element.key.count == length else { return false }
      marks.append((Self.number(element.key[...]), element))
    }
    marks.sort { $0.key == $1.key ? $0.element.isEnd && !$1.element.isEnd : $0.key < $1.key }
    let last: UInt128 = length >= 16 ? .max : (UInt128(1) << UInt128(length * 8)) - 1
    for (place, mark) in marks.enumerated() {
      let next = place + 1 < marks.count ? marks[place + 1] : nil
      // nft_rbtree_lookup() finds nothing there or the start, as the tree happens to have grown.
      if let next, next.key == mark.key, strict || !mark.element.isEnd { return false }
      if mark.element.isEnd { continue }
      let end = next.map { $0.key - 1 } ?? last
      boxes.append(Box(ranges: [mark.key...end], value: mark.element.value))
    }
    return true
  }

  private var areApart: Bool {
    guard boxes.count <= 1000 else { return false }
    for (place, box) in boxes.enumerated() {
      for other in boxes[..<place]
      where zip(box.ranges, other.ranges).allSatisfy({ $0.overlaps($1) }) {
        return false
      }
    }
    return true
  }

  private mutating func readBoxes(_ elements: [NamedSet.Element]) -> Bool {
    for element in elements {
      guard !element.isEnd, let low = fields(of: element.key) else { return false }
      var high = low
      if let end = element.keyEnd {
        guard let numbers = fields(of: end) else { return false }
        high = numbers
      }
      var ranges: [ClosedRange<UInt128>] = []
      for (low, high) in zip(low, high) {
        guard low <= high else { return false }
        ranges.append(low...high)
      }
      boxes.append(Box(ranges: ranges, value: element.value))
    }
    return true
  }

  /// The numbers of a key; each field of a concatenation is padded to four bytes.
  private func fields(of key: [UInt8]) -> [UInt128]? {
    if lengths.count == 1 { return key.count == lengths[0] ? [Self.number(key[...])] : nil }
    var numbers: [UInt128] = []
    var offset = 0
    for length in lengths {
      guard offset + length <= key.count else { return nil }
      numbers.append(Self.number(key[offset..<(offset + length)]))
      offset += (length + 3) & ~3
    }
    return numbers
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt128 {
    bytes.reduce(0) { $0 << 8 | UInt128($1) }
  }
}
