// SPDX-License-Identifier: Apache-2.0

/// What the operator of fpd asked for on an interface.
package enum HookPreference: String, Sendable, CaseIterable {
  case auto, xdp
  case genericXDP = "xdp-generic"
  case tc, off
}
