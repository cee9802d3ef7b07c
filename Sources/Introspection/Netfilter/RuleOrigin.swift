// SPDX-License-Identifier: Apache-2.0

/// A rule where users see it.
package struct RuleOrigin: Equatable, Hashable, Sendable {
  package var family: RuleFamily
  package var backend: RuleTable.Backend
  package var table: String
  package var chain: String
  /// Its place in the chain, from 1; 0 for the chain's policy.
  package var number: Int
  /// The kernel's handle (nftables).
  package var handle: UInt64

  package init(
    family: RuleFamily, backend: RuleTable.Backend, table: String, chain: String, number: Int,
    handle: UInt64
  ) {
    (self.family, self.backend, self.table) = (family, backend, table)
    (self.chain, self.number, self.handle) = (chain, number, handle)
  }

  /// What tells a rule of nftables for as long as it is there: its handle. Its number changes with what
  /// stands before it, and whether a table is iptables-nft's with what else is in it.
  package var lasting: RuleOrigin {
    guard backend != .iptablesLegacy else { return self }
    var lasting = self
    (lasting.backend, lasting.number) = (.nftables, 0)
    return lasting
  }
}

extension RuleTable {
  /// Where a rule of the table is, by its number in the chain; 0 for the policy.
  package func origin(_ chain: Chain, _ number: Int) -> RuleOrigin {
    let rule = number > 0 && number <= chain.rules.count ? chain.rules[number - 1] : nil
    return RuleOrigin(
      family: family, backend: backend, table: name, chain: chain.name, number: number,
      handle: rule?.handle ?? 0)
  }

  /// Whether an origin is one of this table's.
  package func holds(_ origin: RuleOrigin) -> Bool {
    origin.family == family && origin.table == name
      && (origin.backend == .iptablesLegacy) == (backend == .iptablesLegacy)
  }
}

/// How many packets a rule counted, and their bytes.
package struct Tally: Equatable, Sendable {
  package var packets: UInt64
  package var bytes: UInt64

  package static let zero = Tally()

  package init(packets: UInt64 = 0, bytes: UInt64 = 0) {
    (self.packets, self.bytes) = (packets, bytes)
  }

  package static func + (a: Tally, b: Tally) -> Tally {
    Tally(packets: a.packets &+ b.packets, bytes: a.bytes &+ b.bytes)
  }

  package static func += (a: inout Tally, b: Tally) { a = a + b }
}
