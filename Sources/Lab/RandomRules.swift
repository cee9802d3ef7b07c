// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

/// Rulesets and packets by chance, the same for the same seed, of few values: so that much is met.
package struct RandomRules {
  private var numbers: Chance
  package let interfaces = ["eth0", "eth1", "eth10", "wan", "br-lan"].enumerated().map {
    ClassifierInterface(index: UInt32($0.offset * 3 + 1), name: $0.element)
  }
  private let addresses: [UInt32]
  /// Rules ask for more than addresses and ports.
  private let isWide: Bool

  package init(seed: UInt64, wide: Bool = true) {
    numbers = Chance(seed: seed)
    isWide = wide
    var pool: [UInt32] = []
    var more = seed
    for _ in 0..<24 {
      more = more &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      // Close to one another and far apart.
      pool.append(0x0a00_0000 | UInt32(more >> 40) & (pool.count % 2 == 0 ? 0x3ff : 0xff_ffff))
    }
    addresses = pool
  }

  package mutating func below(_ bound: Int) -> Int { numbers.below(bound) }

  private mutating func one<Element>(of elements: [Element]) -> Element {
    numbers.one(of: elements)
  }

  private mutating func chance(_ hundredths: Int) -> Bool { numbers.percent(hundredths) }

  /// Of so many rules in one to four stages.
  package mutating func ruleset(rules count: Int) -> FlatRuleset {
    var ruleset = FlatRuleset(family: .ip)
    let stages = 1 + below(min(4, count))
    for stage in 0..<stages {
      let first = ruleset.rules.count
      let size = stage == stages - 1 ? max(count - first, 1) : 1 + below(count / stages)
      let hook = one(of: [ChainHook.prerouting, .forward, .postrouting])
      for place in first..<first + size {
        let isPolicy = place == first + size - 1
        ruleset.origins.append(
          .init(
            family: .ip, backend: .iptablesLegacy, table: "filter", chain: "c\(stage)",
            number: isPolicy ? 0 : place - first + 1, handle: 0))
        let origin = isPolicy || chance(80) ? place : first + below(place - first + 1)
        ruleset.rules.append(
          FlatRule(
            conditions: isPolicy || chance(6) ? [] : conditions(),
            action: isPolicy
              ? (chance(80) ? .accept : .drop) : action(at: place, before: first + size),
            origin: origin, counts: chance(85)))
      }
      ruleset.stages.append(
        .init(
          hook: hook, priority: 0, backend: .iptablesLegacy, table: "filter", chain: "c\(stage)",
          rules: first..<first + size))
    }
    return ruleset
  }

  private mutating func action(at place: Int, before end: Int) -> FlatRule.Action {
    switch below(100) {
    case ..<2 where isWide && place + 1 < end:
      .change(.untracked, to: place + 1 + below(min(end - place - 1, 90)))
    case ..<8 where isWide && place + 1 < end:
      .change(
        .mark(
          MarkChange(
            packet: one(of: [0, ~1, ~6, .max]), connection: one(of: [0, 0, 3]),
            constant: UInt32(below(4)))), to: place + 1 + below(min(end - place - 1, 90)))
    case ..<45: .next
    case ..<65: place + 1 < end ? .skip(to: place + 1 + below(min(end - place - 1, 90))) : .next
    case ..<80: .accept
    case ..<92: .drop
    case ..<96: .punt(.effect("REJECT"))
    case ..<99: .punt(.unknown("recent"))
    default: .punt(.tooMany)
    }
  }

  private mutating func conditions() -> [Condition] {
    var found: [Condition] = []
    if chance(50) { found.append(.field(.source, addressSet())) }
    if chance(50) { found.append(.field(.destination, addressSet())) }
    switch below(8) {
    case 0, 1, 2:
      found.append(.field(.transport, ValueSet(UInt128(one(of: [6, 17, 132])))))
      found.append(.field(.laterFragment, ValueSet(0)))
      if chance(60) { found.append(.field(.destinationPort, portSet())) }
      if chance(30) { found.append(.field(.sourcePort, portSet())) }
    case 3 where isWide:
      found.append(.field(.transport, ValueSet(6)))
      found.append(.field(.laterFragment, ValueSet(0)))
      let flags = (0..<256).filter { $0 & 0x17 == 2 }.map { UInt128($0)...UInt128($0) }
      let syn = ValueSet(flags)
      found.append(.field(.tcpFlags, chance(50) ? syn : syn.complement(upTo: 255)))
    case 4 where isWide:
      found.append(.field(.transport, ValueSet(1)))
      found.append(.field(.laterFragment, ValueSet(0)))
      found.append(
        .field(.icmp, ValueSet(UInt128(below(4) * 256)...UInt128(below(4) * 256 + 1023))))
    case 5: found.append(.field(.laterFragment, ValueSet(UInt128(below(2)))))
    default: break
    }
    if isWide { found += wideConditions() }
    return found
  }

  private mutating func wideConditions() -> [Condition] {
    var found: [Condition] = []
    if chance(8) { found.append(.field(.length, ranges(of: 1600, upTo: 0xffff))) }
    if chance(8) { found.append(.field(.ttl, ranges(of: 256, upTo: 255))) }
    if chance(8) { found.append(.field(.tos, ranges(of: 256, upTo: 255))) }
    if chance(8) { found.append(.field(.mark, ranges(of: 8, upTo: 0xffff_ffff))) }
    if chance(5) { found.append(.field(.packetType, ranges(of: 4, upTo: 7))) }
    if chance(10) { found.append(.field(.connection, ranges(of: 256, upTo: 255))) }
    if chance(8) { found.append(.field(.connectionMark, ranges(of: 8, upTo: 0xffff_ffff))) }
    if chance(6) { found.append(.field(.arrivedDestination, ranges(of: 8, upTo: 0xffff_ffff))) }
    if chance(6) { found.append(.field(.arrivedDestinationPort, ranges(of: 8, upTo: 0xffff))) }
    for direction in [Condition.Direction.input, .output] where chance(12) {
      let match =
        chance(30)
        ? InterfaceMatch("eth", wildcard: true, negated: chance(30))
        : InterfaceMatch(one(of: interfaces).name, negated: chance(30))
      found.append(.interface(direction, match))
    }
    if chance(4) {
      found.append(.interfaceIndex(.input, one(of: interfaces).index, negated: chance(30)))
    }
    while chance(12) { found.append(.late(lateCondition())) }
    return found
  }

  private mutating func lateCondition() -> LateCondition {
    switch below(9) {
    case 8:
      return .marks(
        MarkChange(packet: one(of: [1, 3, 7]), connection: one(of: [0, 1]), constant: 0),
        negated: chance(40))
    case 7:
      return .maskedConnectionMark(value: UInt32(below(2)), mask: 1, negated: chance(40))
    case 0, 1, 2:
      let mask: UInt128 = 0xff00_00ff
      return .maskedAddress(
        source: chance(50), value: UInt128(one(of: addresses)) & mask, mask: mask,
        negated: chance(40))
    case 3: return .maskedMark(value: UInt32(below(2)), mask: 1, negated: chance(40))
    case 4, 5: return .sourceMAC([2, 0, 0, 0, 0, UInt8(below(3))], negated: chance(40))
    default:
      return chance(50)
        ? .sourceType(4) : .ipset(index: 3, dimensions: [true, false], negated: chance(40))
    }
  }

  private mutating func addressSet() -> ValueSet {
    let address = UInt128(one(of: addresses))
    let set: ValueSet
    switch below(5) {
    case 0: set = ValueSet(address)
    case 1:
      let size = UInt128(1) << UInt128(below(24))
      set = ValueSet((address & ~(size - 1))...(address | (size - 1)))
    case 2:
      let other = UInt128(one(of: addresses))
      set = ValueSet(min(address, other)...max(address, other))
    case 3:
      set = ValueSet((0..<5).map { _ in one(of: addresses) }.map { UInt128($0)...UInt128($0) })
    default: set = ValueSet(0...address)
    }
    return chance(20) ? set.complement(upTo: 0xffff_ffff) : set
  }

  private mutating func portSet() -> ValueSet {
    chance(30)
      ? ranges(of: 1200, upTo: 0xffff)
      : ValueSet((0...below(14)).map { _ in UInt128(below(12) * 100) }.map { $0...$0 })
  }

  private mutating func ranges(of bound: Int, upTo last: UInt128) -> ValueSet {
    let (one, other) = (UInt128(below(bound)), UInt128(below(bound)))
    let set = ValueSet(min(one, other)...max(one, other))
    return chance(30) ? set.complement(upTo: last) : set
  }

  /// On the edges of what rules ask for as often as not.
  package mutating func packet() -> RulePacket {
    var packet = RulePacket()
    packet.source = one(of: addresses) &+ UInt32(below(3)) &- 1
    packet.destination =
      chance(5) ? UInt32(below(1 << 32)) : one(of: addresses) &+ UInt32(below(3)) &- 1
    packet.mark = UInt32(below(8))
    packet.input = one(of: interfaces)
    packet.output = one(of: interfaces)
    packet.transport = one(of: [1, 6, 6, 6, 17, 17, 47, 132])
    packet.isLaterFragment = chance(10)
    packet.sourcePort = chance(50) ? UInt16(below(12) * 100) : UInt16(below(1400))
    packet.destinationPort = chance(70) ? UInt16(below(12) * 100) : UInt16(below(65_536))
    packet.icmp = UInt16(below(2048))
    packet.tcpFlags = UInt8(below(64))
    packet.length = UInt16(40 + below(1560))
    packet.ttl = UInt8(2 + below(254))
    packet.tos = UInt8(below(256))
    packet.packetType = UInt8(below(4))
    packet.connection = SettledConnection(number: UInt8(below(256)))
    packet.connectionMark = UInt32(below(8))
    packet.arrivedDestination = UInt32(below(8))
    packet.arrivedDestinationPort = UInt16(below(8))
    packet.sourceMAC = [2, 0, 0, 0, 0, UInt8(below(4))]
    return packet
  }
}
