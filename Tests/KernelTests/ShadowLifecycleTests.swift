// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// In shadow mode and out of it, stopped and killed.
  @Suite(.needsFpd) struct ShadowLifecycleTests {
    /// What a killed one leaves decides and does nothing; a successor that acts takes its place, and one that
    /// decides that one's.
    @Test(arguments: ["xdp", "tc"]) func killedItIsHarmlessAndIsReplaced(_ hook: String) throws {
      let shadow = try ShadowLine(.router, hook: hook)
      let held = try DatapathBench.held(by: shadow.fpd.pid)
      shadow.fpd.kill()
      let forwarded = try shadow.middle.forwardedByKernel()
      // More than there are places for notes.
      #expect(try shadow.send(20_000, rate: 50_000).isWhole)
      #expect(try shadow.middle.forwardedByKernel() - forwarded == 20_000)

      try shadow.restart(acting: true)
      #expect(try shadow.fpd.interface("p1")["accelerated"] == true)
      #expect(try shadow.fpd.status()["shadow"] == nil)
      let before = try shadow.fpd.stats("p1").forwarded
      let kernel = try shadow.middle.forwardedByKernel()
      #expect(try shadow.send(1000).isWhole)
      #expect(try shadow.fpd.stats("p1").forwarded - before == 1000)
      #expect(try shadow.middle.forwardedByKernel() == kernel)

      shadow.fpd.kill()
      try shadow.restart(acting: false)
      try shadow.expectShadow()
      let acted = try shadow.fpd.stats("p1").forwarded
      #expect(try shadow.send(1000).isWhole)
      #expect(try shadow.middle.forwardedByKernel() - kernel == 1000)
      #expect(try shadow.fpd.stats("p1").forwarded == acted)
      #expect(try shadow.report().differing == 0)
      let last = try DatapathBench.held(by: shadow.fpd.pid)
      let pins = try shadow.middle.pins()
      #expect(access(pins, F_OK) == 0)
      #expect(try shadow.fpd.stop() == 0)
      #expect(access(pins, F_OK) != 0)
      #expect(
        eventually { DatapathBench.present(held).isEmpty && DatapathBench.present(last).isEmpty })
    }

    /// The command line does what the configuration does, and SIGHUP changes neither.
    @Test func theModeLastsAsLongAsFpd() throws {
      let shadow = try ShadowLine(.router, hook: "tc")
      try shadow.fpd.directory.write("fpd.yaml", FastLine.configuration("tc"))
      shadow.fpd.process.signal(SIGHUP)
      #expect(eventually { shadow.fpd.log.contains("shadow mode begins and ends with fpd") })
      try shadow.fpd.wait()
      try shadow.expectShadow()
      #expect(try shadow.fpd.stop() == 0)
    }

    /// A shadow that sees nothing would find no difference.
    @Test func withoutAnObserverItDoesNotStart() throws {
      let namespace = try Namespace("blind")
      let spoilt = try SpoiltFpd(
        .init(
          file: "live/observer.bpf.c",
          line: "SEC(\"raw_tp/kfree_skb\") int fpd_freed(u64 *arguments)",
          by: "SEC(\"raw_tp/kfree_skb\") int fpd_blind(u64 *arguments)"))
      let error = #expect(throws: LabError.self) {
        try Fpd(in: namespace, configuration: "shadow: true\n", binary: spoilt.binary)
      }
      let words = error.map { "\($0)" } ?? ""
      #expect(words.contains("shadow mode: what the kernel does with packets cannot be seen"))
      #expect(words.contains("status 1"), "\(words)")
    }
  }
}
