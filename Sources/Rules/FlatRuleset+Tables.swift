// SPDX-License-Identifier: Apache-2.0
import Introspection

extension FlatRuleset {
  /// How many rules the list may have.
  package static let ruleLimit = 200_000

  /// All that packets of a family meet when they are forwarded: base chains at prerouting, forward and
  /// postrouting, without those of type `nat`, which see the first packet of a connection alone.
  ///
  /// Chains of the same hook and priority stand in the order of the tables, which need not be the
  /// kernel's: whichever comes first, a packet that one of them drops is dropped; only what the other
  /// counts may differ.
  ///
  /// - Parameters:
  ///   - family: `.ip` or `.ip6`.
  ///   - sets: the ipsets that rules may ask.
  package init(
    family: RuleFamily, tables: [RuleTable], sets: [IPSet] = [], limit: Int = ruleLimit
  ) {
    self.init(family: family)
    var ipsets: [UInt16: IPSet] = [:]
    for set in sets { if let index = set.index { ipsets[index] = set } }
    var flattening = Flattening(family: family, limit: limit, ipsets: ipsets)
    for entry in Self.entries(family, tables) { flattening.lay(entry) }
    (stages, rules, origins) = (flattening.stages, flattening.rules, flattening.origins)
  }

  /// A base chain that packets enter.
  struct Entry {
    var table: TableIndex
    var chain: Int
    var base: BaseChain
  }

  private static func entries(_ family: RuleFamily, _ tables: [RuleTable]) -> [Entry] {
    var entries: [Entry] = []
    for table in tables where table.family == family || table.family == .inet {
      guard !table.flags.contains(.dormant) else { continue }
      let index = TableIndex(table)
      for (place, chain) in table.chains.enumerated() {
        guard let base = chain.base, base.type != "nat", base.hook.rank != nil else { continue }
        entries.append(Entry(table: index, chain: place, base: base))
      }
    }
    let order = entries.indices.sorted { a, b in
      let (left, right) = (entries[a].base, entries[b].base)
      return (left.hook.rank ?? 0, Int(left.priority), a)
        < (right.hook.rank ?? 0, Int(right.priority), b)
    }
    return order.map { entries[$0] }
  }
}

extension ChainHook {
  /// In which order a forwarded packet comes by; `nil` for hooks where it does not.
  fileprivate var rank: UInt8? { pointOnTheWay?.rawValue }
}
