// SPDX-License-Identifier: Apache-2.0
import Introspection

// What rules ask of the connection that a packet belongs to (`SettledConnection`), and which addresses they see where
// NAT is done.

extension Translator {
  /// xtables' bits of the state; before connection tracking nf_ct_get() finds nothing, which is INVALID.
  private func state(_ connection: SettledConnection) -> ConntrackMatch.States {
    if connection.isUntracked { return .untracked }
    return view == .untracked ? .invalid : .established
  }

  private func tracked(_ met: Conjunction) -> Conjunction {
    var met = met
    if untracks { require(&met, .connection, SettledConnection.tracked) }
    return met
  }

  // MARK: iptables

  /// conntrack_mt() and state_mt().
  func connection(_ match: ConntrackMatch, _ met: Conjunction) -> Step {
    let known =
      ConntrackMatch.state | ConntrackMatch.status | ConntrackMatch.direction | ConntrackMatch.alias
    guard view != .plain, match.conditions & ~known == 0 else { return unknown("conntrack", met) }
    func asks(_ condition: UInt16) -> Bool { match.conditions & condition != 0 }
    func inverts(_ condition: UInt16) -> Bool { match.inverted & condition != 0 }
    let numbers = SettledConnection.numbers(untracked: untracks) { connection in
      var states = state(connection)
      if view == .untracked || connection.isUntracked {
        // Without a connection whatever else is asked is as good as met when the state was asked.
        let isMet = match.states.isDisjoint(with: states) == inverts(ConntrackMatch.state)
        return asks(ConntrackMatch.state) && isMet
      }
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
      masked(
        .connectionMark, UInt128(mark.value), UInt128(mark.mask), mark.negated, tracked(met))
    }
  }

  // MARK: Marks

  /// What becomes of a packet's or its connection's mark, with MARK and CONNMARK; `nil` where it is not known.
  func effects(_ target: Target) -> [RuleEffect]? {
    switch target {
    case .mark(let change) where change.connection == 0: [.mark(change)]
    case .mark(let change): withConnection([.mark(change)])
    case .connectionMark(let change): withConnection([.connectionMark(change)])
    // Behind connection tracking, and where there is none, it does nothing.
    case .untrack: view == .untracked ? [.untrack] : []
    default: []
    }
  }

  /// connmark_tg_shift(): without a connection nothing is done.
  private func withConnection(_ effects: [RuleEffect]) -> [RuleEffect]? {
    view == .plain ? nil : view == .untracked ? [] : effects
  }

  /// Packets whose connection would get another mark than it has: that is the kernel's to do, and to tell of.
  func changing(_ change: MarkChange, _ met: Conjunction) -> [Conjunction] {
    let met = tracked(met)
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
    if untracks && key != NFT.Conntrack.state {
      guard walk.meet({ .alternatives([tracked($0)]) }) else { return false }
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
    case NFT.Conntrack.state where !untracks:
      return .constant(inOrder(UInt128(state(SettledConnection(number: 0)).bits)))
    case NFT.Conntrack.state: return ofConnection { inOrder(UInt128(state($0).bits)) }
    case NFT.Conntrack.direction:
      return ofConnection { ($0.isReply ? 1 : 0) & (value.mask ?? .max) }
    case NFT.Conntrack.status: return ofConnection { inOrder(UInt128($0.status)) }
    case NFT.Conntrack.mark:
      let mask = value.mask.map { Self.swap32($0) } ?? 0xffff_ffff
      return .wide(.connectionMark, mask: mask, shift: 0, hostOrder: !value.swapped)
    default: return nil
    }
  }

  /// Of numbers that there cannot be nothing is met.
  private func ofConnection(_ value: @escaping (SettledConnection) -> UInt128) -> Loaded {
    .narrow(.connection) { number in
      let isPossible = untracks || SettledConnection.tracked.contains(number)
      return isPossible
        ? value(SettledConnection(number: UInt8(truncatingIfNeeded: number))) : .max
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
