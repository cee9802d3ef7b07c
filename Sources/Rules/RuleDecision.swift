// SPDX-License-Identifier: Apache-2.0
import Introspection

/// Where a rule of the kernel is decided, for packets that may take the fast path.
package enum RuleDecision: Equatable, Sendable {
  /// Without the kernel.
  case fast
  /// What arrives at the rule and meets what is known of it is handed to the kernel.
  case punted([FlatRule.Cause])
}

extension FlatRuleset {
  /// Every rule and policy that forwarded packets of the family can arrive at. That later fragments are punted
  /// by a rule of nftables, or the packet that gives a connection its mark, makes it no slow rule. Rules that are not in the
  /// answer stand where none comes by.
  package var decisions: [Origin: RuleDecision] {
    var causes: [Int: [FlatRule.Cause]] = [:]
    for rule in rules {
      guard case .punt(let cause) = rule.action, cause != .fragment, cause != .newMark,
        causes[rule.origin]?.contains(cause) != true
      else { continue }
      causes[rule.origin, default: []].append(cause)
    }
    var decisions: [Origin: RuleDecision] = [:]
    for (place, origin) in origins.enumerated() {
      decisions[origin] = causes[place].map { .punted($0) } ?? .fast
    }
    return decisions
  }
}

extension FlatRule.Cause {
  /// The name that docs/rules.md lists.
  package var name: String {
    switch self {
    case .unknown(let name), .effect(let name): name
    case .tooMany: description
    }
  }
}

extension FlatRule.Cause: CustomStringConvertible {
  /// In words for users.
  package var description: String {
    switch self {
    case .unknown(let name): "\(name) is not modelled"
    case .effect(let name): "\(name) is the kernel's to do"
    case .tooMany: "more rules than the fast path holds"
    }
  }
}
