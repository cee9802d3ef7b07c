// SPDX-License-Identifier: Apache-2.0
import Glibc
import Introspection
import Lab
import Testing

extension Kernel {
  /// Counts that are added to those of iptables-legacy, as iptables shows them.
  @Suite struct LegacyCountersTests {
    private let namespace: Namespace
    private let counters = LegacyCounters()

    init() throws { namespace = try Namespace("counters", ipv6: .quiet) }

    private func add(
      _ counts: [RuleOrigin: Tally], of tables: [RuleTable], unchanged: Bool = false
    ) throws -> LegacyCounters.Outcome {
      try namespace.inside { counters.add(counts, of: tables, unchanged: unchanged) }
    }

    private func origin(_ table: RuleTable, _ chain: String, _ number: Int) throws -> RuleOrigin {
      table.origin(try #require(table.chain(named: chain)), number)
    }

    /// `[packets:bytes] -A …` and `:CHAIN POLICY [packets:bytes]`, without what is zero.
    private func saved(_ tool: String = "iptables-legacy", _ table: String = "filter") throws
      -> [String]
    {
      try namespace.run("\(tool)-save -c -t \(table)").output.split(separator: "\n")
        .map(String.init)
        .filter { ($0.hasPrefix("[") || $0.hasPrefix(":")) && !$0.contains("[0:0]") }
    }

    private func filter(_ rules: String, counters: Bool = false) throws -> RuleTable {
      try namespace.run(
        ["iptables-legacy-restore"] + (counters ? ["-c"] : []), input: "*filter\n\(rules)\nCOMMIT\n"
      )
      return try #require(try namespace.legacy().first { $0.name == "filter" })
    }

    private func tally(_ packets: UInt64) -> Tally { Tally(packets: packets, bytes: packets * 100) }

    private static let rules = """
      *mangle
      :PREROUTING ACCEPT
      :marks -
      :marks2 -
      -A PREROUTING -i eth0 -j marks
      -A marks -p tcp -j MARK --set-mark 5
      -A marks -s 10.0.0.0/8 -g marks2
      -A POSTROUTING -o eth0 -j RETURN
      -A marks2 -j RETURN
      COMMIT
      *raw
      -A PREROUTING -s 10.1.0.0/16 -j DROP
      COMMIT
      *nat
      -A POSTROUTING -o eth1 -j MASQUERADE
      COMMIT
      *filter
      :FORWARD DROP
      :empty -
      :user -
      :user2 -
      -A FORWARD -s 10.0.0.0/8 -p tcp -m multiport --dports 80,443 -j ACCEPT
      -A FORWARD -m limit --limit 5/sec -j LOG --log-prefix x
      -A FORWARD -d 10.2.0.0/16
      -A FORWARD -j user
      -A FORWARD -j empty
      -A user -m comment --comment "with a long text that takes room" -j REJECT
      -A user -i eth+ -j user2
      -A OUTPUT -o lo -j ACCEPT
      -A user2 -j DROP
      COMMIT

      """

    /// Rules that are read through libiptc and entries that are read here are the same, in the same order.
    @Test(arguments: [RuleFamily.ip, .ip6])
    func entriesAreTheRulesThatLibiptcReads(_ family: RuleFamily) throws {
      let six = family == .ip6
      let tool = six ? "ip6tables-legacy" : "iptables-legacy"
      let cases = MatchCase.common + (six ? MatchCase.ipv6 : MatchCase.ipv4)
      let sets = six ? "inet6" : "inet"
      try namespace.run("ipset create one hash:ip family \(sets)")
      try namespace.run("ipset create two hash:net,port family \(sets)")
      let more = cases.map(\.command).joined(separator: "\n")
      let rules = six ? "*filter\n:user -\n\(more)\n-A user -j DROP\nCOMMIT\n" : Self.rules
      try namespace.run(["\(tool)-restore"], input: rules)
      if !six { try namespace.run(["\(tool)-restore", "-n"], input: "*filter\n\(more)\nCOMMIT\n") }
      let tables = try namespace.legacy()
      #expect(tables.count == (six ? 1 : 4))
      for table in tables {
        let read = try namespace.inside { try counters.entries(family, table.name) }
        let entries = try #require(read)
        #expect(entries.table.chains.count == table.chains.count)
        for chain in table.chains {
          #expect(entries.table.chain(named: chain.name) == chain, "\(table.name) \(chain.name)")
        }
        let rules = table.chains.reduce(0) { $0 + $1.rules.count + ($1.base == nil ? 0 : 1) }
        #expect(entries.byPlace.count == rules)
      }
    }

    @Test func addedCountsAreWhatIptablesShows() throws {
      try namespace.run(["iptables-legacy-restore"], input: Self.rules)
      let tables = try namespace.legacy()
      var counts: [RuleOrigin: Tally] = [:]
      var next: UInt64 = 1
      for table in tables {
        for chain in table.chains {
          for number in (chain.base == nil ? 1 : 0)..<(chain.rules.count + 1) {
            counts[table.origin(chain, number)] = Tally(packets: next, bytes: next * 1000 + 7)
            next += 1
          }
        }
      }
      #expect(try add(counts, of: tables) == .init())
      let listed = try namespace.inside { try counters.counts(of: tables) }
      #expect(listed == counts)
      for table in tables {
        let saved = try namespace.run("iptables-legacy-save -c -t \(table.name)").output
        let lines = saved.split(separator: "\n").map(String.init)
        for chain in table.chains {
          let rules = lines.filter { $0.contains("] -A \(chain.name) ") }
          for (place, line) in rules.enumerated() {
            let tally = try #require(counts[table.origin(chain, place + 1)])
            #expect(line.hasPrefix("[\(tally.packets):\(tally.bytes)] -A"), "\(line)")
          }
          #expect(rules.count == chain.rules.count)
          guard chain.base != nil else { continue }
          let tally = try #require(counts[table.origin(chain, 0)])
          let policy = try #require(lines.first { $0.hasPrefix(":\(chain.name) ") })
          #expect(policy.hasSuffix(" [\(tally.packets):\(tally.bytes)]"), "\(policy)")
        }
      }
      let forward = try #require(tables.first { $0.name == "filter" })
      let tally = try #require(counts[try origin(forward, "FORWARD", 1)])
      let shown = try namespace.run("iptables-legacy -L FORWARD -v -n -x").output
      let words = try #require(shown.split(separator: "\n").dropFirst(2).first)
        .split(separator: " ").prefix(3).map(String.init)
      #expect(words == ["\(tally.packets)", "\(tally.bytes)", "ACCEPT"])
    }

    @Test func aLargeTableIsCountedRuleByRule() throws {
      let count = 10_000
      let table = try filter(
        (0..<count).map { "-A FORWARD -s 10.\($0 >> 8).\($0 & 255).1 -j DROP" }
          .joined(separator: "\n"))
      var counts: [RuleOrigin: Tally] = [:]
      for number in 1...count {
        counts[try origin(table, "FORWARD", number)] = tally(UInt64(number))
      }
      for unchanged in [false, false, true] {
        #expect(try add(counts, of: [table], unchanged: unchanged) == .init())
      }
      for number in [1, 2, 5000, count] {
        let words = try namespace.run("iptables-legacy -L FORWARD \(number) -v -n -x").output
          .split(separator: " ").prefix(2).map(String.init)
        #expect(words == ["\(number * 3)", "\(number * 300)"])
      }
    }

    @Test func ip6tablesCountsToo() throws {
      try namespace.run("ip6tables-legacy -A FORWARD -s 2001:db8::/32 -p tcp --dport 80 -j DROP")
      let table = try #require(try namespace.legacy().first)
      let counts = [
        try origin(table, "FORWARD", 1): tally(7), try origin(table, "FORWARD", 0): tally(8),
      ]
      #expect(try add(counts, of: [table]) == .init())
      #expect(
        try saved("ip6tables-legacy") == [
          ":FORWARD ACCEPT [8:800]",
          "[7:700] -A FORWARD -s 2001:db8::/32 -p tcp -m tcp --dport 80 -j DROP",
        ])
    }

