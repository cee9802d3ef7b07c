// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// A routing daemon moves ten thousand routes beside traffic that fpd forwards.
  @Suite(
    .needsFpd, .enabled("needs FRR (scripts/setup installs it)") { RoutingDaemons.areInstalled })
  struct FastRoutingTests {
    private static let count = 10_000

    /// The peer's `network` statements: 10.200.0.0/24 and so on.
    private static let announcements = (0..<count).map {
      "  network 10.\(200 + $0 / 256).\($0 % 256).0/24\n"
    }.joined()

    private static func bgp(_ own: Int, _ peer: Int, _ neighbour: String, _ family: String)
      -> String
    {
      """
      router bgp \(own)
       bgp router-id 10.255.0.\(own % 100)
       no bgp ebgp-requires-policy
       no bgp network import-check
       neighbor \(neighbour) remote-as \(peer)
       neighbor \(neighbour) ebgp-multihop 2
       neighbor \(neighbour) timers connect 1
       address-family ipv4 unicast
      \(family) exit-address-family
      !

      """
    }

    @Test(arguments: ["xdp", "tc"]) func tenThousandRoutesMoveUnderLoad(_ hook: String) throws {
      let fast = try FastLine(.router, hook: hook, tracking: 40_000_000)
      let (router, bed, fpd) = (fast.middle, fast.line.bed, fast.fpd)
      let (left, right) = (try bed["left"], try bed["right"])
      let third = try bed.add("third")
      try bed.cable(.init(third, "eth0", "10.0.3.2/24"), .init(router, "p3", "10.0.3.1/24"))
      let other = try LoadSink(in: third, device: "eth0")
      try router.run(
        "ip neigh replace 10.0.3.2 lladdr \(third.mac(of: "eth0")) dev p3 nud permanent")
      // What the peer takes back goes nowhere.
      _ = try router.attempt(["ip", "route", "del", "default"])
      try FastLine.quieten(router)
      let churned = try LoadGenerator(
        in: left, device: "eth0",
        LoadTraffic(
          from: left.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.200.0.1"
        ) {
          $0.flows = 1000
          $0.destinations = Self.count
          $0.step = 256
        })

      let ours = try RoutingDaemons(in: router)
      try ours.start("zebra", "hostname router\n")
      try ours.start(
        "bgpd",
        Self.bgp(65001, 65002, "10.0.2.2", "  neighbor 10.0.2.2 route-map FROM in\n")
          + "route-map FROM permit 10\n")
      let peer = try RoutingDaemons(in: right)
      try fpd.wait()
      let generation = try fpd.generation()
      let program = try fast.slot().program
      try fast.expectAccelerated()

      let before = try fpd.stats("p1")
      let cpu = try fpd.usage.cpu
      let start = Instant.now
      let run = try fast.start(frames: 40_000_000)
      try peer.start(
        "bgpd", options: ["-n", "-Z"], Self.bgp(65002, 65001, "10.0.2.1", Self.announcements))
      let haveCome = try eventually(within: .seconds(30), every: .milliseconds(100)) {
        try Self.routes(router, by: "10.0.2.2") == Self.count
      }
      try #require(haveCome, "\(ours.log)\(peer.log)")
      // FRR's routes have nexthop objects.
      #expect(try router.run("ip route show 10.200.0.0/24").output.contains("nhid"))
      for nextHop in ["10.0.3.2", "10.0.2.2", "10.0.3.2"] {
        try ours.type(
          "configure terminal", "route-map FROM permit 10",
          nextHop == "10.0.3.2" ? "set ip next-hop 10.0.3.2" : "no set ip next-hop")
        try ours.type("clear bgp * soft in")
        #expect(
          try eventually(within: .seconds(30), every: .milliseconds(100)) {
            try Self.routes(router, by: nextHop) == Self.count
          })
      }
      let tally = try fast.finish(run)
      let share = (try fpd.usage.cpu - cpu).milliseconds / (Instant.now - start).milliseconds
      let after = try fpd.stats("p1")
      print(
        "\(hook), \(4 * Self.count) changes in \(Instant.now - start): \(tally), fpd \(share) of a CPU,",
        "generation \(generation) to \(try fpd.generation()), punted", after.punted(since: before))
      #expect(tally.isWhole, "\(tally)")
      #expect(after.punted(since: before) == [:])
      // The kinds of routes that there are may become known; ten thousand routes are no ten thousand kinds.
      #expect(try fpd.generation() <= generation + 2)
      #expect(share < 0.1)
      #expect(try fast.slot().program != 0 && program != 0)

      // What went to the churned prefixes now goes where the kernel's table says, by way of fpd.
      try expect(churned, arriveAt: other, instead: fast.line.sink, fast)
      try ours.type("configure terminal", "route-map FROM permit 10", "no set ip next-hop")
      try ours.type("clear bgp * soft in")
      #expect(
        try eventually(within: .seconds(30), every: .milliseconds(100)) {
          try Self.routes(router, by: "10.0.2.2") == Self.count
        })
      try expect(churned, arriveAt: fast.line.sink, instead: other, fast)
      // The peer goes, its routes go: packets are the kernel's, which has no way for them.
      peer.stop()
      #expect(
        try eventually(within: .seconds(30), every: .milliseconds(100)) {
          try Self.routes(router, by: "10.0.2.2") == 0
        })
      let counted = try fpd.stats("p1")
      try send(churned, fast.line.sink, other)
      #expect(fast.line.sink.count.frames == 0 && other.count.frames == 0)
      #expect(try fpd.stats("p1").punted(since: counted)["no-route"] == 10_000)
      #expect(try fpd.stop() == 0)
    }

    private static func routes(_ router: Namespace, by nextHop: String) throws -> Int {
      try router.run(["ip", "route", "show", "proto", "bgp"]).output.split(separator: "\n")
        .count { $0.contains("via \(nextHop) ") }
    }

    private func send(_ generator: LoadGenerator, _ sinks: LoadSink...) throws {
      for sink in sinks { sink.reset() }
      let sent = try generator.send(.init(frames: 10_000, time: .seconds(20), rate: 50_000))
      #expect(sent.frames == 10_000)
      for sink in sinks { sink.settle() }
    }

    private func expect(
      _ generator: LoadGenerator, arriveAt here: LoadSink, instead there: LoadSink, _ fast: FastLine
    ) throws {
      let before = try fast.fpd.stats("p1")
      try send(generator, here, there)
      #expect(here.count.frames == 10_000 && there.count.frames == 0)
      #expect(try fast.fpd.stats("p1").forwarded - before.forwarded == 10_000)
    }
  }
}
