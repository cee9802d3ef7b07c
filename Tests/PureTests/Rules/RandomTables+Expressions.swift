// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

// Rules of nftables as nft makes them, and some that it does not.

private let first = RuleExpression.Register(slot: 0)

extension RandomTables {
  private func value(_ number: UInt128, _ count: Int) -> RegisterValue {
    RegisterValue(number, count: UInt8(count))
  }

  private func bytes(_ number: UInt128, _ count: Int) -> [UInt8] { value(number, count).bytes }

  private func name(_ text: String) -> [UInt8] {
    Array(text.utf8) + [UInt8](repeating: 0, count: 16 - text.utf8.count)
  }

  private func number(of bytes: [UInt8]) -> UInt128 { bytes.reduce(0) { $0 << 8 | UInt128($1) } }

  private func host(_ number: UInt32) -> UInt128 { UInt128(number.bigEndian) }

  mutating func expressions(
    _ table: inout RuleTable, _ target: Target, _ below: Int, output: Bool
  ) -> [RuleExpression] {
    var list: [RuleExpression] = []
    let counter = number(0...5)  // in which place; mostly none
    for place in 0..<number(0...3) {
      if place == counter { list.append(.counter) }
      list += condition(&table, output: output)
    }
    if strange && chance(10) { list.append(.fib(result: 3, flags: 1, to: first)) }
    if strange && chance(5) { list.append(.other(UnknownExtension("limit"))) }
    if counter == 3 && !list.contains(.counter) { list.append(.counter) }
    if chance(20) {
      list += map(&table, below)
      return list
    }
    while chance(12) { list += marks() }
    if tracked && chance(6) { list.append(.untrack) }
    switch target {
    case .accept: list.append(.verdict(.accept))
    case .drop: list.append(.verdict(.drop))
    case .return: list.append(.verdict(.return))
    case .jump(let chain): list.append(.verdict(.jump(chain)))
    case .goto(let chain): list.append(.verdict(.goto(chain)))
    case .mark, .connectionMark, .untrack: list.append(.target(target))
    case .reject: list.append(.reject(type: 0, code: 0))
    case .unknown: list.append(.other(UnknownExtension("log")))
    default: break
    }
    return list
  }

  /// `meta mark set` and `ct mark set`: a number, or what a mark is, under a mask and with some bits turned.
  private mutating func marks() -> [RuleExpression] {
    var list: [RuleExpression] = [
      pick([
        .immediate(to: first, value(host(pick([0, 1, 5])), 4)), .meta(key: 3, to: first),
        tracked ? .conntrack(key: 3, direction: 2, to: first) : .meta(key: 3, to: first),
      ])
    ]
    if chance(50) {
      list.append(
        .bitwise(
          from: first, to: first, mask: value(host(pick([1, 0xff, .max])), 4),
          xor: value(host(pick([0, 1, 4])), 4)))
    }
    let from = first
    list.append(
      tracked && chance(50)
        ? .conntrackWrite(key: 3, direction: 2, from: from) : .metaWrite(key: 3, from: from))
    return list
  }

  private var sourceOffset: UInt32 { family == .ip ? 12 : 8 }
  private var addressLength: Int { family == .ip ? 4 : 16 }

