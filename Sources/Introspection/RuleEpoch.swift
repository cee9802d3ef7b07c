// SPDX-License-Identifier: Apache-2.0

/// Which rules the kernel has at one moment, as far as packets that are forwarded can meet them. Two that
/// are equal stand for the same rules: nothing in them can come again.
package struct RuleEpoch: Equatable, Sendable {
  /// A function on a hook, and what it is called with: a table or a chain.
  package struct Entry: Equatable, Sendable {
    package var function: UInt64
    package var owner: UInt64

    package init(function: UInt64, owner: UInt64) {
      self.function = function
      self.owner = owner
    }
  }

  /// A table of iptables-legacy: where it keeps the address of its ruleset, and that.
  package struct Table: Equatable, Sendable {
    package var place: UInt64
    package var ruleset: UInt64

    package init(place: UInt64, ruleset: UInt64) {
      self.place = place
      self.ruleset = ruleset
    }
  }

  /// How many commits nftables has seen, and where the kernel counts them.
  package struct Generation: Equatable, Sendable {
    package var place: UInt64
    package var number: UInt32

    package init(place: UInt64, number: UInt32) {
      self.place = place
      self.number = number
    }
  }

  /// Point by point, as the kernel numbers them.
  package var ipv4: [[Entry]] = Array(repeating: [], count: 5)
  package var bridge: [[Entry]] = Array(repeating: [], count: 5)
  /// The tables that IPv4 packets meet.
  package var tables: [Table] = []
  /// How many rulesets iptables-legacy ever made; `nil` where nobody counts.
  package var replaces: UInt64?
  /// Chains of nftables stand on the path.
  package var hasChains = false
  /// `nil` where the kernel does not tell.
  package var generation: Generation?

  package init() {}

  /// `hooks` are all that there are, in their order on each point.
  package init(_ hooks: [NetfilterHook], generation: Generation?, replaces: UInt64?) {
    self.generation = generation
    self.replaces = replaces
    for hook in hooks {
      let entry = Entry(function: hook.address, owner: hook.argument)
      let point = Int(hook.point.rawValue)
      switch hook.family {
      case .ipv4: ipv4[point].append(entry)
      case .bridge: bridge[point].append(entry)
      case .ipv6, .arp: continue
      }
      guard hook.family == .bridge || hook.point.isOnTheWay else { continue }
      if case .nftables = hook.owner { hasChains = true }
      if let table = hook.ruleset, !tables.contains(table) { tables.append(table) }
    }
  }

  /// Whether a program can notice each change: without a count of replaces an address may come again, and
  /// nftables without a generation says nothing.
  package var isWatched: Bool {
    (tables.isEmpty || replaces != nil) && (!hasChains || generation != nil)
  }

  /// The parts that were read under `older` and are not what they were.
  package func parts(since older: RuleEpoch?) -> Parts {
    guard let older else { return .rules }
    var parts: Parts = []
    if ipv4 != older.ipv4 || bridge != older.bridge { parts.formUnion(.rules) }
    if tables != older.tables || replaces != older.replaces { parts.insert(.xtables) }
    if generation != older.generation { parts.insert(.nftables) }
    return parts
  }
}
