// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

/// One step of configuration, with real tools, and what the graph must show after it.
struct Step: Sendable {
  let name: String
  /// Commands in the namespace fpd runs in, split at blanks; `nft: …` is fed to `nft -f -` with `;`
  /// ending lines. `$XDP` and `$CLS` stand for object files, `$OTHER` for another namespace.
  let commands: [String]
  /// In the words of `Expectation`.
  let expected: [String]
  /// Whole interfaces, as they must be to the letter but for `ifindex`.
  var exactly: [String: String] = [:]
  /// The graph must stay what it was, down to its generation.
  var changesNothing = false
  /// A command that fails, in the other namespace, where this kernel cannot do the step: it is skipped.
  var provided: String?
  /// How long the graph may take to get there by itself.
  var patience: Duration

  init(
    _ name: String, _ commands: [String], _ expected: [String] = [],
    exactly: [String: String] = [:], changesNothing: Bool = false, provided: String? = nil,
    patience: Duration = .milliseconds(500)
  ) {
    self.name = name
    self.commands = commands
    self.expected = expected
    self.exactly = exactly
    self.changesNothing = changesNothing
    self.provided = provided
    self.patience = patience
  }
}

/// Steps that build on each other, from an empty router with ports p1, p2, p3 that are up.
struct Walk: Sendable, CustomTestStringConvertible {
  let name: String
  let ipv6: Namespace.IPv6
  let steps: [Step]

  var testDescription: String { name }

  init(_ name: String, ipv6: Namespace.IPv6 = .off, _ steps: [Step]) {
    self.name = name
    self.ipv6 = ipv6
    self.steps = steps
  }
}
