// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// Whole machines: what they are configured to do is done by fpd, byte for byte.
  @Suite(.needsFpd) struct FastScenarioTests {
    private func fpd(in namespace: Namespace, hook: String) throws -> Fpd {
      try FastLine.quieten(namespace)
      let fpd = try Fpd(in: namespace, configuration: FastLine.configuration(hook))
      try fpd.wait()
      return fpd
    }

    /// XDP redirects into a veth only when its other end does NAPI.
    private func ready(_ hosts: some Sequence<Namespace>) throws {
      for host in hosts { try host.run("ethtool -K eth0 gro on") }
    }

    /// A router between `left` and `right` with so many prefixes behind each.
    private func router(prefixes: Int) throws -> (bed: Testbed, ways: [FastWay]) {
      let bed = try Testbed.hostRouterHost()
      let (left, right, router) = (try bed["left"], try bed["right"], try bed["router"])
      try ready([left, right])
      var lines = [
        "neigh replace 10.0.1.2 lladdr \(try left.mac(of: "eth0")) dev p1 nud permanent",
        "neigh replace 10.0.2.2 lladdr \(try right.mac(of: "eth0")) dev p2 nud permanent",
      ]
      for number in 0..<prefixes {
        lines.append("route add 10.101.\(number).0/24 via 10.0.1.2")
        lines.append("route add 10.102.\(number).0/24 via 10.0.2.2")
      }
      try router.ip(batch: lines)
      let (p1, p2) = (try router.mac(of: "p1"), try router.mac(of: "p2"))
      func behind(_ network: UInt32) -> [IPv4Address] {
        (0..<UInt32(prefixes)).map { number in IPv4Address(network + number * 256 + 77) }
      }
      return (
        bed,
        [
          FastWay(
            from: left, to: right, entry: "p1", source: "10.0.1.2",
            destinations: behind(0x0a66_0000),
            router: (p1, p2)),
          FastWay(
            from: right, to: left, entry: "p2", source: "10.0.2.2",
            destinations: behind(0x0a65_0000),
            router: (p2, p1)),
        ]
      )
    }

    @Test(arguments: ["xdp", "tc"]) func routerWithFiftyPrefixes(_ hook: String) throws {
      let (bed, ways) = try router(prefixes: 50)
      let fpd = try fpd(in: bed["router"], hook: hook)
      for way in ways { try way.expectDelivery(100, by: fpd) }
      #expect(try fpd.stop() == 0)
    }

    @Test(arguments: ["xdp", "tc"]) func bridgeWithEightPorts(_ hook: String) throws {
      let bed = try Testbed.bridged(hosts: 8)
      let bridge = try bed["switch"]
      let hosts = try (1...8).map { try bed["h\($0)"] }
      try ready(hosts)
      for (number, host) in hosts.enumerated() {
        let mac = try host.mac(of: "eth0")
        try bridge.run("bridge fdb replace \(mac) dev p\(number + 1) master static")
      }
      let fpd = try fpd(in: bridge, hook: hook)
      for (i, from) in hosts.enumerated() {
        for (j, to) in hosts.enumerated() where i != j {
          let way = FastWay(
            from: from, to: to, entry: "p\(i + 1)", source: IPv4Address(0x0a00_0001 + UInt32(i)),
            destinations: [IPv4Address(0x0a00_0001 + UInt32(j))])
          try way.expectDelivery(6, by: fpd)
        }
      }
      #expect(try fpd.stop() == 0)
    }

    /// Hosts on a bridge with an address, and a world outside that is reached by routing.
    private func host(
      ports: Int, bridge name: String, outward: String
    ) throws -> (bed: Testbed, ways: [FastWay]) {
      let bed = Testbed()
      let middle = try bed.add("middle")
      try middle.ip(batch: [
        "link add \(name) address 02:00:00:00:88:01 type bridge", "link set \(name) up",
        "addr add 10.88.0.1/24 dev \(name)",
      ])
      var hosts: [Namespace] = []
      for number in 1...ports {
        let host = try bed.add("c\(number)")
        try bed.cable(
          .init(host, "eth0", "10.88.0.\(10 + number)/24"), .init(middle, "v\(number)"))
        try host.run("ip route add default via 10.88.0.1")
        try middle.run("ip link set v\(number) master \(name)")
        let mac = try host.mac(of: "eth0")
        try middle.run("bridge fdb replace \(mac) dev v\(number) master static")
        try middle.run(
          "ip neigh replace 10.88.0.\(10 + number) lladdr \(mac) dev \(name) nud permanent")
        hosts.append(host)
      }
      let out = try bed.add("out")
      try bed.cable(.init(out, "eth0", "203.0.113.2/24"), .init(middle, outward, "203.0.113.1/24"))
      try out.run("ip route add default via 203.0.113.1")
      let mac = try out.mac(of: "eth0")
      try middle.run("ip neigh replace 203.0.113.2 lladdr \(mac) dev \(outward) nud permanent")
      try ready(hosts + [out])
      let bridge: MAC = "02:00:00:00:88:01"
      let outer = try middle.mac(of: outward)
      var ways: [FastWay] = []
      for (i, host) in hosts.enumerated() {
        let own = IPv4Address(0x0a58_000b + UInt32(i))
        let next = (i + 1) % hosts.count
        ways += [
          FastWay(
            from: host, to: hosts[next], entry: "v\(i + 1)", source: own,
            destinations: [IPv4Address(0x0a58_000b + UInt32(next))]),
          FastWay(
            from: host, to: out, entry: "v\(i + 1)", source: own, destinations: ["203.0.113.2"],
            router: (bridge, outer)),
          FastWay(
            from: out, to: host, entry: outward, source: "203.0.113.2", destinations: [own],
            router: (outer, bridge)),
        ]
      }
      return (bed, ways)
    }

    @Test(arguments: ["xdp", "tc"]) func bridgeThatRoutesOutwards(_ hook: String) throws {
      let (bed, ways) = try host(ports: 2, bridge: "br0", outward: "p9")
      let fpd = try fpd(in: bed["middle"], hook: hook)
      for way in ways { try way.expectDelivery(by: fpd) }
      #expect(try fpd.stop() == 0)
    }

    /// Nobody says which hook; real sockets send what they send.
    @Test func containerHost() throws {
      let (bed, ways) = try host(ports: 4, bridge: "cni0", outward: "up0")
      let fpd = try fpd(in: bed["middle"], hook: "auto")
      for way in ways { try way.expectDelivery(by: fpd) }
      for (client, server, address) in [
        ("c1", "out", "203.0.113.2"), ("out", "c2", "10.88.0.12"), ("c3", "c4", "10.88.0.14"),
      ] {
        let entry = client == "out" ? "up0" : "v\(client.dropFirst())"
        let before = try fpd.stats(entry)
        let address = try #require(IPv4Address(address))
        let stream = LoadStream(from: try bed[client], to: try bed[server], address)
        #expect(try stream.bulk(.milliseconds(300)).count > 1 << 20)
        let after = try fpd.stats(entry)
        #expect(after.forwarded - before.forwarded > 20, "\(client): \(after)")
        #expect(after.punted(since: before).filter { $0.key != "other-protocol" } == [:])
      }
      #expect(try fpd.stop() == 0)
    }

    /// Two routers that look the same down to the numbers of their interfaces.
    @Test(arguments: ["xdp", "tc"]) func twoSideBySide(_ hook: String) throws {
      let (one, other) = (try router(prefixes: 2), try router(prefixes: 2))
      let (router, twin) = (try one.bed["router"], try other.bed["router"])
      #expect(try router.ifindex(of: "p1") == twin.ifindex(of: "p1"))
      let first = try fpd(in: router, hook: hook)
      let second = try fpd(in: twin, hook: hook)
      #expect(try router.pins() != twin.pins())
      for way in one.ways { try way.expectDelivery(by: first) }
      for way in other.ways { try way.expectDelivery(by: second) }
      let counted = try second.stats("p1")
      // What happens to one does not happen to the other.
      try router.run("ip link set p2 down")
      try first.wait()
      #expect(try first.stop() == 0)
      #expect(access(try twin.pins(), F_OK) == 0)
      #expect(try second.stats("p1") == counted)
      for way in other.ways { try way.expectDelivery(by: second) }
      second.kill()
      let third = try Fpd(
        in: twin, configuration: FastLine.configuration(hook), reusing: second)
      try third.wait()
      for way in other.ways { try way.expectDelivery(by: third) }
      #expect(try third.stop() == 0)
    }
  }
}
