// SPDX-License-Identifier: Apache-2.0
import CBPF

/// Where all programs of a namespace keep the routes that they have found: `fpd_routes` of fpm/live/fib.h.
final class KeptRoutes {
  static let mapName = "fpd_routes"
  let map: Handle

  init() throws(DatapathError) {
    map = try Loader.makeMap(
      BPF_MAP_TYPE_PERCPU_ARRAY, Self.mapName, valueSize: 56, entries: 2048)
  }
}
