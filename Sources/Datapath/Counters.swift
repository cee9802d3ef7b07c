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

  /// Summed over the processors.
  static func read(_ map: Int32) throws(DatapathError) -> [Counter] {
    let processors = libbpf_num_possible_cpus()
    guard processors > 0 else {
      throw DatapathError("counting the processors", words(processors))
    }
    var shares = [Counter](repeating: Counter(), count: Int(processors))
    var sums: [Counter] = []
    sums.reserveCapacity(count)
    for number in 0..<count {
      var key = UInt32(number)
      let code = bpf_map_lookup_elem(map, &key, &shares)
      if code != 0 { throw DatapathError("reading the counters", words(code)) }
      sums.append(
        shares.reduce(Counter()) { sum, share in
          Counter(packets: sum.packets &+ share.packets, bytes: sum.bytes &+ share.bytes)
        })
    }
    return sums
  }
}
