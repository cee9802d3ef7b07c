// SPDX-License-Identifier: Apache-2.0
import Introspection

extension FlatRuleset {
  /// How many rules the list may have.
  package static let ruleLimit = 200_000

  /// All that packets of a family meet when they are forwarded: base chains at prerouting, forward and
  /// postrouting, without those of type `nat`, which see the first packet of a connection alone.
  ///
  /// Chains of the same hook and priority stand in the order of `hooks`, the kernel's, which puts the latest
  /// first: whichever comes first, a packet that one of them drops is dropped, but the others have not
  /// counted it.
  ///
  /// - Parameters:
  ///   - family: `.ip` or `.ip6`.
  ///   - sets: the ipsets that rules may ask.
  package init(
    family: RuleFamily, tables: [RuleTable], sets: [IPSet] = [], hooks: [NetfilterHook] = [],
    limit: Int = ruleLimit
  ) {
    self.init(family: family)
    var ipsets: [UInt16: IPSet] = [:]
    for set in sets { if let index = set.index { ipsets[index] = set } }
    var flattening = Flattening(family: family, limit: limit, ipsets: ipsets)
    for entry in Self.entries(family, tables, hooks) { flattening.lay(entry) }
    (stages, rules, origins) = (flattening.stages, flattening.rules, flattening.origins)
  }

  /// A base chain that packets enter.
  struct Entry {
    var table: TableIndex
    var chain: Int
    var base: BaseChain
  }

  private static func entries(
    _ family: RuleFamily, _ tables: [RuleTable], _ hooks: [NetfilterHook]
  ) -> [Entry] {
    var entries: [Entry] = []
    for table in tables where table.family == family || table.family == .inet {
      guard !table.flags.contains(.dormant) else { continue }
      let index = TableIndex(table)
      for (place, chain) in table.chains.enumerated() {
        guard let base = chain.base, base.type != "nat", base.hook.rank != nil else { continue }
        entries.append(Entry(table: index, chain: place, base: base))
      }
    }
    let places = entries.map { $0.place(among: hooks, family) }
    let order = entries.indices.sorted { a, b in
      let (left, right) = (entries[a].base, entries[b].base)
      return (left.hook.rank ?? 0, Int(left.priority), places[a], a)
        < (right.hook.rank ?? 0, Int(right.priority), places[b], b)
    }
    return order.map { entries[$0] }
  }
}

extension FlatRuleset.Entry {
  /// Where the kernel has it among all functions.
  fileprivate func place(among hooks: [NetfilterHook], _ family: RuleFamily) -> Int {
    let table = self.table.table
    let name = table.chains[chain].name
    let owner: NetfilterHook.Owner =
      table.backend == .iptablesLegacy
      ? .xtables(table: table.name) : .nftables(table: table.name, chain: name)
    return hooks.firstIndex {
      $0.family == (family == .ip6 ? .ipv6 : .ipv4) && $0.point == base.hook.pointOnTheWay
        && $0.priority == base.priority && $0.owner == owner
    } ?? hooks.count
  }
}

extension ChainHook {
  /// In which order a forwarded packet comes by; `nil` for hooks where it does not.
  fileprivate var rank: UInt8? { pointOnTheWay?.rawValue }
}