  private mutating func condition(
    _ table: inout RuleTable, output: Bool
  ) -> [RuleExpression] {
    if tracked && chance(40) { return connectionCondition(&table) }
    let comparison: Comparison = chance(75) ? .equal : .notEqual
    let length = addressLength
    switch number(0...13) {
    case 0:
      let count = pick([length, length - 1])
      return [
        .payload(base: 1, offset: sourceOffset, length: UInt32(count), to: first),
        .compare(comparison, from: first, value(address() >> UInt128(8 * (length - count)), count)),
      ]
    case 1:
      let mask: UInt128 = pick([0xffff_fff0, 0xffff_feff]) | (family == .ip6 ? .max << 32 : 0)
      return [
        .payload(
          base: 1, offset: sourceOffset + UInt32(length), length: UInt32(length), to: first),
        .bitwise(
          from: first, to: first, mask: value(mask, length), xor: value(0, length)),
        .compare(comparison, from: first, value(address() & mask, length)),
      ]
    case 2:
      let side: UInt32 = output && chance(50) ? 7 : 6
      let text = pick(Self.names)
      let load = RuleExpression.meta(key: side, to: first)
      if chance(25) {
        return [load, .compare(comparison, from: first, value(number(of: Array("eth".utf8)), 3))]
      }
      return [load, .compare(comparison, from: first, value(number(of: name(text)), 16))]
    case 3:
      return [
        .meta(key: 4, to: first),
        .compare(comparison, from: first, value(host(UInt32(number(2...6))), 4)),
      ]
    case 4:
      return [
        .meta(key: 16, to: first), .compare(comparison, from: first, value(pick([6, 17]), 1)),
      ]
    case 5, 6: return ports()
    case 7:
      let names = Set((0..<number(1...3)).map { _ in pick(Self.names) }).sorted()
      return lookup(
        &table, [.meta(key: 6, to: first)], [16], names.map { .init(key: name($0)) },
        negated: chance(30))
    case 8:
      let keys = Set((0..<number(1...4)).map { _ in address() }).sorted()
      return lookup(
        &table, [.payload(base: 1, offset: sourceOffset, length: UInt32(length), to: first)],
        [length], keys.map { .init(key: bytes($0, length)) }, negated: chance(30))
    case 9:
      return lookup(
        &table,
        [
          .meta(key: 16, to: first), .compare(.equal, from: first, value(pick([6, 17]), 1)),
          .payload(base: 2, offset: 2, length: 2, to: first),
        ], [2], intervals(), negated: chance(30), .interval)
    case 10: return concatenation(&table)
    case 11:
      if family == .ip && chance(50) {
        return [
          .payload(base: 1, offset: 6, length: 2, to: first),
          .bitwise(from: first, to: first, mask: value(0x1fff, 2), xor: value(0, 2)),
          .compare(comparison, from: first, value(0, 2)),
        ]
      }
      return [
        .payload(base: 1, offset: family == .ip ? 8 : 7, length: 1, to: first),
        .compare(
          pick([.less, .greaterOrEqual, .equal, .greater]), from: first,
          value(UInt128(pick([1, 63, 64, 254])), 1)),
      ]
    case 12:
      return [
        .meta(key: 3, to: first),
        .compare(comparison, from: first, value(host(pick([0, 1, 0x100])), 4)),
      ]
    default:
      return [
        .meta(key: 15, to: first),
        .compare(.equal, from: first, value(pick([2, 10]), 1)),
      ]
    }
  }

  /// `tcp dport …`, `th sport …`, both at once, `icmp type …`, `tcp flags …`.
  private mutating func ports() -> [RuleExpression] {
    let transport: UInt8 = pick([6, 17])
    let settle: [RuleExpression] = [
      .meta(key: 16, to: first), .compare(.equal, from: first, value(UInt128(transport), 1)),
    ]
    let (a, b) = (UInt128(pick(Self.ports)), UInt128(pick(Self.ports)))
    switch number(0...4) {
    case 0:
      return settle + [
        .payload(base: 2, offset: 0, length: 4, to: first),
        .compare(.equal, from: first, value(a << 16 | b, 4)),
      ]
    case 1:
      return settle + [
        .payload(base: 2, offset: 2, length: 2, to: first),
        .range(
          negated: chance(30), from: first, low: value(min(a, b), 2), high: value(max(a, b), 2)),
      ]
    case 2:
      let control: UInt128 = family == .ip ? 1 : 58
      return [
        .meta(key: 16, to: first), .compare(.equal, from: first, value(control, 1)),
        .payload(base: 2, offset: pick([0, 1]), length: 1, to: first),
        .compare(chance(70) ? .equal : .notEqual, from: first, value(pick([0, 8]), 1)),
      ]
    case 3:
      return [
        .meta(key: 16, to: first), .compare(.equal, from: first, value(6, 1)),
        .payload(base: 2, offset: 13, length: 1, to: first),
        .bitwise(from: first, to: first, mask: value(0x12, 1), xor: value(0, 1)),
        .compare(chance(50) ? .equal : .notEqual, from: first, value(pick([0, 2, 0x12]), 1)),
      ]
    default:
      return settle + [
        .payload(base: 2, offset: pick([0, 2]), length: 2, to: first),
        .compare(pick([.equal, .notEqual, .less, .greater]), from: first, value(a, 2)),
      ]
    }
  }

