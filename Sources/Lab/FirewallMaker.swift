// SPDX-License-Identifier: Apache-2.0

/// Rulesets by chance, and packets that lie on the edges of what their rules ask for; the same for the same
/// seed.
package struct FirewallMaker {
  /// What rules may ask for that not every program looks at: with other features it is compiled anew.
  package enum Feature: CaseIterable, Sendable {
    case flags, icmp, length, ttl, tos, mark, maskedMark, packetType, input, output
    case maskedSource, maskedDestination, mac, sourceType, sets, marking
  }

  /// What many rulesets have in common, so that they are judged by the same program.
  package struct Look: Sendable {
    package var tool: Firewall.Tool
    package var features: Set<Feature>
    package var isWide: Bool
    package var rules: ClosedRange<Int>

    /// The look of a number: the first asks for everything, in one table; then come all tables.
    package init(_ tool: Firewall.Tool, _ number: Int, seed: UInt64) {
      self.tool = tool
      var chance = Chance(seed: seed &* 1_000_003 &+ UInt64(number) &* 7919)
      isWide = number > 0
      features = Set(Feature.allCases.filter { _ in number == 0 || chance.percent(45) })
      rules = [1...25, 65...200, 10...60, 1...12][number % 4]
    }
  }

  package let look: Look
  var chance: Chance
  /// Names of ipsets that no other ruleset has.
  let mark: String
  let sources: [UInt32]
  let destinations: [UInt32]
  let ports: [UInt32]
  var firewall: Firewall
  var made: [MadeSet] = []
  /// In hundredths, how many rules the fast path cannot judge.
  let strange: Int
  private static let lengths = [8, 12, 15, 16, 17, 20, 22, 23, 24, 25, 27, 28, 30, 31]

  package init(_ look: Look, seed: UInt64) {
    self.look = look
    var chance = Chance(seed: seed)
    mark = "r\(seed % 0xffff_ffff)"
    firewall = Firewall(look.tool)
    strange = chance.percent(50) ? 0 : chance.one(of: [2, 5, 15])
    func near(_ networks: [UInt32], _ count: Int) -> [UInt32] {
      var pool: [UInt32] = []
      while pool.count < count {
        let one = chance.one(of: networks) | UInt32(chance.below(1 << 16))
        // Close to one another and far apart.
        pool += [one, one ^ 1, one ^ UInt32(1 << chance.below(12))]
      }
      return pool
    }
    sources = near([0x0a4d_0000, 0x0a4d_0000, 0xc0a8_0000, 0x5db8_0000], 12)
    destinations = near([0x0a09_0000, 0x0a0a_0000, 0x0a09_0000, 0x0a4d_0000, 0x0808_0000], 12)
    ports =
      [0, 1, 22, 53, 80, 443, 1023, 1024, 8080, 65534, 65535].map { UInt32($0) }
      + (0..<4).map { _ in UInt32(chance.below(65536)) }
    self.chance = chance
  }

  /// The ruleset; asked for once.
  package mutating func make() -> Firewall {
    let count = look.rules.lowerBound + chance.below(look.rules.count)
    if look.tool == .native { makeNative(count) } else { makeTables(count) }
    return firewall
  }

  // MARK: Values

  /// On both sides of both edges of a range.
  func edges(
    _ field: Firewall.Field, _ first: UInt32, _ last: UInt32, upTo bound: UInt32
  ) -> Firewall.Hint {
    var outside: [UInt32] = []
    if first > 0 { outside.append(first - 1) }
    if last < bound { outside.append(last + 1) }
    return Firewall.Hint(
      field, inside: [first, last, first + (last - first) / 2], outside: outside)
  }

  mutating func range(of pool: [UInt32]) -> (UInt32, UInt32) {
    let (one, other) = (chance.one(of: pool), chance.one(of: pool))
    return (min(one, other), max(one, other))
  }

  /// A range below `bound`, often a short one.
  mutating func range(from lowest: Int, below bound: Int) -> (UInt32, UInt32) {
    let first = lowest + chance.below(bound - lowest)
    let rest = bound - first
    return (UInt32(first), UInt32(first + chance.below(min(rest, chance.one(of: [1, 8, rest])))))
  }

  mutating func address(_ isSource: Bool) -> UInt32 {
    chance.one(of: isSource ? sources : destinations)
  }

  /// A network around one of the addresses, and how long its prefix is.
  mutating func network(_ isSource: Bool) -> (first: UInt32, last: UInt32, length: Int) {
    let length = chance.one(of: Self.lengths)
    let hosts = ~UInt32(0) >> UInt32(length)
    let base = address(isSource) & ~hosts
    return (base, base | hosts, length)
  }

  static func text(_ address: UInt32) -> String { "\(IPv4Address(address))" }

  /// A mask with holes, and what addresses have under it that differ in the rest.
  mutating func masked(_ isSource: Bool) -> (value: UInt32, mask: UInt32, hint: Firewall.Hint) {
    let mask: UInt32 = chance.one(of: [
      0xff00_00ff, 0xff00_ffff, 0xffff_00ff, 0x0000_00ff, 0xffff_fdff, 0xff0f_ffff, 1, 0x0000_ff00,
    ])
    let value = address(isSource)
    let hint = Firewall.Hint(
      isSource ? .source : .destination,
      inside: [value, value ^ (0x0001_0203 & ~mask), value ^ (0x0002_0100 & ~mask)],
      outside: [value ^ (mask & (~mask &+ 1)), value ^ (mask & 0x0000_ff01)].filter { $0 != value })
    return (value & mask, mask, hint)
  }

  /// How likely a rule may end the way of those packets that meet it: where few of them do, most others get
  /// to the rules behind.
  static func endings(_ pieces: [Firewall.Piece]) -> Int {
    switch pieces.count(where: isNarrow) {
    case 0: 5
    case 1: 25
    default: 70
    }
  }

  private static func isNarrow(_ piece: Firewall.Piece) -> Bool {
    let text = piece.text
    let asks = ["-s ", "-d ", "saddr", "daddr", "port", "-range", "icmp-type ", "icmp type "]
    let isWide = ["!", "/8", "/12", "/15", "/16", "/17", "/255.", "/0.", " & ", "@", ":", "set "]
    return asks.contains(where: text.contains) && !isWide.contains(where: text.contains)
  }

  static let protocols: [(name: String, number: UInt32)] = [
    ("tcp", 6), ("udp", 17), ("icmp", 1), ("sctp", 132), ("udplite", 136), ("gre", 47),
    ("esp", 50), ("dccp", 33),
  ]

  static let flagNames = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"]

  /// Which of the six flags, at least one.
  mutating func flagBits() -> UInt32 { UInt32(1 + chance.below(63)) }

  /// Where packets to addresses of a network leave.
  mutating func leaving(by port: Int) -> Firewall.Hint {
    let networks: [UInt32] = [0x0a4d_0000, 0x0a09_0000, 0x0a0a_0000]
    let inside = destinations.filter { Self.exit(of: $0) == port }
    let outside = destinations.filter { Self.exit(of: $0) != port }
    let some = networks[port - 1] | UInt32(chance.below(1 << 16))
    return Firewall.Hint(.destination, inside: inside + [some], outside: outside)
  }

  private static func exit(of address: UInt32) -> Int {
    switch address >> 16 {
    case 0x0a4d: 1
    case 0x0a0a: 3
    default: 2
    }
  }
}

