// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Rules as the firewalls and engines of the field write them: established connections are fast through all of
  /// them, and nothing in them is unknown.
  @Suite(.needsFpd) struct FirewallEngineTests {
    enum Engine: String, CaseIterable, CustomTestStringConvertible {
      case ufwLegacy, ufwNft, firewalld, fw4, kubeProxyLegacy, kubeProxyNft, netavark, cni

      var testDescription: String { rawValue }

      /// The command, and what it reads.
      var script: (command: [String], text: String) {
        get throws {
          switch self {
          case .ufwLegacy: (["iptables-legacy-restore"], try Self.kept("ufw.iptables"))
          case .ufwNft: (["iptables-nft-restore"], try Self.kept("ufw.iptables"))
          case .firewalld: (["nft", "-f", "-"], try Self.kept("firewalld.nft"))
          case .fw4: (["nft", "-f", "-"], try Self.kept("fw4.nft"))
          case .kubeProxyLegacy: (["iptables-legacy-restore"], KubeProxy().rules)
          case .kubeProxyNft: (["iptables-nft-restore"], KubeProxy().rules)
          case .netavark: (["iptables-nft-restore"], try Self.kept("netavark.iptables"))
          case .cni: (["iptables-legacy-restore"], try Self.kept("cni.iptables"))
          }
        }
      }

      private static func kept(_ name: String) throws -> String {
        try TextFile.read("Tests/KernelTests/Fixtures/firewalls/\(name)")
      }

      /// Where a client asks, and where answers come from.
      var service: (asked: IPv4Address, port: UInt16, endpoint: UInt16) {
        switch self {
        case .kubeProxyLegacy, .kubeProxyNft: ("10.96.0.1", 53, 8000)
        default: ("10.0.2.2", 53, 53)
        }
      }
    }

    private static let clients = 12

    private static func line(_ hook: String, _ engine: Engine) throws -> TrackingRouter {
      let script = try engine.script
      return try TrackingRouter(hook) { try $0.run(script.command, input: script.text) }
    }

    @Test(arguments: ["xdp", "tc"], Engine.allCases)
    func establishedConnectionsAreFast(_ hook: String, _ engine: Engine) throws {
      let line = try Self.line(hook, engine)
      let fpd = line.fpd
      let (asked, port, endpoint) = engine.service
      // Who answers, at each of the endpoints that a service may choose.
      let servers = try (0..<(endpoint == port ? 1 : 4)).map {
        try HostSocket(.udp, "10.0.2.2", port: endpoint + UInt16($0), in: try line.outside)
      }
      let clients = try (0..<Self.clients).map {
        try HostSocket(.udp, "10.0.1.2", port: UInt16(6000 + $0), in: try line.inside)
      }
      let isZoned = engine == .firewalld || engine == .fw4
      for number in 0..<Self.clients {
        let place = number % servers.count
        // Zones do not let begin what others do; and chance is to choose no endpoint here.
        let answer =
          isZoned ? "-n 10.0.2.1" : endpoint == port ? "" : "-g 10.0.2.2:\(Int(endpoint) + place)"
        try line.router.run(
          "conntrack -I -p udp -s 10.0.1.2 -d \(asked) --sport \(6000 + number) --dport \(port) \(answer) "
            + "-t 600 -u SEEN_REPLY,ASSURED")
      }
      let source: IPv4Address = isZoned ? "10.0.2.1" : "10.0.1.2"
      // Neighbours are found by the first.
      for round in 0..<6 {
        for (number, client) in clients.enumerated() {
          let server = servers[number % servers.count]
          try client.send([UInt8(round), UInt8(number)], to: asked, port: port)
          #expect(server.receive() == [UInt8(round), UInt8(number)])
          try server.send([9, UInt8(number)], to: source, port: UInt16(6000 + number))
          #expect(client.receive() == [9, UInt8(number)])
        }
      }
      for interface in ["p1", "p2"] {
        let stats = try fpd.stats(interface)
        #expect(stats.forwarded >= 5 * Self.clients, "\(interface): \(stats)")
        for reason in ["rule-unknown", "rule-effect", "rules-too-many", "rules-met"] {
          #expect(stats.punted[reason] == nil, "\(interface): \(reason)")
        }
      }
      #expect(try fpd.stop() == 0)
    }

    /// A service chooses by chance, which is the kernel's to do: what has begun goes where it began.
    @Test(arguments: ["xdp", "tc"]) func servicesChooseTheirEndpoints(_ hook: String) throws {
      let line = try Self.line(hook, .kubeProxyLegacy)
      let fpd = line.fpd
      let servers = try (0..<4).map {
        try HostSocket(.udp, "10.0.2.2", port: UInt16(8000 + $0), in: try line.outside)
      }
      let clients = try (0..<40).map {
        try HostSocket(.udp, "10.0.1.2", port: UInt16(7000 + $0), in: try line.inside)
      }
      /// Which endpoint a client reaches, and whether its answer comes back.
      func ask(_ number: Int) throws -> Int? {
        try clients[number].send([UInt8(number)], to: "10.96.0.1", port: 53)
        var reached: Int?
        _ = eventually(within: .seconds(2)) {
          reached = servers.firstIndex { $0.receive(within: .zero) == [UInt8(number)] }
          return reached != nil
        }
        guard let reached else { return nil }
        try servers[reached].send([7], to: "10.0.1.2", port: UInt16(7000 + number))
        return clients[number].receive() == [7] ? reached : nil
      }
      let first = try clients.indices.map(ask)
      #expect(!first.contains(nil) && Set(first).count > 1, "\(first)")
      // Assured is what talks for longer than two seconds.
      let before = try fpd.stats("p1").forwarded
      let isFast = try eventually(within: .seconds(10), every: .milliseconds(300)) {
        #expect(try clients.indices.map(ask) == first)
        return try fpd.stats("p1").forwarded > before + 80
      }
      #expect(isFast)
      #expect(try fpd.stop() == 0)
    }
  }
}
