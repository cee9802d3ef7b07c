// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// How many packets a program has done one thing with.
package struct Counter: Hashable, Sendable {
  package var packets: UInt64 = 0
  package var bytes: UInt64 = 0

  package init(packets: UInt64 = 0, bytes: UInt64 = 0) {
    self.packets = packets
    self.bytes = bytes
  }
}

/// The map of a place's counters, one set for each processor.
enum Counters {
  static let count = 128

  /// Decisions in shadow mode, as fpm/shadow.h counts them.
  static let shadowForwarded = count - 2
  static let shadowDropped = count - 3
  static let shadowUnnoted = count - 4

  /// Summed over the processors.
  static func read(_ map: Int32, first count: Int = count) throws(DatapathError) -> [Counter] {
    guard count > 0 else { return [] }
    let processors = libbpf_num_possible_cpus()
    guard processors > 0 else {
      throw DatapathError("counting the processors", words(processors))
    }
    let share = Int(processors)
    var shares = [Counter](repeating: Counter(), count: count * share)
    var keys = [UInt32](repeating: 0, count: count)
    var sums: [Counter] = []
    sums.reserveCapacity(count)
    // In one call where the kernel can.
    var next: UInt32 = 0
    var found = UInt32(count)
    let code = bpf_map_lookup_batch(map, nil, &next, &keys, &shares, &found, nil)
    if code != 0, code != -ENOENT {
      for number in 0..<count {
        var key = UInt32(number)
        let code = shares.withUnsafeMutableBufferPointer {
          bpf_map_lookup_elem(map, &key, $0.baseAddress.map { $0 + number * share })
        }
        if code != 0 { throw DatapathError("reading the counters", words(code)) }
      }
    }
    for number in 0..<count {
      sums.append(
        shares[number * share..<(number + 1) * share].reduce(Counter()) { sum, share in
          Counter(packets: sum.packets &+ share.packets, bytes: sum.bytes &+ share.bytes)
        })
    }
    return sums
  }
}

extension [Counter] {
  /// What a program in shadow mode has decided, and how much of that could not be noted.
  package var shadow: (forwarded: Counter, dropped: Counter, unnoted: Counter) {
    func at(_ place: Int) -> Counter { indices.contains(place) ? self[place] : Counter() }
    return (
      at(Counters.shadowForwarded), at(Counters.shadowDropped), at(Counters.shadowUnnoted)
    )
  }
}
