// SPDX-License-Identifier: Apache-2.0

extension FirewallMaker {
  /// A chain of nftables that is being made.
  struct NativePlace {
    let table: Int
    let isLate: Bool
    var below: [(name: String, size: Int)] = []
  }

  private static let wide: [(family: String, hooks: [String])] = [
    (
      "ip", ["prerouting priority -300", "forward priority 0", "postrouting priority 5"]
    ), ("inet", ["prerouting priority -150", "forward priority -50", "forward priority 10"]),
  ]
  private static let sizeMax = 1500

  mutating func makeNative(_ count: Int) {
    let narrow = [(family: chance.percent(50) ? "ip" : "inet", hooks: ["forward priority 0"])]
    let layout = look.isWide ? Self.wide : narrow
    let hooks = layout.reduce(0) { $0 + $1.hooks.count }
    for (number, (family, bases)) in layout.enumerated() {
      firewall.tables.append(.init(family: family, name: "t\(number)"))
      for (place, hook) in bases.enumerated() {
        let isMain = hook == "forward priority 0"
        let share = hooks == 1 ? count : isMain ? count / 2 : count / (2 * hooks)
        addChains(number, hook, prefix: "k\(place)", max(1, share))
      }
    }
    let main = firewall.tables[0].chains.firstIndex { $0.hook == "forward priority 0" }
    if let main { firewall.tables[0].chains[main].rules.insert(contentsOf: nativeAnchors(), at: 0) }
  }

  private mutating func addChains(_ table: Int, _ hook: String, prefix: String, _ count: Int) {
    let users = count < 3 ? 0 : chance.below(min(9, count / 2))
    var place = NativePlace(table: table, isLate: !hook.hasPrefix("prerouting"))
    var chains: [Firewall.Chain] = []
    for number in (0...users).reversed() {
      var chain = Firewall.Chain(name: "\(prefix)_\(number)")
      chain.hook = number == 0 ? hook : nil
      chain.drops = number == 0 && chance.percent(22)
      var size = 0
      for _ in 0..<max(1, count / (users + 1)) {
        let rule = nativeRule(at: place, isFirst: number == 0, room: Self.sizeMax - size)
        let names = [rule.chain ?? ""] + rule.pieces.flatMap(\.elements)
        size += names.reduce(1) { sum, name in
          sum + (place.below.first { name == $0.name || name.hasSuffix(" \($0.name)") }?.size ?? 0)
        }
        chain.rules.append(rule)
      }
      place.below.append((chain.name, size))
      chains.append(chain)
    }
    firewall.tables[table].chains += chains.reversed()
  }

  private mutating func nativeRule(
    at place: NativePlace, isFirst: Bool, room: Int
  ) -> Firewall.Rule {
    var rule = Firewall.Rule()
    let transport = chance.one(weighted: [
      (30, ""), (24, "tcp"), (22, "udp"), (6, "sctp"), (3, "udplite"), (3, "dccp"), (12, "icmp"),
    ])
    let targets = place.below.filter { $0.size < room / 4 }.suffix(4)
    let leads = !targets.isEmpty && chance.percent(isFirst ? 35 : 18)
    // What leads to other rules should not ask for the same as they do.
    rule.pieces =
      leads && chance.percent(75)
      ? few(at: place, transport) : nativeConditions(at: place, transport)
    let endings = Self.endings(rule.pieces)
    let counter = chance.percent(75) ? "counter" : ""
    let jumps = targets.map { chance.percent(endings / 2) ? "goto \($0.name)" : "jump \($0.name)" }
    if chance.percent(strange), chance.percent(20 + endings) {
      rule.pieces.append(Piece(strangeStatement(transport)))
    }
    if chance.percent(strange / 3) {
      rule.pieces.append(
        Piece(
          chance.one(of: ["ip id 77", "fib daddr type unicast", "rt classid 0", "ip hdrlength 5"])))
    }
    if !leads, chance.percent(10) {
      if !counter.isEmpty { rule.pieces.append(Piece(counter)) }
      rule.pieces.append(verdictMap(transport, jumps))
      return rule
    }
    var verdict: String
    if leads {
      let place = targets.startIndex + chance.below(targets.count)
      rule.chain = targets[place].name
      verdict = jumps[place - targets.startIndex]
    } else if chance.percent(endings) {
      verdict = chance.one(weighted: [(4, "accept"), (5, "drop"), (2, "return")])
    } else {
      verdict = chance.one(weighted: [(1, "continue"), (isFirst ? 0 : 2, "return"), (12, "")])
    }
    if !leads, look.features.contains(.marking), chance.percent(15) {
      let (value, mask) = marking()
      let new = mask == 0xffff_ffff ? "\(value)" : "meta mark & \(0xffff_ffff ^ mask) ^ \(value)"
      verdict = "meta mark set \(new) \(verdict)"
    }
    if rule.pieces.isEmpty, counter.isEmpty, verdict.isEmpty { verdict = "continue" }
    rule.action = [counter, verdict].filter { !$0.isEmpty }.joined(separator: " ")
    return rule
  }

