// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  @Suite struct LabNamespaceTests {
    @Test func namespaceIsListedByIPAndGoneWhenClosed() throws {
      let namespace = try Namespace("listed")
      let name = namespace.name
      #expect(try Command.run(["ip", "netns", "list"]).check().output.contains(name))
      namespace.close()
      #expect(try !Command.run(["ip", "netns", "list"]).check().output.contains(name))
      #expect(throws: LabError.self) { try namespace.run("ip link") }
    }

    @Test func namespaceGoesWithItsLastHolder() throws {
      var namespace: Namespace? = try Namespace("held")
      let path = try #require(namespace?.path)
      #expect(access(path, F_OK) == 0)
      namespace = nil
      #expect(access(path, F_OK) != 0)
    }

    @Test func toolsRunInsideAndOnlyInside() throws {
      let namespace = try Namespace("inside")
      try namespace.run("ip link add seen type bridge")
      #expect(try namespace.has(device: "seen"))
      #expect(try !Command.run(["ip", "link"]).check().output.contains("seen"))
      #expect(try namespace.inside { if_nametoindex("seen") } != 0)
      #expect(if_nametoindex("seen") == 0)
      try namespace.sysctl("net.ipv4.ip_forward=1")
      #expect(try namespace.sysctlValue("net.ipv4.ip_forward") == "1")
    }

    @Test func failureTellsCommandStatusAndWords() throws {
      let namespace = try Namespace("failing")
      let error = try #require(throws: LabError.self) {
        try namespace.run("ip link set nothing up")
      }
      #expect(error.description.contains("ip link set nothing up"))
      #expect(error.description.contains("Cannot find device"))
      #expect(throws: LabError.self) { try namespace.run("no-such-tool-at-all") }
    }

    @Test func commandThatHangsIsKilledAtItsDeadline() throws {
      let namespace = try Namespace("hanging")
      let error = try #require(throws: LabError.self) {
        try namespace.run(["sh", "-c", "echo begun; sleep 100"], timeout: .milliseconds(200))
      }
      #expect(error.description.contains("begun"))
    }

    @Test func largeInputAndOutputPassWhole() throws {
      let namespace = try Namespace("large")
      let text = (0..<200_000).map { "line \($0)\n" }.joined()
      #expect(try namespace.run(["cat"], input: text).output == text)
    }

    @Test func batchesReachTheirTools() throws {
      let namespace = try Namespace("batches")
      try namespace.ip(batch: (0..<50).map { "link add b\($0) type bridge" })
      #expect(try namespace.has(device: "b49"))
      for kind in IPTables.allCases {
        try namespace.restore(kind, "*filter\n-A FORWARD -s 10.9.8.7 -j DROP\nCOMMIT\n")
        #expect(try namespace.run([kind.rawValue, "-S"]).output.contains("10.9.8.7"))
      }
      try namespace.nft("table ip mine {\n set s {\n type ipv4_addr\n }\n}\n")
      #expect(try namespace.run("nft list ruleset").output.contains("table ip mine"))
    }

    @Test func backgroundProcessIsHeardAndKilled() throws {
      let namespace = try Namespace("background")
      let process = try namespace.start(
        ["sh", "-c", "echo ready; read x; echo got $x; exec sleep 99"],
        feed: true)
      try process.waitForOutput("ready")
      try process.write("word\n")
      try process.waitForOutput("got word")
      let pid = process.pid
      #expect(process.isRunning)
      namespace.close()
      #expect(!process.isRunning)
      #expect(kill(pid, 0) != 0)
    }

    @Test func quietIPv6HasNoDuplicateAddressDetection() throws {
      let bed = Testbed()
      let (a, b) = (try bed.add("a", ipv6: .quiet), try bed.add("b", ipv6: .quiet))
      try bed.cable(.init(a, "eth0"), .init(b, "eth0"))
      try a.run("ip -6 addr add 2001:db8::1/64 dev eth0")
      #expect(try !a.run("ip -6 addr show dev eth0").output.contains("tentative"))
      let off = try bed.add("off")
      #expect(try off.sysctlValue("net.ipv6.conf.all.disable_ipv6") == "1")
    }

    /// The names the sweep may remove: those of the lab with a pid that no longer lives.
    @Test func sweepRemovesWhatTheDeadLeftAndNothingElse() throws {
      let living = try Namespace("living")
      let orphan = "fpd-\(try Self.pidOfADeadProcess())-1-orphan"
      try Command.run(["ip", "netns", "add", orphan]).check()
      let foreign = "lab-test-\(getpid())-foreign"
      try Command.run(["ip", "netns", "add", foreign]).check()
      defer { _ = try? Command.run(["ip", "netns", "del", foreign]) }
      let inhabitant = try Background(["sleep", "1000"], namespace: "/run/netns/\(orphan)")
      Leftovers.sweep()
      #expect(access("/run/netns/\(orphan)", F_OK) != 0)
      #expect(inhabitant.ended(within: .seconds(2)) == 128 + SIGKILL)
      #expect(access("/run/netns/\(foreign)", F_OK) == 0)
      #expect(access(living.path, F_OK) == 0)
    }

    private static func pidOfADeadProcess() throws -> Int32 {
      let process = try Background(["true"], namespace: nil)
      try #require(process.ended(within: .seconds(5)) == 0)
      return process.pid
    }
  }
}
