// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Routers of FRR that talk with each other and through an accelerated one, with fpd and without.
  @Suite(
    .needsFpd, .enabled("needs FRR (scripts/setup installs it)") { RoutingDaemons.areInstalled })
  struct RoutingProtocolTests {
    private static let count = 100_000

    /// 20.0.0.0/24 and so on.
    private static let announcements = (0..<count).map {
      "  network \(20 + $0 / 65536).\($0 / 256 % 256).\($0 % 256).0/24\n"
    }.joined()

    /// `left` – `router` – `right`, each with an address of its own, 10.255.0.1 to .3, that OSPF tells of.
    private final class Network {
      let bed: Testbed
      let words = ["left", "router", "right"]
      private(set) var daemons: [String: RoutingDaemons] = [:]

      init() throws {
        bed = try Testbed.hostRouterHost()
        for (number, word) in words.enumerated() {
          let namespace = try bed[word]
          _ = try namespace.attempt(["ip", "route", "del", "default"])
          try namespace.ip(batch: ["addr add 10.255.0.\(number + 1)/32 dev lo", "link set lo up"])
          daemons[word] = try RoutingDaemons(in: namespace)
        }
      }

      private func daemon(_ word: String) throws -> RoutingDaemons {
        try #require(daemons[word])
      }

      func startOSPF() throws {
        for (number, word) in words.enumerated() {
          let devices = word == "router" ? ["p1", "p2"] : ["eth0"]
          let interfaces = devices.map {
            "interface \($0)\n ip ospf hello-interval 1\n ip ospf dead-interval 4\n!\n"
          }.joined()
          try daemon(word).start("zebra", "hostname \(word)\n")
          try daemon(word).start(
            "ospfd",
            interfaces + "router ospf\n ospf router-id 10.255.0.\(number + 1)\n"
              + " timers throttle spf 10 50 500\n network 10.0.0.0/8 area 0\n!\n")
        }
      }

      func startBGP(_ announcements: String) throws {
        func neighbor(_ address: String, _ number: Int) -> String {
          """
           neighbor \(address) remote-as \(number)
           neighbor \(address) ebgp-multihop 4
           neighbor \(address) timers connect 1
           neighbor \(address) update-source lo

          """
        }
        func speaker(_ number: Int, _ neighbors: String, _ networks: String = "") -> String {
          """
          router bgp 6500\(number)
           bgp router-id 10.255.0.\(number)
           no bgp ebgp-requires-policy
           no bgp network import-check
          \(neighbors) address-family ipv4 unicast
          \(networks) exit-address-family
          !

          """
        }
        try daemon("left").start("bgpd", options: ["-n"], speaker(1, neighbor("10.255.0.3", 65003)))
        try daemon("router").start("bgpd", speaker(2, neighbor("10.255.0.3", 65003)))
        try daemon("right").start(
          "bgpd", options: ["-n"],
          speaker(
            3, neighbor("10.255.0.1", 65001) + neighbor("10.255.0.2", 65002), announcements))
      }

      func routes(_ word: String, _ kind: String) throws -> Int {
        try bed[word].run(["ip", "route", "show", "proto", kind]).output.split(separator: "\n")
          .count
      }

      /// How many prefixes a neighbour has told it.
      func prefixes(_ word: String, from neighbour: String) throws -> Int64 {
        let text = try daemon(word).type("show bgp ipv4 unicast summary json")
        return try JSON(parsing: text).at("peers")?[neighbour]?["pfxRcd"]?.int ?? 0
      }

      var log: String { daemons.values.map(\.log).joined() }
    }

    /// `nil`: without fpd.
    @Test(arguments: [nil, "xdp", "tc"])
    func sessionsAndRoutesAreAsWithoutFpd(_ hook: String?) throws {
      let network = try Network()
      let router = try network.bed["router"]
      if hook == "xdp" {
        for host in ["left", "right"] {
          try network.bed[host].run("ethtool -K eth0 tx off tso off gso off gro on")
        }
      }
      let fpd = try hook.map {
        try Fpd(in: router, configuration: FastLine.configuration($0))
      }
      try network.startOSPF()
      for word in network.words {
        #expect(
          try eventually(within: .seconds(60), every: .milliseconds(100)) {
            try network.routes(word, "ospf") >= (word == "router" ? 2 : 3)
          }, "\(word): \(network.log)")
      }
      #expect(try network.bed["left"].ping("10.255.0.3") == 63)
      try network.startBGP(Self.announcements)
      // Through the router, and into it.
      #expect(
        try eventually(within: .seconds(120), every: .milliseconds(500)) {
          try network.prefixes("left", from: "10.255.0.3") == Self.count
        }, "\(network.log)")
      #expect(
        try eventually(within: .seconds(120), every: .milliseconds(500)) {
          try network.routes("router", "bgp") == Self.count
        }, "\(network.log)")
      // The router knows the way to what was told, and takes it.
      let right = try network.bed["right"]
      try right.ip(batch: ["addr add 20.0.7.1/32 dev lo", "addr add 21.134.159.1/32 dev lo"])
      try network.bed["left"].run("ip route add 20.0.0.0/7 via 10.0.1.1")
      try fpd?.wait()
      let before = try fpd?.stats("p1").forwarded ?? 0
      for _ in 0..<10 {
        for address in ["20.0.7.1", "21.134.159.1"] as [IPv4Address] {
          #expect(try network.bed["left"].ping(address) == 63)
        }
      }
      if let fpd {
        let stats = try fpd.stats("p1")
        #expect(stats.forwarded >= before + 20, "\(stats)")
        try fpd.expectConverged()
        #expect(try fpd.usage.resident < 64 << 10)
      }
      // A neighbour that is lost is lost with fpd as soon as without, and found again.
      try router.run("ip link set p2 down")
      #expect(
        try eventually(within: .seconds(30), every: .milliseconds(100)) {
          try network.routes("left", "ospf") == 1 && network.routes("router", "bgp") == 0
        }, "\(network.log)")
      try router.run("ip link set p2 up")
      #expect(
        try eventually(within: .seconds(60), every: .milliseconds(100)) {
          try network.routes("left", "ospf") == 3
        }, "\(network.log)")
      #expect(
        try eventually(within: .seconds(120), every: .milliseconds(500)) {
          try network.routes("router", "bgp") == Self.count
        }, "\(network.log)")
      #expect(try eventually { try network.bed["left"].ping("20.0.7.1") == 63 })
      if let fpd { #expect(try fpd.stop() == 0) }
      #expect(try network.bed["left"].ping("21.134.159.1") == 63)
    }
  }
}
