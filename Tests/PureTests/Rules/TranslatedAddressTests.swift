// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Testing

/// Addresses and ports where NAT has been done, or is still to be.
@Suite struct TranslatedAddressTests {
  typealias View = FlatRuleset.View

  private let tcp = Match.transport(6, negated: false)
  private let first = RuleExpression.Register(slot: 0)

  private func ports(_ source: PortRange, _ destination: PortRange) -> Match {
    .tcp(
      TCPMatch(
        source: source, destination: destination, option: 0, flagMask: 0, flagValue: 0,
        inverted: []))
  }

  private func multiport(_ side: MultiportMatch.Side) -> [Match] {
    [tcp, .multiport(MultiportMatch(side: side, ports: [PortRange(1, 2)], negated: false))]
  }

  private func range(source: Bool) -> Match {
    let side = AddressRangeMatch.Side(low: 1, high: 2, negated: false)
    return .addressRange(
      AddressRangeMatch(
        six: false, source: source ? side : nil, destination: source ? nil : side))
  }

  private let sets: [IPSet] = {
    var (one, two) = (IPSet(name: "one"), IPSet(name: "two"))
    (one.index, one.type, one.family) = (7, "hash:ip", 2)
    (two.index, two.type, two.family) = (8, "hash:ip,port", 2)
    return [one, two]
  }()

  private func set(_ index: UInt16, _ dimensions: [Bool]) -> Match {
    .set(SetMatch(index: index, dimensions: dimensions, negated: false, flags: 0))
  }

  private func load(
    _ base: UInt8, _ offset: UInt32, _ length: UInt8, _ number: UInt128
  ) -> [RuleExpression] {
    [
      .meta(key: 16, to: first), .compare(.equal, from: first, RegisterValue(6, count: 1)),
      .payload(base: base, offset: offset, length: UInt32(length), to: first),
      .compare(.equal, from: first, RegisterValue(number, count: length)),
    ]
  }

  /// Matches of iptables and conditions of nftables on one side: its address or its port.
  private func asking(source: Bool) -> [Rule] {
    let address = AddressMatch.ipv4(1, mask: .max, negated: false)
    let holes = AddressMatch.ipv4(1, mask: 0xff00_00ff, negated: true)
    let types = AddressTypeMatch(
      source: source ? 4 : 0, destination: source ? 0 : 4, flags: .invertSource)
    let one = PortRange(1, 1)
    let matches: [[Match]] = [
      [source ? .source(address) : .destination(address)],
      [source ? .source(holes) : .destination(holes)], [range(source: source)],
      [.addressType(types)], [set(7, [source])], [set(8, [source, !source])],
      [set(8, [!source, source])], [tcp, ports(source ? one : .all, source ? .all : one)],
      multiport(source ? .source : .destination), multiport(.either),
    ]
    // Where both sides are loaded at once the other one is as the packet has it.
    let loads =
      source
      ? [
        load(1, 12, 4, 1), load(1, 12, 3, 1), load(1, 12, 8, 0x0000_0001_0a00_0002),
        load(2, 0, 2, 1), load(2, 0, 4, 1 << 16 | 80),
      ]
      : [
        load(1, 16, 4, 1), load(1, 16, 2, 1), load(1, 12, 8, 0x0a00_0001_0000_0001),
        load(2, 2, 2, 1), load(2, 0, 4, 1000 << 16 | 1),
      ]
    return matches.map { Rule($0) } + loads.map { Rule($0 + [.verdict(.drop)]) }
  }

  private func judge(_ rule: Rule, _ view: View, nat: Bool = true) -> Judgement {
    let table =
      rule.expressions.isEmpty
      ? RuleTable.legacy([rule], hook: view.hook)
      : RuleTable.nftables([rule], hook: view.hook)
    return table.flat(at: view, nat: nat, sets: sets).judge(TestPacket()).judgement
  }

  @Test func destinationsBeforeNATAreKnownUnlessTheyAreLookedUp() {
    for rule in asking(source: false) {
      for view in [View.untracked, .arriving] {
        let punt = Judgement.punt(.unknown("before NAT"))
        #expect((judge(rule, view) == punt) == rule.asksLate, "\(view) \(rule)")
        #expect(!judge(rule, view, nat: false).isPunt, "without NAT: \(rule)")
      }
      for view in [View.plain, .routed, .leaving] where !rule.asksBoth || view != .leaving {
        #expect(!judge(rule, view).isPunt, "\(view) \(rule)")
      }
    }
  }

  @Test func sourcesBehindNATAreTheKernels() {
    for rule in asking(source: true) {
      #expect(judge(rule, .leaving) == .punt(.unknown("behind NAT")), "\(rule)")
      #expect(!judge(rule, .leaving, nat: false).isPunt, "without NAT: \(rule)")
      for view in [View.plain, .routed, .arriving, .untracked]
      where !rule.asksBoth || view == .plain || view == .routed {
        #expect(!judge(rule, view).isPunt, "\(view) \(rule)")
      }
    }
  }

