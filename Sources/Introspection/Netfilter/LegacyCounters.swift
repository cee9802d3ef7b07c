// SPDX-License-Identifier: Apache-2.0
import CXtables
import Glibc
import Netlink

/// The counters of iptables-legacy's rules and policies: reads them, and adds to them what was counted
/// elsewhere, so that `iptables -L -v` and `iptables-save -c` tell of all packets.
///
/// The kernel takes one pair of numbers for each entry of a table, in their order. If the table is
/// replaced after it was read here, and by one with another number of entries, the kernel refuses, and all
/// is done again with the new one. A replacement with the same number of entries in the microseconds
/// between cannot be told: its rules then get the counts of those that stood in their places. iptables
/// itself has the same gap when it carries counters over.
///
/// One thread uses it, in whose network namespace it works.
package final class LegacyCounters {
  private var sockets: [RuleFamily: Int32] = [:]
  private var known: [Key: Known] = [:]

  private struct Key: Hashable {
    var family: RuleFamily
    var name: String

    var text: String { "\(family == .ip6 ? "ip6" : "ip")tables-legacy table \(name)" }
  }

  /// Where the rules of a table that somebody knows stand among the kernel's entries.
  private struct Known {
    var fingerprint: UInt64
    var hooks: [LegacyEntries.Hook]
    var table: RuleTable
    /// For each chain the entries of its policy and its rules, -1 for what is gone.
    var entries: [String: [Int]]
    var count: Int
  }

  package init() {}

  deinit { for socket in sockets.values { close(socket) } }

  /// What became of counts.
  package struct Outcome: Equatable, Sendable {
    /// Their rules are gone, and they with them.
    package var lost: [RuleOrigin: Tally] = [:]
    /// The kernel did not take them: they may be offered again.
    package var left: [RuleOrigin: Tally] = [:]
    /// Why.
    package var problem: String?

    package init() {}
  }

  /// Adds counts to those of the kernel, table by table.
  ///
  /// - Parameters:
  ///   - tables: as they were when the rules were named; a rule is found again by what it says
  ///     (`RuleSuccession`).
  ///   - unchanged: the caller knows that no table was replaced since the last call, so that nothing has
  ///     to be read.
  package func add(
    _ counts: [RuleOrigin: Tally], of tables: [RuleTable], unchanged: Bool = false
  ) -> Outcome {
    var outcome = Outcome()
    var parts: [Key: [RuleOrigin: Tally]] = [:]
    for (origin, tally) in counts where tally != .zero {
      parts[Key(family: origin.family, name: origin.table), default: [:]][origin] = tally
    }
    for (key, counts) in parts {
      let table = tables.first {
        $0.backend == .iptablesLegacy && $0.family == key.family && $0.name == key.name
      }
      guard let table else {
        outcome.lost.merge(counts) { $0 + $1 }
        continue
      }
      do throws(NetlinkError) {
        let lost = try add(counts, key, table, unchanged: unchanged)
        outcome.lost.merge(lost) { $0 + $1 }
      } catch {
        outcome.left.merge(counts) { $0 + $1 }
        outcome.problem = error.description
      }
    }
    return outcome
  }

  /// The kernel's counts of the rules and policies of tables, as far as they are still there.
  package func counts(of tables: [RuleTable]) throws(NetlinkError) -> [RuleOrigin: Tally] {
    var counts: [RuleOrigin: Tally] = [:]
    for table in tables where table.backend == .iptablesLegacy {
      let key = Key(family: table.family, name: table.name)
      guard let (known, tallies) = try locate(key, table) else { continue }
      for chain in table.chains {
        for (number, entry) in (known.entries[chain.name] ?? []).enumerated() where entry >= 0 {
          counts[table.origin(chain, number)] = tallies[entry]
        }
      }
    }
    return counts
  }

  /// A table as the kernel holds it now; `nil` where there is none.
  package func entries(
    _ family: RuleFamily, _ name: String
  ) throws(NetlinkError) -> LegacyEntries? {
    let key = Key(family: family, name: name)
    guard let read = try read(key) else { return nil }
    defer { read.room.deallocate() }
    let bytes = Bytes(UnsafeRawBufferPointer(read.room)).dropping(read.header)
    let entries = bytes.flatMap {
      LegacyEntries($0, family: family, name: name, hooks: read.hooks)
    }
    guard let entries else { throw .malformed(what: "reading the counters of \(key.text)") }
    return entries
  }

  /// How often a table that is replaced meanwhile is read again.
  private static let attempts = 8

  // MARK: - Adding

  private func add(
    _ counts: [RuleOrigin: Tally], _ key: Key, _ table: RuleTable, unchanged: Bool
  ) throws(NetlinkError) -> [RuleOrigin: Tally] {
    if unchanged, let known = known[key], known.table == table {
      if case .done(let lost) = try add(counts, key, known) { return lost }
    }
    for _ in 0..<Self.attempts {
      guard let (known, _) = try locate(key, table) else { return counts }
      if case .done(let lost) = try add(counts, key, known) { return lost }
    }
    throw .interrupted(what: "adding to the counters of \(key.text)")
  }

  private enum Added {
    case done(lost: [RuleOrigin: Tally])
    case replaced
  }

  private func add(
    _ counts: [RuleOrigin: Tally], _ key: Key, _ known: Known
  ) throws(NetlinkError) -> Added {
    let header = FPD_XTABLES_HEADER
    let size = header + known.count * MemoryLayout<fpd_xtables_count>.stride
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
    defer { room.deallocate() }
    room.initializeMemory(as: UInt8.self, repeating: 0)
    var lost: [RuleOrigin: Tally] = [:]
    for (origin, tally) in counts {
      let entries = known.entries[origin.chain] ?? []
      guard entries.indices.contains(origin.number), entries[origin.number] >= 0 else {
        lost[origin] = tally
        continue
      }
      let place =
        header + entries[origin.number] * MemoryLayout<fpd_xtables_count>.stride
      room.storeBytes(of: tally.packets, toByteOffset: place, as: UInt64.self)
      room.storeBytes(of: tally.bytes, toByteOffset: place + 8, as: UInt64.self)
    }
    if lost.count == counts.count { return .done(lost: lost) }
    let what = "adding to the counters of \(key.text)"
    let code = fpd_xtables_add(
      try socket(key.family, what), key.family == .ip6, key.name, room.baseAddress,
      UInt32(known.count))
    switch code {
    case 0: return .done(lost: lost)
    case EINVAL, EAGAIN: return .replaced
    case ENOENT: return .done(lost: counts)
    default: throw .refused(what: what, code: code, hint: "it needs root")
    }
  }

  // MARK: - Reading

  /// Reads a table and finds the rules of an earlier reading in it; `nil` when it is not there.
  private func locate(
    _ key: Key, _ table: RuleTable
  ) throws(NetlinkError) -> (Known, [Tally])? {
    guard let read = try read(key) else {
      known[key] = nil
      return nil
    }
    let bytes = Bytes(UnsafeRawBufferPointer(read.room)).dropping(read.header)
    defer { read.room.deallocate() }
    guard let bytes, let fingerprint = LegacyEntries.fingerprint(bytes, key.family) else {
      throw .malformed(what: "reading the counters of \(key.text)")
    }
    if let known = known[key], known.fingerprint == fingerprint, known.hooks == read.hooks,
      known.table == table, let tallies = LegacyEntries.tallies(bytes, key.family)
    {
      return (known, tallies)
    }
    let entries = LegacyEntries(bytes, family: key.family, name: key.name, hooks: read.hooks)
    guard let entries else { throw .malformed(what: "reading the counters of \(key.text)") }
    let known = Known(
      fingerprint: fingerprint, hooks: read.hooks, table: table,
      entries: Self.places(of: table, in: entries), count: entries.places.count)
    self.known[key] = known
    return (known, entries.tallies)
  }

  private static func places(of table: RuleTable, in entries: LegacyEntries) -> [String: [Int]] {
    let succession = RuleSuccession(from: table, to: entries.table)
    var at: [String: [Int: Int]] = [:]
    for (entry, place) in entries.places.enumerated() {
      if let place { at[place.chain, default: [:]][place.number] = entry }
    }
    var places: [String: [Int]] = [:]
    for chain in table.chains {
      places[chain.name] = (0...chain.rules.count).map { number in
        succession.number(number, in: chain.name).flatMap { at[chain.name]?[$0] } ?? -1
      }
    }
    return places
  }

  private struct Reading {
    var hooks: [LegacyEntries.Hook]
    var room: UnsafeMutableRawBufferPointer
    var header: Int
  }

  /// The entries behind a header, for the caller to give back.
  private func read(_ key: Key) throws(NetlinkError) -> Reading? {
    let what = "reading the counters of \(key.text)"
    let six = key.family == .ip6
    for _ in 0..<Self.attempts {
      // The kernel would make a table that is asked for.
      guard try RulesetReader.legacyTableExists(key.family, key.name) else { return nil }
      let socket = try socket(key.family, what)
      var info = fpd_xtables_info()
      switch fpd_xtables_info(socket, six, key.name, &info) {
      case 0: break
      case ENOENT: return nil
      case EAGAIN: continue
      case let code: throw .refused(what: what, code: code, hint: "it needs root")
      }
      let header = FPD_XTABLES_HEADER
      let room = UnsafeMutableRawBufferPointer.allocate(
        byteCount: header + Int(info.size), alignment: 8)
      let code = fpd_xtables_entries(socket, six, key.name, room.baseAddress, info.size)
      if code == 0 { return Reading(hooks: Self.hooks(info), room: room, header: header) }
      room.deallocate()
      guard code == EAGAIN || code == EINVAL else {
        throw .refused(what: what, code: code, hint: "it needs root")
      }
    }
    throw .interrupted(what: what)
  }

  private static func hooks(_ info: fpd_xtables_info) -> [LegacyEntries.Hook] {
    let entries = [
      info.hook_entry.0, info.hook_entry.1, info.hook_entry.2, info.hook_entry.3,
      info.hook_entry.4,
    ]
    let underflows = [
      info.underflow.0, info.underflow.1, info.underflow.2, info.underflow.3, info.underflow.4,
    ]
    return (0..<5).filter { info.valid_hooks & (1 << UInt32($0)) != 0 }.map {
      .init(number: $0, entry: Int(entries[$0]), underflow: Int(underflows[$0]))
    }
  }

  private func socket(_ family: RuleFamily, _ what: String) throws(NetlinkError) -> Int32 {
    if let socket = sockets[family] { return socket }
    let domain = family == .ip6 ? AF_INET6 : AF_INET
    // Not a raw one, as iptables itself opens: that would be handed all packets of its protocol.
    let socket = Glibc.socket(
      domain, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if socket < 0 { throw .refused(what: what, code: errno, hint: "it needs root") }
    sockets[family] = socket
    return socket
  }
}
