// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// fpd is killed, stopped, overrun or doubled: packets do not notice, and fpctl says what is wrong.
  @Suite(.needsFpd) struct FaultProcessTests {
    @Test(arguments: ["xdp", "tc"]) func fpdIsKilled(_ hook: String) throws {
      let line = try FaultLine(hook)
      line.fpd.kill()
      let told = try line.fpd.fpctl("status")
      #expect(told.status == 3)
      #expect(told.errors.contains("cannot reach fpd on \(line.fpd.socket)"), "\(told.errors)")
      try line.expectStillFast()
      try line.change(5)
      try line.fast.restart()
      try line.expectRecovered()
      try line.change(2)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    @Test(arguments: ["xdp", "tc"]) func fpdIsStopped(_ hook: String) throws {
      let line = try FaultLine(hook)
      line.fpd.process.signal(SIGSTOP)
      try line.change(5)
      let told = try line.fpd.fpctl("status")
      #expect(told.status == 3)
      #expect(told.errors.contains("did not answer in time; it may hang"), "\(told.errors)")
      try line.expectStillFast()
      try line.change(2)
      line.fpd.process.signal(SIGCONT)
      try line.expectRecovered()
      try line.change(2)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    /// More than any receive buffer holds, and in the midst of it what matters for packets.
    @Test(arguments: ["xdp", "tc"]) func netlinkOverflows(_ hook: String) throws {
      let line = try FaultLine(hook)
      let router = line.router
      try router.ip(batch: (0..<10).map { "link add v\($0) type veth peer name w\($0)" })
      try router.ip(batch: [
        "link add br7 type bridge", "link set br7 up", "link set v8 master br7", "link set v8 up",
        "link set w8 up",
      ])
      try line.fpd.wait()
      #expect(try line.fpd.graph().at("interfaces.v8.graph.router") == nil)
      line.fpd.process.signal(SIGSTOP)
      let flood = (0..<6000).map { "link set v\($0 % 10) mtu \(1400 + $0 % 7)" }
      for _ in 0..<3 {
        try router.ip(batch: flood)
        try line.change(2)
      }
      try router.sysctl("net.ipv4.conf.p1.rp_filter=1")
      // Of addresses nothing in the flood has said anything.
      try router.ip(batch: [
        "link del v9", "link add late type bridge", "addr add 10.98.0.1/24 dev br7",
      ])
      line.fpd.process.signal(SIGCONT)
      try line.expectRecovered()
      // Or else the flood was none.
      #expect(line.fpd.log.contains("overran"))
      let graph = try line.fpd.graph()
      #expect(graph.at("interfaces.late") != nil && graph.at("interfaces.v9") == nil)
      #expect(graph.at("interfaces.p1.graph.router.conf.rp_filter") != nil)
      #expect(graph.at("interfaces.v8.graph.router") != nil)
      try line.change(2)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    @Test(arguments: ["xdp", "tc"]) func secondFpdRefuses(_ hook: String) throws {
      let line = try FaultLine(hook)
      let program = try line.fast.slot().program
      for _ in 0..<3 {
        let elsewhere = try TemporaryDirectory("second")
        let second = try line.router.attempt(
          try Fpd.arguments(directory: elsewhere.path), timeout: .seconds(10))
        #expect(second.status == 1)
        #expect(
          second.errors.contains("another fpd is running in this network namespace"),
          "\(second.errors)")
        try line.change()
      }
      #expect(try line.fast.slot().program == program)
      try line.expectRecovered()
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    /// Its name goes; fpd holds the namespace, goes on there, and lets go of all of it when it ends.
    @Test(arguments: ["xdp", "tc"]) func namespaceIsDeleted(_ hook: String) throws {
      let line = try FaultLine(hook)
      try line.change()
      let held = try DatapathBench.held(by: line.fpd.pid)
      let pins = try line.router.pins()
      try Command.run(["ip", "netns", "del", line.router.name]).check()
      let before = try line.fpd.stats("p1").forwarded
      line.more(2000)
      #expect(try line.fpd.stats("p1").forwarded > before)
      try line.fpd.expectConverged()
      try line.finish()
      #expect(try line.fpd.stop() == 0)
      #expect(eventually { DatapathBench.present(held).isEmpty })
      #expect(access(pins, F_OK) != 0)
      let left = try line.fast.line.bed["left"]
      #expect(eventually { (try? left.has(device: "eth0")) == false })
    }
  }
}
