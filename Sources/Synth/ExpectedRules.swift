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

  /// Prerouting, forward and postrouting.
  package var ipv4Path: [[Entry]] { [ipv4[0], ipv4[2], ipv4[4]] }
}

extension FastPath {
  /// The constants of a program that does nothing but compare the rules; `nil` as above.
  package static func config(expecting epoch: RuleEpoch) -> [UInt8]? {
    guard let expected = ExpectedRules(epoch) else { return nil }
    var hooks = HarmlessHooks()
    hooks.ipv4 = epoch.ipv4.map { $0.map(\.function) }
    hooks.bridge = epoch.bridge.map { $0.map(\.function) }
    return bytes(of: [0, 0] + words(of: hooks) + expected.words)
  }

  /// struct expected_hook for each hook on the way.
  static func words(of hooks: HarmlessHooks) -> [UInt64] {
    ([hooks.ipv4[0], hooks.ipv4[2], hooks.ipv4[4]] + hooks.bridge).flatMap { functions in
      [UInt64(functions.count)] + ExpectedRules.filled(functions, HarmlessHooks.capacity)
    }
  }

  static func bytes(of words: [UInt64]) -> [UInt8] {
    words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
  }
}
