// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Many changes in little time.
  @Suite(.needsFpd) struct LifecycleFloodTests {
    /// Far more events than any receive buffer holds, while fpd does not run.
    @Test func graphIsRightAfterAFloodItCouldNotHear() throws {
      let namespace = try Namespace("flood")
      try namespace.run("ip link add br0 type bridge")
      try namespace.ip(batch: (0..<20).map { "link add v\($0) type veth peer name w\($0)" })
      let fpd = try Fpd(in: namespace)
      try fpd.wait()
      fpd.process.signal(SIGSTOP)
      try namespace.ip(
        batch: (0..<20_000).map { "link set v\($0 % 20) mtu \(1400 + $0 % 7)" }
          + (0..<10).map { "link set v\($0) master br0" }
          + ["link del v19", "link add late type bridge"])
      fpd.process.signal(SIGCONT)
      let right = try eventually {
        let graph = try fpd.graph()
        return graph.at("interfaces.v19") == nil && graph.at("interfaces.late") != nil
          && (0..<10).allSatisfy { graph.at("interfaces.v\($0).graph.bridge") != nil }
          && (10..<19).allSatisfy { graph.at("interfaces.v\($0).graph.bridge") == nil }
      }
      #expect(right, "\(fpd.log.suffix(2000))")
      // Or else the flood was none, and this proved nothing.
      #expect(fpd.log.contains("overran"))
      #expect(try fpd.usage.peak < 40 * 1024)
      #expect(try fpd.stop() == 0)
    }

    @Test func burstIsTakenTogether() throws {
      let namespace = try Namespace("burst")
      let fpd = try Fpd(in: namespace)
      try fpd.wait()
      let before = try fpd.generation()
      try namespace.ip(batch: (0..<500).map { "link add b\($0) group 7 type bridge" })
      #expect(try eventually { try fpd.graph().at("interfaces.b499") != nil })
      try fpd.wait()
      let generations = try fpd.generation() - before
      #expect((1...50).contains(generations), "500 links made \(generations) generations")
      // At once: left to the kernel, their removal would hold up the tests that follow.
      try namespace.run("ip link del group 7")
    }

    @Test func routesNeighboursAndStationsMakeNoNewGraph() throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      try router.ip(batch: ["link add br0 type bridge", "link set br0 up"])
      try router.ip(
        batch: ["link add v0 type veth peer name v1", "link set v0 master br0", "link set v0 up"])
      try router.run("ip link set v1 up")
      try router.run("ip route add 10.200.0.0/16 via 10.0.2.2")
      let fpd = try Fpd(in: router)
      try fpd.wait()
      // The carrier of v0 is announced when the kernel comes to it.
      #expect(
        try eventually {
          try fpd.graph("v0").at("interfaces.v0.graph.bridge.conf.port_state") == "forwarding"
        })
      let before = try fpd.graph()
      try router.ip(
        batch: (0..<5000).map { "route add 10.\(100 + $0 / 250).\($0 % 250).0/24 via 10.0.2.2" })
      try router.ip(
        batch: (3..<250).map { "neigh add 10.0.1.\($0) lladdr \(MAC(number: UInt32($0))) dev p1" })
      try router.run(
        ["bridge", "-batch", "-"],
        input: (0..<500).map { "fdb add \(MAC(number: UInt32($0))) dev v0 master static\n" }
          .joined())
      try router.ip(batch: (0..<5000).map { "route del 10.\(100 + $0 / 250).\($0 % 250).0/24" })
      try fpd.wait()
      #expect(try fpd.graph() == before)
      #expect(try fpd.stop() == 0)
    }

    /// Each replaces the whole table; fpd must end with the last.
    @Test(arguments: IPTables.allCases) func lastOfManyQuickReplacesWins(_ kind: IPTables) throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      let fpd = try Fpd(in: router)
      for count in 1...40 {
        let rules = (0..<count).map { "-A FORWARD -s 10.9.0.\($0) -j DROP\n" }.joined()
        try router.restore(kind, "*filter\n\(rules)COMMIT\n")
      }
      let path = "interfaces.p1.graph.filter.conf.rules"
      #expect(
        try eventually(within: .milliseconds(500)) { try fpd.graph("p1").at(path) == 40 })
      #expect(try fpd.stop() == 0)
    }

    @Test func hooksAreSeenHoweverManyStandAtOnePoint() throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      let chains = (0..<100).map {
        "add chain ip many c\($0) { type filter hook forward priority \($0); }\n"
      }
      try router.nft("add table ip many\n" + chains.joined())
      let fpd = try Fpd(in: router)
      func forward() throws -> Int {
        let hooks = try fpd.connect().ask("state")["hooks"]?.array ?? []
        return hooks.count { $0["point"] == "forward" && $0["family"] == "ipv4" }
      }
      #expect(try forward() == 100)
      try router.nft("add chain ip many last { type filter hook forward priority 1000; }\n")
      try fpd.wait()
      #expect(try forward() == 101)
      #expect(try fpd.stop() == 0)
    }

    /// The kernel announces neither that it goes nor counts a generation.
    @Test func tableThatBelongsToAProcessGoesWithIt() throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      let fpd = try Fpd(in: router)
      let owner = try router.start(["nft", "-i"], feed: true)
      try owner.write(
        """
        table ip owned { flags owner; chain c { type filter hook forward priority 0; \
        ip saddr 10.9.9.9 drop; }; }

        """)
      let filtered = try Expectation("interfaces.p1.graph nodes filter router")
      #expect(try eventually { try filtered.problem(in: fpd.graph()) == nil }, "\(owner.output)")
      owner.close()
      let plain = try Expectation("interfaces.p1.graph nodes router")
      #expect(try eventually { try plain.problem(in: fpd.graph()) == nil })
      #expect(try fpd.stop() == 0)
    }

    /// A tap is a socket, not a command: it comes and goes with its process.
    @Test func packetTapIsSeenWhileItIsOpen() throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      let fpd = try Fpd(in: router)
      let tapped = try Expectation("interfaces.p1.slow_path has packet-tap")
      #expect(try tapped.problem(in: fpd.graph()) != nil)
      var tap: Capture? = try Capture("p1", in: router)
      #expect(try eventually { try tapped.problem(in: fpd.graph()) == nil })
      #expect(try fpd.graph("p1").at("interfaces.p1.hook") == "none")
      #expect(try fpd.graph("p2").at("interfaces.p2.hook") == "tc")
      _ = tap
      tap = nil
      #expect(try eventually { try tapped.problem(in: fpd.graph()) != nil })
      #expect(try fpd.stop() == 0)
    }

    @Test func tapOnAllDevicesIsSeenOnEachOfThem() throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      let fpd = try Fpd(in: router)
      let tapped = try ["p1", "p2"].map {
        try Expectation("interfaces.\($0).slow_path has packet-tap")
      }
      for expectation in tapped { #expect(try expectation.problem(in: fpd.graph()) != nil) }
      let tap = try router.start(["tcpdump", "-n", "-i", "any", "-w", "/dev/null"])
      #expect(
        try eventually { try tapped.allSatisfy { try $0.problem(in: fpd.graph()) == nil } },
        "\(tap.output)")
      tap.close()
      #expect(try eventually { try tapped.allSatisfy { try $0.problem(in: fpd.graph()) != nil } })
      #expect(try fpd.stop() == 0)
    }
  }
}
