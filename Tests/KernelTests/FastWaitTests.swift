// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// When `fpctl wait` returns, what is live is what is configured.
  @Suite(.needsFpd) struct FastWaitTests {
    /// Nothing is compiled yet, and compiling takes its time.
    @Test(arguments: ["xdp", "tc"]) func waitReturnsWhenTheProgramIsLive(_ hook: String) throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      let directory = try TemporaryDirectory("slow")
      try FastLine.quieten(router)
      let path = "\(directory.path)/clang"
      let script =
        "#!/bin/sh\ncase \" $* \" in *\" -x c - \"*) sleep 0.3 ;; esac\nexec clang \"$@\"\n"
      try Command.run(["sh", "-c", "cat >\(path) && chmod 755 \(path)"], input: script).check()
      let fpd = try Fpd(
        in: router, configuration: "clang: \(path)\n" + FastLine.configuration(hook))
      func live() throws -> UInt32 { try LiveProgram(of: "p1", hook, by: fpd).program }
      #expect(try fpd.fpctl("wait").status == 0)
      var last = try live()
      #expect(last != 0)
      for change in [
        "sysctl -qw net.ipv4.conf.p1.rp_filter=1", "sysctl -qw net.ipv4.conf.p1.rp_filter=0",
        "sysctl -qw net.ipv4.conf.all.rp_filter=2",
      ] {
        try router.run(change)
        #expect(try fpd.fpctl("wait").status == 0)
        let now = try live()
        #expect(now != 0 && now != last, "\(change)")
        try fpd.expectConverged()
        last = now
      }
      // What is not to be accelerated any more is not when `wait` returns.
      try router.run("ip rule add from 10.9.9.9 lookup 100")
      #expect(try fpd.fpctl("wait").status == 0)
      #expect(try fpd.interface("p1")["accelerated"] == false)
      #expect(try fpd.stop() == 0)
    }
  }
}
