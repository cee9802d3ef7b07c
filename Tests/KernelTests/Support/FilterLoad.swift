// SPDX-License-Identifier: Apache-2.0
import Lab
import Rules

/// Rulesets and packets for measuring.
enum FilterLoad: String, CaseIterable, CustomStringConvertible {
  /// Blacklists of destinations that no packet goes to; close together, or all over the address space.
  case blacklist, scattered
  /// Every packet meets the last rule of a blacklist.
  case last
  /// Prefixes, protocol and ports as in ClassBench's rules; packets by chance, or each one for some rule.
  case fiveTuples, fiveTuplesMet

  var description: String { rawValue }

  func ruleset(rules count: Int, _ chance: inout RandomRules) -> FlatRuleset {
    var ruleset = FlatRuleset(family: .ip)
    for number in 0...count {
      let isPolicy = number == count
      ruleset.origins.append(
        .init(
          family: .ip, backend: .iptablesLegacy, table: "filter", chain: "FORWARD",
          number: isPolicy ? 0 : number + 1, handle: 0))
      ruleset.rules.append(
        FlatRule(
          conditions: isPolicy ? [] : conditions(isLast: number == count - 1, &chance),
          action: isPolicy || self != .last && chance.below(2) == 0 ? .accept : .drop,
          origin: number, counts: true))
    }
    ruleset.stages = [
      .init(
        hook: .forward, priority: 0, backend: .iptablesLegacy, table: "filter", chain: "FORWARD",
        rules: 0..<ruleset.rules.count)
    ]
    return ruleset
  }

  private func conditions(isLast: Bool, _ chance: inout RandomRules) -> [Condition] {
    switch self {
    case .last where isLast: [.field(.destination, Self.prefix(0x0a00_0000, 8))]
    case .blacklist, .last:
      [.field(.destination, ValueSet(UInt128(0x0b00_0000 + chance.below(1 << 24))))]
    case .scattered:
      [.field(.destination, ValueSet(UInt128(0x0b00_0000 + chance.below(0xa000_0000))))]
    case .fiveTuples, .fiveTuplesMet: Self.fiveTuple(&chance)
    }
  }

  private static func prefix(_ address: Int, _ length: Int) -> ValueSet {
    let rest = UInt128(0xffff_ffff) >> UInt128(length)
    return ValueSet((UInt128(address) & ~rest)...(UInt128(address) | rest))
  }

  private static func address(_ chance: inout RandomRules) -> Int {
    0x0a00_0000 + chance.below(0xc000_0000)
  }

  private static func fiveTuple(_ chance: inout RandomRules) -> [Condition] {
    var conditions: [Condition] = []
    let from = [0, 8, 16, 24, 24, 24, 28, 32, 32, 32][chance.below(10)]
    if from > 0 { conditions.append(.field(.source, prefix(address(&chance), from))) }
    let to = [16, 24, 24, 28, 32, 32, 32, 32][chance.below(8)]
    conditions.append(.field(.destination, prefix(address(&chance), to)))
    conditions.append(.field(.transport, ValueSet(chance.below(10) < 7 ? 6 : 17)))
    conditions.append(.field(.laterFragment, ValueSet(0)))
    let common = [80, 443, 22, 25, 53, 110, 143, 8080, 3306, 123]
    let port = UInt128(chance.below(10) < 7 ? common[chance.below(10)] : chance.below(60_000))
    let size: UInt128 = chance.below(10) < 2 ? 1000 : 0
    conditions.append(.field(.destinationPort, ValueSet(port...port + size)))
    if chance.below(10) == 0 { conditions.append(.field(.sourcePort, ValueSet(1024...65_535))) }
    return conditions
  }

  func packets(
    _ count: Int, _ ruleset: FlatRuleset, _ chance: inout RandomRules
  ) -> [RulePacket] {
    (0..<count).map { _ in
      var packet = RulePacket()
      (packet.transport, packet.length, packet.ttl) = (17, 64, 64)
      packet.source = UInt32(0x0a00_0000 + chance.below(1 << 16))
      packet.destination = UInt32(0x0a00_0000 + chance.below(1 << 24))
      packet.sourcePort = UInt16(1024 + chance.below(60_000))
      packet.destinationPort = UInt16([80, 443, 53, 1234][chance.below(4)])
      if self == .fiveTuples || self == .fiveTuplesMet {
        packet.source = UInt32(Self.address(&chance))
        packet.destination = UInt32(Self.address(&chance))
        packet.transport = chance.below(2) == 0 ? 6 : 17
      }
      if self == .fiveTuplesMet {
        let rule = ruleset.rules[chance.below(ruleset.rules.count - 1)]
        for case .field(let field, let set) in rule.conditions {
          guard let range = set.ranges.first else { continue }
          let value =
            Int(range.lowerBound) + chance.below(Int(range.upperBound - range.lowerBound) + 1)
          switch field {
          case .source: packet.source = UInt32(value)
          case .destination: packet.destination = UInt32(value)
          case .transport: packet.transport = UInt8(value)
          case .sourcePort: packet.sourcePort = UInt16(value)
          case .destinationPort: packet.destinationPort = UInt16(value)
          default: break
          }
        }
      }
      return packet
    }
  }
}