  private mutating func strangeStatement(_ transport: String) -> String {
    var some = [
      "limit rate 1/hour burst 3 packets", "quota over 500 bytes", "numgen inc mod 3 1", "log",
      "ip dscp set 5", "ip ttl set 9", "log group 5", "meta priority set 1:1",
    ]
    if transport == "udp" { some.append("udp dport set 77") }
    return chance.one(of: some)
  }

  // MARK: Values in sets

  struct Element {
    let text: String
    let first: UInt32
    let last: UInt32
  }

  /// Different values of a pool, and if wanted ranges that do not touch one another.
  private mutating func elements(
    of pool: [UInt32], _ count: Int, intervals: Bool, _ text: (UInt32) -> String
  ) -> [Element] {
    var values: Set<UInt32> = []
    for _ in 0..<count { values.insert(chance.one(of: pool)) }
    var elements: [Element] = []
    var rest = values.sorted()[...]
    while let first = rest.popFirst() {
      if intervals, chance.percent(50), let last = rest.first {
        rest = rest.dropFirst()
        elements.append(Element(text: "\(text(first))-\(text(last))", first: first, last: last))
      } else {
        elements.append(Element(text: text(first), first: first, last: first))
      }
    }
    return elements
  }

  private func hint(
    _ field: Firewall.Field, _ elements: [Element], upTo bound: UInt32
  ) -> Hint {
    let all = elements.map { edges(field, $0.first, $0.last, upTo: bound) }
    return Hint(field, inside: all.flatMap(\.inside), outside: all.flatMap(\.outside))
  }

  private mutating func count() -> Int { chance.one(of: [1, 2, 2, 3, 5, 9]) }

  /// A field with values: one, a range, an anonymous set or a named one.
  private mutating func field(
    _ name: String, _ field: Firewall.Field, pool: [UInt32], upTo bound: UInt32, type: String?,
    at place: NativePlace, _ text: (UInt32) -> String = { "\($0)" }
  ) -> Piece {
    let isNegated = chance.percent(20)
    let head = name + (isNegated ? " !=" : "")
    var piece: Piece
    var found: Hint
    switch chance.below(10) {
    case 0..<4:
      let one = chance.one(of: pool)
      piece = Piece("\(head) \(text(one))")
      found = edges(field, one, one, upTo: bound)
    case 4..<6:
      let (first, last) = range(of: pool)
      piece = Piece("\(head) \(text(first))-\(text(last))")
      if first == last { piece = Piece("\(head) \(text(first))") }
      found = edges(field, first, last, upTo: bound)
    default:
      let intervals = chance.percent(50)
      let some = elements(of: pool, count(), intervals: intervals, text)
      found = hint(field, some, upTo: bound)
      if let type, chance.percent(35) {
        let set = Firewall.NamedSet(
          name: "s\(firewall.tables[place.table].sets.count)",
          kind: "type \(type);" + (intervals ? " flags interval;" : ""),
          elements: chance.percent(8) ? [] : some.map(\.text))
        firewall.tables[place.table].sets.append(set)
        piece = Piece("\(head) @\(set.name)")
      } else {
        piece = Piece("\(head) { ")
        piece.elements = some.map(\.text)
        piece.tail = " }"
      }
    }
    piece.hints = [isNegated ? found.inverted : found]
    return piece
  }