  // MARK: Sets

  /// Ends of ranges are elements of their own; those that touch have none between.
  private mutating func intervals(verdicts: [Verdict]? = nil) -> [NamedSet.Element] {
    var points = Set((0..<number(1...4)).map { _ in UInt128(pick(Self.ports)) }).sorted()
    if points.count > 1 && chance(50) { points.removeLast() }
    var elements: [NamedSet.Element] = []
    for (place, point) in points.enumerated() {
      var element = NamedSet.Element(key: bytes(point, 2))
      element.isEnd = place % 2 == 1 && chance(70)
      if !element.isEnd, let verdicts { element.value = .verdict(pick(verdicts)) }
      elements.append(element)
    }
    return elements
  }

  mutating func add(
    _ table: inout RuleTable, _ lengths: [Int], _ elements: [NamedSet.Element],
    _ flags: NamedSet.Flags
  ) -> NamedSet {
    var set = NamedSet(name: "__set\(table.sets.count)")
    set.flags = flags.union([.anonymous, .constant])
    set.elements = elements
    set.keyLength = UInt32(lengths.reduce(0) { $0 + (lengths.count > 1 ? ($1 + 3) & ~3 : $1) })
    if lengths.count > 1 {
      set.fields = lengths.map(UInt32.init)
      set.flags.insert(.concatenation)
    }
    if flags.contains(.map) { set.dataType = 0xffff_ff00 }
    table.sets.append(set)
    return set
  }

  mutating func lookup(
    _ table: inout RuleTable, _ load: [RuleExpression], _ lengths: [Int],
    _ elements: [NamedSet.Element], negated: Bool, _ flags: NamedSet.Flags = []
  ) -> [RuleExpression] {
    let set = add(&table, lengths, elements, flags)
    return load + [.lookup(set: set.name, from: first, to: nil, negated: negated)]
  }

  /// The protocol, a port and an address in one key.
  private mutating func concatenation(_ table: inout RuleTable) -> [RuleExpression] {
    let length = addressLength
    var seen: Set<[UInt8]> = []
    var elements: [NamedSet.Element] = []
    for _ in 0..<number(1...5) {
      let key =
        [strange ? pick([6, 17, 1]) : pick([6, 17, 132]), 0, 0, 0]
        + bytes(UInt128(pick(Self.ports)), 2) + [0, 0]
        + bytes(address(), length)
      if seen.insert(key).inserted { elements.append(.init(key: key)) }
    }
    return lookup(
      &table,
      [
        .meta(key: 16, to: first),
        .payload(base: 2, offset: 2, length: 2, to: .init(slot: 1)),
        .payload(base: 1, offset: sourceOffset, length: UInt32(length), to: .init(slot: 2)),
      ], [1, 2, length], elements, negated: false)
  }

  /// A verdict map by interface or by port.
  private mutating func map(_ table: inout RuleTable, _ below: Int) -> [RuleExpression] {
    var verdicts: [Verdict] = [.accept, .drop, .return, .continue]
    for place in 0..<below { verdicts += [.jump("user\(place)"), .goto("user\(place)")] }
    var load: [RuleExpression] = [.meta(key: 6, to: first)]
    var elements: [NamedSet.Element] = []
    var flags: NamedSet.Flags = [.map]
    var length = 16
    if chance(50) {
      for text in Set((0..<number(1...4)).map { _ in pick(Self.names) }).sorted() {
        elements.append(.init(key: name(text)))
        elements[elements.count - 1].value = .verdict(pick(verdicts))
      }
    } else {
      load = [
        .meta(key: 16, to: first), .compare(.equal, from: first, value(pick([6, 17]), 1)),
        .payload(base: 2, offset: 2, length: 2, to: first),
      ]
      elements = intervals(verdicts: verdicts)
      flags.insert(.interval)
      length = 2
    }
    if chance(30) {
      var other = NamedSet.Element(key: [])
      other.isCatchAll = true
      other.value = .verdict(pick(verdicts))
      elements.append(other)
    }
    let set = add(&table, [length], elements, flags)
    return load + [.lookup(set: set.name, from: first, to: .verdict, negated: false)]
  }
}
