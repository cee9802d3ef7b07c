// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// An fpd that only decides: Linux does everything, exactly as without it, and every decision agrees.
  @Suite(.needsFpd) struct ShadowTests {
    @Test(arguments: [FastLine.Kind.router, .bridge], ["xdp", "tc"])
    func linuxDoesItAllAndAgrees(_ kind: FastLine.Kind, _ hook: String) throws {
      let shadow = try ShadowLine(kind, hook: hook)
      let forwarded = try shadow.middle.forwardedByKernel()
      let tally = try shadow.send(10_000)
      #expect(tally.isWhole && tally.arrived == 10_000, "\(tally)")
      if kind == .router {
        #expect(try shadow.middle.forwardedByKernel() - forwarded >= 10_000)
      }
      let report = try shadow.report()
      report.expectAgreement(10_000)
      #expect(report.dropped == 0)
      // Nothing is claimed to have been accelerated.
      let stats = try shadow.fpd.stats("p1")
      #expect(stats.forwarded == 0 && stats.dropped == 0)
      #expect(stats.punted["shadow"] ?? 0 >= 10_000, "\(stats)")
      try shadow.expectShadow()
      #expect(try shadow.fpd.interface("p1")["fast_share"]?.double ?? 0 == 0)
      let told = try shadow.fpd.fpctl("shadow")
      #expect(told.status == 0 && told.output.contains("no difference"), "\(told)")
      #expect(try shadow.fpd.fpctl("status").output.contains("shadow mode"))
      #expect(try shadow.fpd.fpctl("config").output.contains("shadow"))
      #expect(try shadow.fpd.stop() == 0)
    }

    /// What is routed into a bridge leaves by a port, after the bridge itself.
    @Test(arguments: ["xdp", "tc"]) func routingIntoABridgeAgrees(_ hook: String) throws {
      let shadow = try ShadowLine(.router, hook: hook) { router in
        let mac = try router.run("ip neigh show dev p2").output.split(separator: " ")
          .first { $0.filter { $0 == ":" }.count == 5 }
        let host = String(try #require(mac))
        try router.run("ip link add br0 type bridge")
        try router.run("ip addr flush dev p2")
        try router.run("ip link set p2 master br0")
        try router.run("ip addr add 10.0.2.1/24 dev br0")
        try router.run("ip link set br0 up")
        try router.run("ip neigh replace 10.0.2.2 lladdr \(host) dev br0 nud permanent")
        try router.run("bridge fdb replace \(host) dev p2 master static")
        try router.run("ip route replace default via 10.0.2.2")
        for number in 0..<10 {
          try router.run("ip route replace 10.100.\(number).0/24 via 10.0.2.2")
        }
        try FastLine.quieten(router)
      }
      #expect(try shadow.send(10_000).isWhole)
      let report = try shadow.report()
      #expect(report.forwarded >= 10_000)
      report.expectAgreement(10_000)
      #expect(try shadow.fpd.stop() == 0)
    }

    /// Linux joins segments behind XDP; on TC it sends them whole.
    @Test(arguments: ["xdp", "tc"]) func streamsAgree(_ hook: String) throws {
      let shadow = try ShadowLine(.router, hook: hook)
      let (left, right) = (try shadow.line.bed["left"], try shadow.line.bed["right"])
      for host in [left, right] { try host.run("ethtool -K eth0 tx off gro on") }
      try shadow.middle.run("ethtool -K p2 gro on")
      let stream = LoadStream(from: left, to: right, "10.0.2.2")
      #expect(try stream.bulk(.milliseconds(300)).count > 1_000_000)
      #expect(try stream.requests(.milliseconds(200), sessions: 4).count > 100)
      let report = try shadow.report()
      #expect(report.forwarded > 500 && report.agreed > 500, "\(report.json.text())")
      #expect(report.differing == 0 && report.uncompared == 0, "\(report.json.text())")
      #expect(report.agreed + report.unseen == report.forwarded + report.dropped)
      report.expectSight()
      #expect(try shadow.fpd.stop() == 0)
    }

    /// A hundred rules, of which each drops some, are counted by Linux alone.
    @Test(arguments: ["xdp", "tc"], IPTables.allCases)
    func rulesThatDropAgree(_ hook: String, _ kind: IPTables) throws {
      let shadow = try ShadowLine(.router, hook: hook) { router in
        for number in 0..<100 {
          // The generator takes turns with 10.100.0.1 to 10.100.9.1.
          let target =
            number == 93 ? "10.100.3.1" : number == 97 ? "10.100.7.1" : "10.200.0.\(number)"
          try router.run("\(kind.rawValue) -A FORWARD -d \(target) -j DROP")
        }
      }
      let tally = try shadow.send(10_000)
      #expect(tally.lost > 1800 && tally.duplicated == 0, "\(tally)")
      let report = try shadow.report()
      report.expectAgreement(10_000)
      #expect(report.dropped == tally.lost, "\(report.json.text())")
      let rules = try shadow.middle.run("\(kind.rawValue) -L FORWARD -v -n -x").output
      let hits = rules.split(separator: "\n").filter { $0.contains("10.100.") }
        .compactMap { $0.split(separator: " ").first.flatMap { Int($0) } }
      #expect(hits.count == 2 && hits.reduce(0, +) == tally.lost, "\(rules)")
      #expect(try shadow.fpd.stop() == 0)
    }

    @Test func fpctlSaysNoWhereFpdActs() throws {
      let bed = try Testbed.hostRouterHost()
      let fpd = try Fpd(in: bed["router"])
      let told = try fpd.fpctl("shadow")
      #expect(told.status == 1, "\(told)")
      #expect(try fpd.fpctl("shadow --json").output == "{\"shadow\":false}\n")
      #expect(try fpd.status()["shadow"] == nil)
      #expect(try fpd.stop() == 0)
    }
  }
}
