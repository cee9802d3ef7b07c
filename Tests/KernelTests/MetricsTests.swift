// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Metrics of a running fpd: what they say, who gets them, and what happens where they cannot be served.
  @Suite(.needsFpd) struct MetricsTests {
    private static func configuration(_ address: String, _ hook: String = "tc") -> String {
      "defaults:\n  hook: \(hook)\nmetrics: \"\(address)\"\n"
    }

    /// fpctl's figures and those of the page, as soon as both are of the same packets.
    private static func expectSameTraffic(
      _ fpd: Fpd, _ address: String, at location: SourceLocation = #_sourceLocation
    ) throws {
      var difference = ""
      let isSame = try eventually {
        let stats = try JSON(parsing: try fpd.fpctl("stats --json").check().output)
        let page = try MetricsPage(of: fpd, at: address)
        let interfaces = stats["interfaces"]?.array ?? []
        difference = interfaces.compactMap { interface in
          let name = interface["name"]?.string ?? ""
          let (told, asked) = (page.traffic(of: name), MetricsPage.traffic(interface))
          return told == asked ? nil : "\(name): \(told) instead of \(asked)"
        }.joined(separator: "\n")
        return !interfaces.isEmpty && difference.isEmpty
      }
      #expect(isSame, "\(difference)", sourceLocation: location)
    }

    /// Counters stay what they count when programs are changed, when rules bring others, and when the hook is
    /// another.
    @Test(arguments: ["127.0.0.1:9469", "unix"]) func countersAreThoseOfStats(_ kind: String) throws
    {
      let place = try TemporaryDirectory("metrics")
      let address = kind == "unix" ? "unix:\(place.path)/metrics.sock" : kind
      let bed = try Testbed.hostRouterHost()
      let (router, left) = (try bed["router"], try bed["left"])
      try FastLine.quieten(router)
      let fpd = try Fpd(in: router, configuration: Self.configuration(address))
      try fpd.wait()
      var last: [String: Double] = [:]
      func check(_ hook: String, _ modules: String) throws {
        for _ in 0..<5 { #expect(try left.ping("10.0.2.2") == 63) }
        try Self.expectSameTraffic(fpd, address)
        let page = try MetricsPage(of: fpd, at: address)
        for (name, value) in last { #expect(page[name] ?? -1 >= value, "\(name)") }
        last = page.counters
        #expect(page["fpd_interface_accelerated{interface=\"p1\"}"] == 1)
        #expect(page["fpd_interface_accelerated{interface=\"lo\"}"] == 0)
        let about = page.series.keys.first {
          $0.hasPrefix(
            "fpd_interface_info{interface=\"p1\",hook=\"\(hook)\",modules=\"\(modules)\"")
        }
        #expect(about != nil, "\(page.series.keys.sorted())")
        let status = try fpd.status()
        #expect(page["fpd_generation"] == status["generation"]?.int.map { Double($0) })
        #expect(page["fpd_state{fpd_state=\"converged\"}"] == 1)
        #expect(page["fpd_state{fpd_state=\"degraded\"}"] == 0 && page["fpd_problems"] == 0)
        let version = status["version"]?.string ?? ""
        #expect(page["fpd_build_info{version=\"\(version)\"}"] == 1)
      }
      try check("tc", "router")
      let forwarded = "fpd_forwarded_packets_total{interface=\"p1\"}"
      let swaps = "fpd_program_swaps_total{program=\"own\"}"
      let before = last
      #expect(before[forwarded] ?? 0 >= 4 && before[swaps] ?? 0 >= 2)
      #expect(before["fpd_dropped_packets_total{interface=\"p1\"}"] == 0)
      try router.run("iptables-legacy -A FORWARD -s 10.9.9.9 -j DROP")
      try fpd.wait()
      try check("tc", "filter,router")
      for name in [forwarded, swaps] { #expect(last[name] ?? 0 > before[name] ?? 0, "\(name)") }
      // Of a reaction that was counted.
      let page = try MetricsPage(of: fpd, at: address)
      let reactions = page["fpd_reaction_seconds_count"] ?? 0
      #expect(reactions >= 1 && page["fpd_reaction_seconds_bucket{le=\"+Inf\"}"] == reactions)
      #expect(page["fpd_reaction_seconds_sum"] ?? 0 > 0)
      try fpd.directory.write("fpd.yaml", Self.configuration(address, "xdp-generic"))
      fpd.process.signal(SIGHUP)
      #expect(try eventually { try fpd.interface("p1")["hook"] == "xdp-generic" })
      try fpd.wait()
      try check("xdp-generic", "filter,router")
      #expect(try fpd.stop() == 0)
    }

    @Test func onlyGetOfMetricsIsServed() throws {
      let namespace = try Namespace("metrics", ipv6: .quiet)
      let address = "[::1]:9469"
      let fpd = try Fpd(in: namespace, configuration: Self.configuration(address))
      #expect(try MetricsPage(of: fpd, at: address)["fpd_shadow_mode"] == 0)
      for path in ["/", "/metrics/x", "/metrics.txt"] {
        #expect(try namespace.http(address, path).status == 404)
      }
      for method in ["POST", "HEAD", "DELETE"] {
        let answer = try namespace.http(address, method: method)
        #expect(answer.status == 405 && answer.headers["allow"] == "GET", "\(method)")
      }
      // Over IPv6 alone.
      #expect(throws: LabError.self) { try namespace.http("127.0.0.1:9469") }
      #expect(try fpd.stop() == 0)
    }

    @Test(arguments: ["0.0.0.0:9469", "192.0.2.1:9469", "[::]:9469"])
    func othersThanThisMachineAreRefused(_ address: String) throws {
      let namespace = try Namespace("metrics")
      let directory = try TemporaryDirectory("metrics")
      try directory.write("fpd.yaml", Self.configuration(address))
      let refused = try namespace.attempt(
        try Fpd.arguments(directory: directory.path, configured: true), timeout: .seconds(10))
      #expect(refused.status == 1)
      #expect(refused.errors.contains("fpd.yaml:3:10: metrics: \"\(address)\""))
      #expect(refused.errors.contains("not a loopback address"))
    }

    /// Somebody else has the port: fpd works, says so, and serves as soon as it is free.
    @Test func portThatIsTakenIsAProblemUntilItIsFree() throws {
      let bed = try Testbed.hostRouterHost()
      let (router, address) = (try bed["router"], "127.0.0.1:9469")
      var other: HostSocket? = try HostSocket(.tcp, "127.0.0.1", port: 9469, in: router)
      try other?.listen()
      let fpd = try Fpd(in: router, configuration: Self.configuration(address))
      try fpd.wait()
      let status = try fpd.status()
      #expect(status["state"] == "degraded")
      #expect(status.at("problems.0.what") == "metrics", "\(status.text())")
      let detail = status.at("problems.0.detail")?.string ?? ""
      #expect(detail.contains(address) && detail.contains("Address already in use"), "\(detail)")
      #expect(fpd.log.contains("nobody can ask for metrics"))
      #expect(try fpd.interface("p1")["accelerated"] == true)
      #expect(try bed["left"].ping("10.0.2.2") == 63)
      withExtendedLifetime(other) {}
      other = nil
      #expect(try eventually(within: .seconds(20)) { try fpd.status()["state"] == "converged" })
      #expect(try MetricsPage(of: fpd, at: address)["fpd_problems"] == 0)
      #expect(try fpd.stop() == 0)
    }

    /// The address follows the configuration, and so does the group of a socket; the rest goes on.
    @Test func reloadChangesTheAddress() throws {
      let namespace = try Namespace("metrics")
      let place = try TemporaryDirectory("metrics")
      let (socket, port) = ("\(place.path)/metrics.sock", "127.0.0.1:9469")
      let fpd = try Fpd(in: namespace, configuration: Self.configuration(port))
      _ = try MetricsPage(of: fpd, at: port)
      func reload(_ text: String, _ words: String = "read the configuration again") throws {
        try fpd.directory.write("fpd.yaml", text)
        let count = { fpd.log.split(separator: "\n").count { $0.contains(words) } }
        let before = count()
        fpd.process.signal(SIGHUP)
        #expect(eventually { count() > before })
      }
      try reload(Self.configuration("unix:\(socket)") + "socket_group: nogroup\n")
      _ = try MetricsPage(of: fpd, at: "unix:\(socket)")
      #expect(throws: LabError.self) { try namespace.http(port) }
      var seen = stat()
      #expect(lstat(socket, &seen) == 0 && seen.st_mode == S_IFSOCK | 0o660)
      #expect(seen.st_gid == 65534 && seen.st_uid == 0)
      #expect(try fpd.fpctl("config").output.contains("unix:\(socket)"))
      try reload("socket_group: nogroup\n")
      #expect(lstat(socket, &seen) != 0)
      #expect(throws: LabError.self) { try namespace.http(port) }
      try reload(Self.configuration(port))
      _ = try MetricsPage(of: fpd, at: port)
      try reload(Self.configuration("127.0.0.1:70000"), "the configuration stays as it was")
      _ = try MetricsPage(of: fpd, at: port)
      #expect(try fpd.stop() == 0)
    }

    @Test func socketGoesWithFpdAndWhatAKilledOneLeftIsReplaced() throws {
      let namespace = try Namespace("metrics")
      let place = try TemporaryDirectory("metrics")
      let socket = "\(place.path)/metrics.sock"
      let text = Self.configuration("unix:\(socket)")
      let first = try Fpd(in: namespace, configuration: text)
      first.kill()
      #expect(access(socket, F_OK) == 0)
      let second = try Fpd(in: namespace, configuration: text, reusing: first)
      _ = try MetricsPage(of: second, at: "unix:\(socket)")
      // Another fpd's socket is not taken away.
      let other = try Namespace("other")
      let third = try Fpd(in: other, configuration: text)
      let problem = try third.status().at("problems.0")
      #expect(problem?["what"] == "metrics")
      #expect(problem?["detail"]?.string?.contains("process \(second.pid) answers there") == true)
      _ = try MetricsPage(of: second, at: "unix:\(socket)")
      #expect(try third.stop() == 0)
      #expect(access(socket, F_OK) == 0)
      #expect(try second.stop() == 0)
      #expect(access(socket, F_OK) != 0)
    }

    /// In shadow mode what was compared is there from the start, so that its growth can be watched.
    @Test func shadowTellsWhatWasCompared() throws {
      let (namespace, address) = (try Namespace("metrics"), "127.0.0.1:9469")
      let fpd = try Fpd(in: namespace, configuration: "shadow: true\nmetrics: \(address)\n")
      let page = try MetricsPage(of: fpd, at: address)
      #expect(page["fpd_shadow_mode"] == 1)
      for kind in ["other-device", "other-bytes", "sent", "dropped", "vanished"] {
        #expect(page["fpd_shadow_mismatched_packets_total{kind=\"\(kind)\"}"] == 0, "\(kind)")
      }
      #expect(page["fpd_shadow_agreed_packets_total"] == 0)
      #expect(try fpd.stop() == 0)
    }
  }
}
