// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Connections that real hosts have through a router that masquerades: the fast path carries them, and the
  /// kernel's table says of them what it says without fpd.
  @Suite(.needsFpd) struct ConnectionTests {
    private final class Gateway {
      let bed: Testbed
      let fpd: Fpd
      var router: Namespace { get throws { try bed["router"] } }
      var inside: Namespace { get throws { try bed["left"] } }
      var outside: Namespace { get throws { try bed["right"] } }

      /// `rules` are words for iptables-legacy, `sysctls` lines.
      init(
        _ hook: String, connections: String? = nil, rules: [String] = [], sysctls: [String] = []
      ) throws {
        bed = try Testbed.hostRouterHost()
        let router = try bed["router"]
        try router.run("iptables-legacy -t nat -A POSTROUTING -o p2 -j MASQUERADE")
        for rule in rules { try router.run("iptables-legacy \(rule)") }
        for line in sysctls { try router.sysctl(line) }
        for host in [try bed["left"], try bed["right"]] {
          // On XDP a frame has its checksum, and who is to take it has NAPI.
          let rest = hook == "xdp" ? "tx off tso off gso off txvlan off" : ""
          try host.run("ethtool -K eth0 gro on \(rest)")
        }
        fpd = try Fpd(
          in: router,
          configuration: FastLine.configuration(hook)
            + (connections.map { "connections: \($0)\n" } ?? ""))
        try fpd.wait()
      }

      func table() throws -> [String] {
        try router.attempt(["conntrack", "-L"]).output.split(separator: "\n").map(String.init)
      }

      /// Packets that came in by an interface: what was forwarded of them, and all.
      func counts(_ interface: String) throws -> (fast: Int64, all: Int64) {
        let stats = try fpd.stats(interface)
        let punted = stats.punted.values.reduce(0, +)
        return (stats.forwarded, stats.forwarded + stats.dropped + punted)
      }
    }

    /// What a firewall at home has.
    private static let stateful = [
      "-P FORWARD DROP", "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
      "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-A FORWARD -i p1 -m conntrack --ctstate NEW -j ACCEPT",
    ]

    @Test(arguments: ["xdp", "tc"], [[], stateful])
    func streamsAreTranslated(_ hook: String, _ rules: [String]) throws {
      let gateway = try Gateway(hook, rules: rules)
      let stream = LoadStream(
        from: try gateway.inside, to: try gateway.outside, "10.0.2.2")
      let amount = try stream.bulk(.milliseconds(700))
      #expect(amount.count > 1 << 20)
      for interface in ["p1", "p2"] {
        let counts = try gateway.counts(interface)
        #expect(counts.fast * 10 > counts.all * 8, "\(interface): \(counts)")
      }
      #expect(try stream.requests(.milliseconds(500), sessions: 4).count > 100)
      // Short ones, one after the other: what begins and ends them is the kernel's.
      for _ in 0..<20 { _ = try stream.requests(.milliseconds(5)) }
      var table: [String] = []
      let areOver = try eventually {
        table = try gateway.table().filter { $0.contains("dst=10.0.2.1 ") }
        return table.count >= 25
          && table.allSatisfy { $0.contains("TIME_WAIT") || $0.contains("CLOSE") }
      }
      #expect(areOver, "\(table)")
      #expect(try gateway.fpd.stop() == 0)
    }

    /// In use an entry lives on, also when nobody but the fast path sees it used; else it ends when it would.
    @Test(arguments: ["xdp", "tc"]) func entriesLiveAsLongAsWithoutFpd(_ hook: String) throws {
      let gateway = try Gateway(hook, sysctls: Self.short)
      let talks = try Talks(gateway)
      try talks.settle()
      let before = try gateway.counts("p1").fast
      let begin = Instant.now
      var rounds: Int64 = 0
      _ = try eventually(within: .seconds(7), every: .milliseconds(250)) {
        try talks.talk(0)
        rounds += 1
        return false
      }
      #expect(Instant.now - begin > .seconds(6))
      #expect(try gateway.counts("p1").fast >= before + rounds)
      #expect(try talks.entry(0)?.contains("ASSURED") == true)
      #expect(try talks.entry(1) == nil)
      // And that one as soon as it is idle: with its grace of an eighth, at most a quarter of a second.
      let isGone = try eventually(within: .seconds(6)) { try talks.entry(0) == nil }
      #expect(isGone)
      #expect(try gateway.fpd.stop() == 0)
    }

    private static let short = [
      "net.netfilter.nf_conntrack_udp_timeout=4",
      "net.netfilter.nf_conntrack_udp_timeout_stream=4",
    ]

    /// Two conversations over UDP.
    private struct Talks {
      let gateway: Gateway
      let server: HostSocket
      let clients: [HostSocket]

      init(_ gateway: Gateway) throws {
        self.gateway = gateway
        server = try HostSocket(.udp, "10.0.2.2", port: 53, in: try gateway.outside)
        clients = try [5001, 5002].map {
          try HostSocket(.udp, "10.0.1.2", port: UInt16($0), in: try gateway.inside)
        }
      }

      func talk(_ number: Int) throws {
        try clients[number].send([1, 2, 3], to: "10.0.2.2", port: 53)
        #expect(server.receive() == [1, 2, 3])
        try server.send([4, 5], to: "10.0.2.1", port: UInt16(5001 + number))
        #expect(clients[number].receive() == [4, 5])
      }

      func entry(_ number: Int) throws -> String? {
        try gateway.table().first { $0.contains("sport=\(5001 + number) ") }
      }

      /// Assured is what talks for longer than two seconds.
      func settle() throws {
        let isAssured = try eventually(within: .seconds(10), every: .milliseconds(250)) {
          for number in 0..<2 { try talk(number) }
          return try (0..<2).allSatisfy { try entry($0)?.contains("ASSURED") == true }
        }
        #expect(isAssured)
      }
    }

    /// A rule that drops ends no connection, unless it stands in front of connection tracking: then the
    /// entry ends as if nothing came.
    @Test(arguments: ["xdp", "tc"], ["filter -I FORWARD", "raw -I PREROUTING"])
    func whatRulesDropKeepsEntriesAliveWhereLinuxWould(_ hook: String, _ place: String) throws {
      let gateway = try Gateway(hook, sysctls: Self.short)
      let talks = try Talks(gateway)
      try talks.settle()
      try gateway.router.run("iptables-legacy -t \(place) -p udp --sport 5001 -j DROP")
      try gateway.fpd.wait()
      let before = try gateway.fpd.stats("p1").dropped
      _ = try eventually(within: .seconds(6), every: .milliseconds(250)) {
        try talks.clients[0].send([7], to: "10.0.2.2", port: 53)
        return false
      }
      // Of an entry that is gone the rest is the kernel's.
      #expect(try gateway.fpd.stats("p1").dropped >= before + 8)
      let isAlive = try talks.entry(0) != nil
      #expect(isAlive == place.hasPrefix("filter"))
      #expect(try gateway.fpd.stop() == 0)
    }

    /// Of streams nothing is changed that nobody asked for.
    @Test(arguments: ["xdp", "tc"]) func exactLeavesTheWindowToTheKernel(_ hook: String) throws {
      let gateway = try Gateway(hook, connections: "exact")
      let stream = LoadStream(from: try gateway.inside, to: try gateway.outside, "10.0.2.2")
      #expect(try stream.bulk(.milliseconds(300)).count > 1 << 20)
      let stats = try gateway.fpd.stats("p1")
      #expect(stats.forwarded == 0)
      #expect(stats.punted["connection-window", default: 0] > 20)
      #expect(try gateway.fpd.stop() == 0)
    }

    /// What was masqueraded for one device cannot leave by another: the kernel ends the connection.
    @Test(arguments: ["xdp", "tc"]) func anotherWayOutEndsMasqueradedConnections(
      _ hook: String
    ) throws {
      let gateway = try Gateway(hook)
      let (router, third) = (try gateway.router, try gateway.bed.add("third"))
      try gateway.bed.cable(
        .init(router, "p3", "10.0.3.1/24"), .init(third, "eth0", "10.0.3.2/24"))
      let talks = try Talks(gateway)
      try talks.settle()
      let neighbour = try third.mac(of: "eth0")
      try router.ip(
        batch: [
          "neigh replace 10.0.3.2 lladdr \(neighbour) dev p3 nud permanent",
          "route add 10.0.2.2/32 via 10.0.3.2",
        ])
      try talks.clients[0].send([9], to: "10.0.2.2", port: 53)
      let isOver = try eventually { try talks.entry(0)?.contains("ASSURED") != true }
      #expect(isOver)
      #expect(try gateway.fpd.stats("p1").punted["nat-egress", default: 0] >= 1)
      #expect(try gateway.fpd.stop() == 0)
    }
  }
}
