// SPDX-License-Identifier: Apache-2.0

/// Where on an interface packets are taken from.
package enum Hook: String, CaseIterable, Hashable, Sendable {
  /// In the driver.
  case xdp
  /// XDP after the driver, where asked for by name.
  case genericXDP = "xdp-generic"
  /// At ingress, by TCX or by clsact where the kernel has no TCX.
  case tc

  var isXDP: Bool { self != .tc }

  /// The program that a rendered source has for this hook.
  package var programName: String { isXDP ? "fpd_xdp" : "fpd_tc" }

  /// The entry that serves many interfaces.
  var sharedEntryName: String? { isXDP ? "fpd_entry_xdps" : nil }

  /// What does nothing.
  var idleName: String { isXDP ? "fpd_idle_xdp" : "fpd_idle_tc" }

  var entryName: String { isXDP ? "fpd_entry_xdp" : "fpd_entry_tc" }
}
