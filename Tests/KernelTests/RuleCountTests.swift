// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import Testing

extension Kernel {
  /// What the kernel's rules count, and that reading and adding is no change of them.
  @Suite struct RuleCountTests {
    private func origin(_ table: RuleTable, _ chain: String, _ number: Int) throws -> RuleOrigin {
      table.origin(try #require(table.chain(named: chain)), number)
    }

    @Test func countsOfNftablesAreReadWhereThereIsACounter() throws {
      let namespace = try Namespace("counts")
      try namespace.nft(
        """
        table inet t {
          chain c {
            type filter hook forward priority 0;
            ip saddr 10.0.0.1 counter packets 5 bytes 500 drop
            ip saddr 10.0.0.2 drop
            limit rate 5/second counter packets 6 bytes 600
          }
        }

        """)
      try namespace.restore(
        .nft, "*filter\n-A FORWARD -s 10.0.0.1 -j DROP\n-A FORWARD -j ACCEPT\nCOMMIT\n")
      let (tables, counts) = try namespace.inside {
        let reader = try RulesetReader()
        return (try reader.readNftables().tables, try reader.readNftablesCounts())
      }
      let own = try #require(tables.first { $0.name == "t" })
      let found = try (1...3).map { counts[try origin(own, "c", $0).lasting] }
      #expect(found == [Tally(packets: 5, bytes: 500), nil, Tally(packets: 6, bytes: 600)])
      let other = try #require(tables.first { $0.backend == .iptablesNft })
      #expect(
        try (1...2).map { counts[try origin(other, "FORWARD", $0).lasting] } == [.zero, .zero])
      #expect(counts.count == 4)
      // Tables that are made again are told apart.
      let serial = own.serial.value
      try namespace.nft("flush ruleset\ntable inet t { }\n")
      let again = try #require(try namespace.nftables().first)
      #expect(serial != 0 && again.serial.value != 0 && again.serial.value != serial)
    }

    /// Programs that were made for the rules go on judging by them.
    @Test func addingIsNoChangeOfTheRules() throws {
      let bench = try EpochBench()
      try bench.namespace.run("iptables-legacy -A FORWARD -s 10.9.9.9 -j DROP")
      try bench.namespace.run(
        "iptables-legacy -t mangle -A FORWARD -s 10.9.9.9 -j MARK --set-mark 1")
      let tables = try bench.namespace.legacy()
      let epoch = try #require(try bench.epoch())
      let program = try bench.program(for: epoch)
      #expect(try bench.ask(program) == .same)
      let counters = LegacyCounters()
      var counts: [RuleOrigin: Tally] = [:]
      for table in tables { counts[try origin(table, "FORWARD", 1)] = Tally(packets: 1, bytes: 60) }
      #expect(counts.count == 2)
      for round in 0..<50 {
        let outcome = try bench.namespace.inside {
          counters.add(counts, of: tables, unchanged: round % 2 == 1)
        }
        #expect(outcome == .init())
      }
      #expect(try bench.epoch() == epoch)
      #expect(try bench.ask(program) == .same)
      let rule = try origin(tables[0], "FORWARD", 1)
      let read = try bench.namespace.inside { try counters.counts(of: tables) }
      #expect(read[rule] == Tally(packets: 50, bytes: 3000))
    }
  }
}
