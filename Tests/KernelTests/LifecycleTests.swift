// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// fpd comes, goes, is killed, reloads, and lives beside others.
  @Suite(.needsFpd) struct LifecycleTests {
    @Test func twoRunSideBySideAndSeeOnlyTheirOwnNamespace() throws {
      let (a, b) = (try Namespace("a"), try Namespace("b"))
      let (first, second) = (try Fpd(in: a), try Fpd(in: b))
      try a.run("ip link add only-a type bridge")
      try b.run("ip link add only-b type bridge")
      #expect(try eventually { try first.graph().at("interfaces.only-a") != nil })
      #expect(try eventually { try second.graph().at("interfaces.only-b") != nil })
      #expect(try first.graph().at("interfaces.only-b") == nil)
      #expect(try second.graph().at("interfaces.only-a") == nil)
      try first.stop()
      #expect(try second.status()["state"]?.string != nil)
      try b.run("ip link del only-b")
      #expect(try eventually { try second.graph().at("interfaces.only-b") == nil })
    }

    @Test func terminationLeavesTheMachineAsItWas() throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      try router.run("iptables-legacy -A FORWARD -s 10.9.9.9 -j DROP")
      let before = try Self.settledConfiguration(of: router)
      let fpd = try Fpd(in: router)
      try fpd.wait()
      #expect(try fpd.stop() == 0)
      let after = try Self.configuration(of: router)
      #expect(after == before, "\(after.difference(from: before))")
      #expect(access(fpd.socket, F_OK) != 0)
      let left = Residue.find().filter { $0.hasPrefix("BPF") || $0.hasPrefix("pin") }
      #expect(left == [])
      #expect(try bed["left"].ping("10.0.2.2") == 63)
    }

    /// The configuration once links and addresses have stopped coming up by themselves.
    private static func settledConfiguration(of namespace: Namespace) throws -> [String] {
      var last: [String] = []
      let isSettled = try eventually {
        let now = try configuration(of: namespace)
        let isMoving = now.contains { line in
          ["tentative", "LOWERLAYERDOWN", "state DOWN"].contains { line.contains($0) }
        }
        defer { last = now }
        return !isMoving && now == last
      }
      #expect(isSettled)
      return last
    }

    /// Everything a person could see of a namespace's configuration.
    private static func configuration(of namespace: Namespace) throws -> [String] {
      try [
        "ip -d link", "ip addr", "ip rule", "tc qdisc", "nft list ruleset", "iptables-legacy -S",
      ]
      .flatMap { try namespace.run($0).output.split(separator: "\n").map(String.init) }
    }

    @Test func killedDaemonIsFollowedByAnother() throws {
      let namespace = try Namespace("killed")
      let first = try Fpd(in: namespace)
      first.kill()
      try namespace.run("ip link add meanwhile type bridge")
      let second = try Fpd(in: namespace, reusing: first)
      #expect(try second.graph().at("interfaces.meanwhile") != nil)
      try namespace.run("ip link del meanwhile")
      #expect(try eventually { try second.graph().at("interfaces.meanwhile") == nil })
      #expect(try second.stop() == 0)
    }

    @Test func secondInTheSameNamespaceRefusesAndTheFirstLivesOn() throws {
      let namespace = try Namespace("second")
      let first = try Fpd(in: namespace)
      let elsewhere = try TemporaryDirectory("elsewhere")
      let second = try namespace.attempt(
        try Fpd.arguments(directory: elsewhere.path), timeout: .seconds(10))
      #expect(second.status != 0)
      #expect(second.errors.contains("another fpd"))
      try first.expectConverged()
      #expect(try first.stop() == 0)
    }

    @Test func secondOnTheSameSocketRefusesAndTheFirstLivesOn() throws {
      let (namespace, other) = (try Namespace("first"), try Namespace("second"))
      let first = try Fpd(in: namespace)
      let second = try other.attempt(
        try Fpd.arguments(directory: first.directory.path), timeout: .seconds(10))
      #expect(second.status != 0)
      #expect(second.errors.contains(first.socket))
      try first.expectConverged()
      #expect(try first.stop() == 0)
    }

    @Test func badConfigurationIsRefusedAtTheStart() throws {
      let namespace = try Namespace("bad")
      let directory = try TemporaryDirectory("bad")
      try directory.write("fpd.yaml", "defaults:\n  hook: sideways\n")
      let refused = try namespace.attempt(
        try Fpd.arguments(directory: directory.path, configured: true), timeout: .seconds(10))
      #expect(refused.status != 0)
      #expect(refused.errors.contains("fpd.yaml:2"))
      #expect(refused.errors.contains("sideways"))
    }

    /// Or `fpd --version` in a chroot would work on the network until somebody looks.
    @Test func withoutArgumentsThatCanBeReadNothingIsBegun() throws {
      let namespace = try Namespace("blind")
      let script = "mount -t tmpfs fpd-lab /proc && exec \"$@\""
      let refused = try namespace.attempt(
        ["unshare", "--mount", "sh", "-c", script, "sh", Binaries.fpd, "--version"],
        timeout: .seconds(10))
      #expect(refused.status == 1)
      #expect(
        refused.errors == "fpd: what fpd was called with cannot be read: /proc is not mounted\n")
    }

    @Test func configurationDecidesTheHookOfAnInterface() throws {
      let bed = try Testbed.hostRouterHost()
      let text = { (hook: String) in
        "defaults:\n  hook: xdp\ninterfaces:\n  p1:\n    hook: \(hook)\n"
      }
      let fpd = try Fpd(in: try bed["router"], configuration: text("off"))
      let off = try Expectation("interfaces.p1.slow_path has hook-off")
      #expect(try off.problem(in: fpd.graph()) == nil)
      #expect(try fpd.graph().at("interfaces.p2.hook") == "xdp")
      try fpd.directory.write("fpd.yaml", text("xdp-generic"))
      fpd.process.signal(SIGHUP)
      #expect(try eventually { try fpd.graph().at("interfaces.p1.hook") == "xdp-generic" })
      #expect(try fpd.stop() == 0)
    }

    @Test func reloadTakesAGoodConfigurationAndKeepsTheOldForABadOne() throws {
      let namespace = try Namespace("reload")
      let fpd = try Fpd(in: namespace, configuration: "defaults:\n  hook: tc\n")
      let first = try fpd.connect().ask("config")
      try fpd.directory.write("fpd.yaml", "defaults:\n  hook: xdp\n")
      fpd.process.signal(SIGHUP)
      #expect(try eventually { try fpd.connect().ask("config") != first })
      let second = try fpd.connect().ask("config")
      try fpd.directory.write("fpd.yaml", "defaults:\n  hook: xdp\n  colour: blue\n")
      fpd.process.signal(SIGHUP)
      try fpd.process.waitForOutput("fpd.yaml:3")
      #expect(fpd.log.contains("colour"))
      #expect(try fpd.connect().ask("config") == second)
      #expect(try fpd.status()["state"]?.string != nil)
      #expect(try fpd.stop() == 0)
    }

    @Test func fpctlExitCodesTellWhatHappened() throws {
      let namespace = try Namespace("codes")
      let fpd = try Fpd(in: namespace)
      #expect(try fpd.fpctl("status --json").status == 0)
      #expect(try fpd.fpctl("wait --timeout 5").status == 0)
      #expect(try fpd.fpctl("graph nothing-here").status == 1)
      #expect(try fpd.fpctl("no-such-command").status == 2)
      #expect(try fpd.fpctl("status --no-such-option").status == 2)
      let status = try JSON(parsing: fpd.fpctl("status --json").output)
      #expect(status["state"]?.string != nil)
      #expect(status["interfaces"]?.array != nil)
      #expect(try fpd.stop() == 0)
      #expect(try fpd.fpctl("status").status == 3)
    }
  }
}
