// SPDX-License-Identifier: Apache-2.0
import Netlink

/// One table of iptables-legacy as the kernel holds it: entries one behind the other, which are rules,
/// policies, and marks where chains of the user begin and end. Each has counters.
///
/// Which rule an entry is follows from the order of entries alone, so what is known here holds for as
/// long as the table is not replaced.
package struct LegacyEntries {
  package private(set) var table: RuleTable
  /// The rule that each entry is; `nil` for marks.
  package private(set) var places: [Place?] = []
  package private(set) var tallies: [Tally] = []

  package struct Place: Hashable, Sendable {
    package var chain: String
    /// From 1; 0 for the policy.
    package var number: Int

    package init(_ chain: String, _ number: Int) { (self.chain, self.number) = (chain, number) }
  }

  /// Where a built-in chain begins, and where its policy stands, as offsets.
  package struct Hook: Equatable, Sendable {
    package var number: Int
    package var entry: Int
    package var underflow: Int

    package init(number: Int, entry: Int, underflow: Int) {
      (self.number, self.entry, self.underflow) = (number, entry, underflow)
    }
  }

  /// Fails where the entries do not hold together as iptables makes them.
  package init?(_ bytes: Bytes, family: RuleFamily, name: String, hooks: [Hook]) {
    table = RuleTable(family: family, name: name, backend: .iptablesLegacy)
    guard let raw = Self.raw(bytes, family) else { return nil }
    let stretches = Self.stretches(raw, hooks)
    guard let stretches, !raw.isEmpty else { return nil }
    places = [Place?](repeating: nil, count: raw.count)
    tallies = raw.map(\.tally)
    var chains: [Int: String] = [:]
    for stretch in stretches { chains[raw[stretch.first].offset] = stretch.name }
    for stretch in stretches {
      var chain = Chain(name: stretch.name)
      let last = raw[stretch.last]
      if stretch.hook != nil {
        guard let policy = Target.policy(last.target(in: bytes)) else { return nil }
        chain = Chain(family, table: name, name: stretch.name, policy: policy)
        places[stretch.last] = Place(chain.name, 0)
      }
      for place in stretch.first..<stretch.last {
        let number = chain.rules.count + 1
        guard let rule = raw[place].rule(in: bytes, family, number, chains) else { return nil }
        chain.rules.append(rule)
        places[place] = Place(chain.name, number)
      }
      table.chains.append(chain)
    }
  }

  /// The counts by rule.
  package var byPlace: [Place: Tally] {
    var counts: [Place: Tally] = [:]
    for (place, tally) in zip(places, tallies) {
      if let place { counts[place] = tally }
    }
    return counts
  }

  // MARK: - Entries

  /// Only the counters of entries that are known already.
  package static func tallies(_ bytes: Bytes, _ family: RuleFamily) -> [Tally]? {
    raw(bytes, family)?.map(\.tally)
  }

  /// A number for all that is not counters.
  package static func fingerprint(_ bytes: Bytes, _ family: RuleFamily) -> UInt64? {
    guard let raw = raw(bytes, family) else { return nil }
    let header = RawEntry.header(family)
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for entry in raw {
      // Sizes are multiples of eight, which the kernel insists on.
      for offset in stride(from: entry.offset, to: entry.offset + entry.size, by: 8) {
        let word = offset - entry.offset
        if word >= header - 16 && word < header { continue }
        hash = (hash ^ (bytes.load(offset, as: UInt64.self) ?? 0)) &* 0x100_0000_01b3
        hash ^= hash >> 29
      }
    }
    return hash
  }

  private static func raw(_ bytes: Bytes, _ family: RuleFamily) -> [RawEntry]? {
    var entries: [RawEntry] = []
    var offset = 0
    while offset < bytes.count {
      guard let entry = RawEntry(bytes, offset, family) else { return nil }
      entries.append(entry)
      offset += entry.size
    }
    return entries
  }

  // MARK: - Chains

  /// The entries of a chain: the last is its policy, or the mark where it ends.
  private struct Stretch {
    var name: String
    var hook: Int?
    var first: Int
    var last: Int
  }

  /// `NF_INET_*` in order.
  private static let builtins = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]

  private static func stretches(_ raw: [RawEntry], _ hooks: [Hook]) -> [Stretch]? {
    var hooked: [Int: Hook] = [:]
    for hook in hooks {
      guard builtins.indices.contains(hook.number), hooked[hook.entry] == nil else { return nil }
      hooked[hook.entry] = hook
    }
    var found: [Stretch] = []
    var open: Stretch?
    /// Ends the open chain before an entry; false where it has no entry of its own.
    func close(before place: Int) -> Bool {
      guard var stretch = open else { return true }
      stretch.last = place - 1
      guard stretch.last >= stretch.first else { return false }
      if let number = stretch.hook,
        raw[stretch.last].offset != hooks.first(where: { $0.number == number })?.underflow
      {
        return false
      }
      found.append(stretch)
      open = nil
      return true
    }
    for (place, entry) in raw.enumerated() {
      if let name = entry.mark {
        guard close(before: place) else { return nil }
        // The last one marks the table's end.
        if place + 1 == raw.count { break }
        open = Stretch(name: name, first: place + 1, last: place + 1)
      } else if let hook = hooked[entry.offset] {
        guard close(before: place) else { return nil }
        open = Stretch(
          name: builtins[hook.number], hook: hook.number, first: place, last: place)
      } else if open == nil {
        return nil
      }
    }
    let complete = open == nil && raw.last?.mark != nil
    return complete && found.count { $0.hook != nil } == hooks.count ? found : nil
  }
}

