// SPDX-License-Identifier: Apache-2.0
import Datapath
import Introspection
import Lab
import Testing

extension Kernel {
  /// A program that was made for some rules says that they have changed as soon as the command that
  /// changed them has returned, and one made for the new ones says that they are the same.
  @Suite struct EpochTests {
    /// A way of changing rules: what is there before, and the command.
    struct Change: CustomTestStringConvertible, Sendable {
      let testDescription: String
      let before: [String]
      let command: String
      var input: String?

      init(_ name: String, after before: [String] = [], _ command: String, _ input: String? = nil) {
        testDescription = name
        self.before = before
        self.command = command
        self.input = input
      }
    }

    private static let legacy = "iptables-legacy -A FORWARD -s 10.1.0.0/16 -j DROP"
    private static let chain = "iptables-legacy -N user"
    private static let nft = [
      "nft add table ip t", "nft add chain ip t c { type filter hook forward priority 0 ; }",
      "nft add set ip t s { type ipv4_addr ; }", "nft add rule ip t c ip saddr @s drop",
    ]
    private static let element = nft + ["nft add element ip t s { 10.1.1.1 }"]
    private static let both = [legacy, "iptables-nft -A FORWARD -s 10.2.0.0/16 -j DROP"]

    static let legacyChanges = [
      Change("legacy -A where there was nothing", legacy),
      Change("legacy -A", after: [legacy], "iptables-legacy -A FORWARD -s 10.2.0.0/16 -j DROP"),
      Change("legacy -D", after: [legacy], "iptables-legacy -D FORWARD 1"),
      Change("legacy -I", after: [legacy], "iptables-legacy -I FORWARD 1 -j ACCEPT"),
      Change("legacy -R", after: [legacy], "iptables-legacy -R FORWARD 1 -s 10.3.0.0/16 -j DROP"),
      Change("legacy -P", after: [legacy], "iptables-legacy -P FORWARD DROP"),
      Change("legacy -F", after: [legacy], "iptables-legacy -F"),
      Change("legacy -Z", after: [legacy], "iptables-legacy -Z"),
      Change(
        "legacy in a user chain",
        after: [chain, "iptables-legacy -A FORWARD -j user"], "iptables-legacy -A user -j DROP"),
      Change("legacy -N", after: [legacy], chain),
      Change("legacy -E", after: [chain], "iptables-legacy -E user other"),
      Change("legacy -X", after: [chain], "iptables-legacy -X user"),
      Change(
        "legacy restore", after: [legacy], "iptables-legacy-restore",
        "*filter\n-A FORWARD -j DROP\nCOMMIT\n"),
      Change(
        "legacy restore of the same", after: [legacy], "iptables-legacy-restore",
        "*filter\n-A FORWARD -s 10.1.0.0/16 -j DROP\nCOMMIT\n"),
      Change(
        "legacy, another table", after: [legacy],
        "iptables-legacy -t mangle -A FORWARD -j MARK --set-mark 1"),
      Change(
        "legacy, a rule in another table",
        after: [legacy, "iptables-legacy -t mangle -A FORWARD -j MARK --set-mark 1"],
        "iptables-legacy -t mangle -F FORWARD"),
      Change(
        "legacy, beside nftables", after: both,
        "iptables-legacy -A FORWARD -s 10.5.0.0/16 -j DROP"),
    ]

    static let nftChanges = [
      Change("iptables-nft -A", "iptables-nft -A FORWARD -j DROP"),
      Change(
        "iptables-nft -I", after: ["iptables-nft -A FORWARD -j DROP"],
        "iptables-nft -I FORWARD 1 -j ACCEPT"),
      Change(
        "iptables-nft -D", after: ["iptables-nft -A FORWARD -j DROP"], "iptables-nft -D FORWARD 1"),
      Change(
        "iptables-nft -P", after: ["iptables-nft -A FORWARD -j DROP"],
        "iptables-nft -P FORWARD DROP"),
      Change(
        "iptables-nft restore", after: ["iptables-nft -A FORWARD -j DROP"], "iptables-nft-restore",
        "*filter\n-A FORWARD -j ACCEPT\nCOMMIT\n"),
      Change("nft -f", after: nft, "nft -f -", "flush chain ip t c\nadd rule ip t c drop\n"),
      Change("nft add element", after: nft, "nft add element ip t s { 10.1.1.1 }"),
      Change("nft delete element", after: element, "nft delete element ip t s { 10.1.1.1 }"),
      Change("nft flush set", after: element, "nft flush set ip t s"),
      Change(
        "nft rename chain", after: nft + ["nft add chain ip t u"], "nft rename chain ip t u v"),
      Change("nft flush table", after: nft, "nft flush table ip t"),
      Change("nft delete table", after: nft, "nft delete table ip t"),
      Change("nft flush ruleset", after: nft, "nft flush ruleset"),
      Change("nft chain's policy", after: nft, "nft chain ip t c { policy drop ; }"),
      Change(
        "nft add base chain", after: nft,
        "nft add chain ip t d { type filter hook prerouting priority -300 ; }"),
      Change("nft first base chain", after: ["nft add table ip t"], nft[1]),
      Change(
        "nft inet chain", "nft -f -",
        "table inet x { chain y { type filter hook forward priority 1; drop; }; }\n"),
      Change("nft table goes to sleep", after: nft, "nft add table ip t { flags dormant ; }"),
      Change("nft, beside legacy", after: both, "nft flush table ip filter"),
    ]