  /// What such a rule asks besides still says whom it does not concern.
  @Test func theRestOfTheRuleIsStillAsked() {
    let to = Match.destination(.ipv4(9, mask: 0xff00_00ff, negated: false))
    let from = Match.source(.ipv4(0x0a00_0001, mask: .max, negated: false))
    let punt = Judgement.punt(.unknown("before NAT"))
    func flat(_ rules: [Rule], users: [Chain] = []) -> FlatRuleset {
      RuleTable.legacy(rules, hook: .prerouting, users: users).flat(at: .arriving)
    }
    for rule in [
      Rule([from, to]), Rule([to, from]), Rule([tcp, to, from]),
    ] {
      #expect(flat([rule]).judge(TestPacket()).judgement == punt)
      #expect(flat([rule]).judge(.with { $0.source = 5 }).judgement == .accept)
    }
    let port = Rule([tcp, ports(PortRange(1000, 1000), PortRange(1, 1)), to])
    let arriving = TestPacket.with { $0.connection.arriving = (9, 1) }
    #expect(flat([port]).judge(arriving).judgement == punt)
    #expect(flat([port]).judge(TestPacket()).judgement == .accept)
    #expect(flat([port]).judge(.with { $0.laterFragment = true }).judgement == .accept)
    // Nobody is led into a chain on a guess.
    let jump = flat([Rule([to], .jump("u"))], users: [Chain("u", [Rule([from])])])
    #expect(jump.judge(.with { $0.source = 5 }).judgement == punt)
    // All ports, and none.
    #expect(flat([Rule([tcp, ports(.all, .all)])]).judge(TestPacket()).judgement == .drop)
    #expect(
      flat([Rule([tcp, ports(.all, PortRange(2, 1))])]).judge(TestPacket()).judgement == .accept)
  }

  @Test func concatenationsAndMapsWithAnAddressBeforeNAT() {
    func element(_ key: [UInt8], _ verdict: Verdict?) -> NamedSet.Element {
      var element = NamedSet.Element(key: key)
      element.value = verdict.map { .verdict($0) }
      return element
    }
    let load: [RuleExpression] = [
      .payload(base: 1, offset: 12, length: 4, to: first),
      .payload(base: 1, offset: 16, length: 4, to: .init(slot: 1)),
    ]
    for isMap in [false, true] {
      var set = NamedSet(name: "s")
      (set.flags, set.keyLength) = ([.anonymous, .concatenation], 8)
      set.fields = [4, 4]
      set.elements = [element([10, 0, 0, 1, 1, 1, 1, 1], isMap ? .drop : nil)]
      if isMap {
        set.flags.insert(.map)
        set.dataType = 0xffff_ff00
      }
      let rule = Rule(
        load + [.lookup(set: "s", from: first, to: isMap ? .verdict : nil, negated: false)]
          + (isMap ? [] : [.verdict(.drop)]))
      let flat = RuleTable.nftables([rule], hook: .prerouting, sets: [set]).flat(at: .arriving)
      let arriving = TestPacket.with { $0.connection.arriving = (0x0101_0101, 80) }
      #expect(flat.judge(arriving).judgement == .drop)
      #expect(flat.judge(TestPacket()).judgement == .accept)
    }
  }

  /// What is addressed to the router itself may be routed on.
  @Test func typesOfDestinationsAreKnownBehindNATAlone() {
    let local = Match.addressType(AddressTypeMatch(source: 0, destination: 4, flags: []))
    #expect(judge(Rule([local]), .arriving) == .punt(.unknown("before NAT")))
    #expect(judge(Rule([local]), .routed) == .accept)
    #expect(judge(Rule([local]), .leaving) == .accept)
    let from = Match.addressType(AddressTypeMatch(source: 4, destination: 0, flags: []))
    #expect(judge(Rule([from]), .leaving) == .punt(.unknown("behind NAT")))
    #expect(judge(Rule([from]), .arriving) == .accept)
  }
}

extension Rule {
  /// Whether it looks something up, or compares under a mask that is no prefix.
  fileprivate var asksLate: Bool {
    matches.contains { match in
      switch match {
      case .set, .addressType, .destination(.ipv4(_, mask: 0xff00_00ff, _)): true
      default: false
      }
    }
  }

  /// Whether it asks for an address or port of either side.
  fileprivate var asksBoth: Bool {
    for case .set(let set) in matches where set.dimensions.count > 1 { return true }
    for case .multiport(let ports) in matches where ports.side == .either { return true }
    for case .payload(1, 12, 8, _) in expressions { return true }
    for case .payload(2, 0, 4, _) in expressions { return true }
    return false
  }
}