  // MARK: Conditions

  private mutating func few(at place: NativePlace, _ transport: String) -> [Piece] {
    switch chance.below(4) {
    case 0: [nativeAddress(true, at: place)]
    case 1: [nativeAddress(false, at: place)]
    case 2: nativeTransport(transport, at: place)
    default: []
    }
  }

  private mutating func nativeConditions(at place: NativePlace, _ transport: String) -> [Piece] {
    var pieces: [Piece] = []
    if chance.percent(10), let pair = concatenation(at: place, transport) {
      pieces.append(pair)
    } else {
      if chance.percent(50) { pieces.append(nativeAddress(true, at: place)) }
      if chance.percent(55) { pieces.append(nativeAddress(false, at: place)) }
    }
    if has(.input, 22) { pieces.append(nativeInterface(true)) }
    if has(.output, place.isLate ? 22 : 3) { pieces.append(nativeInterface(false)) }
    pieces += nativeTransport(transport, at: place)
    if has(.length, 10) {
      let pool = [40, 60, 61, 64, 99, 100, 500].map { UInt32($0) }
      pieces.append(field("ip length", .length, pool: pool, upTo: 1500, type: nil, at: place))
    }
    if has(.ttl, 10) {
      let pool = [1, 2, 9, 10, 62, 63, 64, 127, 254].map { UInt32($0) }
      pieces.append(field("ip ttl", .ttl, pool: pool, upTo: 255, type: nil, at: place))
    }
    if has(.tos, 10) { pieces.append(nativeTos()) }
    if has(.mark, 7) {
      pieces.append(
        Piece("meta mark \(chance.one(of: ["0", "!= 0", "1-5", "{ 0, 7 }", "& 0x50 != 0x10"]))"))
    }
    if has(.packetType, 7) {
      pieces.append(
        Piece("meta pkttype \(chance.one(of: ["host", "!= host", "{ broadcast, multicast }"]))"))
    }
    if has(.mac, 7) {
      let last = UInt32(1 + chance.below(4))
      let isNegated = chance.percent(30)
      let hint = Hint(.mac, inside: [last], outside: [last + 1])
      var piece = Piece("@ll,48,48 \(isNegated ? "!= " : "")0x020000000a0\(last)")
      piece.hints = [isNegated ? hint.inverted : hint]
      pieces.append(piece)
    }
    if firewall.tables[place.table].family == "inet", chance.percent(5) {
      pieces.insert(Piece("meta nfproto ipv4"), at: 0)
    }
    return pieces
  }

  private mutating func nativeAddress(_ isSource: Bool, at place: NativePlace) -> Piece {
    let name = isSource ? "ip saddr" : "ip daddr"
    let field: Firewall.Field = isSource ? .source : .destination
    let isNegated = chance.percent(20)
    let head = name + (isNegated ? " !=" : "")
    if look.features.contains(isSource ? .maskedSource : .maskedDestination), chance.percent(15) {
      let (value, mask, hint) = masked(isSource)
      var piece = Piece(
        "\(name) & \(Self.text(mask)) \(isNegated ? "!=" : "==") \(Self.text(value))")
      piece.hints = [isNegated ? hint.inverted : hint]
      return piece
    }
    if chance.percent(35) {
      let (first, last, length) = network(isSource)
      let hint = edges(field, first, last, upTo: .max)
      var piece = Piece("\(head) \(Self.text(first))/\(length)")
      piece.hints = [isNegated ? hint.inverted : hint]
      return piece
    }
    return self.field(
      name, field, pool: isSource ? sources : destinations, upTo: .max, type: "ipv4_addr",
      at: place, Self.text)
  }