// MARK: Packets

extension FirewallMaker {
  /// Each for a rule and those that lead to its chain, with some of what they ask for missed by one.
  package mutating func packets(_ count: Int) -> [FirewallPacket] {
    let rules = firewall.tables.enumerated().flatMap { table, one in
      one.chains.flatMap { chain in
        chain.rules.filter { !$0.isAnchor }.map { (table: table, chain: chain.name, rule: $0) }
      }
    }
    return (1...max(1, count)).map { number in
      var packet = anyPacket(UInt16(number))
      // Where a rule asks for nothing, what another one asks for.
      for _ in 0..<2 where !rules.isEmpty && chance.percent(85) {
        let target = chance.one(of: rules)
        aim(&packet, at: target.rule, of: target.chain, in: target.table, depth: 0)
      }
      disfigure(&packet)
      return packet
    }
  }

  private mutating func aim(
    _ packet: inout FirewallPacket, at rule: Firewall.Rule, of chain: String, in table: Int,
    depth: Int
  ) {
    let leading = firewall.tables[table].chains.flatMap { parent in
      parent.rules.filter { Self.leads($0, to: chain) }.map { (parent.name, $0) }
    }
    if depth < 8, !leading.isEmpty {
      let (parent, before) = chance.one(of: leading)
      aim(&packet, at: before, of: parent, in: table, depth: depth + 1)
    }
    let misses = depth == 0 ? 18 : 5
    for hint in rule.pieces.flatMap(\.hints) {
      let (first, second) =
        chance.percent(misses) ? (hint.outside, hint.inside) : (hint.inside, hint.outside)
      let values = first.isEmpty ? second : first
      if !values.isEmpty { packet.take(hint.field, chance.one(of: values)) }
    }
  }

  private static func leads(_ rule: Firewall.Rule, to chain: String) -> Bool {
    rule.chain == chain
      || rule.pieces.contains { $0.elements.contains { $0.hasSuffix(" \(chain)") } }
  }

  private mutating func anyPacket(_ number: UInt16) -> FirewallPacket {
    var packet = FirewallPacket(number: number)
    packet.host = chance.one(of: [1, 1, 1, 2, 3])
    packet.source = chance.one(of: sources)
    packet.destination = chance.one(of: destinations)
    packet.transport = chance.one(of: [6, 6, 6, 17, 17, 17, 1, 1, 132, 136, 33, 47, 50])
    packet.sourcePort = UInt16(chance.one(of: ports))
    packet.destinationPort = UInt16(chance.one(of: ports))
    packet.flags = chance.one(of: [2, 16, 18, 17, 4, 24, 0, 63, UInt8(chance.below(64))])
    packet.icmp = chance.one(of: [0x0800, 0x0000, 0x0300, 0x0304, 0x0b00, 0x0801, 0x0d00])
    packet.ttl = chance.one(of: [64, 64, 64, 128, 255, 2, 3, 10])
    packet.tos = chance.percent(70) ? 0 : UInt8(chance.below(256))
    packet.length = UInt16(chance.one(of: [60, 60, 60, 64, 100, 500, 1500]))
    if chance.percent(10) { packet.mac = UInt8(1 + chance.below(6)) }
    return packet
  }

  private mutating func disfigure(_ packet: inout FirewallPacket) {
    switch chance.below(100) {
    case 0..<3: (packet.offset, packet.moreFragments) = (0, true)
    case 3..<7: (packet.offset, packet.moreFragments) = (64, chance.percent(50))
    case 7: packet.offset = 1
    case 8: packet.ttl = 1
    case 9: packet.options = [1, 1, 1, 0]
    case 10: packet.hasWrongChecksum = true
    case 11, 12: packet.isCutShort = true
    case 13:
      packet.source = chance.one(of: [0, 0x7f00_0001, 0xe000_0001, 0xffff_ffff, 0x0a00_0101])
    default: break
    }
  }
}
