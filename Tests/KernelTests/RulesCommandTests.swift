// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// `fpctl rules` asked of a running fpd.
  @Suite(.needsFpd) struct RulesCommandTests {
    private func legacy() throws -> (Namespace, Fpd) {
      let namespace = try Namespace("rules")
      try namespace.run(
        ["iptables-legacy-restore", "-c"],
        input: """
          *filter
          :INPUT ACCEPT [0:0]
          :FORWARD DROP [4:400]
          :user - [0:0]
          :aside - [0:0]
          [1:100] -A FORWARD -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT
          [2:200] -A FORWARD -p tcp -m limit --limit 5/sec -j LOG
          [3:300] -A FORWARD -i eth+ -j user
          [0:0] -A user -j DROP
          [0:0] -A user -s 10.0.0.1 -j ACCEPT
          [0:0] -A INPUT -j aside
          COMMIT

          """)
      let fpd = try Fpd(in: namespace)
      try fpd.wait()
      return (namespace, fpd)
    }

    @Test func everyRuleIsToldWithItsPlaceAndItsHits() throws {
      let (_, fpd) = try legacy()
      let answer = try JSON(parsing: fpd.fpctl("rules filter FORWARD --json").check().output)
      #expect(answer.at("tables.0.backend") == "iptables-legacy")
      #expect(answer.at("tables.0.chains")?.array?.count == 1)
      let rules = try #require(answer.at("tables.0.chains.0.rules")?.array)
      #expect(rules.map { $0["where"] } == ["fast", "punted", "fast"])
      #expect(rules.map { $0["number"] } == [1, 2, 3])
      #expect(rules.map { $0["packets"] } == [1, 2, 3])
      #expect(rules.map { $0["bytes"] } == [100, 200, 300])
      #expect(rules[1]["causes"] == ["limit"])
      #expect(rules[0]["text"] == "-s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT")
      let policy = try #require(answer.at("tables.0.chains.0.policy"))
      #expect(policy["verdict"] == "DROP" && policy["packets"] == 4 && policy["where"] == "fast")
      let user = try JSON(parsing: fpd.fpctl("rules filter user --json").check().output)
      #expect(user.at("tables.0.chains.0.rules.0.where") == "fast")
      #expect(user.at("tables.0.chains.0.rules.1.where") == "unmet")
      #expect(user.at("tables.0.chains.0.policy") == .null)
      let input = try JSON(parsing: fpd.fpctl("rules filter INPUT --json").check().output)
      #expect(input.at("tables.0.chains.0.rules.0.where") == "not-on-the-way")
      #expect(try fpd.stop() == 0)
    }

    @Test func peopleGetATable() throws {
      let (_, fpd) = try legacy()
      let text = try fpd.fpctl("rules filter FORWARD").check().output
      #expect(
        text == """
          iptables-legacy filter FORWARD  forward, priority 0
            RULE  PACKETS  BYTES  FAST  WHERE          WHAT
               1        1    100     0  fast           -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT
               2        2    200     0  punted: limit  -p tcp -m limit … -j LOG …
               3        3    300     0  fast           -i eth+ -j user
          policy        4    400     0  fast           DROP

          """)
      #expect(try fpd.fpctl("rules").check().output.contains("iptables-legacy filter user\n"))
      #expect(try fpd.stop() == 0)
    }

    @Test func whatIsNotThereIsANo() throws {
      let (_, fpd) = try legacy()
      let table = try fpd.fpctl("rules fliter")
      #expect(table.status == 1 && table.errors.contains("did you mean 'filter'?"))
      let chain = try fpd.fpctl("rules filter FORWRAD")
      #expect(chain.status == 1 && chain.errors.contains("did you mean 'FORWARD'?"))
      #expect(try fpd.fpctl("rules filter FORWARD 1").status == 2)
      #expect(try fpd.stop() == 0)
    }

    @Test func rulesOfNftablesCountWhereTheyHaveACounter() throws {
      let namespace = try Namespace("rules")
      try namespace.nft(
        """
        table inet t {
          chain c {
            type filter hook forward priority 0;
            ip saddr 10.0.0.1 counter packets 5 bytes 500 drop
            ct bytes > 1000 accept
          }
        }

        """)
      let fpd = try Fpd(in: namespace)
      try fpd.wait()
      let answer = try JSON(parsing: fpd.fpctl("rules t --json").check().output)
      let rules = try #require(answer.at("tables.0.chains.0.rules")?.array)
      #expect(rules.map { $0["packets"] } == [5, .null])
      #expect(rules.map { $0["where"] } == ["fast", "punted"])
      #expect(rules[1]["causes"] == ["conntrack"])
      #expect(rules.allSatisfy { $0["handle"]?.int ?? 0 > 0 })
      #expect(answer.at("tables.0.chains.0.policy.packets") == .null)
      try namespace.nft("flush ruleset\n")
      try fpd.wait()
      #expect(try fpd.fpctl("rules").check().output == "no firewall has a table\n")
      #expect(try fpd.stop() == 0)
    }
  }
}