  private mutating func nativeInterface(_ isInput: Bool) -> Piece {
    let port = 1 + chance.below(3)
    let others = [1, 2, 3].filter { $0 != port }
    let hint =
      isInput
      ? Hint(.host, inside: [UInt32(port)], outside: others.map { UInt32($0) }) : leaving(by: port)
    let word = isInput ? "iif" : "oif"
    let isNegated = chance.percent(25)
    let sign = isNegated ? "!= " : ""
    var piece = Piece(
      chance.one(weighted: [
        (5, "\(word)name \(sign)p\(port)"), (3, "\(word) \(sign)p\(port)"),
        (2, "\(word)name \(sign)\"p\(port)*\""), (1, "\(word)name \(sign)\"p*\""),
        (1, "\(word)name \(sign)p\(port)1"),
        (2, "\(word)name \(sign){ p\(port), q\(port) }"),
        (1, "\(word)name \(sign){ \"q*\", p\(port) }"),
      ]))
    piece.hints = [isNegated ? hint.inverted : hint]
    return piece
  }

  private mutating func nativeTransport(_ name: String, at place: NativePlace) -> [Piece] {
    if name.isEmpty {
      if chance.percent(70) { return [] }
      if chance.percent(20) {
        return [
          chance.percent(50)
            ? Piece("ip frag-off & 0x1fff != 0", Hint(.fragment, inside: [2], outside: [0, 1]))
            : Piece("ip frag-off & 0x1fff == 0", Hint(.fragment, inside: [0, 1], outside: [2]))
        ]
      }
      let word = chance.percent(50) ? "meta l4proto" : "ip protocol"
      return [
        field(
          word, .transport, pool: Self.protocols.map(\.number), upTo: 255, type: nil, at: place)
      ]
    }
    let number = Self.protocols.first { $0.name == name }?.number ?? 17
    let hint = Hint(.transport, inside: [number], outside: [number == 17 ? 6 : 17])
    if name == "icmp" {
      guard look.features.contains(.icmp) else { return [Piece("meta l4proto icmp", hint)] }
      let type = UInt32(chance.one(of: [0, 3, 8, 11, 13]))
      let some = Hint(.icmp, inside: [type << 8, type << 8 | 4], outside: [(type + 1) << 8])
      let text = chance.one(weighted: [
        (4, "icmp type \(type)"), (2, "icmp type != \(type)"), (2, "icmp type { \(type), 12 }"),
        (2, "icmp type \(type) icmp code 4"), (1, "icmp code 4"),
      ])
      return [Piece(text, hint, text.contains("!=") ? some.inverted : some)]
    }
    var pieces: [Piece] = []
    for (word, port) in [("sport", Firewall.Field.sourcePort), ("dport", .destinationPort)]
    where chance.percent(word == "dport" ? 80 : 25) {
      var one = field(
        "\(name) \(word)", port, pool: ports, upTo: 0xffff, type: "inet_service", at: place)
      one.hints.append(hint)
      pieces.append(one)
    }
    if name == "tcp", has(.flags, 25) {
      let mask = flagBits()
      let value = UInt32(chance.below(64)) & mask
      let sign = chance.percent(25) ? "!=" : "=="
      let some = Hint(
        .flags, inside: [value, value | ~mask & 63], outside: [value ^ (mask & (~mask &+ 1))])
      pieces.append(
        Piece("tcp flags & \(mask) \(sign) \(value)", hint, sign == "==" ? some : some.inverted))
    }
    return pieces.isEmpty ? [Piece("meta l4proto \(number)", hint)] : pieces
  }

  private mutating func nativeTos() -> Piece {
    let value = UInt32(chance.below(64))
    if chance.percent(25) {
      return Piece("ip ecn \(value & 3)", Hint(.tos, inside: [value & 3], outside: [~value & 3]))
    }
    let hint = edges(.tos, value << 2, value << 2 | 3, upTo: 255)
    let isNegated = chance.percent(25)
    var piece = Piece("ip dscp \(isNegated ? "!= " : "")\(value)")
    piece.hints = [isNegated ? hint.inverted : hint]
    return piece
  }

