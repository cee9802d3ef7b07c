// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Testing

/// Rules of nftables: registers, sets, verdict maps, and where a counter stands.
@Suite struct ExpressionTests {
  private let first = RuleExpression.Register(slot: 0)
  private func value(_ number: UInt128, _ count: UInt8) -> RegisterValue {
    RegisterValue(number, count: count)
  }
  private var tcp: [RuleExpression] {
    [.meta(key: 16, to: first), .compare(.equal, from: first, value(6, 1))]
  }
  private var port: RuleExpression { .payload(base: 2, offset: 2, length: 2, to: first) }
  private var source: RuleExpression { .payload(base: 1, offset: 12, length: 4, to: first) }
  private func from(_ last: UInt32) -> TestPacket {
    TestPacket.with { $0.source = UInt128(0x0a00_0000 | last) }
  }
  private func to(_ port: UInt16) -> TestPacket { TestPacket.with { $0.destinationPort = port } }

  private func set(
    _ flags: NamedSet.Flags, keyLength: UInt32, _ elements: [NamedSet.Element]
  ) -> NamedSet {
    var set = NamedSet(name: "s")
    (set.flags, set.keyLength, set.elements) = (flags.union(.anonymous), keyLength, elements)
    if flags.contains(.map) { set.dataType = 0xffff_ff00 }
    return set
  }

  private func element(_ key: [UInt8], _ verdict: Verdict? = nil, end: Bool = false)
    -> NamedSet.Element
  {
    var element = NamedSet.Element(key: key)
    element.value = verdict.map { .verdict($0) }
    element.isEnd = end
    return element
  }

  private func flat(
    _ expressions: [RuleExpression], _ sets: [NamedSet] = [], users: [Chain] = []
  ) -> FlatRuleset {
    RuleTable.nftables([Rule(expressions)], users: users, sets: sets).flat()
  }

  @Test func aCounterBeforeAConditionCountsWhoDoesNotMeetIt() {
    let flat = flat(
      [source, .compare(.equal, from: first, value(0x0a00_0001, 4)), .counter] + tcp
        + [port, .compare(.equal, from: first, value(80, 2)), .verdict(.drop)])
    var packet = from(1)
    #expect(flat.judge(packet).judgement == .drop && flat.count(packet, "BASE", 1) == 1)
    packet.destinationPort = 81
    #expect(flat.judge(packet).judgement == .accept && flat.count(packet, "BASE", 1) == 1)
    #expect(flat.count(from(2), "BASE", 1) == 0)
  }

  @Test func onlyTheFirstOfTwoCountersCanBeKept() {
    #expect(flat([.counter, .counter]).judge(from(1)).judgement == .punt(.unknown("counter")))
  }

