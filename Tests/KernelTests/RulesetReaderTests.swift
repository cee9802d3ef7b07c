// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import Testing

extension Kernel {
  @Suite struct RulesetReaderTests {
    @Test func readingCreatesNoTables() throws {
      let namespace = try Namespace("empty")
      #expect(try namespace.legacy().isEmpty)
      #expect(try namespace.nftables().isEmpty)
      #expect(try namespace.ipsets().isEmpty)
      for family in ["ip", "ip6", "arp"] {
        let names = try namespace.inside {
          try ProcFile.read("/proc/thread-self/net/\(family)_tables_names").get()
        }
        #expect(names == "", "\(family)tables-legacy has \(names)")
      }
    }

    @Test func readsOnlyTheLegacyTablesThatExist() throws {
      let namespace = try Namespace("legacy", ipv6: .quiet)
      try namespace.restore(
        .legacy,
        """
        *mangle
        :user - [0:0]
        -A PREROUTING -j user
        -A user -j MARK --set-mark 5
        COMMIT
        *nat
        -A POSTROUTING -o eth1 -j MASQUERADE
        COMMIT

        """)
      try namespace.run("ip6tables-legacy -A FORWARD -j DROP")
      let tables = try namespace.legacy()
      #expect(
        tables.map { "\($0.family.name) \($0.name)" } == ["ip mangle", "ip nat", "ip6 filter"])
      let mangle = try #require(tables.first)
      #expect(
        mangle.chains.map(\.name) == [
          "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING", "user",
        ])
      #expect(mangle.activeHooks == [.prerouting])
      #expect(mangle.ruleCount == 2 && mangle.ruleCount(at: .prerouting) == 2)
      #expect(
        mangle.unmodelledNames.isEmpty && mangle.unmodelledRuleCount(at: .prerouting) == 0)
      #expect(mangle.chain(named: "PREROUTING")?.base?.priority == -150)
      #expect(tables[1].chain(named: "POSTROUTING")?.base?.priority == 100)
      #expect(tables[2].mayTouchForwarded)
      let use = ConntrackUse(tables)
      #expect(use.demandedBy == ["MASQUERADE"] && use.translates && use.hasNATChains)
    }

    @Test(arguments: IPTables.allCases)
    func keepsUnknownExtensionsByNameAndSeesThemChange(_ tool: IPTables) throws {
      let namespace = try Namespace("unknown")
      try namespace.run("ipset create hosts hash:ip counters")
      func load(_ every: Int, _ prefix: String) throws -> RuleTable {
        try namespace.restore(
          tool,
          """
          *filter
          -A FORWARD -m statistic --mode nth --every \(every) --packet 0 -j ACCEPT
          -A FORWARD -m recent --name seen --set
          -A FORWARD -m conntrack --ctorigsrc 10.0.0.0/8 -j DROP
          -A FORWARD -m set --match-set hosts src --packets-gt 5 -j DROP
          -A FORWARD -m u32 --u32 "0>>22&0x3C@0>>8=1" -j LOG --log-prefix \(prefix)
          COMMIT

          """)
        let tables = try tool == .legacy ? namespace.legacy() : namespace.nftables()
        return try #require(tables.first)
      }
      let first = try load(3, "a")
      let rules = try #require(first.chain(named: "FORWARD")).rules
      #expect(
        rules.map(\.unmodelled) == [
          ["statistic"], ["recent"], ["conntrack"], ["set"], ["u32", "LOG"],
        ])
      #expect(rules[0].target == .accept && rules[1].target == .fallThrough)
      func matches(_ table: RuleTable) -> [[Match]] {
        table.chain(named: "FORWARD")?.rules.map { $0.matches } ?? []
      }
      #expect(matches(try load(3, "a")) == matches(first))
      #expect(matches(try load(4, "a"))[0] != matches(first)[0])
      let other = try load(3, "b")
      #expect(matches(other)[0..<4] == matches(first)[0..<4])
      #expect(other.chain(named: "FORWARD")?.rules[4] != rules[4])
    }

    @Test func chainsBehindAVerdictMapAreReachedWhateverItIsAskedWith() throws {
      let namespace = try Namespace("reached")
      try namespace.nft(
        """
        table ip t {
          chain side { counter; meta mark set 5; }
          chain c {
            type filter hook forward priority 0;
            numgen inc mod 2 vmap { 0 : jump side, 1 : accept }
          }
        }

        """)
      let found = try #require(try namespace.nftables().first).forwardedRules()
      #expect(found.count == 3 && found.unmodelled == 2)
      #expect(Set(found.unmodelledNames) == ["numgen", "map", "meta"])
    }

    @Test func packetsAreNoChange() throws {
      let namespace = try Namespace("packets")
      for tool in IPTables.allCases {
        try namespace.restore(
          tool,
          """
          *filter
          -A INPUT -i lo -m limit --limit 5/sec -j ACCEPT
          -A INPUT -m quota --quota 100000 -j ACCEPT
          -A INPUT -m statistic --mode nth --every 2 --packet 0 -j ACCEPT
          -A INPUT -j ACCEPT
          COMMIT

          """)
      }
      try namespace.nft(
        """
        table ip t {
          counter hits { }
          quota much { over 10 mbytes }
          set seen { type ipv4_addr; size 100; flags dynamic; }
          chain c {
            type filter hook input priority 10;
            counter name hits quota name much
            update @seen { ip saddr }
            limit rate 5/second counter
            quota over 25 mbytes drop
            ip saddr { 127.0.0.1, 127.0.0.2 } counter accept
          }
        }
        """)
      try namespace.run("ipset create hosts hash:ip timeout 100 counters")
      try namespace.run("iptables-legacy -A INPUT -m set --match-set hosts src -j ACCEPT")
      let before = (try namespace.legacy(), try namespace.nftables(), try namespace.ipsets())
      for _ in 0..<3 {
        #expect(try namespace.ping(IPv4Address(0x7f00_0001)) != nil)
      }
      try namespace.run("ipset add hosts 127.0.0.1")
      let counted = try namespace.run("nft list counter ip t hits").output
      #expect(!counted.contains("packets 0"))
      #expect(try namespace.legacy() == before.0)
      #expect(try namespace.nftables() == before.1)
      #expect(try namespace.ipsets() == before.2)
      #expect(try namespace.ipsets().first?.usage.elements == 1)
    }

    @Test func everyRealChangeIsSeen() throws {
      let namespace = try Namespace("changes")
      try namespace.run("iptables-legacy -A FORWARD -s 10.0.0.1 -j DROP")
      try namespace.nft(
        "table ip t { chain c { type filter hook forward priority 0; tcp dport { 1, 2 } drop; }; }")
      var legacy = try namespace.legacy()
      for change in [
        "iptables-legacy -P FORWARD DROP", "iptables-legacy -R FORWARD 1 -s 10.0.0.2 -j DROP",
        "iptables-legacy -R FORWARD 1 -s 10.0.0.2 -j ACCEPT", "iptables-legacy -N user",
        "iptables-legacy -F", "iptables-legacy -t raw -L",
      ] {
        try namespace.run(change)
        let now = try namespace.legacy()
        #expect(now != legacy, "\(change)")
        legacy = now
      }
      var nftables = try namespace.nftables()
      var generation = try namespace.inside { try RulesetReader().generation() }
      for change in [
        "add rule ip t c tcp dport { 1, 3 } drop", "add set ip t s { type ipv4_addr; }",
        "add chain ip t other", "add table ip t { flags dormant; }", "flush chain ip t c",
        "add chain ip t c { policy drop; }", "add quota ip t q 10 mbytes",
      ] {
        try namespace.nft(change)
        let now = try namespace.nftables()
        #expect(now != nftables, "\(change)")
        nftables = now
        let next = try namespace.inside { try RulesetReader().generation() }
        #expect(next != generation, "\(change)")
        generation = next
      }
    }

    @Test func tellsTablesOfIptablesFromThoseOfNft() throws {
      let namespace = try Namespace("makers", ipv6: .quiet)
      for table in ["filter", "nat", "mangle", "raw", "security"] {
        try namespace.run("iptables-nft -t \(table) -I OUTPUT -j ACCEPT")
        try namespace.run("ip6tables-nft -t \(table) -I OUTPUT -j ACCEPT")
      }
      try namespace.run("iptables-nft -t nat -I INPUT -j ACCEPT")
      try namespace.run("iptables-nft -t mangle -I FORWARD -j ACCEPT")
      try namespace.run("arptables-nft -A INPUT -j ACCEPT")
      try namespace.run("ebtables-nft -A FORWARD -j ACCEPT")
      let made = try namespace.nftables()
      #expect(made.count == 12)
      for table in made { #expect(table.backend == .iptablesNft, "\(table)") }
      try namespace.nft("flush ruleset")
      try namespace.nft(
        """
        table ip filter { chain FORWARD { type filter hook forward priority 1; }; }
        table inet nat { chain POSTROUTING { type nat hook postrouting priority 100; }; }
        table ip6 filter { chain mine { type filter hook input priority 0; }; }
        """)
      let natives = try namespace.nftables()
      #expect(natives.count == 3 && natives.allSatisfy { $0.backend == .nftables })
    }

    @Test func saysWhatDemandsConnectionTracking() throws {
      let namespace = try Namespace("tracking")
      try namespace.run("iptables-nft -A FORWARD -m conntrack --ctstate NEW -j ACCEPT")
      try namespace.run("iptables-nft -A FORWARD -m connlimit --connlimit-above 5 -j DROP")
      #expect(
        ConntrackUse(try namespace.nftables()).demandedBy == ["conntrack", "connlimit"].sorted())
      try namespace.nft("flush ruleset")
      #expect(ConntrackUse(try namespace.nftables()).demandedBy.isEmpty)
      try namespace.nft(
        """
        table ip t {
          chain c { type filter hook forward priority 0; ct state vmap { new : drop }; }
          chain n { type nat hook prerouting priority dstnat; tcp dport 80 dnat to 10.0.0.1; }
        }
        """)
      let use = ConntrackUse(try namespace.nftables())
      #expect(use.demandedBy == ["ct", "dnat"] && use.translates && use.hasNATChains)
      try namespace.sysctl(["net.netfilter.nf_conntrack_tcp_be_liberal=1"])
      let settings = try namespace.inside { ConntrackSettings.read() }
      #expect(settings.beLiberal == true && settings.accounting == false)
      #expect(try namespace.inside { ConntrackSettings.count() } != nil)
    }

    @Test func readsSetsAndNoticesWhichThereAre() throws {
      let namespace = try Namespace("ipsets")
      func identity() throws -> UInt64 {
        try namespace.inside { try RulesetReader().setsIdentity() }
      }
      var identities = [try identity()]
      func run(_ command: String) throws {
        try namespace.run(command)
        identities.append(try identity())
      }
      try run("ipset create hosts hash:ip maxelem 1000 timeout 30 counters comment")
      try run("ipset create nets hash:net,port family inet6")
      try run("ipset create ports bitmap:port range 1-100")
      try run("ipset create all list:set size 4")
      try run("ipset rename ports doors")
      let sets = try namespace.ipsets()
      #expect(sets.map(\.name) == ["all", "doors", "hosts", "nets"])
      #expect(sets.map(\.type) == ["list:set", "bitmap:port", "hash:ip", "hash:net,port"])
      let hosts = sets[2]
      #expect(hosts.family == 2 && hosts.limit == 1000 && hosts.timeout == 30)
      #expect(hosts.features.contains([.counters, .comments]) && hosts.index == 0)
      #expect(sets[3].family == 10 && sets[3].timeout == nil && sets[3].index == 1)
      try run("ipset destroy nets")
      #expect(Set(identities).count == identities.count)
      let last = try identity()
      try namespace.run("ipset add hosts 10.0.0.1")
      try namespace.run("iptables-legacy -A FORWARD -m set --match-set hosts src -j DROP")
      #expect(try identity() == last)
      #expect(try namespace.ipsets().first { $0.name == "hosts" }?.usage.references == 1)
    }

    @Test(arguments: ["iptables-legacy", "iptables-nft", "nft"])
    func readsTenThousandRules(_ tool: String) throws {
      let namespace = try Namespace("many")
      if tool == "nft" {
        let rules = (0..<10_000).map {
          "iifname eth\($0 % 7) ip saddr 10.\($0 >> 8).\($0 & 255).0/24 tcp dport \($0 + 1) counter drop"
        }
        try namespace.nft(
          "table inet t { chain c { type filter hook forward priority 0;\n"
            + rules.joined(separator: "\n") + "\n}\n}")
      } else {
        let rules = (0..<10_000).map {
          "-A FORWARD -i eth\($0 % 7) -s 10.\($0 >> 8).\($0 & 255).0/24 -p tcp -m tcp --dport \($0 + 1) -j DROP"
        }
        try namespace.run(
          ["\(tool)-restore"], input: "*filter\n\(rules.joined(separator: "\n"))\nCOMMIT\n")
      }
      let (tables, time) = try namespace.inside {
        let reader = try RulesetReader()
        let start = ContinuousClock.now
        let tables =
          try tool == "iptables-legacy" ? reader.readLegacy() : reader.readNftables().tables
        return (tables, ContinuousClock.now - start)
      }
      print("10,000 rules of \(tool) read in \(time)")
      #expect(tables.first?.ruleCount == 10_000)
      #expect(tables.first?.unmodelledRuleCount == 0)
      #expect(time < .seconds(5))
    }
  }
}
