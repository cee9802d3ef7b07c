// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

extension Kernel {
  /// Ways of translating that people set up, with real sockets at both ends: what is sent arrives, answers come from
  /// where they are expected, and both are fast.
  @Suite(.needsFpd) struct TranslationTests {
    enum Translation: String, CaseIterable {
      case forwardedPort, bothEnds, portOfRange, anotherAddress, hairpin

      /// Words for `iptables-legacy -t nat`, with PROTOCOL in place of one and LAST of the last port of a range.
      var rules: [String] {
        let forwarded = "-A PREROUTING -p PROTOCOL -d 10.0.2.1 --dport 8080 -j DNAT --to"
        return switch self {
        case .forwardedPort: ["\(forwarded) 10.0.1.2:80"]
        case .bothEnds:
          ["\(forwarded) 10.0.1.2:80", "-A POSTROUTING -p PROTOCOL -o p1 -j MASQUERADE"]
        case .portOfRange:
          ["-A POSTROUTING -p PROTOCOL -o p2 -j SNAT --to-source 10.0.2.1:2000-LAST"]
        case .anotherAddress: ["-A PREROUTING -p PROTOCOL -d 10.9.0.5 -j DNAT --to 10.0.2.2"]
        case .hairpin:
          [
            "\(forwarded) 10.0.1.3:80",
            "-A POSTROUTING -p PROTOCOL -s 10.0.1.0/24 -d 10.0.1.3 -j SNAT --to-source 10.0.1.1",
          ]
        }
      }

      typealias Place = (address: IPv4Address, port: UInt16)

      var asksFromInside: Bool { self != .forwardedPort && self != .bothEnds }
      var answersInside: Bool { self != .portOfRange && self != .anotherAddress }
      var client: IPv4Address { asksFromInside ? "10.0.1.2" : "10.0.2.2" }

      /// Whom the client asks, and who answers.
      var asked: Place {
        switch self {
        case .portOfRange: ("10.0.2.2", 80)
        case .anotherAddress: ("10.9.0.5", 80)
        default: ("10.0.2.1", 8080)
        }
      }
      var server: Place {
        (answersInside ? self == .hairpin ? "10.0.1.3" : "10.0.1.2" : "10.0.2.2", 80)
      }

      /// Who asks, as the server sees it.
      func seen(_ port: UInt16) -> Place {
        switch self {
        case .forwardedPort, .anotherAddress: (client, port)
        case .bothEnds, .hairpin: ("10.0.1.1", port)
        case .portOfRange: ("10.0.2.1", 2000)
        }
      }

      /// Where the two directions come in.
      var interfaces: [String] {
        self == .hairpin ? ["p1"] : ["p1", "p2"]
      }
    }

    @Test(arguments: ["xdp", "tc"], Translation.allCases)
    func bothDirectionsAreFast(_ hook: String, _ translation: Translation) throws {
      let line = try TrackingRouter(hook) { router in
        // Linux would tell whoever goes back by the way he came of a shorter one.
        try router.sysctl([
          "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.p1.send_redirects=0",
        ])
        for rule in translation.rules {
          for name in ["udp", "tcp"] {
            // One port is enough for one datagram socket; a stream's is taken for a while after its end.
            let words = rule.replacing("PROTOCOL", with: name)
              .replacing("LAST", with: name == "udp" ? "2000" : "2009")
            try router.run("iptables-legacy -t nat \(words)")
          }
        }
      }
      try line.inside.run("ip addr add 10.0.1.3/24 dev eth0")
      let client = translation.asksFromInside ? try line.inside : try line.outside
      let server = translation.answersInside ? try line.inside : try line.outside
      try datagrams(line, translation, from: client, to: server)
      try stream(line, translation, from: client, to: server, mustBeFast: true)
      // And as before when fpd has gone.
      #expect(try line.fpd.stop() == 0)
      try stream(line, translation, from: client, to: server, mustBeFast: false)
    }

