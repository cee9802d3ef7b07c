// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Testing

/// What rules ask of connections, at each place among the hooks of conntrack and NAT.
@Suite struct ConnectionTests {
  typealias View = FlatRuleset.View

  private func judge(
    _ matches: [Match], _ view: View, nat: Bool = true,
    _ change: (inout TestPacket) -> Void = { _ in }
  ) -> Judgement {
    RuleTable.legacy([Rule(matches)], hook: view.hook).flat(at: view, nat: nat)
      .judge(.with(change)).judgement
  }

  private func judge(
    _ expressions: [RuleExpression], _ view: View, sets: [NamedSet] = [],
    _ change: (inout TestPacket) -> Void = { _ in }
  ) -> Judgement {
    RuleTable.nftables([Rule(expressions + [.verdict(.drop)])], hook: view.hook, sets: sets)
      .flat(at: view).judge(.with(change)).judgement
  }

  private static let tracked: [View] = [.arriving, .routed, .leaving]

  // MARK: Places

  @Test(arguments: [View.plain, .untracked, .arriving, .routed, .leaving])
  func aStageKnowsWhereItStands(_ view: View) {
    let flat = RuleTable.legacy([], hook: view.hook).flat(at: view)
    #expect(flat.stages.map(\.view) == [view])
  }

  @Test func withoutNATAllBehindConntrackIsRouted() {
    for view in [View.arriving, .leaving] {
      let flat = RuleTable.legacy([], hook: view.hook).flat(at: view, nat: false)
      #expect(flat.stages.map(\.view) == [.routed])
    }
    let flat = RuleTable.legacy([], hook: .prerouting).flat(at: .untracked, nat: false)
    #expect(flat.stages.map(\.view) == [.untracked])
  }

  @Test func conntrackOfAnotherFamilyOrHookIsNone() {
    var six = NetfilterHook.conntrack
    six.family = .ipv6
    for hook in [six, .confirm, .natOut] {
      let table = RuleTable.legacy([Rule([.state(.established)])])
      let flat = FlatRuleset(family: .ip, tables: [table], hooks: [hook, table.hook])
      #expect(flat.stages.map(\.view) == [.plain])
      #expect(flat.judge(TestPacket()).judgement == .punt(.unknown("conntrack")))
    }
  }

  /// A chain that is not where it should be, or may be either of two.
  @Test func whereAChainStandsIsNotGuessed() {
    let punt = Judgement.punt(.unknown("order of hooks"))
    let table = RuleTable.legacy([], hook: .prerouting)
    var flat = FlatRuleset(family: .ip, tables: [table], hooks: [.conntrack])
    #expect(flat.judge(TestPacket()).judgement == punt && flat.rules.count == 1)
    // Chains of the families ip and inet with one name and one priority.
    var (one, other) = (RuleTable.nftables([], family: .ip), RuleTable.nftables([]))
    one.chains[0].base?.hook = .prerouting
    other.chains[0].base?.hook = .prerouting
    flat = FlatRuleset(
      family: .ip, tables: [one, other], hooks: [one.hook, .conntrack, other.hook])
    #expect(flat.stages.map(\.view) == [.untracked, .routed])
    // Where the functions do not tell them apart.
    let vague = [one.hook, other.hook].map { hook in
      var hook = hook
      hook.function = "nft_do_chain"
      return hook
    }
    flat = FlatRuleset(
      family: .ip, tables: [one, other], hooks: [vague[0], .conntrack, vague[1]])
    #expect(flat.judge(TestPacket()).judgement == punt)
    flat = FlatRuleset(
      family: .ip, tables: [one, other], hooks: [.conntrack, vague[0], vague[1]])
    #expect(flat.judge(TestPacket()).judgement == .accept)
    #expect(flat.stages.map(\.view) == [.routed, .routed])
  }

  // MARK: iptables

  @Test func theStateIsEstablished() {
    for view in Self.tracked {
      #expect(judge([.state([.established, .related])], view) == .drop)
      #expect(judge([.state([.related, .new, .invalid, .untracked])], view) == .accept)
      #expect(judge([.state(.invalid, inverted: true)], view) == .drop)
      #expect(judge([.state(.established, inverted: true)], view) == .accept)
      #expect(judge([.state(.established, alias: true)], view) == .drop)
    }
  }

  @Test func beforeConntrackItIsInvalid() {
    #expect(judge([.state(.invalid)], .untracked) == .drop)
    #expect(judge([.state([.established, .untracked])], .untracked) == .accept)
    #expect(judge([.state(.established, inverted: true)], .untracked) == .drop)
    // What else is asked besides is not looked at, and alone it is never met.
    var match = ConntrackMatch(
      conditions: ConntrackMatch.state | ConntrackMatch.status | ConntrackMatch.direction,
      inverted: ConntrackMatch.direction, states: .invalid, status: 1)
    #expect(judge([.conntrack(match)], .untracked) == .drop)
    match.conditions &= ~ConntrackMatch.state
    #expect(judge([.conntrack(match)], .untracked) == .accept)
    for negated in [false, true] {
      let mark = Match.connectionMark(MaskedMatch(value: 0, mask: .max, negated: negated))
      #expect(judge([mark], .untracked) == .accept)
    }
  }