    @Test func countsAddUpWithTheKernelsAndBeginAnewWhenZeroed() throws {
      let table = try filter("[3:300] -A FORWARD -s 10.0.0.1 -j DROP", counters: true)
      let rule = try origin(table, "FORWARD", 1)
      #expect(try add([rule: tally(10)], of: [table]) == .init())
      #expect(try saved() == ["[13:1300] -A FORWARD -s 10.0.0.1/32 -j DROP"])
      try namespace.run("iptables-legacy -Z")
      #expect(try saved() == [])
      #expect(try add([rule: tally(5)], of: [table]) == .init())
      #expect(try add([rule: tally(1)], of: [table], unchanged: true) == .init())
      #expect(try saved() == ["[6:600] -A FORWARD -s 10.0.0.1/32 -j DROP"])
    }

    @Test(arguments: [false, true])
    func countsFollowTheirRulesIntoATableThatTookThePlace(_ unchanged: Bool) throws {
      let old = try filter(
        """
        :user -
        -A FORWARD -s 10.0.0.1 -j DROP
        -A FORWARD -s 10.0.0.2 -j DROP
        -A FORWARD -s 10.0.0.3 -j user
        -A user -j ACCEPT
        """)
      // From here on there is something to remember.
      #expect(try add([try origin(old, "INPUT", 0): tally(1)], of: [old]) == .init())
      try namespace.run("iptables-legacy -D FORWARD -s 10.0.0.2 -j DROP")
      try namespace.run("iptables-legacy -I FORWARD -s 10.0.0.9 -j DROP")
      try namespace.run("iptables-legacy -I FORWARD -s 10.0.0.8 -j DROP")
      let gone = try origin(old, "FORWARD", 2)
      var expected = LegacyCounters.Outcome()
      expected.lost = [gone: tally(20)]
      // The number of entries is another: the kernel refuses what was laid out for the old ones.
      let outcome = try add(
        [
          try origin(old, "FORWARD", 1): tally(10), gone: tally(20),
          try origin(old, "FORWARD", 3): tally(30), try origin(old, "user", 1): tally(40),
          try origin(old, "FORWARD", 0): tally(50),
        ], of: [old], unchanged: unchanged)
      #expect(outcome == expected)
      let shown = try saved()
      #expect(
        shown == [
          // That of INPUT is gone: iptables 1.8.9 begins policies anew with each change.
          ":FORWARD ACCEPT [50:5000]",
          "[10:1000] -A FORWARD -s 10.0.0.1/32 -j DROP",
          "[30:3000] -A FORWARD -s 10.0.0.3/32 -j user", "[40:4000] -A user -j ACCEPT",
        ])
      let counts = try namespace.inside { try counters.counts(of: [old]) }
      #expect(counts[try origin(old, "FORWARD", 3)] == tally(30))
      #expect(counts[gone] == nil)
    }

