// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// The module whose functions programs may call, where the kernel itself has not got them.
package enum CalledModule {
  /// For all programs that are loaded from now on.
  package static func set(_ name: String?) throws(DatapathError) {
    guard fpd_bpf_call_module(name) == 0 else {
      throw DatapathError(
        "looking for the types of the module \(name ?? "")", String(cString: strerror(errno)))
    }
  }
}
