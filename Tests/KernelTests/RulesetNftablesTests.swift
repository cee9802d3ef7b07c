// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import Testing

extension Namespace {
  /// What the reader sees in the namespace.
  func nftables() throws -> [RuleTable] {
    try inside { try RulesetReader().readNftables().tables }
  }

  func legacy() throws -> [RuleTable] { try inside { try RulesetReader().readLegacy() } }
  func ipsets() throws -> [IPSet] { try inside { try RulesetReader().readSets() } }
}

extension Kernel {
  @Suite struct RulesetNftablesTests {
    @Test func readsBaseChainsOfEveryFamily() throws {
      let namespace = try Namespace("hooks")
      try namespace.run("ip link add name va type veth peer name vb")
      try namespace.nft(
        """
        table ip one { chain c { type nat hook postrouting priority srcnat; policy accept; }; }
        table ip6 two { chain c { type route hook output priority -5; policy drop; }; }
        table inet three {
          chain c { type filter hook prerouting priority raw; }
          chain plain { }
        }
        table arp four { chain c { type filter hook input priority 0; }; }
        table bridge five { chain c { type filter hook forward priority 0; }; }
        table netdev six {
          chain c { type filter hook ingress devices = { va, vb } priority 10; policy drop; }
          chain e { type filter hook egress device va priority 0; }
        }
        table ip seven { flags dormant; chain c { type filter hook input priority 0; policy drop; }; }
        """)
      let tables = try namespace.nftables()
      func base(_ table: String, _ chain: String = "c") -> BaseChain? {
        tables.first { $0.name == table }?.chain(named: chain)?.base
      }
      #expect(
        tables.map { "\($0.family.name) \($0.name)" } == [
          "ip one", "ip6 two", "inet three", "arp four", "bridge five", "netdev six", "ip seven",
        ])
      #expect(tables.allSatisfy { $0.backend == .nftables })
      #expect(
        base("one")
          == BaseChain(hook: .postrouting, priority: 100, type: "nat", policy: .accept))
      #expect(
        base("two") == BaseChain(hook: .output, priority: -5, type: "route", policy: .drop))
      #expect(
        base("three")
          == BaseChain(hook: .prerouting, priority: -300, type: "filter", policy: .accept))
      #expect(base("three", "plain") == nil)
      #expect(base("four")?.hook == .input)
      #expect(base("five")?.hook == .forward)
      #expect(
        base("six")
          == BaseChain(
            hook: .ingress, priority: 10, type: "filter", policy: .drop, devices: ["va", "vb"]))
      #expect(base("six", "e")?.hook == .egress)
      #expect(base("six", "e")?.devices == ["va"])
      let dormant = try #require(tables.first { $0.name == "seven" })
      #expect(dormant.flags == .dormant)
      #expect(dormant.activeHooks.isEmpty)
      #expect(tables[1].activeHooks == [.output])
      #expect(tables[1].mayTouchForwarded == false)
      #expect(tables[5].mayTouchForwarded)
    }

    @Test func readsPlainRulesAsMatches() throws {
      let cases = Self.plainRules
      let namespace = try Namespace("plain")
      try namespace.nft(
        "table inet t { chain c { type filter hook forward priority 0;\n"
          + cases.map(\.text).joined(separator: "\n") + "\n}\n}")
      let table = try #require(try namespace.nftables().first)
      let chain = try #require(table.chain(named: "c"))
      #expect(chain.rules.count == cases.count)
      for (rule, expected) in zip(chain.rules, cases) {
        #expect(rule.matches == expected.matches, "\(expected.text): \(rule.expressions)")
        #expect(rule.target == expected.target, "\(expected.text)")
        #expect(rule.isFullyModelled, "\(expected.text): \(rule.unmodelled)")
        #expect(!rule.expressions.isEmpty || expected.text == "continue")
      }
    }

    private static let ip = Match.family(2, negated: false)
    private static let ip6 = Match.family(10, negated: false)
    private static let tcp = Match.transport(6, negated: false)
    private static func state(_ states: ConntrackMatch.States) -> Match {
      .conntrack(
        ConntrackMatch(
          conditions: ConntrackMatch.state, inverted: 0, states: states, status: 0))
    }

    private static let plainRules: [(text: String, matches: [Match], target: Target)] = [
      ("iifname eth0 accept", [.input(InterfaceMatch("eth0"))], .accept),
      (
        "oifname != \"eth*\" drop",
        [.output(InterfaceMatch("eth", wildcard: true, negated: true))], .drop
      ),
      ("iif lo counter accept", [.inputIndex(1, negated: false)], .accept),
      (
        "ip saddr 10.0.0.0/8 drop",
        [ip, .source(.ipv4(0x0a00_0000, mask: 0xff00_0000, negated: false))], .drop
      ),
      (
        "ip saddr 10.64.0.0/10 drop",
        [ip, .source(.ipv4(0x0a40_0000, mask: 0xffc0_0000, negated: false))], .drop
      ),
      (
        "ip daddr != 192.0.2.1 drop",
        [ip, .destination(.ipv4(0xc000_0201, mask: .max, negated: true))], .drop
      ),
      (
        "ip6 daddr 2001:db8::/32 accept",
        [
          ip6,
          .destination(
            .ipv6(UInt128(0x2001_0db8) << 96, mask: UInt128(UInt32.max) << 96, negated: false)),
        ], .accept
      ),
      (
        "ip saddr 10.0.0.1-10.0.0.9 accept",
        [
          ip,
          .addressRange(
            AddressRangeMatch(
              six: false, source: .init(low: 0x0a00_0001, high: 0xffff_ffff, negated: false),
              destination: nil)),
          .addressRange(
            AddressRangeMatch(
              six: false, source: .init(low: 0, high: 0x0a00_0009, negated: false),
              destination: nil)),
        ], .accept
      ),
      (
        "tcp dport 22 accept", [tcp, .destinationPort(PortRange(22, 22), negated: false)], .accept
      ),
      (
        "tcp sport != 1000-2000 drop",
        [tcp, .sourcePort(PortRange(1000, 2000), negated: true)], .drop
      ),
      (
        "udp dport < 1024 drop",
        [
          .transport(17, negated: false),
          .destinationPort(PortRange(0, 1023), negated: false),
        ], .drop
      ),
      (
        "tcp flags & (syn|ack) == syn drop",
        [tcp, .tcpFlags(mask: 0x12, value: 2, negated: false)], .drop
      ),
      (
        "icmp type echo-request accept",
        [ip, .transport(1, negated: false), .icmpType(8, six: false, negated: false)], .accept
      ),
      (
        "icmpv6 type echo-reply accept",
        [ip6, .transport(58, negated: false), .icmpType(129, six: true, negated: false)], .accept
      ),
      ("ip ttl < 5 drop", [ip, .ttl(.less, 5)], .drop),
      ("ip dscp ef accept", [ip, .dscp(46, negated: false)], .accept),
      ("ip6 dscp ef accept", [ip6, .dscp(46, negated: false)], .accept),
      ("ip frag-off & 0x1fff != 0 drop", [ip, .fragment(negated: false)], .drop),
      ("ip length 100 drop", [ip, .length(100, 100, negated: false)], .drop),
      (
        "meta mark & 0xff == 7 accept",
        [.mark(MaskedMatch(value: 7, mask: 0xff, negated: false))], .accept
      ),
      (
        "ct mark 5 accept",
        [.connectionMark(MaskedMatch(value: 5, mask: .max, negated: false))], .accept
      ),
      ("ct state established,related accept", [state([.established, .related])], .accept),
      ("ct state invalid drop", [state(.invalid)], .drop),
      ("meta pkttype multicast drop", [.packetType(2, negated: false)], .drop),
      ("meta l4proto != 47 drop", [.transport(47, negated: true)], .drop),
      ("meta nfproto ipv6 drop", [ip6], .drop),
      ("counter accept comment \"let it be\"", [.comment("let it be")], .accept),
      ("return", [], .return),
      ("continue", [], .fallThrough),
      ("counter", [], .fallThrough),
      ("reject with tcp reset", [tcp], .reject(0x1_0100)),
    ]

    @Test func readsSetsMapsAndWhatRulesLookUp() throws {
      let namespace = try Namespace("sets")
      try namespace.nft(
        """
        table ip t {
          set plain { type ipv4_addr; size 100; elements = { 10.0.0.1, 10.0.0.2 } }
          set nets { type ipv4_addr; flags interval; }
          set pairs { type ipv4_addr . inet_service; flags interval,timeout; timeout 60s; }
          map verdicts { type inet_service : verdict; elements = { 22 : accept, 23 : jump side } }
          map marks { type ipv4_addr : mark; }
          chain side { }
          chain c {
            type filter hook forward priority 0;
            ip saddr @plain drop
            ip daddr != @nets drop
            ip saddr . tcp dport @pairs accept
            tcp dport vmap @verdicts
            tcp dport { 80, 443, 8000-8080 } accept
            ip saddr . ip daddr vmap { 10.0.0.1 . 10.0.0.2 : drop, 10.0.0.3 . 10.0.0.4 : accept }
            iifname { eth0, eth1 } drop
            meta mark set ip saddr map @marks
          }
        }
        """)
      let table = try #require(try namespace.nftables().first)
      let rules = try #require(table.chain(named: "c")).rules
      try #require(rules.count == 8)

      let plain = try #require(table.set(named: "plain"))
      #expect(plain.size == 100 && plain.keyLength == 4 && plain.flags == [])
      let elements = try namespace.inside {
        try RulesetReader().elements(of: "plain", table: "t", family: .ip)
      }
      #expect(elements.map(\.key) == [[10, 0, 0, 1], [10, 0, 0, 2]])
      #expect(plain.isRead && plain.elements == elements)
      #expect(try #require(table.set(named: "nets")).flags == .interval)
      let pairs = try #require(table.set(named: "pairs"))
      #expect(pairs.flags == [.interval, .timeout, .concatenation])
      #expect(pairs.fields == [4, 2] && pairs.keyLength == 8 && pairs.timeout == 60_000)
      #expect(try #require(table.set(named: "verdicts")).isVerdictMap)

      let source = PacketField(source: .payload(base: 1, offset: 12), length: 4)
      let destination = PacketField(source: .payload(base: 1, offset: 16), length: 4)
      let port = PacketField(source: .payload(base: 2, offset: 2), length: 2)
      let tcp = Match.transport(6, negated: false)
      #expect(
        rules[0].matches == [.lookup(Lookup(set: "plain", fields: [source], negated: false))])
      #expect(
        rules[1].matches == [.lookup(Lookup(set: "nets", fields: [destination], negated: true))])
      #expect(
        rules[2].matches == [
          tcp, .lookup(Lookup(set: "pairs", fields: [source, port], negated: false)),
        ])
      #expect(
        rules[3].target
          == .verdictMap(Lookup(set: "verdicts", fields: [port], negated: false)))
      #expect(rules[0..<7].allSatisfy { $0.isFullyModelled })
      #expect(rules[7].unmodelled == ["map", "meta"])

      guard case .lookup(let ports) = rules[4].matches.last else {
        Issue.record("no look-up in \(rules[4])")
        return
      }
      let anonymous = try #require(table.set(named: ports.set))
      #expect(anonymous.flags.contains([.anonymous, .constant, .interval]))
      // Intervals are kept as starts and ends.
      #expect(anonymous.elements.contains { $0.key == [0x1f, 0x40] && !$0.isEnd })
      #expect(anonymous.elements.contains { $0.key == [0x1f, 0x91] && $0.isEnd })
      guard case .verdictMap(let pair) = rules[5].target else {
        Issue.record("no verdict map in \(rules[5])")
        return
      }
      let verdicts = try #require(table.set(named: pair.set)).elements
      #expect(pair.fields == [source, destination])
      #expect(verdicts.map(\.value) == [.verdict(.drop), .verdict(.accept)])
      #expect(verdicts.first?.key == [10, 0, 0, 1, 10, 0, 0, 2])
    }

    @Test func elementsOfAnonymousSetsAreReadOnceAndRenamedChainsAgain() throws {
      let namespace = try Namespace("again")
      try namespace.nft(
        """
        table ip t {
          chain side { }
          chain c {
            type filter hook forward priority 0;
            tcp dport { 1, 2 } accept
            tcp dport vmap { 3 : jump side, 4 : drop }
          }
        }
        """)
      let changes = [
        "add rule ip t c tcp dport { 1, 2, 7 } drop", "rename chain ip t side other",
        "delete table ip t; table ip t { chain c { tcp dport { 8, 9 } accept; }; }",
      ]
      try namespace.inside {
        let lasting = try RulesetReader()
        _ = try lasting.readNftables()
        for change in changes {
          try Command.run(["nft", change]).check()
          let again = try lasting.readNftables().tables
          #expect(again == (try RulesetReader().readNftables().tables), "\(change)")
          #expect(again.first?.sets.allSatisfy { !$0.elements.isEmpty } == true)
        }
      }
    }

    @Test func keepsWhatIsNotKnownByName() throws {
      let namespace = try Namespace("unknown")
      let rules: [(String, [String])] = [
        ("limit rate 5/second accept", ["limit"]),
        ("log prefix \"x\" group 3", ["log"]),
        ("meta mark set 5", ["meta"]),
        ("ip ttl set 5", ["payload"]),
        ("quota over 25 mbytes drop", ["quota"]),
        ("numgen inc mod 2 0 drop", ["numgen", "cmp"]),
        ("fib saddr . iif oif missing drop", ["fib", "cmp"]),
        ("ip option rr exists drop", ["exthdr", "cmp"]),
        ("tcp option maxseg size set 1400", ["exthdr"]),
        ("socket transparent 1 drop", ["socket", "cmp"]),
        ("notrack", ["notrack"]),
        ("update @seen { ip saddr timeout 5s }", ["dynset"]),
        ("counter name hits", ["objref"]),
        ("meta rtclassid 5 drop", ["cmp"]),
        ("ct count 5 drop", ["connlimit"]),
      ]
      try namespace.nft(
        """
        table ip t {
          set seen { type ipv4_addr; size 100; flags dynamic,timeout; }
          counter hits { }
          quota much { over 10 mbytes }
          chain pre {
            type filter hook prerouting priority raw;
            \(rules.map(\.0).joined(separator: "\n"))
          }
        }
        """)
      let table = try #require(try namespace.nftables().first)
      let read = try #require(table.chain(named: "pre")).rules
      #expect(read.count == rules.count)
      for (rule, expected) in zip(read, rules) {
        #expect(rule.unmodelled == expected.1, "\(expected.0): \(rule)")
        #expect(!rule.isFullyModelled)
      }
      #expect(table.objects.map(\.name).sorted() == ["hits", "much"])
      #expect(table.unmodelledRuleCount == rules.count)
      #expect(table.set(named: "seen")?.flags == [.dynamic, .timeout])
    }

    @Test func readsOneGenerationWhileTheRulesetIsReplaced() throws {
      let namespace = try Namespace("busy")
      let script = """
        n=0; while :; do n=$((n+1)); \
        { echo 'table ip t {}'; echo 'delete table ip t'; \
        echo 'table ip t { chain c { type filter hook forward priority 0;'; \
        for i in 1 2 3 4 5 6 7 8 9 10; do echo "meta mark $i drop comment \\"$n\\""; done; \
        echo '}'; echo '}'; } | nft -f -; done
        """
      let replacing = try namespace.start(["sh", "-c", script])
      defer { replacing.close() }
      var seen: Set<String> = []
      let deadline = ContinuousClock.now + .seconds(20)
      try namespace.inside {
        let reader = try RulesetReader()
        while seen.count < 5 && ContinuousClock.now < deadline {
          let read = try reader.readNftables()
          guard let rules = read.tables.first?.chain(named: "c")?.rules else { continue }
          let comments = Set(rules.compactMap(\.comment))
          #expect(comments.count == 1 && rules.count == 10, "\(comments), \(rules.count) rules")
          seen.formUnion(comments)
        }
      }
      #expect(seen.count >= 5)
    }
  }
}
