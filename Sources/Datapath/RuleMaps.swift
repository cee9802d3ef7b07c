// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// The rules that programs judge by, in the kernel, and what they have counted: the maps `fpd_filter` and
/// `fpd_rule_counts` of fpm/filter.h. Made once for a ruleset and never changed: programs of all
/// interfaces share them.
package final class RuleMaps {
  private let image: Handle
  private let counts: Handle
  private let countsTotal: Int

  /// `image` is the whole value of the map, and `counters` the room for counters, of which `used` are used.
  package init(image bytes: [UInt8], counters: Int, used: Int) throws(DatapathError) {
    image = try Loader.makeMap(
      BPF_MAP_TYPE_ARRAY, "fpd_filter", valueSize: UInt32(bytes.count), entries: 1)
    counts = try Loader.makeMap(
      BPF_MAP_TYPE_PERCPU_ARRAY, "fpd_rule_counts", valueSize: 16, entries: UInt32(counters))
    countsTotal = min(used, counters)
    var key: UInt32 = 0
    let code = bpf_map_update_elem(image.raw, &key, bytes, 0)
    if code != 0 { throw DatapathError("giving the kernel the compiled rules", words(code)) }
  }

  /// By the names under which programs declare them.
  var byName: [String: Int32] { ["fpd_filter": image.raw, "fpd_rule_counts": counts.raw] }

  /// Each counter in use, summed over the processors.
  package func counters() throws(DatapathError) -> [Counter] {
    try Counters.read(counts.raw, first: countsTotal)
  }
}