  private mutating func concatenation(at place: NativePlace, _ transport: String) -> Piece? {
    let isPorts = ["tcp", "udp"].contains(transport)
    let intervals = chance.percent(50)
    let left = elements(of: sources, count(), intervals: intervals, Self.text)
    func text(_ value: UInt32) -> String { isPorts ? "\(value)" : Self.text(value) }
    let right = left.map { _ in
      elements(
        of: isPorts ? ports : destinations, intervals ? 2 : 1, intervals: intervals, text)[0]
    }
    let field: Firewall.Field = isPorts ? .destinationPort : .destination
    let name = "ip saddr . " + (isPorts ? "\(transport) dport" : "ip daddr")
    let texts = zip(left, right).map { "\($0.text) . \($1.text)" }
    var piece = Piece("\(name) { ")
    if chance.percent(40) {
      let set = Firewall.NamedSet(
        name: "s\(firewall.tables[place.table].sets.count)",
        kind: "type ipv4_addr . \(isPorts ? "inet_service" : "ipv4_addr");"
          + (intervals ? " flags interval;" : ""), elements: texts)
      firewall.tables[place.table].sets.append(set)
      piece = Piece("\(name) @\(set.name)")
    } else {
      piece.elements = texts
      piece.tail = " }"
    }
    piece.hints = [
      hint(.source, left, upTo: .max), hint(field, right, upTo: isPorts ? 0xffff : .max),
    ]
    if isPorts { piece.hints.append(Hint(.transport, inside: [transport == "tcp" ? 6 : 17])) }
    return piece
  }

  private mutating func verdictMap(_ transport: String, _ jumps: [String]) -> Piece {
    let isPorts = ["tcp", "udp", "sctp"].contains(transport)
    let intervals = chance.percent(40)
    let some =
      isPorts
      ? elements(of: ports, count() + 1, intervals: intervals) { "\($0)" }
      : elements(of: destinations, count() + 1, intervals: intervals, Self.text)
    let verdicts = ["accept", "drop", "return", "continue"] + jumps + jumps
    var piece = Piece((isPorts ? "\(transport) dport" : "ip daddr") + " vmap { ")
    piece.elements = some.map { "\($0.text) : \(chance.one(of: verdicts))" }
    if chance.percent(6) { piece.elements.append("* : \(chance.one(of: ["accept", "drop"]))") }
    piece.tail = " }"
    piece.hints = [
      hint(isPorts ? .destinationPort : .destination, some, upTo: isPorts ? 0xffff : .max)
    ]
    return piece
  }

  // MARK: Anchors

  private func nativeAnchors() -> [Firewall.Rule] {
    let never = "ip saddr 203.0.113.77"
    let texts: [(Feature, String)] = [
      (.flags, "\(never) tcp flags & 18 == 2"), (.icmp, "\(never) icmp type 8 icmp code 1"),
      (.length, "\(never) ip length 100-200"), (.ttl, "\(never) ip ttl 9"),
      (.tos, "\(never) ip dscp 9"), (.mark, "\(never) meta mark != 7"),
      (.maskedMark, "\(never) meta mark & 5 != 1"), (.packetType, "\(never) meta pkttype host"),
      (.input, "\(never) iif p1"), (.output, "\(never) oif p2"),
      (.maskedSource, "ip saddr & 255.0.0.255 == 203.0.0.77"),
      (.maskedDestination, "\(never) ip daddr & 255.0.0.255 == 10.0.0.77"),
      (.marking, "\(never) meta mark set 7"), (.mac, "\(never) @ll,48,48 0x020000000a09"),
    ]
    return texts.filter { look.features.contains($0.0) }.map { _, text in
      var rule = Firewall.Rule(pieces: [Piece(text)], action: "counter")
      rule.isAnchor = true
      return rule
    }
  }
}
