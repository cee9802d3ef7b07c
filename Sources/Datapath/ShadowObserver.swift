// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Sees what the kernel does with packets that programs in shadow mode have decided on: the programs of
/// fpm/live/observer.bpf.c, and what they and the deciding programs exchange.
package final class ShadowObserver {
  private let object: LoadedObject
  /// What fpd and the programs share beside maps.
  private struct Area {
    var namespace: UInt32
    var waiting: UInt32
    var oldest: UInt64
  }
  private let area: UnsafeMutablePointer<Area>
  private let sweeper: Int32
  private let notes: Int32
  private let arrival: Int32
  private let results: Int32
  private let differences: Int32
  /// As long as these are open, the kernel is observed.
  private let links: [Handle]
  /// Why the kernel frees packets, by number.
  private let reasons: [UInt32: String]

  /// `namespace` is the number of the network namespace.
  package init(_ source: ObjectSource, namespace: UInt32) throws(DatapathError) {
    let bytes = try source.object(
      "live/observer.bpf.c",
      with: ["live/note.h", "live/fingerprint.h", "kernel/helpers.h", "kernel/numbers.h"])
    let loaded = try LoadedObject(bytes, name: "fpd_observer")
    area = try loaded.globals(as: Area.self)
    area.pointee.namespace = namespace
    sweeper = bpf_program__fd(try loaded.program("fpd_sweep"))
    notes = try loaded.map(ending: "fpd_notes")
    arrival = try loaded.map(ending: "fpd_arrival")
    results = try loaded.map(ending: "fpd_results")
    differences = try loaded.map(ending: "fpd_differences")
    links = [
      try RawTracepoint.attach("net_dev_queue", try loaded.program("fpd_sent")),
      try RawTracepoint.attach("netif_receive_skb", try loaded.program("fpd_received")),
      try RawTracepoint.attach("kfree_skb", try loaded.program("fpd_freed")),
    ]
    object = loaded
    reasons = Self.readReasons()
  }

  deinit { munmap(area, 4096) }

  /// By the names under which deciding programs declare them.
  var byName: [String: Int32] { ["fpd_notes": notes, "fpd_arrival": arrival] }

  /// The time that notes tell.
  package static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Why the kernel freed a packet: `NETFILTER_DROP`.
  package func reason(_ number: UInt32) -> String { reasons[number] ?? "reason \(number)" }

  /// Differences that have been found since the last call, at most as many as the kernel keeps.
  package func takeDifferences() -> [ShadowDifference] {
    var taken: [ShadowDifference] = []
    var next = difference()
    while taken.count < DIFFERENCES_MAX,
      bpf_map_lookup_and_delete_elem(differences, nil, &next) == 0
    {
      if let known = ShadowDifference(next) { taken.append(known) }
    }
    return taken
  }

  /// What was compared so far, by the interface where packets came in.
  package func tallies() -> [Int32: ShadowTally] {
    var tallies: [Int32: ShadowTally] = [:]
    each(in: results, UInt32(0), note_results()) { tallies[Int32(bitPattern: $0)] = .init($1) }
    return tallies
  }

  /// Makes differences of the notes that have waited for longer than `limit`, and tells how many packets
  /// have not.
  package func sweep(_ limit: Duration) -> Int {
    area.pointee.oldest = Self.now &- UInt64(limit / .nanoseconds(1))
    return fpd_bpf_run(sweeper) == 0 ? Int(area.pointee.waiting) : 0
  }

  /// Every entry of a map that programs may be changing meanwhile; some may be seen twice.
  private func each<Key: BitwiseCopyable, Value: BitwiseCopyable>(
    in map: Int32, _ none: Key, _ room: Value, _ body: (Key, Value) -> Void
  ) {
    var (key, value) = (none, room)
    guard bpf_map_get_next_key(map, nil, &key) == 0 else { return }
    for _ in 0..<2 * NOTES_MAX {
      if bpf_map_lookup_elem(map, &key, &value) == 0 { body(key, value) }
      var next = none
      guard bpf_map_get_next_key(map, &key, &next) == 0 else { return }
      key = next
    }
  }

  private static func readReasons() -> [UInt32: String] {
    var reasons: [UInt32: String] = [:]
    _ = withUnsafeMutablePointer(to: &reasons) { found in
      fpd_enumeration(
        "skb_drop_reason",
        { context, value, name in
          guard let name else { return }
          let text = String(cString: name)
          let start = "SKB_DROP_REASON_"
          context?.assumingMemoryBound(to: [UInt32: String].self).pointee[value] =
            text.hasPrefix(start) ? String(text.dropFirst(start.count)) : text
        }, found)
    }
    return reasons
  }
}
