// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// fpd where its BPF programs cannot be made to run: here because there is no compiler.
  @Suite(.needsFpd) struct LifecycleBlindTests {
    @Test func withoutACompilerItFollowsAndSaysWhatIsMissing() throws {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      let fpd = try Fpd(in: router, configuration: "clang: /nonexistent/clang\n")
      let status = try fpd.status()
      #expect(status["state"] == "degraded")
      #expect(status["problems"]?[0]?["what"] == "live-view")
      #expect(status["problems"]?[0]?["detail"]?.string?.contains("/nonexistent/clang") == true)

      // Announced changes are followed as ever, the others by reading again.
      for (command, path, wanted) in [
        ("ip link add later type bridge", "interfaces.later.ifindex", nil as JSON?),
        (
          "iptables-legacy -A FORWARD -s 10.9.9.9 -j DROP", "interfaces.p1.graph.filter.conf.rules",
          1
        ),
        (
          "sysctl -qw net.ipv4.conf.p1.accept_local=1",
          "interfaces.p1.graph.router.conf.accept_local", true
        ),
      ] {
        try router.run(command)
        let seen = try eventually {
          guard let found = try fpd.graph().at(path) else { return false }
          return wanted == nil || found == wanted
        }
        #expect(seen, "\(command)")
      }

      // What cannot be read is named where it matters, not taken for nothing.
      let unreadable = try Expectation("interfaces.p1.slow_path has unreadable")
      #expect(try unreadable.problem(in: fpd.graph()) == nil)
    }
  }
}
