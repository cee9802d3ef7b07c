// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

// Hooks of conntrack and NAT among those of tables, connections, and rules on them.

private let first = RuleExpression.Register(slot: 0)

extension RandomTables {
  /// In the kernel's order. Of one priority the latest is first, whichever that is.
  mutating func hooks(_ tables: [RuleTable]) -> [NetfilterHook] {
    func hook(
      _ function: String, _ point: NetfilterHook.Point, _ priority: Int32, _ table: String = "",
      _ chain: String = ""
    ) -> NetfilterHook {
      NetfilterHook(
        family: family == .ip ? .ipv4 : .ipv6, point: point, priority: priority, function: function,
        table: table, chain: chain)
    }
    var hooks: [NetfilterHook] = []
    for table in tables {
      for chain in table.chains {
        guard let base = chain.base, let point = base.hook.pointOnTheWay else { continue }
        let nft = table.family == .inet ? "nft_do_chain_inet" : "nft_do_chain_ipv4"
        let function = table.backend == .iptablesLegacy ? "ipt_do_table" : nft
        hooks.append(hook(function, point, base.priority, table.name, chain.name))
      }
    }
    if chance(90) {
      hooks.append(hook("ipv4_conntrack_in", .prerouting, -200))
      hooks.append(hook("nf_confirm", .postrouting, .max))
      if chance(50) { hooks.append(hook("ipv4_conntrack_defrag", .prerouting, -400)) }
      if chance(75) {
        hooks.append(hook("nf_nat_ipv4_pre_routing", .prerouting, -100))
        hooks.append(hook("nf_nat_ipv4_out", .postrouting, 100))
      }
    }
    hooks.shuffle(using: &random)
    return hooks.enumerated().sorted {
      ($0.element.point.rawValue, $0.element.priority, $0.offset)
        < ($1.element.point.rawValue, $1.element.priority, $1.offset)
    }.map(\.element)
  }

  /// Base chains on both sides of conntrack and NAT. A table of iptables has one at a point.
  mutating func moreHooks(legacy: Bool) -> [(ChainHook, Int32)] {
    if legacy { return [] }
    var hooks: [(ChainHook, Int32)] = []
    for priority in [-300, -200, -150, -100, -50] as [Int32] where chance(30) {
      hooks.append((.prerouting, priority))
    }
    for priority in [100, 150] as [Int32] where chance(30) {
      hooks.append((.postrouting, priority))
    }
    return hooks
  }

  mutating func connection() -> TestConnection {
    var connection = TestConnection()
    if chance(25) {
      connection.isMissing = true
      return connection
    }
    connection.isReply = chance(50)
    connection.mark = pick([0, 1, 5, 0x100, 0x1ff])
    for bit in [0x01, 0x10, 0x20, 0x80, 0x100] as [UInt16] where chance(40) {
      connection.more |= bit
    }
    if chance(40) { connection.arriving = (address(), pick(Self.ports)) }
    if chance(40) { connection.leaving = (address(), pick(Self.ports)) }
    return connection
  }

  // MARK: iptables

  mutating func connectionMatch() -> Match {
    if chance(30) {
      return .connectionMark(
        MaskedMatch(value: pick([0, 1, 5]), mask: pick([1, 5, 0xff, .max]), negated: chance(30)))
    }
    var match = ConntrackMatch(conditions: 0, inverted: 0, states: [], status: 0)
    if chance(60) { match.conditions |= ConntrackMatch.state }
    if chance(40) { match.conditions |= ConntrackMatch.status }
    if chance(40) { match.conditions |= ConntrackMatch.direction }
    if chance(20) { match.conditions |= ConntrackMatch.alias }
    match.inverted = UInt16(chance(50) ? 0 : number(0...0x1fff))
    match.states = .init(rawValue: pick([1, 2, 4, 8, 9, 6, 0x40, 0x80, 0xc8, 0x100, 0]))
    match.status = pick([0, 1, 2, 4, 8, 0x10, 0x20, 0x30, 0x80, 0x101, 0x400])
    return .conntrack(match)
  }

  // MARK: nftables

  private func host(_ number: UInt32) -> RegisterValue {
    RegisterValue(UInt128(number.bigEndian), count: 4)
  }

  private func load(_ key: UInt32) -> RuleExpression {
    .conntrack(key: key, direction: 2, to: first)
  }

  private func under(_ mask: UInt32) -> RuleExpression {
    .bitwise(from: first, to: first, mask: host(mask), xor: host(0))
  }

  mutating func connectionCondition(_ table: inout RuleTable) -> [RuleExpression] {
    let comparison: Comparison = chance(60) ? .equal : .notEqual
    let toNetwork = RuleExpression.byteOrder(
      from: first, to: first, toHost: false, length: 4, size: 4)
    switch number(0...9) {
    case 0, 1:
      return [
        load(0), under(pick([1, 2, 6, 8, 10, 0x40])), .compare(comparison, from: first, host(0)),
      ]
    case 2: return [load(0), .compare(comparison, from: first, host(pick([1, 2, 4])))]
    case 3:
      return [
        load(1), .compare(comparison, from: first, RegisterValue(UInt128(number(0...1)), count: 1)),
      ]
    case 4:
      let mask: UInt32 = pick([1, 4, 0x10, 0x30, 0x81, 0x181])
      return [
        load(2), under(mask), .compare(comparison, from: first, host(pick([0, 0x10, mask]))),
      ]
    case 5:
      return [load(2), .compare(comparison, from: first, host(pick([0xe, 0xf, 0x1e, 0x9e])))]
    case 6: return [load(3), .compare(comparison, from: first, host(pick([0, 1, 5, 0x100])))]
    case 7:
      return [
        load(3), under(pick([1, 5, 0xff00])),
        .compare(comparison, from: first, host(pick([0, 1]))),
      ]
    case 8:
      let order: Comparison = pick([.less, .lessOrEqual, .greater, .greaterOrEqual])
      return [
        load(3), toNetwork,
        .compare(order, from: first, RegisterValue(UInt128(pick([0, 1, 5, 0x100])), count: 4)),
      ]
    default:
      let key: UInt32 = pick([0, 2, 3])
      let numbers = Set((0..<number(1...3)).map { _ in pick([1, 2, 5, 0xe, 0x1e] as [UInt32]) })
      return lookup(
        &table, [load(key)], [4], numbers.sorted().map { .init(key: host($0).bytes) },
        negated: chance(30))
    }
  }
}
