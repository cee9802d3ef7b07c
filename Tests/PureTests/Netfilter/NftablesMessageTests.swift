// SPDX-License-Identifier: Apache-2.0
import Introspection
import Netlink
import Testing

@Suite struct NftablesMessageTests {
  /// All recorded messages, put together as they come in.
  private func recorded() throws -> NftablesRuleset {
    var ruleset = NftablesRuleset()
    func add(_ file: String, _ body: (Bytes) -> NftablesRuleset.Added) throws {
      for payload in try RecordedBlobs.payloads(file) {
        #expect(payload.withBytes(body) == .yes, "\(file)")
      }
    }
    try add("nftables-tables") { ruleset.addTable($0) }
    try add("nftables-chains") { ruleset.addChain($0) }
    try add("nftables-sets") { ruleset.addSet($0) }
    try add("nftables-objects") { ruleset.addObject($0) }
    try add("nftables-rules") { ruleset.addRule($0) }
    return ruleset
  }

  @Test func putsARecordedRulesetTogether() throws {
    let tables = try recorded().finished
    #expect(
      tables.map { "\($0.backend.rawValue) \($0.family.name) \($0.name) \($0.ruleCount)" } == [
        "nftables inet plain 18", "nftables ip unk 18", "nftables ip t 8",
        "nftables netdev nd 0", "nftables bridge bb 1", "nftables arp aa 1",
        "iptables-nft ip filter 57", "iptables-nft ip nat 2", "iptables-nft ip mangle 2",
      ])
    #expect(tables[0].unmodelledRuleCount == 0)
    #expect(tables[1].unmodelledRuleCount == 18)
    #expect(tables[1].objects.map(\.name).sorted() == ["hits", "much"])
    #expect(
      tables[4].chains[0].rules[0].matches == [.sourceMAC([2, 0, 0, 0, 0, 1], negated: false)])
    #expect(tables[8].activeHooks == [.prerouting, .forward])
    #expect(
      ConntrackUse(tables).demandedBy
        == [
          "DNAT", "MASQUERADE", "conntrack", "connlimit", "connmark", "ct", "masquerade",
          "redirect",
          "snat",
        ].sorted())
  }

  @Test func readsRecordedElements() throws {
    let elements = try RecordedBlobs.payloads("nftables-elements").flatMap { payload in
      payload.withBytes { NamedSet.elements($0) }
    }
    #expect(elements.contains { $0.value == .verdict(.jump("side")) && $0.key == [0, 23] })
    #expect(elements.contains { $0.key == [10, 0, 0, 1] && $0.value == nil })
  }

  @Test func readsRecordedSets() throws {
    let sets = try RecordedBlobs.payloads("ipsets").compactMap { payload in
      payload.withBytes { IPSet.parse($0) }
    }
    #expect(sets.map(\.name).sorted() == ["all", "big", "one", "ports", "six", "two"])
    let big = try #require(sets.first { $0.name == "big" })
    #expect(big.limit == 100 && big.timeout == 30 && big.features.contains(.counters))
  }

  /// A rule of `table ip t`, made of expressions given as name and attributes.
  private func rule(
    family: UInt8 = 2, _ expressions: [(String, [(Int, [UInt8])])], keyLength: Int? = nil
  ) throws -> Rule {
    var request = Request(subsystem: 10, message: 6, family: family)
    request.attribute(1, "t")
    request.attribute(2, "c")
    request.nest(4) { list in
      for (name, fields) in expressions {
        list.nest(1) { element in
          element.attribute(1, name)
          element.nest(2) { data in
            for (type, bytes) in fields { data.attribute(type, bytes: bytes) }
          }
        }
      }
    }
    let payload = Array(request.bytes.dropFirst(16))
    return try #require(payload.withBytes { Rule.parse($0) { _, _ in keyLength }?.rule })
  }

  /// NFTA_DATA_VALUE of some bytes.
  private func value(_ bytes: [UInt8]) -> [UInt8] {
    let padding = [UInt8](repeating: 0, count: (4 - bytes.count & 3) & 3)
    return [UInt8(4 + bytes.count), 0, 1, 0] + bytes + padding
  }

  private let one: [UInt8] = [0, 0, 0, 1]
  private func number(_ value: UInt8) -> [UInt8] { [0, 0, 0, value] }

  private func payload(_ base: UInt8, _ offset: UInt8, _ length: UInt8) -> (
    String, [(Int, [UInt8])]
  ) {
    ("payload", [(1, one), (2, number(base)), (3, number(offset)), (4, number(length))])
  }

  private func compare(_ bytes: [UInt8]) -> (String, [(Int, [UInt8])]) {
    ("cmp", [(1, one), (2, number(0)), (3, value(bytes))])
  }

  @Test func comparesASourceAddress() throws {
    let rule = try rule([payload(1, 12, 4), compare([10, 0, 0, 1])])
    #expect(rule.matches == [.source(.ipv4(0x0a00_0001, mask: .max, negated: false))])
    #expect(rule.target == .fallThrough && rule.expressions.count == 2)
  }

  @Test func anAttributeNobodyKnowsMakesTheExpressionUnknown() throws {
    var load = payload(1, 12, 4)
    load.1.append((99, one))
    #expect(try rule([load, compare([10, 0, 0, 1])]).unmodelled == ["payload", "cmp"])
    var comparison = compare([10, 0, 0, 1])
    comparison.1.append((99, one))
    #expect(try rule([payload(1, 12, 4), comparison]).unmodelled == ["cmp"])
  }

  @Test func anExpressionNobodyKnowsIsKeptAndSeenToChange() throws {
    let first = try rule([("novel", [(1, one)])])
    let second = try rule([("novel", [(1, number(2))])])
    #expect(first.unmodelled == ["novel"] && second.unmodelled == ["novel"])
    #expect(first != second)
  }

  @Test func whatUnknownExpressionsLeaveInRegistersIsNotTrusted() throws {
    let rule = try rule([payload(1, 12, 4), ("novel", [(1, one)]), compare([10, 0, 0, 1])])
    #expect(rule.unmodelled == ["novel", "cmp"])
  }

  @Test func addressesOfUnknownFamilyAreNotGuessed() throws {
    let inet = try rule(family: 1, [payload(1, 12, 4), compare([10, 0, 0, 1])])
    #expect(inet.unmodelled == ["cmp"])
    let protocolOfFamily: (String, [(Int, [UInt8])]) = ("meta", [(1, one), (2, number(15))])
    let known = try rule(
      family: 1, [protocolOfFamily, compare([2]), payload(1, 12, 4), compare([10, 0, 0, 1])])
    #expect(known.isFullyModelled && known.matches.count == 2)
  }

  @Test func portsNeedATransportProtocol() throws {
    #expect(try rule([payload(2, 2, 2), compare([0, 80])]).unmodelled == ["cmp"])
    let tcp = try rule([payload(1, 9, 1), compare([6]), payload(2, 2, 2), compare([0, 80])])
    #expect(
      tcp.matches == [
        .transport(6, negated: false), .destinationPort(PortRange(80, 80), negated: false),
      ])
  }

  @Test func lookUpNeedsEveryFieldOfTheKey() throws {
    let lookup: (String, [(Int, [UInt8])]) = ("lookup", [(1, Array("s".utf8) + [0]), (2, one)])
    let fields = PacketField(source: .payload(base: 1, offset: 12), length: 4)
    #expect(
      try rule([payload(1, 12, 4), lookup], keyLength: 4).matches
        == [.lookup(Lookup(set: "s", fields: [fields], negated: false))])
    #expect(try rule([payload(1, 12, 4), lookup], keyLength: 8).unmodelled == ["lookup"])
    #expect(try rule([payload(1, 12, 4), lookup]).unmodelled == ["lookup"])
    #expect(try rule([lookup], keyLength: 4).unmodelled == ["lookup"])
  }

  @Test func partsOfTablesNotReadYetAreNotLost() throws {
    var ruleset = NftablesRuleset()
    for payload in try RecordedBlobs.payloads("nftables-rules").prefix(1) {
      #expect(payload.withBytes { ruleset.addRule($0) } == .ownerMissing)
      #expect(payload.prefix(10).withContiguousBytes { ruleset.addRule($0) } == .malformed)
    }
  }
}

extension ArraySlice where Element == UInt8 {
  fileprivate func withContiguousBytes<Result>(_ body: (Bytes) -> Result) -> Result {
    Array(self).withBytes { body($0) }
  }
}
