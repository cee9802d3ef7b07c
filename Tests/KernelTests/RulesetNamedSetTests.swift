// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import Testing

extension Kernel {
  /// Elements of named sets are part of the ruleset where only commits change them.
  @Suite struct RulesetNamedSetTests {
    private func set(_ name: String, _ reader: RulesetReader) throws -> NamedSet {
      let tables = try reader.readNftables().tables
      return try #require(tables.lazy.compactMap { $0.set(named: name) }.first)
    }

    @Test func elementsAreReadWithTheRuleset() throws {
      let namespace = try Namespace("named")
      try namespace.nft(
        """
        table ip t {
          set addresses { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 }; }
          set ranges { type ipv4_addr; flags interval; elements = { 10.1.0.0/16 }; }
          set nobody { type ipv4_addr; }
          map verdicts { type inet_service : verdict; elements = { 53 : drop }; }
        }
        """)
      try namespace.inside {
        let reader = try RulesetReader()
        let addresses = try set("addresses", reader)
        #expect(addresses.isRead)
        #expect(addresses.elements.map(\.key) == [[10, 0, 0, 1], [10, 0, 0, 2]])
        let ranges = try set("ranges", reader)
        #expect(ranges.isRead)
        #expect(
          ranges.elements.filter { $0.key != [0, 0, 0, 0] }.map(\.key)
            == [[10, 1, 0, 0], [10, 2, 0, 0]])
        #expect(ranges.elements.last?.isEnd == true)
        let nobody = try set("nobody", reader)
        #expect(nobody.isRead && nobody.elements.isEmpty)
        let verdicts = try set("verdicts", reader)
        #expect(verdicts.isRead && verdicts.elements.map(\.value) == [.verdict(.drop)])
      }
    }

    @Test func whatPacketsOrTimeChangeIsNotRead() throws {
      let namespace = try Namespace("changing")
      try namespace.nft(
        """
        table ip t {
          set timed { type ipv4_addr; timeout 1h; elements = { 10.0.0.1 }; }
          set mayTime { type ipv4_addr; flags timeout; elements = { 10.0.0.1 }; }
          set changed { type ipv4_addr; flags dynamic; elements = { 10.0.0.1 }; }
          set counting { type ipv4_addr; counter; elements = { 10.0.0.1 }; }
          set updated { type ipv4_addr; elements = { 10.0.0.1 }; }
          set steady { type ipv4_addr; elements = { 10.0.0.1 }; }
          counter hits { }
          map objects { type ipv4_addr : counter; elements = { 10.0.0.1 : "hits" }; }
          chain c { type filter hook forward priority 0; }
        }
        """)
      // A set need not say that rules change it.
      try namespace.nft("add rule ip t c add @updated { ip saddr }")
      try namespace.inside {
        let reader = try RulesetReader()
        for name in ["timed", "mayTime", "changed", "counting", "updated", "objects"] {
          let found = try set(name, reader)
          #expect(!found.isRead && found.elements.isEmpty, "\(name)")
        }
        #expect(try set("steady", reader).isRead)
      }
    }

    @Test func eachChangeOfElementsIsAChange() throws {
      let namespace = try Namespace("elements")
      try namespace.nft(
        """
        table ip t {
          set s { type ipv4_addr; elements = { 10.0.0.1 }; }
          set d { type ipv4_addr; flags dynamic; }
        }
        """)
      try namespace.inside {
        let reader = try RulesetReader()
        var (generation, tables) = try reader.readNftables()
        for change in [
          "add element ip t s { 10.0.0.2 }", "delete element ip t s { 10.0.0.1 }",
          "flush set ip t s",
        ] {
          try Command.run(["nft", change]).check()
          let now = try reader.readNftables()
          #expect(now.tables != tables && now.generation != generation, "\(change)")
          #expect(now.tables == (try RulesetReader().readNftables().tables), "\(change)")
          (generation, tables) = now
        }
        #expect(try set("s", reader).elements.isEmpty)
        try Command.run(["nft", "add element ip t d { 10.0.0.2 }"]).check()
        #expect(try reader.readNftables().tables == tables)
      }
    }

    @Test func setsThatAreTooLongAreNotRead() throws {
      let namespace = try Namespace("long")
      func add(_ range: Range<Int>) throws {
        let elements = range.map { "10.\($0 >> 16).\($0 >> 8 & 255).\($0 & 255)" }
        try namespace.nft("add element ip t s { \(elements.joined(separator: ", ")) }")
      }
      try namespace.nft(
        """
        table ip t {
          set s { type ipv4_addr; }
          set small { type ipv4_addr; elements = { 10.0.0.1 }; }
        }
        """)
      try add(0..<RulesetReader.elementLimit)
      try namespace.inside {
        let reader = try RulesetReader()
        let start = ContinuousClock.now
        let full = try set("s", reader)
        print("\(RulesetReader.elementLimit) elements read in \(ContinuousClock.now - start)")
        #expect(full.isRead && full.elements.count == RulesetReader.elementLimit)
      }
      try add(RulesetReader.elementLimit..<RulesetReader.elementLimit + 1)
      try namespace.inside {
        let reader = try RulesetReader()
        for _ in 0..<2 {
          let long = try set("s", reader)
          #expect(!long.isRead && long.elements.isEmpty)
          #expect(try set("small", reader).isRead)
        }
        // Made anew it is another set.
        try Command.run(["nft", "delete set ip t s"]).check()
        try Command.run(["nft", "add set ip t s { type ipv4_addr; }"]).check()
        #expect(try set("s", reader).isRead)
      }
    }
  }
}