  @Test func whereNothingIsTrackedNobodyKnows() {
    #expect(judge([.state(.established)], .plain) == .punt(.unknown("conntrack")))
    let mark = Match.connectionMark(MaskedMatch(value: 1, mask: .max, negated: false))
    #expect(judge([mark], .plain) == .punt(.unknown("connmark")))
    #expect(
      judge([.conntrack(key: 0, direction: 2, to: first)], .plain) == .punt(.unknown("conntrack")))
  }

  @Test func conditionsThatAreNotModelledStayUnknown() {
    let match = ConntrackMatch(
      conditions: ConntrackMatch.state | 1 << 7, inverted: 0, states: .established, status: 0)
    for view in Self.tracked + [.untracked] {
      #expect(judge([.conntrack(match)], view) == .punt(.unknown("conntrack")))
      #expect(
        judge([.unknown(UnknownExtension("conntrack"))], view) == .punt(.unknown("conntrack")))
    }
  }

  @Test func translatedConnectionsAreStatesOfIptables() {
    for view in Self.tracked {
      for (more, isSource, isDestination) in [
        (0x10, true, false), (0x20, false, true), (0x30, true, true), (0x180, false, false),
      ] as [(UInt16, Bool, Bool)] {
        let change: (inout TestPacket) -> Void = { $0.connection.more = more }
        #expect(judge([.state(.sourceNAT)], view, change) == (isSource ? .drop : .accept))
        #expect(judge([.state(.destinationNAT)], view, change) == (isDestination ? .drop : .accept))
        #expect(
          judge([.state(.sourceNAT, inverted: true)], view, change)
            == (isSource ? .accept : .drop))
        #expect(judge([.state([.sourceNAT, .established])], view, change) == .drop)
      }
    }
  }

  @Test func theStatusIsWhatAConnectionHasOrAlwaysHas() {
    func status(_ bits: UInt16, inverted: Bool = false) -> Match {
      .conntrack(
        ConntrackMatch(
          conditions: ConntrackMatch.status, inverted: inverted ? ConntrackMatch.status : 0,
          states: [], status: bits))
    }
    for always in [2, 4, 8] as [UInt16] {
      #expect(judge([status(always)], .routed) == .drop)
      #expect(judge([status(always, inverted: true)], .routed) == .accept)
    }
    for bit in [1, 0x10, 0x20, 0x80, 0x100] as [UInt16] {
      #expect(judge([status(bit)], .routed) == .accept)
      #expect(judge([status(bit)], .routed) { $0.connection.more = bit } == .drop)
      #expect(judge([status(bit)], .routed) { $0.connection.more = 0x1b1 & ~bit } == .accept)
      #expect(judge([status(bit, inverted: true)], .routed) { $0.connection.more = bit } == .accept)
    }
    // NONE, and what no such connection has.
    for never in [0, 0x40, 0x200, 0x400] as [UInt16] {
      #expect(judge([status(never)], .routed) { $0.connection.more = 0x1b1 } == .accept)
      #expect(judge([status(never, inverted: true)], .routed) == .drop)
    }
  }

  @Test func directions() {
    for isReply in [false, true] {
      for asksReply in [false, true] {
        let match = ConntrackMatch(
          conditions: ConntrackMatch.direction, inverted: asksReply ? ConntrackMatch.direction : 0,
          states: [], status: 0)
        #expect(
          judge([.conntrack(match)], .routed) { $0.connection.isReply = isReply }
            == (isReply == asksReply ? .drop : .accept))
      }
    }
  }

  @Test func marksOfConnectionsUnderMasks() {
    func mark(_ value: UInt32, _ mask: UInt32, _ negated: Bool = false) -> [Match] {
      [.connectionMark(MaskedMatch(value: value, mask: mask, negated: negated))]
    }
    for view in Self.tracked {
      #expect(judge(mark(5, .max), view) { $0.connection.mark = 5 } == .drop)
      #expect(judge(mark(5, .max), view) { $0.mark = 5 } == .accept)
      #expect(judge(mark(5, .max, true), view) { $0.connection.mark = 5 } == .accept)
      #expect(judge(mark(0x1200, 0xffff_ff00), view) { $0.connection.mark = 0x12ff } == .drop)
      // With holes.
      #expect(judge(mark(1, 5), view) { $0.connection.mark = 0xfffb } == .drop)
      #expect(judge(mark(1, 5), view) { $0.connection.mark = 5 } == .accept)
      #expect(judge(mark(1, 5, true), view) { $0.connection.mark = 5 } == .drop)
    }
  }

  // MARK: nftables

  private let first = RuleExpression.Register(slot: 0)
  private func host(_ number: UInt32) -> RegisterValue {
    RegisterValue(UInt128(number.bigEndian), count: 4)
  }
  private func load(_ key: UInt32) -> RuleExpression {
    .conntrack(key: key, direction: 2, to: first)
  }
  private func any(_ key: UInt32, _ bits: UInt32) -> [RuleExpression] {
    [
      load(key), .bitwise(from: first, to: first, mask: host(bits), xor: host(0)),
      .compare(.notEqual, from: first, host(0)),
    ]
  }

  @Test func statesOfNftables() {
    for view in Self.tracked {
      #expect(judge(any(0, 2 | 4), view) == .drop)
      #expect(judge(any(0, 1 | 8 | 0x40), view) == .accept)
      #expect(judge([load(0), .compare(.equal, from: first, host(2))], view) == .drop)
      #expect(judge([load(0), .compare(.notEqual, from: first, host(8))], view) == .drop)
    }
    #expect(judge(any(0, 1), .untracked) == .drop)
    #expect(judge(any(0, 2 | 0x40), .untracked) == .accept)
  }

  @Test func withoutAConnectionARuleEnds() {
    let conditions = [
      any(2, 0x10), [load(1), .compare(.equal, from: first, RegisterValue(0, count: 1))],
      [load(3), .compare(.equal, from: first, host(0))], [load(4)],
    ]
    for condition in conditions {
      #expect(judge(condition, .untracked) == .accept)
      // What stands in front of it has been done.
      let table = RuleTable.nftables(
        [Rule([.counter] + condition + [.verdict(.drop)])], hook: .prerouting)
      #expect(table.flat(at: .untracked).count(TestPacket(), "BASE", 1) == 1)
    }
    #expect(judge([load(4)], .routed) == .punt(.unknown("conntrack")), "ct secmark")
  }

  @Test func statusDirectionAndMarkOfNftables() {
    #expect(judge(any(2, 0x30), .routed) { $0.connection.more = 0x20 } == .drop)
    #expect(judge(any(2, 0x30), .routed) { $0.connection.more = 0x101 } == .accept)
    let whole: [RuleExpression] = [load(2), .compare(.equal, from: first, host(0x9e))]
    #expect(judge(whole, .routed) { $0.connection.more = 0x90 } == .drop)
    #expect(judge(whole, .routed) { $0.connection.more = 0x91 } == .accept)
    let reply: [RuleExpression] = [
      load(1), .compare(.equal, from: first, RegisterValue(1, count: 1)),
    ]
    #expect(judge(reply, .routed) { $0.connection.isReply = true } == .drop)
    #expect(judge(reply, .routed) == .accept)
    // ct mark 1-10 and ct mark & 5 == 1
    let range: [RuleExpression] = [
      load(3), .byteOrder(from: first, to: first, toHost: false, length: 4, size: 4),
      .range(
        negated: false, from: first, low: RegisterValue(1, count: 4),
        high: RegisterValue(10, count: 4)),
    ]
    let masked: [RuleExpression] = [
      load(3), .bitwise(from: first, to: first, mask: host(5), xor: host(0)),
      .compare(.equal, from: first, host(1)),
    ]
    for (mark, inRange, underMask) in [
      (0, false, false), (1, true, true), (10, true, false), (11, false, true),
      (0x0100_0000, false, false),
    ] as [(UInt32, Bool, Bool)] {
      #expect(
        judge(range, .routed) { $0.connection.mark = mark } == (inRange ? .drop : .accept),
        "\(mark)")
      #expect(
        judge(masked, .routed) { $0.connection.mark = mark } == (underMask ? .drop : .accept),
        "\(mark)")
    }
  }

  @Test func verdictsByState() {
    var map = NamedSet(name: "s")
    (map.flags, map.keyLength, map.dataType) = ([.anonymous, .map], 4, 0xffff_ff00)
    let verdicts: [(UInt32, Verdict)] = [(1, .drop), (2, .accept), (8, .drop)]
    map.elements = verdicts.map { state, verdict in
      var element = NamedSet.Element(key: host(state).bytes)
      element.value = .verdict(verdict)
      return element
    }
    let rule = Rule([load(0), .lookup(set: "s", from: first, to: .verdict, negated: false)])
    for (view, judgement) in [(View.untracked, Judgement.drop), (.arriving, .accept)] {
      var table = RuleTable.nftables([rule], hook: view.hook, policy: .drop)
      table.sets = [map]
      let flat = table.flat(at: view)
      #expect(flat.judge(TestPacket()).judgement == judgement)
      // A constant asks nothing of packets.
      #expect(flat.rules.allSatisfy { $0.conditions.isEmpty })
    }
  }

  @Test func aConstantStateLeavesNothingToAsk() {
    let table = RuleTable.legacy([
      Rule([.state([.established, .related])], .accept), Rule([.state(.invalid)], .drop),
    ])
    let flat = table.flat(at: .routed)
    #expect(flat.rules.allSatisfy { $0.conditions.isEmpty })
    #expect(flat.judge(TestPacket()).judgement == .accept)
    #expect(flat.count(TestPacket(), "BASE", 1) == 1)
  }
}
