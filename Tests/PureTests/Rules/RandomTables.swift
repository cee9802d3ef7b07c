// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

/// Makes tables and packets that often have to do with each other.
struct RandomTables {
  var random: SeededGenerator
  let family: RuleFamily
  /// Whether there is anything whose meaning is not known.
  let strange: Bool
  /// Whether connections are tracked, and translated.
  let tracked: Bool
  private var handle: UInt64 = 0

  init(seed: UInt64, family: RuleFamily, strange: Bool, tracked: Bool = false) {
    (random, self.family, self.strange) = (SeededGenerator(seed: seed), family, strange)
    self.tracked = tracked
  }

  mutating func number(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &random) }
  mutating func chance(_ percent: Int) -> Bool { number(1...100) <= percent }
  mutating func pick<T>(_ choices: [T]) -> T { choices[number(0...(choices.count - 1))] }

  // MARK: Packets

  static let names = ["eth0", "eth1", "eth10", "wan", "br0"]
  static let ports: [UInt16] = [0, 22, 53, 80, 443, 1000, 65535]

  mutating func address() -> UInt128 {
    let low = UInt128(pick([0, 1, 2, 127, 128, 255]) | pick([0, 1, 2, 3]) << 8)
    return family == .ip
      ? 0x0a00_0000 | low : UInt128(0x2001_0db8) << 96 | UInt128(pick([0, 1])) << 64 | low
  }

  mutating func packet() -> TestPacket {
    var packet = TestPacket()
    packet.family = family
    (packet.source, packet.destination) = (address(), address())
    packet.transport = pick([6, 6, 17, 17, family == .ip ? 1 : 58, 132, 50])
    packet.laterFragment = family == .ip && chance(10)
    (packet.sourcePort, packet.destinationPort) = (pick(Self.ports), pick(Self.ports))
    packet.tcpFlags = pick([0x02, 0x10, 0x12, 0x18, 0x11])
    (packet.type, packet.code) = (pick([0, 3, 8, 11, 255]), pick([0, 1, 4]))
    packet.length = pick([60, 100, 1000, 1500])
    packet.ttl = pick([2, 3, 63, 64, 65, 255])
    packet.tos = pick([0, 0x10, 0xb8, 0xb9, 0x03])
    packet.mark = pick([0, 1, 0x100, 0x1ff])
    packet.sourceMAC = [2, 0, 0, 0, 0, pick([1, 2])]
    packet.sourceType = pick([1, 1, 3])
    (packet.input, packet.output) = (pick(Self.names), pick(Self.names))
    packet.inputIndex = UInt32(2 + (Self.names.firstIndex(of: packet.input) ?? 0))
    packet.outputIndex = UInt32(2 + (Self.names.firstIndex(of: packet.output) ?? 0))
    if chance(50) { packet.ipsets = [7] }
    if tracked { packet.connection = connection() }
    return packet
  }

  // MARK: Tables

  mutating func tables() -> [RuleTable] {
    var tables: [RuleTable] = []
    if chance(70) { tables.append(table(.iptablesLegacy, "filter")) }
    if chance(30) { tables.append(table(.iptablesLegacy, "mangle")) }
    if chance(70) { tables.append(table(.nftables, "mine")) }
    return tables.isEmpty ? [table(.nftables, "only")] : tables
  }

  private mutating func table(_ backend: RuleTable.Backend, _ name: String) -> RuleTable {
    let legacy = backend == .iptablesLegacy
    let family: RuleFamily = legacy || chance(50) ? self.family : .inet
    var table = RuleTable(family: family, name: name, backend: backend)
    let users = number(0...4)
    var hooks: [(ChainHook, Int32)] = [(.forward, 0)]
    if name != "filter" {
      hooks = [(.forward, -150)]
      if chance(50) { hooks.append((.prerouting, -150)) }
      if chance(50) { hooks.append((.postrouting, Int32(number(-200...(-100))))) }
      if tracked { hooks += moreHooks(legacy: legacy) }
    }
    for place in 0..<users { table.chains.append(Chain(name: "user\(place)")) }
    for (hook, priority) in hooks {
      table.chains.append(
        Chain(
          name: tracked ? "\(hook.name)\(table.chains.count)" : hook.name,
          base: BaseChain(
            hook: hook, priority: priority, type: "filter", policy: chance(70) ? .accept : .drop)))
    }
    for place in table.chains.indices {
      // Chains lead to those before them alone, so that there are no loops.
      let below = place < users ? place : users
      let atPrerouting = table.chains[place].base?.hook == .prerouting || place < users
      for _ in 0..<number(0...6) {
        handle += 1
        var rule = Rule(handle: legacy ? UInt64(table.chains[place].rules.count + 1) : handle)
        let target = self.target(below)
        if legacy {
          rule.matches = matches(output: !atPrerouting)
          rule.target = target
        } else {
          rule.expressions = expressions(&table, target, below, output: !atPrerouting)
        }
        table.chains[place].rules.append(rule)
      }
    }
    return table
  }

  private mutating func target(_ below: Int) -> Target {
    if strange && chance(8) { return pick([.reject(0), .unknown(UnknownExtension("LOG"))]) }
    if below > 0 && chance(40) {
      let name = "user\(number(0...(below - 1)))"
      return chance(75) ? .jump(name) : .goto(name)
    }
    if chance(25) { return marks() }
    if tracked && chance(10) { return .untrack(alias: chance(50)) }
    return pick([.fallThrough, .accept, .drop, .return, .fallThrough, .drop])
  }

  /// MARK and CONNMARK.
  private mutating func marks() -> Target {
    let (mask, other): (UInt32, UInt32) = (pick([1, 5, 0xff, .max]), pick([1, 0x100, .max]))
    let value: UInt32 = pick([0, 1, 5, 0x100])
    guard tracked else { return .mark(MarkChange(packet: ~mask, constant: value)) }
    return pick([
      .mark(MarkChange(packet: ~mask, constant: value)),
      .mark(MarkChange(packet: ~mask, connection: other)),
      .connectionMark(MarkChange(connection: ~mask, constant: value)),
      .connectionMark(MarkChange(packet: mask, connection: ~other)),
    ])
  }

  mutating func interface() -> InterfaceMatch {
    let wildcard = chance(20)
    return InterfaceMatch(
      wildcard ? pick(["eth", "eth1", "w"]) : pick(Self.names), wildcard: wildcard,
      negated: chance(25))
  }

  private mutating func prefix() -> (UInt128, UInt128) {
    let last: UInt128 = family == .ip ? 0xffff_ffff : .max
    let mask = chance(10) ? last ^ 0x100 : last & ~((UInt128(1) << UInt128(number(0...10))) - 1)
    return (address() & mask, mask)
  }

  private mutating func addressMatch() -> AddressMatch {
    let (value, mask) = prefix()
    let negated = chance(20)
    return family == .ip
      ? .ipv4(
        UInt32(truncatingIfNeeded: value), mask: UInt32(truncatingIfNeeded: mask), negated: negated)
      : .ipv6(value, mask: mask, negated: negated)
  }

  private mutating func ports() -> PortRange {
    let (a, b) = (pick(Self.ports), pick(Self.ports))
    return chance(50) ? PortRange(a, a) : PortRange(min(a, b), max(a, b))
  }

  // MARK: Matches of iptables

  mutating func matches(output: Bool) -> [Match] {
    var matches: [Match] = []
    if chance(30) { matches.append(.source(addressMatch())) }
    if chance(30) { matches.append(.destination(addressMatch())) }
    if chance(25) { matches.append(.input(interface())) }
    if output && chance(20) { matches.append(.output(interface())) }
    if chance(50) { matches += transport() }
    if chance(30) { matches.append(other()) }
    if strange && chance(10) {
      matches.append(.unknown(UnknownExtension(pick(["time", "limit", "u32"]))))
    }
    if chance(15) { matches.append(other()) }
    if tracked && chance(40) {
      matches.insert(connectionMatch(), at: number(0...matches.count))
    }
    return matches
  }

  private mutating func transport() -> [Match] {
    let protocols: [UInt8] = [6, 17, family == .ip ? 1 : 58, 132]
    let number = pick(protocols)
    if chance(20) { return [.transport(number, negated: chance(50))] }
    let inverted = TCPMatch.Inverted(rawValue: UInt8(chance(20) ? self.number(0...7) : 0))
    var found: [Match] = [.transport(number, negated: false)]
    if number != protocols[2] && chance(25) {
      found.append(
        .multiport(
          MultiportMatch(
            side: pick([.source, .destination, .either]), ports: [ports(), ports()],
            negated: chance(25))))
      return found
    }
    switch number {
    case 6:
      found.append(
        .tcp(
          TCPMatch(
            source: chance(40) ? ports() : .all, destination: ports(), option: 0,
            flagMask: pick([0, 0x17, 0x02]), flagValue: pick([0, 0x02]), inverted: inverted)))
    case 17:
      found.append(
        .udp(
          UDPMatch(
            source: chance(40) ? ports() : .all, destination: ports(),
            inverted: inverted.intersection([.source, .destination]))))
    case 132:
      found.append(
        .sctp(
          SCTPMatch(
            source: nil, destination: ports(), inverted: inverted.intersection(.destination))))
    default:
      found.append(
        .icmp(
          ICMPMatch(
            six: family == .ip6, type: pick([0, 3, 8, 255]), lowCode: 0, highCode: pick([0, 255]),
            negated: chance(25))))
    }
    return found
  }

  private mutating func other() -> Match {
    let negated = chance(30)
    let (low, high) = (address(), address())
    switch number(0...10) {
    case 0: return .mark(MaskedMatch(value: 1, mask: pick([1, .max, 0xff]), negated: negated))
    case 1: return .length(pick([0, 100]), pick([100, 1000, .max]), negated: negated)
    case 2: return .ttl(pick([.equal, .notEqual, .less, .greater]), pick([1, 2, 62, 63, 64, 254]))
    case 3: return .dscp(pick([0, 4, 46]), negated: negated)
    case 4: return .tos(value: 0x10, mask: pick([0x10, 0xff, 0x3f]), negated: negated)
    case 5: return .packetType(pick([0, 1]), negated: negated)
    case 6 where family == .ip:
      return .addressType(
        AddressTypeMatch(
          source: pick([0, 1 << 3, 1 << 1]), destination: pick([0, 2, 4, 6]),
          flags: .init(rawValue: UInt8(number(0...3)))))
    case 7:
      let side = AddressRangeMatch.Side(low: min(low, high), high: max(low, high), negated: negated)
      return .addressRange(
        AddressRangeMatch(
          six: family == .ip6, source: chance(50) ? side : nil, destination: chance(50) ? side : nil
        ))
    case 8 where family == .ip: return .fragment(negated: negated)
    case 9:
      return .set(
        SetMatch(index: 7, dimensions: [chance(50)], negated: negated, flags: 0))
    default: return .comment("why")
    }
  }
}
