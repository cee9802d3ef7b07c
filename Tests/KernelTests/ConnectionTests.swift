// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Glibc
import Introspection
import Lab
import Netlink
import OrderedJSON
import Testing

extension Kernel {
  /// Connections that real hosts have through a router that masquerades: the fast path carries them, and the
  /// kernel's table says of them what it says without fpd.
  @Suite(.needsFpd) struct ConnectionTests {
    /// A router that masquerades. `rules` are words for iptables-legacy, `sysctls` lines.
    private static func gateway(
      _ hook: String, connections: String? = nil, rules: [String] = [], sysctls: [String] = [],
      translates: Bool = true
    ) throws -> TrackingRouter {
      try TrackingRouter(hook, connections: connections) { router in
        try router.run(
          translates
            ? "iptables-legacy -t nat -A POSTROUTING -o p2 -j MASQUERADE"
            : "iptables-legacy -A FORWARD -m conntrack --ctstate INVALID -j DROP")
        for rule in rules { try router.run("iptables-legacy \(rule)") }
        for line in sysctls { try router.sysctl(line) }
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
      let gateway = try Self.gateway(hook, rules: rules)
      let stream = LoadStream(
        from: try gateway.inside, to: try gateway.outside, "10.0.2.2")
      let bulk = try LoadThread { try stream.bulk(.seconds(2)) }
      for interface in ["p1", "p2"] {
        // A connection is the kernel's until fpd has had it marked.
        var (before, counts) = (try gateway.counts(interface), (fast: Int64(0), all: Int64(0)))
        let isFast = try eventually(every: .milliseconds(200)) {
          let now = try gateway.counts(interface)
          counts = (now.fast - before.fast, now.all - before.all)
          before = now
          return counts.all > 20 && counts.fast * 10 > counts.all * 9
        }
        #expect(isFast, "\(interface): \(counts)")
      }
      #expect(try bulk.value().count > 1 << 20)
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

    /// What is sent arrives, byte for byte, whatever becomes of rules, timeouts, routes and fpd meanwhile.
    @Test(arguments: ["xdp", "tc"]) func largeTransfersSurviveChanges(_ hook: String) throws {
      let gateway = try Self.gateway(hook, rules: Self.stateful)
      let router = try gateway.router
      let stream = LoadStream(from: try gateway.inside, to: try gateway.outside, "10.0.2.2")
      // Where segments stay whole more of them are as quick.
      let size = hook == "xdp" ? 1 << 30 : 3 << 30
      let transfer = try LoadThread { try stream.transfer(size) }
      let changes = [
        "iptables-legacy -I FORWARD -s 192.0.2.1 -j DROP", "iptables-legacy -D FORWARD 1",
        "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=600",
        "ip route add 198.51.100.0/24 via 10.0.2.2", "ip route del 198.51.100.0/24",
        "iptables-legacy -t mangle -A FORWARD -p udp -j DROP", "iptables-legacy -t mangle -F",
        "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=432000",
        "nft add table inet extra",
        "nft add chain inet extra c { type filter hook forward priority 5; }",
        "nft add rule inet extra c ct state invalid counter drop", "nft delete table inet extra",
        "iptables-legacy -t nat -A PREROUTING -p udp --dport 99 -j DNAT --to 10.0.1.2",
        "iptables-legacy -t nat -F PREROUTING",
      ]
      var place = 0
      // Several at once, and then for as long again none: how long fpd takes for them is the machine's matter.
      let isThrough = try eventually(within: .seconds(120), every: .milliseconds(50)) {
        let begin = Instant.now
        for _ in 0..<3 {
          try router.run(changes[place % changes.count])
          place += 1
        }
        try gateway.fpd.wait()
        return eventually(within: Instant.now - begin) { transfer.hasEnded }
      }
      #expect(isThrough && place >= 6)
      #expect(try transfer.value().count == size)
      let counts = try gateway.counts("p1")
      #expect(counts.fast * 5 > counts.all, "\(counts)")
      #expect(try gateway.fpd.stop() == 0)
    }

    /// The kernel compares a reset with an acknowledgement, and has not seen those of the last gigabytes.
    @Test(arguments: ["xdp", "tc"]) func resetsArriveAfterGigabytes(_ hook: String) throws {
      let gateway = try Self.gateway(hook, rules: Self.stateful)
      let stream = LoadStream(from: try gateway.inside, to: try gateway.outside, "10.0.2.2")
      try stream.abort(after: 3 << 30)
      // For the kernel it was one that is not exact: the next segment may show that the connection goes on.
      let entry = try #require(try gateway.table().first { $0.contains("dst=10.0.2.1 ") })
      let time = try #require(entry.split(separator: " ").compactMap { Int($0) }.dropFirst().first)
      #expect(entry.contains("ESTABLISHED") && time > 290 && time <= 301, "\(entry)")
      #expect(try gateway.fpd.stop() == 0)
    }

    /// In use an entry lives on, also when nobody but the fast path sees it used; else it ends when it would.
    @Test(arguments: ["xdp", "tc"]) func entriesLiveAsLongAsWithoutFpd(_ hook: String) throws {
      let gateway = try Self.gateway(hook, sysctls: Self.short)
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
      let gateway: TrackingRouter
      let server: HostSocket
      let clients: [HostSocket]
      /// Where the server sees them.
      let client: IPv4Address

      init(_ gateway: TrackingRouter, seenAs client: IPv4Address = "10.0.2.1") throws {
        (self.gateway, self.client) = (gateway, client)
        server = try HostSocket(.udp, "10.0.2.2", port: 53, in: try gateway.outside)
        clients = try [5001, 5002].map {
          try HostSocket(.udp, "10.0.1.2", port: UInt16($0), in: try gateway.inside)
        }
      }

      func talk(_ number: Int) throws {
        try clients[number].send([1, 2, 3], to: "10.0.2.2", port: 53)
        #expect(server.receive() == [1, 2, 3])
        try server.send([4, 5], to: client, port: UInt16(5001 + number))
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

    /// Ten thousand entries of every state, a part of them in use: the same ones live as without fpd.
    @Test(arguments: ["xdp", "tc"]) func theSameEntriesLiveAsWithoutFpd(_ hook: String) throws {
      var alive: [Bool: Set<String>] = [:]
      for isOn in [true, false] {
        let gateway = try Self.gateway(hook, sysctls: Self.short)
        if !isOn { #expect(try gateway.fpd.stop() == 0) }
        alive[isOn] = try Self.survivors(gateway)
        guard isOn else { continue }
        let counts = try gateway.counts("p1")
        #expect(counts.fast * 10 > counts.all * 9, "\(counts)")
        #expect(try gateway.fpd.stop() == 0)
      }
      #expect(alive[true] == alive[false])
      #expect(alive[false]?.count == Self.used)
    }

    private static let used = 4096

    /// Which of 10,000 are there after all have been idle for longer than they may, but those that are in use.
    private static func survivors(_ gateway: TrackingRouter) throws -> Set<String> {
      let router = try gateway.router
      let inside = try gateway.inside
      try router.ip(batch: ["route add 10.100.0.0/16 via 10.0.2.2"])
      let states = [
        "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT",
        "SYN_RECV",
      ]
      let lines = (0..<10_000).map { number in
        // The first are those of the generator: bench/generator.bpf.c.
        let way =
          number < used
          ? "-p udp -s 10.0.1.2 -d 10.100.0.1 --sport \(0x4000 + number) --dport 9"
          : number % 2 == 0
            ? "-p udp -s 10.0.1.3 -d 10.100.0.1 --sport \(number) --dport 9"
            : "-p tcp -s 10.0.1.3 -d 10.100.0.1 --sport \(number) --dport 9 --state "
              + states[number / 2 % states.count]
        return "-I \(way) -n 10.0.2.1 -t 4 -u SEEN_REPLY,ASSURED\n"
      }
      let list = try TemporaryDirectory("entries")
      try list.write("entries", lines.joined())
      let traffic = LoadTraffic(
        from: try inside.mac(of: "eth0"), "10.0.1.2", to: try router.mac(of: "p1"), "10.100.0.1"
      ) { $0.flows = used }
      let generator = try LoadGenerator(in: inside, device: "eth0", traffic)
      // Who is to take frames that no socket sent has NAPI.
      try router.run("ethtool -K p1 gro on")
      try router.run(["conntrack", "-R", "\(list.path)/entries"])
      try generator.send(.init(time: .seconds(8), rate: 20_000))
      return Set(
        try gateway.table().map { line in
          // All but the remaining time, and who holds it.
          line.split(separator: " ").enumerated().filter { place, word in
            !(word.allSatisfy(\.isNumber) && place == 2) && !word.hasPrefix("use=")
          }.map(\.element).joined(separator: " ")
        })
    }

    /// A rule that drops ends no connection, unless it stands in front of connection tracking: then the
    /// entry ends as if nothing came.
    @Test(arguments: ["xdp", "tc"], ["filter -I FORWARD", "raw -I PREROUTING"])
    func whatRulesDropKeepsEntriesAliveWhereLinuxWould(_ hook: String, _ place: String) throws {
      let gateway = try Self.gateway(hook, sysctls: Self.short)
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

    /// What is not tracked keeps no entry alive, though there is one for it.
    @Test(arguments: ["xdp", "tc"]) func whatIsNotTrackedKeepsNoEntryAlive(_ hook: String) throws {
      let gateway = try Self.gateway(hook, sysctls: Self.short, translates: false)
      let talks = try Talks(gateway, seenAs: "10.0.1.2")
      try talks.settle()
      try gateway.router.run("iptables-legacy -t raw -I PREROUTING -p udp -j CT --notrack")
      try gateway.fpd.wait()
      let before = try gateway.fpd.stats("p1").forwarded
      let isOver = try eventually(within: .seconds(6), every: .milliseconds(250)) {
        try talks.clients[0].send([7], to: "10.0.2.2", port: 53)
        return try talks.entry(0) == nil
      }
      #expect(isOver)
      #expect(try gateway.fpd.stats("p1").forwarded >= before + 4)
      #expect(try gateway.fpd.stop() == 0)
    }

    /// Of streams nothing is changed that nobody asked for.
    @Test(arguments: ["xdp", "tc"]) func exactLeavesTheWindowToTheKernel(_ hook: String) throws {
      let gateway = try Self.gateway(hook, connections: "exact")
      let stream = LoadStream(from: try gateway.inside, to: try gateway.outside, "10.0.2.2")
      #expect(try stream.bulk(.milliseconds(300)).count > 1 << 20)
      let stats = try gateway.fpd.stats("p1")
      #expect(stats.forwarded == 0)
      #expect(stats.punted["connection-window", default: 0] > 20)
      // And from now on somebody asks.
      try gateway.fpd.directory.write("fpd.yaml", FastLine.configuration(hook))
      gateway.fpd.process.signal(SIGHUP)
      let isFast = try eventually {
        _ = try stream.bulk(.milliseconds(300))
        return try gateway.counts("p1").fast > 100
      }
      #expect(isFast)
      #expect(try gateway.fpd.stop() == 0)
    }

    /// The kernel waits for acknowledgements that passed it by: that is put right when packets are fast again.
    @Test(arguments: ["xdp", "tc"]) func staleFlagsAreCleared(_ hook: String) throws {
      let gateway = try Self.gateway(hook)
      let stream = LoadStream(from: try gateway.inside, to: try gateway.outside, "10.0.2.2")
      let running = try LoadThread { try stream.bulk(.seconds(8)) }
      let router = try gateway.router
      func areMarked() throws -> Bool {
        let flags = try Self.flags(router).map { StreamMarker.Flags(rawValue: $0) }
        return !flags.isEmpty
          && flags.allSatisfy { $0.contains(.liberal) && !$0.contains(.unacknowledged) }
      }
      #expect(try eventually { try areMarked() })
      let ports = try #require(try Self.ports(in: gateway.table()))
      // What comes behind the first mark may still take the flag away once.
      let isStale = try eventually {
        try router.inside {
          var marker = try StreamMarker()
          let stream = TrackedStream([10, 0, 1, 2, 10, 0, 2, 2] + ports)
          _ = try marker.set(.unacknowledged, of: .unacknowledged, for: [try #require(stream)])
        }
        return try !areMarked()
      }
      #expect(isStale)
      #expect(try eventually { try areMarked() })
      _ = try running.value()
      #expect(try gateway.fpd.stop() == 0)
    }

    /// Both ports of the first stream from inside, as they lie in a packet.
    private static func ports(in table: [String]) throws -> [UInt8]? {
      let words = table.lazy.map { $0.split(separator: " ") }.first { $0.contains("src=10.0.1.2") }
      return words.map { words in
        let ports = ["sport=", "dport="].compactMap { name in
          words.first { $0.hasPrefix(name) }.flatMap { UInt16($0.dropFirst(name.count)) }
        }
        return ports.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
      }
    }

    /// What the kernel has noted of both sides of the streams it knows.
    private static func flags(_ router: Namespace) throws -> [UInt8] {
      try router.inside {
        var socket = try NetlinkSocket(NETLINK_NETFILTER)
        var flags: [UInt8] = []
        let request = Request(
          subsystem: NFNL_SUBSYS_CTNETLINK, message: Int32(IPCTNL_MSG_CT_GET.rawValue),
          family: UInt8(AF_INET))
        try socket.dump("connections", request) { message in
          let about = Attributes(message.payload, after: 4).first(Int(CTA_PROTOINFO.rawValue))
          guard let tcp = about?.nested.first(Int(CTA_PROTOINFO_TCP.rawValue)) else { return }
          for side in [CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, CTA_PROTOINFO_TCP_FLAGS_REPLY] {
            tcp.nested.first(Int(side.rawValue))?.u8.map { flags.append($0) }
          }
        }
        return flags
      }
    }

    /// What was masqueraded for one device cannot leave by another: the kernel ends the connection.
    @Test(arguments: ["xdp", "tc"]) func anotherWayOutEndsMasqueradedConnections(
      _ hook: String
    ) throws {
      let gateway = try Self.gateway(hook)
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
