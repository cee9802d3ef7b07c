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
  /// counted it. Where connection tracking and NAT stand among `hooks` says what packets are at a chain; a
  /// chain that is not among them, or cannot be told from another one, is the kernel's then.
  ///
  /// - Parameters:
  ///   - family: `.ip` or `.ip6`.
  ///   - sets: the ipsets that rules may ask.
  ///   - hooks: all of the family on the way of forwarded packets, in the kernel's order.
  package init(
    family: RuleFamily, tables: [RuleTable], sets: [IPSet] = [], hooks: [NetfilterHook] = [],
    limit: Int = ruleLimit
  ) {
    self.init(family: family)
    var ipsets: [UInt16: IPSet] = [:]
    for set in sets { if let index = set.index { ipsets[index] = set } }
    var flattening = Flattening(family: family, limit: limit, ipsets: ipsets)
    flattening.translates = TrackingHooks(hooks, family).translates
    let entries = Self.entries(family, tables, hooks)
    flattening.untracks = entries.contains(where: \.untracks)
    for entry in entries { flattening.lay(entry) }
    (stages, rules, origins) = (flattening.stages, flattening.rules, flattening.origins)
  }

  /// Whether packets may come to some of the rules that are not tracked.
  package var untracks: Bool {
    rules.contains { if case .change(.untracked, _) = $0.action { true } else { false } }
  }

  /// A base chain that packets enter.
  struct Entry {
    var table: TableIndex
    var chain: Int
    var base: BaseChain
    /// `nil`: not known.
    var view: View?

    /// Whether a rule that it may lead to has packets not tracked, in time.
    fileprivate var untracks: Bool {
      view == .untracked
        && table.table.chains.enumerated().contains { place, other in
          (place == chain || other.base == nil) && other.rules.contains(where: \.untracks)
        }
    }
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
    let places = entries.map { $0.places(among: hooks, family) }
    let tracking = TrackingHooks(hooks, family)
    for index in entries.indices {
      entries[index].view = tracking.view(entries[index].base.hook, at: places[index])
    }
    let order = entries.indices.sorted { a, b in
      let (left, right) = (entries[a].base, entries[b].base)
      return (left.hook.rank ?? 0, Int(left.priority), places[a].first ?? hooks.count, a)
        < (right.hook.rank ?? 0, Int(right.priority), places[b].first ?? hooks.count, b)
    }
    return order.map { entries[$0] }
  }
}

extension FlatRuleset.Entry {
  /// Where the kernel has it among all functions; several where chains of two families have one name.
  fileprivate func places(among hooks: [NetfilterHook], _ family: RuleFamily) -> [Int] {
    let table = self.table.table
    let name = table.chains[chain].name
    let owner: NetfilterHook.Owner =
      table.backend == .iptablesLegacy
      ? .xtables(table: table.name) : .nftables(table: table.name, chain: name)
    return hooks.indices.filter {
      hooks[$0].family == .init(family) && hooks[$0].point == base.hook.pointOnTheWay
        && hooks[$0].priority == base.priority && hooks[$0].owner == owner
        && hooks[$0].mayCall(table.family)
    }
  }
}

extension NetfilterHook {
  /// Tables of two families may have a name in common; nf_tables calls chains of theirs by two functions.
  fileprivate func mayCall(_ family: RuleFamily) -> Bool {
    switch function.split(separator: " ").first {
    case "nft_do_chain_inet": family == .inet
    case "nft_do_chain_ipv4", "nft_do_chain_ipv6": family != .inet
    default: true
    }
  }
}

extension Rule {
  fileprivate var untracks: Bool {
    target.isUntrack
      || expressions.contains {
        if case .target(let target) = $0 { target.isUntrack } else { $0 == .untrack }
      }
  }
}

extension ChainHook {
  /// In which order a forwarded packet comes by; `nil` for hooks where it does not.
  fileprivate var rank: UInt8? { pointOnTheWay?.rawValue }
}
