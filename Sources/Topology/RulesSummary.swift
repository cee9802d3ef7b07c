// SPDX-License-Identifier: Apache-2.0

/// What has come of compiling the rules that forwarded packets meet, as far as a graph depends on it.
package struct RulesSummary: Equatable, Sendable {
  /// How many base chains are understood at each of netfilter's points, as the kernel numbers them.
  package var chains: [Int] = Array(repeating: 0, count: 5)
  /// How many rules hand packets to the kernel.
  package var punted = 0
  /// What of them is not understood, and what only the kernel can do, each by name.
  package var unknown: [String] = []
  package var effects: [String] = []
  /// Why there is nothing that could be looked up.
  package var refusal: String?

  package init() {}
}
