// SPDX-License-Identifier: Apache-2.0
import Introspection

/// Where the rules of all tables are decided, the ones that no forwarded packet meets among them.
package struct RulePlacement {
  package enum Place: Equatable, Sendable {
    /// On the fast path.
    case fast
    /// Packets that come to the rule and meet what is known of it are handed to the kernel.
    case punted([FlatRule.Cause])
    /// Forwarded packets pass the chain, and none gets as far as the rule.
    case unmet
    /// Forwarded packets do not come by the chain.
    case aside
    /// They do, and the kernel alone decides there: what about.
    case kernel(String)
  }

  private var decisions: [RuleOrigin: RuleDecision] = [:]
  private var families: Set<RuleFamily> = []
  /// Those whose lists are asked about packets of settled connections alone.
  private var tracking: Set<RuleFamily> = []
  /// Tables of which a part did not fit.
  private var full: Set<TableName> = []

  private struct TableName: Hashable {
    var backend: RuleTable.Backend
    var name: String
  }

  /// - Parameter lists: the rules of each family that the fast path knows.
  package init(_ lists: [FlatRuleset]) {
    for list in lists {
      families.formUnion([list.family, .inet])
      if list.stages.contains(where: { $0.view != .plain }) {
        tracking.formUnion([list.family, .inet])
      }
      decisions.merge(list.decisions) { $0.and($1) }
      for stage in list.stages
      where list.rules[stage.rules].contains(where: { $0.action == .punt(.tooMany) }) {
        full.insert(TableName(backend: stage.backend, name: stage.table))
      }
    }
  }

  /// The places of a table's rules, chain by chain: the policy's first, then each rule's.
  package func places(in table: RuleTable) -> [[Place]] {
    let ways = Ways(table)
    return table.chains.map { chain in
      (0...chain.rules.count).map { place(table.origin(chain, $0), table, ways) }
    }
  }

  private func place(_ origin: RuleOrigin, _ table: RuleTable, _ ways: Ways) -> Place {
    guard ways.routed.contains(origin.chain) else {
      if ways.translating.contains(origin.chain) { return .kernel("nat") }
      return ways.atDevices.contains(origin.chain) ? .kernel("netdev") : .aside
    }
    guard families.contains(table.family) else { return .kernel(table.family.name) }
    switch decisions[origin] {
    case .fast?: return .fast
    case .punted(let causes)?: return .punted(causes)
    case nil:
      let isFull = full.contains(TableName(backend: table.backend, name: table.name))
      if isFull { return .punted([.tooMany]) }
      // Packets of other connections may get there.
      return tracking.contains(table.family) ? .kernel("connections") : .unmet
    }
  }
}

/// The chains of a table that forwarded packets come by.
private struct Ways {
  /// On the way of every packet.
  var routed: Set<String> = []
  /// On that of a connection's first.
  var translating: Set<String> = []
  var atDevices: Set<String> = []

  init(_ table: RuleTable) {
    guard !table.flags.contains(.dormant) else { return }
    for chain in table.chains {
      guard let base = chain.base else { continue }
      let reached = Self.reached(from: chain.name, in: table)
      switch base.hook {
      case .prerouting, .forward, .postrouting:
        if base.type == "nat" {
          translating.formUnion(reached)
        } else {
          routed.formUnion(reached)
        }
      case .ingress, .egress, .unknown: atDevices.formUnion(reached)
      case .input, .output: break
      }
    }
  }

  private static func reached(from start: String, in table: RuleTable) -> Set<String> {
    let chains = Dictionary(
      table.chains.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var reached: Set = [start]
    var open = [start]
    while let name = open.popLast() {
      for rule in chains[name]?.rules ?? [] {
        let next: [String]
        switch rule.target {
        case .jump(let chain), .goto(let chain): next = [chain]
        // Whatever is in the map.
        case .verdictMap: next = table.chains.filter { $0.base == nil }.map(\.name)
        default: continue
        }
        for chain in next where reached.insert(chain).inserted { open.append(chain) }
      }
    }
    return reached
  }
}

extension RuleDecision {
  /// Of a rule that is in the lists of two families.
  fileprivate func and(_ other: RuleDecision) -> RuleDecision {
    switch (self, other) {
    case (.fast, let decision), (let decision, .fast): decision
    case (.punted(let causes), .punted(let others)):
      .punted(causes + others.filter { !causes.contains($0) })
    }
  }
}
