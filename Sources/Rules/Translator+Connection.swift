// SPDX-License-Identifier: Apache-2.0
import Introspection

// What rules ask of the connection that a packet belongs to (`SettledConnection`), and which addresses they see where
// NAT is done.

extension Translator {
  /// nftables' and xtables' bits of the state; before connection tracking nf_ct_get() finds nothing, which
  /// is INVALID.
  private var state: ConntrackMatch.States { view == .untracked ? .invalid : .established }

  // MARK: iptables

  /// conntrack_mt() and state_mt().
  func connection(_ match: ConntrackMatch, _ met: Conjunction) -> Step {
    let known =
      ConntrackMatch.state | ConntrackMatch.status | ConntrackMatch.direction | ConntrackMatch.alias
    guard view != .plain, match.conditions & ~known == 0 else { return unknown("conntrack", met) }
    func asks(_ condition: UInt16) -> Bool { match.conditions & condition != 0 }
    func inverts(_ condition: UInt16) -> Bool { match.inverted & condition != 0 }
    if view == .untracked {
      // Without a connection whatever else is asked is as good as met when the state was asked.
      let isMet = match.states.isDisjoint(with: state) == inverts(ConntrackMatch.state)
      return constant(asks(ConntrackMatch.state) && isMet, met)
    }
    let numbers = SettledConnection.numbers { connection in
      var states = state
      if connection.hasSourceNAT { states.insert(.sourceNAT) }
      if connection.hasDestinationNAT { states.insert(.destinationNAT) }
      if asks(ConntrackMatch.state),
        match.states.isDisjoint(with: states) != inverts(ConntrackMatch.state)
      {
        return false
      }
      if asks(ConntrackMatch.direction),
        connection.isReply != inverts(ConntrackMatch.direction)
      {
        return false
      }
      let hasStatus = connection.status & UInt32(match.status) != 0
      return !asks(ConntrackMatch.status) || hasStatus != inverts(ConntrackMatch.status)
    }
    return one(met) { require(&$0, .connection, numbers) }
  }

  /// connmark_mt(): where there is no connection nothing is met, negated or not.
  func connectionMark(_ mark: MaskedMatch, _ met: Conjunction) -> Step {
    switch view {
    case .plain: unknown("connmark", met)
    case .untracked: constant(false, met)
    default:
      masked(.connectionMark, UInt128(mark.value), UInt128(mark.mask), mark.negated, met)
    }
  }

  // MARK: Marks

  /// What becomes of a packet's or its connection's mark, with MARK and CONNMARK; `nil` where it is not known.
  func effects(_ target: Target) -> [RuleEffect]? {
    switch target {
    case .mark(let change) where change.connection == 0: [.mark(change)]
    case .mark(let change): withConnection([.mark(change)])
    case .connectionMark(let change): withConnection([.connectionMark(change)])
    default: []
    }
  }

  /// connmark_tg_shift(): without a connection nothing is done.
  private func withConnection(_ effects: [RuleEffect]) -> [RuleEffect]? {
    view == .plain ? nil : view == .untracked ? [] : effects
  }

  /// Packets whose connection would get another mark than it has: that is the kernel's to do, and to tell of.
  func changing(_ change: MarkChange, _ met: Conjunction) -> [Conjunction] {
    let (mask, constant) = (~change.connection, change.constant)
    let step =
      change.packet == 0
      ? masked(.connectionMark, UInt128(constant), UInt128(mask), true, met)
      : one(met) {
        $0.require(
          .late(
            .marks(
              MarkChange(packet: change.packet, connection: mask, constant: constant),
              negated: true)))
      }
    guard case .alternatives(let found) = step else { return [met] }
    return found.filter(\.isPossible)
  }

  // MARK: nftables

  /// nft_ct_get_eval(): without a connection there is a state, and all else ends the rule.
  func connection(
    _ key: UInt32, _ direction: UInt8, _ to: RuleExpression.Register, _ walk: inout RuleWalk,
    _ registers: inout Registers
  ) -> Bool {
    if view == .untracked && key != NFT.Conntrack.state {
      registers.forget(to, 64)
      return walk.meet { constant(false, $0) }
    }
    guard view != .plain, let length = NFT.Conntrack.length(key) else {
      registers.forget(to, 64)
      walk.note("conntrack")
      return true
    }
    registers.load(.init(source: .conntrack(key, direction: direction), length: length), to)
    if key == NFT.Conntrack.mark { registers.load(mark: MarkChange(connection: .max), to) }
    return true
  }

  func connection(_ key: UInt32, _ value: Registers.Value) -> Loaded? {
    /// Registers hold four bytes in the machine's order.
    func inOrder(_ number: UInt128) -> UInt128 {
      (value.swapped ? number : Self.swap32(number)) & (value.mask ?? .max)
    }
    switch key {
    case NFT.Conntrack.state: return .constant(inOrder(UInt128(state.rawValue)))
    case NFT.Conntrack.direction:
      return .narrow(.connection) { $0 & 1 & (value.mask ?? .max) }
    case NFT.Conntrack.status:
      return .narrow(.connection) {
        inOrder(UInt128(SettledConnection(number: UInt8(truncatingIfNeeded: $0)).status))
      }
    case NFT.Conntrack.mark:
      let mask = value.mask.map { Self.swap32($0) } ?? 0xffff_ffff
      return .wide(.connectionMark, mask: mask, shift: 0, hostOrder: !value.swapped)
    default: return nil
    }
  }

  // MARK: Addresses

  /// What a packet has where rules of this stage ask for `field`.
  func asked(_ field: Field) -> Field {
    switch field {
    case .destination where isBeforeNAT: .arrivedDestination
    case .destinationPort where isBeforeNAT: .arrivedDestinationPort
    default: field
    }
  }

  private var isBeforeNAT: Bool { view == .arriving || view == .untracked && translates }

  /// Why rules of this stage see another address or port than any that is classified by.
  func cause(hiding field: Field) -> String? {
    switch (field, view) {
    case (.source, .leaving), (.sourcePort, .leaving): "behind NAT"
    default: nil
    }
  }

  /// Why they see another address than what is looked at late.
  func causeLate(hiding field: Field) -> String? {
    asked(field) == field ? cause(hiding: field) : "before NAT"
  }

  /// Whether all values a field can have are in a set, or none is.
  func isSettled(_ field: Field, _ values: ValueSet) -> Bool {
    let values = values.intersection(ValueSet(0...field.last(family)))
    return values.isEmpty || values.ranges == [0...field.last(family)]
  }
}
