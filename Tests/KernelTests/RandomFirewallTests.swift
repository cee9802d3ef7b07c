// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

extension Kernel {
  /// Rulesets by chance, loaded by the real tools: the fast path does what the kernel does.
  @Suite(.needsFpd) struct RandomFirewallTests {
    @Test(arguments: Firewall.Tool.allCases, ["xdp", "tc"])
    func judgesAsLinuxDoes(_ tool: Firewall.Tool, _ hook: String) throws {
      if RandomRun.isWanted(tool, hook) { try RandomRun(tool, on: hook).run() }
    }
  }
}
