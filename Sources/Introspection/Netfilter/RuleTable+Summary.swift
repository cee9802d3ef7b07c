// SPDX-License-Identifier: Apache-2.0

extension RuleTable {
  /// How many rules all chains hold together.
  package var ruleCount: Int { chains.reduce(0) { $0 + $1.rules.count } }

  /// How many of the rules hold something whose meaning is not known here.
  package var unmodelledRuleCount: Int {
    chains.reduce(0) { $0 + $1.rules.count { !$0.isFullyModelled } }
  }

  /// The names of what is not known here, each once, in order.
  package var unmodelledNames: [String] {
    var names: Set<String> = []
    for chain in chains {
      for rule in chain.rules where !rule.isFullyModelled { names.formUnion(rule.unmodelled) }
    }
    return names.sorted()
  }

  /// The hooks where the table can do more than let every packet pass: a base chain has a rule, or a
  /// policy other than accept. None while the table is dormant.
  package var activeHooks: Set<ChainHook> {
    guard !flags.contains(.dormant) else { return [] }
    return Set(chains.filter(\.isActive).compactMap { $0.base?.hook })
  }

  /// The number of rules packets can reach from a hook, through jumps. A jump through a verdict map
  /// reaches every chain.
  package func ruleCount(at hook: ChainHook) -> Int {
    reachable(from: chains.indices.filter { chains[$0].base?.hook == hook })
      .reduce(0) { $0 + chains[$1].rules.count }
  }

  /// The same for rules that hold something not known here.
  package func unmodelledRuleCount(at hook: ChainHook) -> Int {
    reachable(from: chains.indices.filter { chains[$0].base?.hook == hook })
      .reduce(0) { $0 + chains[$1].rules.count { !$0.isFullyModelled } }
  }

  /// Whether a packet that is routed or bridged through can meet a rule or a policy of the table.
  package var mayTouchForwarded: Bool {
    activeHooks.contains { hook in
      switch hook {
      case .input, .output: false
      case .prerouting, .forward, .postrouting, .ingress, .egress, .unknown: true
      }
    }
  }

  /// The rules that forwarded packets can reach, without those that only translate addresses.
  package func forwardedRules() -> ForwardedRules {
    var found = ForwardedRules()
    guard !flags.contains(.dormant) else { return found }
    let start = chains.indices.filter { place in
      guard let base = chains[place].base, base.type != "nat" else { return false }
      switch base.hook {
      case .prerouting, .forward, .postrouting: return true
      case .input, .output, .ingress, .egress, .unknown: return false
      }
    }
    found.drops = start.contains { chains[$0].base?.policy != .accept }
    for place in reachable(from: start) {
      found.count += chains[place].rules.count
      for rule in chains[place].rules where !rule.isFullyModelled {
        found.unmodelled += 1
        for name in rule.unmodelled where !found.unmodelledNames.contains(name) {
          found.unmodelledNames.append(name)
        }
      }
    }
    return found
  }

  private func reachable(from start: [Int]) -> [Int] {
    let byName = Dictionary(
      chains.indices.map { (chains[$0].name, $0) }, uniquingKeysWith: { first, _ in first })
    var seen = Set(start)
    var open = start
    while let next = open.popLast() {
      for rule in chains[next].rules {
        let targets: [Int]
        switch rule.target {
        case .jump(let name), .goto(let name): targets = byName[name].map { [$0] } ?? []
        case .verdictMap: targets = Array(chains.indices.filter { chains[$0].base == nil })
        default: continue
        }
        for target in targets where seen.insert(target).inserted { open.append(target) }
      }
    }
    return seen.sorted()
  }
}

extension Chain {
  /// Whether packets enter the chain and can meet anything in it but acceptance.
  package var isActive: Bool {
    guard let base else { return false }
    return !rules.isEmpty || base.policy != .accept
  }
}

/// What forwarded packets can meet in one table.
package struct ForwardedRules: Equatable, Sendable {
  package var count = 0
  package var unmodelled = 0
  package var unmodelledNames: [String] = []
  /// Whether a base chain's policy is other than acceptance.
  package var drops = false
}