    static let otherChanges = [
      Change("a bridge brings br_netfilter", after: [legacy], "ip link add br0 type bridge"),
      Change(
        "conntrack is asked for", after: [legacy],
        "iptables-legacy -A FORWARD -m conntrack --ctstate INVALID -j DROP"),
      Change(
        "conntrack is asked for by nft", after: nft, "nft add rule ip t c ct state invalid drop"),
    ]

    @Test(arguments: legacyChanges + nftChanges + otherChanges)
    func aChangeIsSeenAtOnce(_ change: Change) throws {
      let bench = try EpochBench()
      for command in change.before { try bench.namespace.run(command) }
      let epoch = try #require(try bench.epoch())
      let program = try bench.program(for: epoch)
      #expect(try bench.ask(program) == .same)
      #expect(try bench.ask(program) == .same)
      #expect(try bench.epoch() == epoch)

      try bench.namespace.run(change.command, input: change.input)
      #expect(try bench.ask(program) == .changed)
      let next = try #require(try bench.epoch())
      #expect(next != epoch)
      #expect(try bench.ask(bench.program(for: next)) == .same)
      #expect(try bench.ask(program) == .changed)
    }

    /// What is not on the way of forwarded packets, or no change at all, leaves programs in force.
    @Test(arguments: [
      Change("reading", after: both, "iptables-legacy-save"),
      Change("reading nft", after: both, "nft list ruleset"),
      Change("an address", after: both, "ip addr add 10.9.0.1/24 dev e0"),
      Change("a route", after: both, "ip route add 10.8.0.0/16 via 10.0.0.2"),
      Change("a command that fails", after: both, "sh -c '! iptables-legacy -A NOSUCH -j DROP'"),
      Change("nft that fails", after: nft, "sh -c '! nft add rule ip t nosuch drop'"),
      Change(
        "nft without a chain on the way", after: [legacy],
        "nft -f -", "table ip x { chain y { type filter hook input priority 0; }; }\n"),
    ])
    func whatIsNoChangeIsNone(_ change: Change) throws {
      let bench = try EpochBench()
      for command in change.before { try bench.namespace.run(command) }
      let program = try bench.program(for: try #require(try bench.epoch()))
      try bench.namespace.run(change.command, input: change.input)
      #expect(try bench.ask(program) == .same)
    }

    /// Addresses of rulesets come again; what is counted does not.
    @Test func addressesThatRepeatAreNoRulesThatRepeat() throws {
      let bench = try EpochBench()
      try bench.namespace.run(Self.legacy)
      let epoch = try #require(try bench.epoch())
      let old = try bench.program(for: epoch)
      #expect(epoch.tables.count == 1)
      var repeated = 0
      func expectChanged(_ what: String) throws {
        #expect(try bench.ask(old) == .changed, "\(what)")
        let now = try #require(try bench.epoch())
        #expect(now != epoch)
        if now.tables == epoch.tables { repeated += 1 }
      }
      // How often they do, here and in the next test, is the affair of the kernel's memory.
      for turn in 0..<150 {
        try bench.namespace.run("iptables-legacy -I FORWARD 1 -d 10.7.0.1 -j DROP")
        try expectChanged("-I \(turn)")
        try bench.namespace.run("iptables-legacy -D FORWARD 1")
        try expectChanged("-D \(turn)")
        try bench.namespace.restore(
          .legacy,
          String(repeating: "*filter\n-A FORWARD -s 10.1.0.0/16 -j DROP\nCOMMIT\n", count: 2))
        try expectChanged("restore \(turn)")
      }
      print("the address of the first ruleset came again \(repeated) times")
      #expect(try bench.ask(bench.program(for: try #require(try bench.epoch()))) == .same)
    }

    /// The same in one run of one process, which the kernel can serve from the same memory.
    @Test func twoReplacesInARowAreSeen() throws {
      let bench = try EpochBench()
      try bench.namespace.run(Self.legacy)
      var repeated = 0
      for _ in 0..<100 {
        let epoch = try #require(try bench.epoch())
        let program = try bench.program(for: epoch)
        try bench.namespace.restore(
          .legacy,
          "*filter\n-A FORWARD -j ACCEPT\nCOMMIT\n*filter\n-A FORWARD -j DROP\nCOMMIT\n")
        #expect(try bench.ask(program) == .changed)
        if try bench.epoch()?.tables == epoch.tables { repeated += 1 }
      }
      print("the address came again in \(repeated) of 100 pairs of replaces")
    }

    /// Each of them by itself, also where another would have told as well.
    @Test func everyPartIsCompared() throws {
      let bench = try EpochBench()
      for command in Self.both { try bench.namespace.run(command) }
      try bench.namespace.run("iptables-legacy -t mangle -A FORWARD -j MARK --set-mark 1")
      let epoch = try #require(try bench.epoch())
      try #require(epoch.tables.count == 2 && epoch.ipv4[2].count == 3)
      try #require(!epoch.ipv4[0].isEmpty && !epoch.ipv4[4].isEmpty && !epoch.ipv4[2].isEmpty)
      #expect(try bench.ask(bench.program(for: epoch)) == .same)
      let changes: [(String, (inout RuleEpoch) -> Void)] = [
        ("function", { $0.ipv4[2][2].function += 8 }), ("owner", { $0.ipv4[2][0].owner += 8 }),
        ("last owner", { $0.ipv4[2][2].owner += 8 }),
        ("one hook more", { $0.ipv4[4] += $0.ipv4[2] }),
        ("one function less", { $0.ipv4[2].removeLast() }), ("no hooks", { $0.ipv4[2] = [] }),
        ("prerouting", { $0.ipv4[0][0].owner += 8 }), ("postrouting", { $0.ipv4[4][0].owner += 8 }),
        ("ruleset", { $0.tables[0].ruleset += 64 }),
        ("other table", { $0.tables[1].ruleset += 64 }),
        ("replaces", { $0.replaces = $0.replaces.map { $0 - 1 } }),
        ("generation", { $0.generation?.number -= 1 }),
      ]
      for (what, change) in changes {
        var other = epoch
        change(&other)
        #expect(other != epoch, "\(what)")
        #expect(try bench.ask(bench.program(for: other)) == .changed, "\(what)")
      }
    }

    /// Where nobody counts, no program is made for rules of iptables-legacy.
    @Test func legacyRulesAreNotTrustedUncounted() throws {
      let bench = try EpochBench()
      for command in Self.nft { try bench.namespace.run(command) }
      #expect(try #require(try bench.epoch(counted: false)).isWatched)
      try bench.namespace.run(Self.legacy)
      #expect(try #require(try bench.epoch(counted: true)).isWatched)
      #expect(try !#require(try bench.epoch(counted: false)).isWatched)
    }

    /// fpd is told when a replace is over, by whichever way the kernel has.
    @Test(arguments: [ReplaceWatch.Way.memory, .calls])
    func aReplaceIsHeardOf(_ way: ReplaceWatch.Way) throws {
      let directory = try TemporaryDirectory("watch")
      let objects = ObjectSource(
        share: ".", compiler: Compiler(configured: nil),
        cache: ObjectCache(directory: directory.path))
      let namespace = try Namespace("watch")
      try namespace.run(Self.legacy)
      let watch =
        switch way {
        case .memory: try ReplaceWatch(freesBy: objects)
        case .calls: try ReplaceWatch(callsBy: objects, namespace: 0)
        }
      #expect(watch.way == way)
      #expect(try watch.listen())
      #expect(try !watch.listen())
      _ = watch.drain()
      for _ in 0..<10 {
        try namespace.run("iptables-legacy -I FORWARD -j ACCEPT")
        #expect(watch.drain() > 0)
      }
      try namespace.run("iptables-legacy-save")
      watch.stopListening()
      _ = watch.drain()
      try namespace.run("iptables-legacy -F")
      #expect(watch.drain() == 0)
    }

    /// Each ruleset that begins to be made is counted, in other namespaces too, and no other thing much.
    @Test func everyReplaceIsCounted() throws {
      let bench = try EpochBench()
      try bench.namespace.run(Self.legacy)
      for (family, tool) in [("ip", "iptables-legacy"), ("ip6", "ip6tables-legacy")] {
        let elsewhere = try Namespace("elsewhere", ipv6: .quiet)
        let before = try #require(bench.counter.count)
        for number in 1...10 {
          try elsewhere.run("\(tool) -I FORWARD -m comment --comment \(number) -j DROP")
        }
        let counted = try #require(bench.counter.count) - before
        #expect(counted >= 10, "\(family): \(counted)")
      }
    }
  }
}