/// One `struct ipt_entry` or `struct ip6t_entry`: the header, which ends with the counters, matches, a target.
private struct RawEntry {
  let offset: Int
  let size: Int
  let targetOffset: Int
  let tally: Tally
  /// The name of a chain that begins behind it, of an entry that is a mark.
  let mark: String?

  static func header(_ family: RuleFamily) -> Int { family == .ip6 ? 168 : 112 }

  init?(_ bytes: Bytes, _ offset: Int, _ family: RuleFamily) {
    let header = Self.header(family)
    let offsets = family == .ip6 ? 140 : 88
    guard let target = bytes.load(offset + offsets, as: UInt16.self).map(Int.init),
      let size = bytes.load(offset + offsets + 2, as: UInt16.self).map(Int.init),
      target >= header, size >= target + 32, size % 8 == 0, size <= bytes.count - offset,
      let packets = bytes.load(offset + header - 16, as: UInt64.self),
      let count = bytes.load(offset + header - 8, as: UInt64.self),
      let name = bytes.slice(offset + target + 2, 29)?.string
    else { return nil }
    (self.offset, self.size, targetOffset) = (offset, size, target)
    tally = Tally(packets: packets, bytes: count)
    mark = name == "ERROR" ? bytes.slice(offset + target + 32, 30)?.string : nil
    if name == "ERROR" && mark == nil { return nil }
  }

  /// The verdict of the standard target; `nil` of others.
  func target(in bytes: Bytes) -> Int32? {
    guard bytes[offset + targetOffset + 2] == 0 else { return nil }
    return bytes.load(offset + targetOffset + 32, as: Int32.self)
  }

  /// - Parameter chains: by the offset of their first entry.
  func rule(
    in bytes: Bytes, _ family: RuleFamily, _ number: Int, _ chains: [Int: String]
  ) -> Rule? {
    var name: String?
    if let verdict = target(in: bytes) {
      // As libiptc tells a rule without a target.
      if Int(verdict) == offset + size {
        name = ""
      } else if verdict >= 0 {
        guard let chain = chains[Int(verdict)] else { return nil }
        name = chain
      }
    }
    return bytes.slice(offset, size).flatMap {
      Rule.xtables(entry: $0, family: family, line: UInt64(number), target: name)
    }
  }
}

extension Target {
  /// What libiptc calls a policy.
  fileprivate static func policy(_ verdict: Int32?) -> String? {
    switch verdict {
    case -1: "DROP"
    case -2: "ACCEPT"
    default: nil
    }
  }
}
