// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import Rules
import Testing

extension Kernel {
  /// Rules read from the kernel and written again, against what their own tools write.
  @Suite struct RuleTextTests {
    @Test(arguments: ["iptables-legacy", "iptables-nft", "ip6tables-legacy", "ip6tables-nft"])
    func rulesAreWrittenAsIptablesSaveWritesThem(_ tool: String) throws {
      let six = tool.hasPrefix("ip6")
      let namespace = try Namespace("text", ipv6: .quiet)
      try namespace.run("ipset create one hash:ip family \(six ? "inet6" : "inet")")
      try namespace.run("ipset create two hash:net,port family \(six ? "inet6" : "inet")")
      let cases = MatchCase.common + (six ? MatchCase.ipv6 : MatchCase.ipv4)
      let more = [
        "-m comment --comment \"two words\" -j user", "-g user", "-p tcp -j REJECT",
        "-j MARK --set-xmark 0x5/0xff", "-j CONNMARK --set-mark 1",
        "-j CONNMARK --save-mark --mask 0xff",
        "-p udp -j CONNMARK --restore-mark --nfmask 0x1 --ctmask 0x1",
        "-p tcp -j REJECT --reject-with tcp-reset", "-s \(six ? "2001:db8::1" : "10.0.0.1")",
      ]
      let rules = cases.map(\.command) + more.map { "-A FORWARD \($0)" }
      try namespace.run(
        ["\(tool)-restore"],
        input: "*filter\n:user -\n\(rules.joined(separator: "\n"))\nCOMMIT\n")
      let tables = try tool.hasSuffix("legacy") ? namespace.legacy() : namespace.nftables()
      let table = try #require(tables.first)
      let chain = try #require(table.chain(named: "FORWARD"))
      let text = RuleText(table, sets: try namespace.ipsets())
      let saved = try namespace.run("\(tool)-save -t filter").output.split(separator: "\n")
        .filter { $0.hasPrefix("-A FORWARD") }.map { String($0.dropFirst("-A FORWARD ".count)) }
      #expect(saved.count == chain.rules.count)
      for (rule, line) in zip(chain.rules, saved) { #expect(text.text(rule) == line) }
    }

    @Test(arguments: ["iptables-legacy", "iptables-nft"])
    func whatIsNotTrackedIsWrittenAsIptablesSaveWritesIt(_ tool: String) throws {
      let namespace = try Namespace("text", ipv6: .quiet)
      let rules = ["-j CT --notrack", "-p udp -j NOTRACK", "-p tcp -j CT --zone 5"]
      for rule in rules { try namespace.run("\(tool) -t raw -A PREROUTING \(rule)") }
      let tables = try tool.hasSuffix("legacy") ? namespace.legacy() : namespace.nftables()
      let chain = try #require(tables.first?.chain(named: "PREROUTING"))
      let text = RuleText(tables[0], sets: [])
      let saved = try namespace.run("\(tool)-save -t raw").output.split(separator: "\n")
        .filter { $0.hasPrefix("-A PREROUTING") }
        .map { String($0.dropFirst("-A PREROUTING ".count)) }
      #expect(chain.rules.dropLast().map { text.text($0) } == saved.dropLast())
      #expect(chain.rules.map(\.target).dropFirst(2).allSatisfy { !$0.isUntrack })
    }

    @Test func rulesAreWrittenAsNftListsThem() throws {
      let namespace = try Namespace("text")
      let rules = [
        "ip saddr 10.0.0.0/8 tcp dport { 80, 443 } counter packets 0 bytes 0 drop",
        "ip saddr { 10.1.0.0/16, 10.3.0.1-10.3.0.9 } accept", "meta mark set 0x00000005",
        "udp dport 53 meta mark set meta mark & 0xfffffff0 | 0x00000005 accept",
        "ct mark set meta mark", "udp dport 9 notrack",
        "meta mark set ct mark & 0x000000ff counter packets 0 bytes 0",
        "ip daddr 10.0.0.1-10.0.0.9 tcp flags syn / fin,syn drop", "tcp flags syn drop",
        "ip6 daddr != 2001:db8::/32 udp sport 5-9 jump other",
        "iifname \"eth*\" oifname != \"e1\" meta mark 0x00000005 ct state established,related accept",
        "tcp dport vmap { 22 : accept, 80 : goto other }",
        "ip saddr . tcp dport { 10.0.0.1 . 80 } drop",
        "ip daddr @hosts return",
        "icmp type echo-request meta pkttype host accept comment \"a word\"",
        "meta l4proto { tcp, udp } drop",
        "limit rate 5/second burst 7 packets log prefix \"x \" reject",
        "meta l4proto gre drop",
        "ip ttl < 5 drop",
        "iifname { \"e1\", \"e2\" } drop",
      ]
      try namespace.nft(
        """
        table inet t {
          set hosts { type ipv4_addr; elements = { 10.9.9.9 }; }
          chain other { }
          chain c {
            type filter hook forward priority 0;
            \(rules.joined(separator: "\n    "))
          }
        }

        """)
      let table = try #require(try namespace.nftables().first)
      let chain = try #require(table.chain(named: "c"))
      let listed = try namespace.run("nft list chain inet t c").output.split(separator: "\n")
        .drop { !$0.contains("type filter") }.dropFirst().prefix(rules.count)
        .map { $0.drop { $0 == "\t" }.split(separator: " packets 0 bytes 0").joined() }
      #expect(listed.count == chain.rules.count)
      for (rule, line) in zip(chain.rules, listed) {
        #expect(RuleText(table).text(rule) == line)
      }
    }
  }
}
