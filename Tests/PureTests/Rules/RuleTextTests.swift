// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Testing

/// What rules are called and how they read; the words themselves are compared with those of the tools by
/// the kernel tests.
@Suite struct RuleTextTests {
  private let source = Match.source(.ipv4(0x0a00_0000, mask: 0xff00_0000, negated: false))

  private func legacy(_ family: RuleFamily = .ip) -> RuleTable {
    var table = RuleTable.legacy(
      [Rule([source], .drop), Rule([.input(InterfaceMatch("eth0"))], .jump("u"))], family: family,
      policy: .drop)
    table.chains[0].name = "FORWARD"
    table.chains[0].rules[1].handle = 2
    return table
  }

  private func describe(_ table: RuleTable, _ number: Int) -> String {
    RuleText.describe(table.origin(table.chains[0], number), in: [table])
  }

  @Test func aRuleIsNamedWithItsToolTableChainAndNumber() {
    #expect(describe(legacy(), 1) == "iptables-legacy filter/FORWARD rule 1: -s 10.0.0.0/8 -j DROP")
    #expect(describe(legacy(), 2) == "iptables-legacy filter/FORWARD rule 2: -i eth0 -j u")
    #expect(describe(legacy(), 0) == "iptables-legacy filter/FORWARD policy: DROP")
    #expect(describe(legacy(.ip6), 0) == "ip6tables-legacy filter/FORWARD policy: DROP")
  }

  @Test func rulesOfNftablesAreFoundByTheirHandles() {
    var table = RuleTable.nftables([Rule([source], .drop), Rule([source], .accept)])
    table.chains[0].rules[0].handle = 7
    table.chains[0].rules[1].handle = 9
    #expect(
      describe(table, 2)
        == "nftables inet filter/BASE rule 2 (handle 9): ip saddr 10.0.0.0/8 accept")
    let origin = table.origin(table.chains[0], 2)
    table.chains[0].rules.remove(at: 0)
    #expect(
      RuleText.describe(origin, in: [table]).hasSuffix("(handle 9): ip saddr 10.0.0.0/8 accept"))
    table.backend = .iptablesNft
    #expect(describe(table, 1) == "iptables-nft filter/BASE rule 1: -s 10.0.0.0/8 -j ACCEPT")
  }

  @Test func whatIsGoneIsStillNamed() {
    let origin = legacy().origin(legacy().chains[0], 2)
    #expect(RuleText.describe(origin, in: []) == "iptables-legacy filter/FORWARD rule 2")
    var shorter = legacy()
    shorter.chains[0].rules.removeLast()
    #expect(RuleText.describe(origin, in: [shorter]) == "iptables-legacy filter/FORWARD rule 2")
  }

  @Test func whatIsNotUnderstoodIsNamedWithAnEllipsis() {
    let rule = Rule(
      [.unknown(UnknownExtension("recent")), source], .unknown(UnknownExtension("LOG")))
    #expect(RuleText(legacy()).text(rule) == "-s 10.0.0.0/8 -m recent … -j LOG …")
    #expect(RuleText(.nftables([])).text(rule) == "recent … ip saddr 10.0.0.0/8 LOG …")
  }

  @Test func setsAreNamedWhereTheirNamesAreKnown() {
    let match = SetMatch(index: 3, dimensions: [true, false], negated: true, flags: 0)
    var set = IPSet(name: "hosts")
    set.index = 3
    let rule = Rule([.set(match)], .return)
    #expect(
      RuleText(legacy(), sets: [set]).text(rule)
        == "-m set ! --match-set hosts src,dst -j RETURN")
    #expect(RuleText(legacy()).text(rule) == "-m set ! --match-set #3 src,dst -j RETURN")
  }

  @Test func masksWithHolesAreWrittenOut() {
    let match = Match.destination(.ipv4(0x0a00_0001, mask: 0xff00_00ff, negated: true))
    #expect(RuleText(legacy()).text(Rule([match], .drop)) == "! -d 10.0.0.1/255.0.0.255 -j DROP")
    #expect(
      RuleText(.nftables([])).text(Rule([match], .drop))
        == "ip daddr & 255.0.0.255 != 10.0.0.1 drop")
  }

  private func connection(
    _ conditions: UInt16, inverted: UInt16 = 0, _ states: ConntrackMatch.States = [],
    status: UInt16 = 0
  ) -> Match {
    .conntrack(
      ConntrackMatch(conditions: conditions, inverted: inverted, states: states, status: status))
  }

  /// As `nft list ruleset` and `iptables -S` have them.
  @Test func whatIsAskedOfConnections() {
    let (state, status) = (ConntrackMatch.state, ConntrackMatch.status)
    let direction = ConntrackMatch.direction
    let mark = Match.connectionMark(MaskedMatch(value: 1, mask: 5, negated: false))
    for (match, nft, iptables) in [
      (
        connection(state, [.new, .established]), "ct state established,new",
        "-m conntrack --ctstate NEW,ESTABLISHED"
      ),
      (
        connection(state, inverted: state, .new), "ct state ! new",
        "-m conntrack ! --ctstate NEW"
      ),
      (
        connection(state | ConntrackMatch.alias, .untracked), "-m state --state UNTRACKED",
        "-m state --state UNTRACKED"
      ),
      (
        connection(status, inverted: status, status: 4), "ct status ! assured",
        "-m conntrack ! --ctstatus ASSURED"
      ),
      (
        connection(direction, inverted: direction), "ct direction reply",
        "-m conntrack --ctdir REPLY"
      ),
      (mark, "ct mark & 0x00000005 == 0x00000001", "-m connmark --mark 0x1/0x5"),
    ] {
      #expect(RuleText(.nftables([])).text(Rule([match], .drop)) == "\(nft) drop")
      #expect(RuleText(legacy()).text(Rule([match], .drop)) == "\(iptables) -j DROP")
    }
    let nat = connection(status, status: 0x30)
    #expect(RuleText(.nftables([])).text(Rule([nat], .accept)) == "ct status snat,dnat accept")
  }

  @Test func verdictsByWhatConnectionsAre() {
    func text(_ key: UInt32, _ length: UInt8, _ values: [UInt32]) -> String {
      var map = NamedSet(name: "__map0")
      (map.flags, map.keyLength, map.dataType) = (
        [.anonymous, .constant, .map], UInt32(length), 0xffff_ff00
      )
      map.elements = values.map { value in
        let number = length == 4 ? UInt128(value.bigEndian) : UInt128(value)
        var element = NamedSet.Element(key: RegisterValue(number, count: length).bytes)
        element.value = .verdict(.accept)
        return element
      }
      let field = PacketField(source: .conntrack(key, direction: 2), length: length)
      let lookup = Lookup(set: "__map0", fields: [field], negated: false)
      return RuleText(.nftables([], sets: [map])).text(Rule([], .verdictMap(lookup)))
    }
    #expect(text(0, 4, [1, 2]) == "ct state vmap { invalid : accept, established : accept }")
    #expect(text(0, 4, [0x40]) == "ct state vmap { untracked : accept }")
    #expect(text(1, 1, [0, 1]) == "ct direction vmap { original : accept, reply : accept }")
    #expect(text(2, 4, [0x10]) == "ct status vmap { snat : accept }")
    #expect(text(3, 4, [1]) == "ct mark vmap { 0x00000001 : accept }")
  }
}