  @Test func neighbouringFieldsAreLoadedAtOnce() {
    let flat = flat(
      [
        .payload(base: 1, offset: 12, length: 8, to: first),
        .compare(.equal, from: first, value(0x0a00_0001_0a00_0002, 8)), .verdict(.drop),
      ])
    #expect(flat.judge(from(1)).judgement == .drop)
    #expect(flat.judge(from(2)).judgement == .accept)
    #expect(
      flat.judge(.with { $0.destination = 0x0a00_0003 }).judgement == .accept)
  }

  @Test func portsOfAnyOfSeveralProtocols() {
    let protocols = set([], keyLength: 1, [element([6]), element([17])])
    let flat = flat(
      [
        .meta(key: 16, to: first), .lookup(set: "s", from: first, to: nil, negated: false), port,
        .compare(.equal, from: first, value(53, 2)), .verdict(.drop),
      ], [protocols])
    #expect(flat.judge(.with { ($0.transport, $0.destinationPort) = (17, 53) }).judgement == .drop)
    #expect(flat.judge(to(53)).judgement == .drop)
    #expect(
      flat.judge(.with { ($0.transport, $0.destinationPort) = (132, 53) }).judgement == .accept)
    #expect(flat.judge(.with { $0.laterFragment = true }).judgement == .punt(.unknown("fragment")))
  }

  /// `th dport` without a protocol may be anything's third and fourth byte.
  @Test func portsWithoutAProtocolAreNotGuessed() {
    let flat = flat([port, .compare(.equal, from: first, value(53, 2)), .verdict(.drop)])
    #expect(flat.judge(to(53)).judgement == .punt(.unknown("cmp")))
    #expect(flat.judge(.with { $0.laterFragment = true }).judgement == .punt(.unknown("fragment")))
  }

  @Test func intervalsEndBeforeTheirEnd() {
    let ports = set(
      .interval, keyLength: 2, [element([0, 80]), element([0, 91], end: true), element([4, 0])])
    let flat = flat(
      tcp + [port, .lookup(set: "s", from: first, to: nil, negated: false), .verdict(.drop)],
      [ports])
    for (port, judgement) in [
      (79, Judgement.accept), (80, .drop), (90, .drop), (91, .accept), (1023, .accept),
      (1024, .drop), (65535, .drop),
    ] { #expect(flat.judge(to(UInt16(port))).judgement == judgement, "\(port)") }
  }

  @Test func aVerdictMapHasOneVerdictForEachAndOneForOthers() {
    var other = element([], .drop)
    other.isCatchAll = true
    let map = set(
      .map, keyLength: 2,
      [
        element([0, 22], .accept), element([0, 23], .jump("u")), element([0, 24], .continue), other,
      ])
    let user = Chain("u", [Rule([.counter])])
    let flat = flat(
      tcp + [.counter, port, .lookup(set: "s", from: first, to: .verdict, negated: false)], [map],
      users: [user])
    #expect(flat.judge(to(22)).judgement == .accept)
    #expect(flat.judge(to(23)).judgement == .accept && flat.count(to(23), "u", 1) == 1)
    #expect(flat.judge(to(24)).judgement == .accept)
    #expect(flat.judge(to(25)).judgement == .drop && flat.count(to(25), "BASE", 1) == 1)
    #expect(flat.judge(.with { $0.transport = 17 }).judgement == .accept)
  }

  @Test func concatenationsOfRanges() {
    var box = element([10, 0, 0, 0] + [0, 80, 0, 0])
    box.keyEnd = [10, 0, 0, 7] + [0, 90, 0, 0]
    var set = set([.interval, .concatenation], keyLength: 8, [box])
    set.fields = [4, 2]
    let expressions: [RuleExpression] =
      tcp + [
        source, .payload(base: 2, offset: 2, length: 2, to: .init(slot: 1)),
        .lookup(set: "s", from: first, to: nil, negated: false), .verdict(.drop),
      ]
    let flat = flat(expressions, [set])
    for (source, port, judgement) in [
      (0, 80, Judgement.drop), (7, 90, .drop), (8, 85, .accept), (7, 79, .accept), (7, 91, .accept),
    ] as [(UInt32, UInt16, Judgement)] {
      var packet = from(source)
      packet.destinationPort = port
      #expect(flat.judge(packet).judgement == judgement, "\(source) \(port)")
    }
  }

  @Test func overlappingRangesWithDifferentVerdictsAreTheKernels() {
    func box(_ low: UInt8, _ high: UInt8, _ verdict: Verdict) -> NamedSet.Element {
      var box = element([10, 0, 0, low] + [0, 80, 0, 0], verdict)
      box.keyEnd = [10, 0, 0, high] + [0, 80, 0, 0]
      return box
    }
    for (start, judgement) in [(5, Judgement.drop), (4, .punt(.unknown("map s")))] {
      let map = set(
        [.map, .interval], keyLength: 8, [box(0, 4, .drop), box(UInt8(start), 9, .accept)])
      let flat = flat(
        tcp + [
          source, .payload(base: 2, offset: 2, length: 2, to: .init(slot: 1)),
          .lookup(set: "s", from: first, to: .verdict, negated: false),
        ], [map])
      #expect(flat.judge(from(1)).judgement == judgement)
    }
  }

  @Test func aLaterFragmentThatComesToAPortIsPunted() {
    let fragment = TestPacket.with {
      ($0.source, $0.laterFragment, $0.destinationPort) = (0x0a00_0001, true, 80)
    }
    let rule =
      tcp + [
        source, .compare(.equal, from: first, value(0x0a00_0001, 4)), port,
        .compare(.equal, from: first, value(80, 2)),
      ]
    let flat = flat(rule + [.verdict(.drop)])
    #expect(flat.judge(fragment).judgement == .punt(.unknown("fragment")))
    var other = fragment
    other.source = 0x0a00_0002
    #expect(flat.judge(other).judgement == .accept)
    other = fragment
    other.transport = 17
    #expect(flat.judge(other).judgement == .accept)
    // Nothing hangs on a rule that does nothing.
    #expect(self.flat(rule).judge(fragment).judgement == .accept)
    #expect(self.flat(rule + [.counter]).judge(fragment).judgement == .punt(.unknown("fragment")))
  }

  @Test func setsThatChangeOrActArePunted() {
    let lookup: [RuleExpression] = [
      source, .lookup(set: "s", from: first, to: nil, negated: false), .verdict(.drop),
    ]
    var known = set([], keyLength: 4, [element([10, 0, 0, 1])])
    #expect(flat(lookup, [known]).judge(from(1)).judgement == .drop)
    (known.flags, known.isRead) = ([], true)
    #expect(flat(lookup, [known]).judge(from(1)).judgement == .drop)
    #expect(flat(lookup, [known]).judge(from(2)).judgement == .accept)
    var empty = known
    empty.elements = []
    #expect(flat(lookup, [empty]).judge(from(1)).judgement == .accept)
    let punt = Judgement.punt(.unknown("set s"))
    for change: (inout NamedSet) -> Void in [
      { $0.flags.insert(.timeout) }, { $0.flags.insert(.dynamic) }, { $0.statements = ["counter"] },
      { $0.elements[0].runsStatements = true }, { $0.isRead = false }, { $0.keyLength = 8 },
    ] {
      var changed = known
      change(&changed)
      #expect(flat(lookup, [changed]).judge(from(2)).judgement == punt)
    }
  }

  /// A rule without a verdict may write to the packet.
  @Test func whatMayWriteIsPuntedWithoutAVerdict() {
    for name in ["payload", "meta", "ct", "exthdr", "log", "new thing"] {
      let flat = flat([
        source, .compare(.equal, from: first, value(0x0a00_0001, 4)),
        .other(UnknownExtension(name)),
      ])
      #expect(flat.judge(from(1)).judgement.isPunt, "\(name)")
      #expect(flat.judge(from(2)).judgement == .accept, "\(name)")
    }
  }

  @Test func whatHasAnEffectConcernsAllWhoComeToIt() {
    let effects: [(RuleExpression, FlatRule.Cause)] = [
      (.other(UnknownExtension("limit")), .effect("limit")),
      (.metaWrite(key: 3, from: first), .effect("meta set")),
      (.conntrackWrite(key: 3, direction: 2, from: first), .effect("ct set")),
      (.reject(type: 0, code: 0), .effect("reject")),
      (.other(UnknownExtension("new thing")), .unknown("new thing")),
      (.other(UnknownExtension("payload")), .effect("payload set")),
      (.other(UnknownExtension("meta")), .unknown("meta")),
      (.other(UnknownExtension("ct")), .unknown("ct")),
      (.other(UnknownExtension("exthdr")), .unknown("exthdr")),
      (.other(UnknownExtension("numgen")), .effect("numgen")),
      (.queue(number: 0, count: 1, flags: 0, from: nil), .effect("queue")),
      (.object(type: 1, name: "c"), .effect("objref")),
    ]
    for (effect, cause) in effects {
      let flat = flat(
        [source, .compare(.equal, from: first, value(0x0a00_0001, 4)), effect] + tcp
          + [port, .compare(.equal, from: first, value(9999, 2)), .verdict(.drop)])
      #expect(flat.judge(from(1)).judgement == .punt(cause))
      #expect(flat.judge(from(2)).judgement == .accept)
    }
  }

  @Test func whatOnlyLooksConcernsThoseWhoMeetTheRest() {
    let looks: [(RuleExpression, String)] = [
      (.fib(result: 1, flags: 1, to: first), "fib"),
      (.conntrack(key: 0, direction: 2, to: first), "conntrack"),
      (.meta(key: 10, to: first), "meta"),
      (.payload(base: 1, offset: 20, length: 4, to: first), "payload"),
    ]
    for (look, name) in looks {
      let ending: [RuleExpression] =
        [look, .compare(.equal, from: first, value(1, 4))] + tcp
        + [port, .compare(.equal, from: first, value(80, 2))]
      let flat = flat(ending + [.verdict(.drop)])
      #expect(flat.judge(to(80)).judgement == .punt(.unknown(name)))
      #expect(flat.judge(to(81)).judgement == .accept)
      // Without a consequence it does not matter.
      #expect(self.flat(ending).judge(to(80)).judgement == .accept)
      #expect(self.flat(ending + [.counter]).judge(to(80)).judgement == .punt(.unknown(name)))
    }
  }

  @Test func theFamilyOfInetTablesIsThePackets() {
    let table = RuleTable.nftables([
      Rule([
        .meta(key: 15, to: first), .compare(.equal, from: first, value(10, 1)), .verdict(.drop),
      ])
    ])
    #expect(table.flat(.ip).judge(TestPacket()).judgement == .accept)
    #expect(table.flat(.ip6).judge(.with { $0.family = .ip6 }).judgement == .drop)
  }

  /// 200 input interfaces with 200 output interfaces.
  @Test func alternativesWithoutEndArePunted() {
    let indexes = set(
      [], keyLength: 4,
      (0..<200).map { element([UInt8($0), 0, 0, 0]) })
    let flat = flat(
      [
        source, .compare(.equal, from: first, value(0x0a00_0001, 4)), .meta(key: 4, to: first),
        .lookup(set: "s", from: first, to: nil, negated: false), .meta(key: 5, to: first),
        .lookup(set: "s", from: first, to: nil, negated: false), .verdict(.drop),
      ], [indexes])
    #expect(flat.rules.count < 1000)
    #expect(flat.judge(from(1)).judgement == .punt(.tooMany))
    #expect(flat.judge(from(2)).judgement == .accept)
    var elsewhere = from(1)
    elsewhere.inputIndex = 1000
    #expect(flat.judge(elsewhere).judgement == .accept)
  }
}
