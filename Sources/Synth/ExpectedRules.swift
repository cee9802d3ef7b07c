// SPDX-License-Identifier: Apache-2.0
import Introspection
import Topology

/// What a program that judges by rules compares with the kernel for each packet: struct expected_rules of
/// fpm/packet.h.
package struct ExpectedRules: Equatable, Sendable {
  /// How many tables of iptables-legacy a program can have.
  package static let tablesMax = 8

  package let words: [UInt64]

  /// `nil` when there is more than programs have room for, or nobody would notice a change.
  package init?(_ epoch: RuleEpoch) {
    guard epoch.fits, epoch.isWatched else { return nil }
    var words: [UInt64] = []
    for entries in epoch.ipv4Path + epoch.bridge {
      words += Self.filled(entries.map(\.owner), HarmlessHooks.capacity)
    }
    words.append(UInt64(epoch.tables.count))
    words += Self.filled(epoch.tables.flatMap { [$0.place, $0.ruleset] }, 2 * Self.tablesMax)
    words.append(epoch.replaces ?? 0)
    let generation = epoch.hasChains ? epoch.generation : nil
    words += generation.map { [$0.place, UInt64($0.number)] } ?? [0, 0]
    self.words = words
  }

  /// Numbers, and zeros up to `count`.
  static func filled(_ numbers: [UInt64], _ count: Int) -> [UInt64] {
    numbers + Array(repeating: 0, count: count - numbers.count)
  }
}

extension RuleEpoch {
  fileprivate var fits: Bool {
    tables.count <= ExpectedRules.tablesMax
      && (ipv4 + bridge).allSatisfy { $0.count <= HarmlessHooks.capacity }
  }

  /// Whether a program can notice each change: without a count of replaces an address may come again, and
  /// nftables without a generation says nothing.
  package var isWatched: Bool {
    (tables.isEmpty || replaces != nil) && (!hasChains || generation != nil)
  }

  /// Prerouting, forward and postrouting.
  package var ipv4Path: [[Entry]] { [ipv4[0], ipv4[2], ipv4[4]] }
}