    /// Each is opened, used once and closed before it lasts: the kernel's from the first segment to the last.
    @Test(arguments: ["xdp", "tc"]) func thousandsOfShortConnectionsEndAsTheyDo(_ hook: String)
      throws
    {
      let line = try TrackingRouter(hook) {
        try $0.run("iptables-legacy -t nat -A POSTROUTING -o p2 -j MASQUERADE")
      }
      let listener = try HostSocket(.tcp, "10.0.2.2", port: 80, in: try line.outside)
      try listener.listen()
      let count = 2000
      for _ in 0..<count {
        let client = try HostSocket(.tcp, "10.0.1.2", port: 0, in: try line.inside)
        try client.connect(to: "10.0.2.2", port: 80)
        let accepted = try listener.accept()
        guard try client.stream(100, to: accepted).bytes == 100,
          try accepted.stream(1000, to: client).bytes == 1000
        else { throw LabError("a short connection lost bytes") }
      }
      var open: [String] = []
      let areOver = try eventually {
        let table = try line.table().filter { $0.contains("dport=80") }
        open = table.filter { !$0.contains("TIME_WAIT") && !$0.contains("CLOSE") }
        return table.count >= count && open.isEmpty
      }
      #expect(areOver, "\(open.count) are open, such as \(open.first ?? "none")")
      #expect(try line.fpd.stop() == 0)
    }

    private func counts(_ line: TrackingRouter, _ translation: Translation) throws -> [Int64] {
      try translation.interfaces.map { try line.counts($0).fast }
    }

    private func datagrams(
      _ line: TrackingRouter, _ translation: Translation, from: Namespace, to: Namespace
    ) throws {
      let server = try HostSocket(.udp, translation.server.address, port: 80, in: to)
      let client = try HostSocket(.udp, translation.client, port: 6000, in: from)
      let (asked, seen) = (translation.asked, translation.seen(6000))
      // From then on it hears nobody else.
      try client.connect(to: asked.address, port: asked.port)
      var number: UInt8 = 0
      func talk() throws {
        number &+= 1
        try client.send([number, 1], to: asked.address, port: asked.port)
        #expect(server.receive() == [number, 1])
        try server.send([number, 2], to: seen.address, port: seen.port)
        #expect(client.receive() == [number, 2])
      }
      try talk()
      let isFast = try eventually(every: .milliseconds(20)) {
        let before = try counts(line, translation)
        for _ in 0..<5 { try talk() }
        // Both directions come in by one interface, or each by its own.
        let each: Int64 = translation.interfaces.count == 1 ? 10 : 5
        return try zip(counts(line, translation), before).allSatisfy { $0 - $1 >= each }
      }
      let stats = try translation.interfaces.map { try line.fpd.stats($0) }
      #expect(isFast, "\(stats)")
    }

    private func stream(
      _ line: TrackingRouter, _ translation: Translation, from: Namespace, to: Namespace,
      mustBeFast: Bool
    ) throws {
      let port: UInt16 = mustBeFast ? 6001 : 6002
      let listener = try HostSocket(.tcp, translation.server.address, port: 80, in: to)
      try listener.listen()
      let client = try HostSocket(.tcp, translation.client, port: port, in: from)
      try client.connect(to: translation.asked.address, port: translation.asked.port)
      let accepted = try listener.accept()
      let before = mustBeFast ? try counts(line, translation) : []
      let isThrough = try eventually(every: .milliseconds(20)) {
        let (there, back) = (
          try client.stream(1 << 18, to: accepted), try accepted.stream(1 << 18, to: client)
        )
        #expect(there.bytes == 1 << 18 && back.bytes == 1 << 18 && there.sum == back.sum)
        guard mustBeFast else { return true }
        return try zip(counts(line, translation), before).allSatisfy { $0 - $1 >= 20 }
      }
      #expect(isThrough)
    }
  }
}