    @Test func aTableWithAsManyEntriesIsToldApartByItsRules() throws {
      let old = try filter("-A FORWARD -s 10.0.0.1 -j DROP\n-A FORWARD -s 10.0.0.2 -j DROP")
      let rule = try origin(old, "FORWARD", 1)
      #expect(try add([rule: tally(1)], of: [old]) == .init())
      _ = try filter("-A FORWARD -s 10.0.0.3 -j DROP\n-A FORWARD -s 10.0.0.1 -j DROP")
      #expect(try add([rule: tally(2)], of: [old]) == .init())
      #expect(try saved() == ["[2:200] -A FORWARD -s 10.0.0.1/32 -j DROP"])
    }

    @Test func anotherNumberOfEntriesIsRefusedByTheKernelWithoutHarm() throws {
      _ = try filter("[5:500] -A FORWARD -s 10.0.0.1 -j DROP", counters: true)
      let read = try namespace.inside { try counters.entries(.ip, "filter") }
      let right = try #require(read).places.count
      for entries in [0, 1, right - 1, right + 1, 100_000] {
        let code: Int32 = try namespace.inside {
          var request = Array("filter".utf8) + [UInt8](repeating: 0, count: 26)
          request += (0..<4).map { UInt8(truncatingIfNeeded: entries >> (8 * $0)) } + [0, 0, 0, 0]
          request += [UInt8](repeating: 1, count: 16 * entries)
          let socket = socket(
            AF_INET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), Int32(IPPROTO_RAW))
          defer { close(socket) }
          let result = setsockopt(socket, 0, 65, request, socklen_t(request.count))
          return result == 0 ? 0 : errno
        }
        #expect(code == EINVAL, "\(entries) of \(right)")
      }
      #expect(try saved() == ["[5:500] -A FORWARD -s 10.0.0.1/32 -j DROP"])
    }

    @Test func tablesThatAreGoneAreNotMadeByAdding() throws {
      var table = RuleTable(family: .ip, name: "security", backend: .iptablesLegacy)
      table.chains = [
        Chain(
          name: "FORWARD",
          base: BaseChain(hook: .forward, priority: 50, type: "filter", policy: .accept))
      ]
      let policy = try origin(table, "FORWARD", 0)
      #expect(try add([policy: tally(1)], of: [table]).lost == [policy: tally(1)])
      #expect(try add([policy: tally(1)], of: []).lost == [policy: tally(1)])
      #expect(try namespace.inside { try counters.counts(of: [table]) }.isEmpty)
      #expect(try namespace.inside { try counters.entries(.ip, "security") } == nil)
      #expect(try namespace.legacy().isEmpty)
    }

    @Test func notOneCountIsLostOrDoubledWhileIptablesReplacesTheTable() throws {
      let table = try filter("-A FORWARD -s 10.0.0.1 -j DROP")
      let rule = try origin(table, "FORWARD", 1)
      let script = """
        for i in $(seq 150); do
          iptables-legacy -I FORWARD -s 10.0.0.9 -j DROP || exit 1
          iptables-legacy -D FORWARD -s 10.0.0.9 -j DROP || exit 1
        done
        """
      let flips = try namespace.start(["sh", "-c", script])
      var added: UInt64 = 0
      var rounds = 0
      while flips.isRunning {
        let outcome = try add([rule: tally(1)], of: [table])
        #expect(outcome.lost.isEmpty)
        if outcome.left.isEmpty { added += 1 }
        rounds += 1
      }
      #expect(flips.ended(within: .seconds(1)) == 0)
      #expect(rounds > 50)
      #expect(try saved() == ["[\(added):\(added * 100)] -A FORWARD -s 10.0.0.1/32 -j DROP"])
    }
  }
}
