// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// After SIGTERM the machine is as if fpd had never been there.
  @Suite(.needsFpd) struct FastTerminationTests {
    /// What a person sees of devices, qdiscs and routes. (To list rules is to change what netfilter does.)
    private static func configuration(of namespace: Namespace) throws -> [String] {
      try [
        "ip -d link", "ip addr", "ip rule", "ip route show table all", "tc -d qdisc",
        "tc filter show dev p1 ingress",
      ]
      .flatMap { try namespace.run($0).output.split(separator: "\n").map(String.init) }
    }

    @Test(arguments: ["xdp", "tc", "auto"])
    func nothingIsLeft(_ hook: String) throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      try FastLine.quieten(router)
      #expect(try bed["left"].ping("10.0.2.2") == 63)
      var before: [String] = []
      let isSettled = try eventually {
        before = try Self.configuration(of: router)
        return !before.contains { $0.contains("NO-CARRIER") || $0.contains("state DOWN") }
      }
      #expect(isSettled)
      let fpd = try Fpd(in: router, configuration: FastLine.configuration(hook))
      try fpd.wait()
      for device in ["p1", "p2"] {
        #expect(try fpd.interface(device)["accelerated"] == true)
      }
      let pins = try router.pins()
      #expect(access(pins, F_OK) == 0)
      let held = try DatapathBench.held(by: fpd.pid)
      #expect(held.contains { $0.hasPrefix("link_id") } && held.count > 6, "\(held)")
      #expect(try fpd.stop() == 0)
      #expect(eventually { DatapathBench.present(held).isEmpty })
      #expect(access(pins, F_OK) != 0)
      #expect(try !TextFile.read("/proc/self/mounts").contains(fpd.directory.path))
      let after = try Self.configuration(of: router)
      #expect(after == before, "\(after.difference(from: before))")
      #expect(try bed["left"].ping("10.0.2.2") == 63)
    }

    /// Without a bpffs where everybody has one, fpd mounts its own; that goes, too.
    @Test(arguments: ["xdp", "tc"]) func ownMountIsGone(_ hook: String) throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      try FastLine.quieten(router)
      let fpd = try Fpd(
        in: router, configuration: FastLine.configuration(hook), ownSys: true)
      try fpd.wait()
      #expect(try fpd.interface("p1")["accelerated"] == true)
      #expect(access(try router.pins(), F_OK) != 0)
      let mounts = try TextFile.read("/proc/\(fpd.pid)/mounts")
      #expect(mounts.contains("\(fpd.directory.path)/state/bpf bpf"), "\(mounts)")
      let held = try DatapathBench.held(by: fpd.pid)
      #expect(try bed["left"].ping("10.0.2.2") == 63)
      #expect(try fpd.stop() == 0)
      #expect(eventually { DatapathBench.present(held).isEmpty })
      #expect(access("\(fpd.directory.path)/state/bpf", F_OK) != 0)
    }

    /// Traffic goes on while fpd leaves: what was on its way may be lost, what comes then is the kernel's.
    @Test(arguments: ["xdp", "tc"]) func trafficGoesOn(_ hook: String) throws {
      let fast = try FastLine(.router, hook: hook, tracking: 20_000_000)
      let run = try fast.start(frames: 20_000_000)
      fast.more(100_000, of: run)
      #expect(try fast.fpd.stop() == 0)
      let kernel = try fast.middle.forwardedByKernel()
      fast.more(50_000, of: run)
      let tally = try fast.finish(run)
      print("\(hook), terminated under load: \(tally)")
      #expect(try fast.middle.forwardedByKernel() > kernel)
      #expect(tally.duplicated == 0 && tally.damaged == 0 && tally.lost < 600, "\(tally)")
    }
  }
}
