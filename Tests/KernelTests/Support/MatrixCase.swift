// SPDX-License-Identifier: Apache-2.0
import Lab

/// Rules that ask for one thing, with packets on both sides of its edge.
///
/// A line is what stands in a chain of the case's own, to which packets for the case's address lead; without
/// a target it does what the group says (drops). `$S`, `$D`, `$E` are the case's source, its destination
/// behind B and that behind C, `$C` its chain. Other lines:
/// - `:$C-a`: another chain;
/// - `-A …` (iptables): a whole rule, `raw: -A …` in another table;
/// - `bare …` (nft): a rule that says nothing of what becomes of the packet; `in $C-a …`: one in that chain, `forward …` in the first one; `table …`: something else in
///   the table; `own …`: a whole table.
struct MatrixCase: Sendable {
  enum Dispatch: Sendable { case destination, source, none }

  let rules: [String]
  let dispatch: Dispatch
  let packets: [Row]

  struct Row: Sendable {
    let packet: MatrixPacket
    let wanted: Wanted
  }

  enum Wanted: Sendable {
    /// Does the rule's target: decided by the fast path.
    case meets
    /// Does not, and is decided by the fast path too.
    case misses
    /// Is the kernel's, for this reason or one of several: `rule-unknown|changed`.
    case left(String)
  }

  init(
    _ rules: String..., by dispatch: Dispatch = .destination, meets: [MatrixPacket] = [],
    misses: [MatrixPacket] = [], left: [MatrixPacket] = [], _ reason: String = "rule-unknown"
  ) {
    self.init(
      lines: rules, by: dispatch, meets: meets, misses: misses, left: left, reason)
  }

  init(
    lines: [String], by dispatch: Dispatch = .destination, meets: [MatrixPacket] = [],
    misses: [MatrixPacket] = [], left: [MatrixPacket] = [], _ reason: String = "rule-unknown"
  ) {
    rules = lines
    // Whole rules in other tables lead nowhere.
    let isElsewhere = lines.allSatisfy { line in
      ["raw: ", "mangle: ", "security: ", "nat: ", "own "].contains { line.hasPrefix($0) }
    }
    self.dispatch = isElsewhere ? .none : dispatch
    packets =
      meets.map { Row(packet: $0, wanted: .meets) }
      + misses.map { Row(packet: $0, wanted: .misses) }
      + left.map { Row(packet: $0, wanted: .left(reason)) }
  }

  /// A rule that is the kernel's wherever its other conditions hold.
  static func leaves(
    _ rule: String, _ left: [MatrixPacket], _ reason: String = "rule-unknown",
    misses: [MatrixPacket] = [.udp(54), .tcp(53)]
  ) -> MatrixCase {
    MatrixCase(rule, misses: misses, left: left, reason)
  }
}

/// Cases whose rules are there at the same time.
struct MatrixGroup: Sendable {
  let name: String
  var topology = ContractTopology.router
  /// What else is there; the second takes it back.
  var setup: [String] = []
  var undo: [String] = []
  var dropsByPolicy = false
  /// Nothing of it is fast: fpd may leave the interfaces alone.
  var isKernels = false
  /// Not of the policy alone: chains and their policies, as a tool is given them.
  var heads: [String] = []
  let cases: [MatrixCase]

  init(
    _ name: String, on topology: ContractTopology = .router, setup: [String] = [],
    undo: [String] = [], dropsByPolicy: Bool = false,
    isKernels: Bool = false, heads: [String] = [], _ cases: [MatrixCase]
  ) {
    self.name = name
    self.topology = topology
    self.setup = setup
    self.undo = undo
    self.dropsByPolicy = dropsByPolicy
    self.isKernels = isKernels
    self.heads = heads
    self.cases = cases
  }

  /// What a rule does that says nothing else.
  var target: String { dropsByPolicy ? "ACCEPT" : "DROP" }
}
