// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

extension Kernel {
  /// What configuration management does every half hour: everything again, of which nothing is new.
  @Suite(.needsFpd) struct RerunTests {
    /// As roles write it: asks first and changes what is otherwise, or says what is already so.
    private static let idempotent = """
      set -e
      sysctl -q -w net.ipv4.ip_forward=1
      ip link show br0 >/dev/null 2>&1 || ip link add br0 type bridge
      ip link set br0 up
      ip address replace 10.0.5.1/24 dev br0
      ip link set p2 up
      ip route replace 10.9.0.0/16 via 10.0.2.2
      ip neighbour replace 10.0.1.99 lladdr 02:00:00:00:00:99 dev p1 nud permanent
      iptables -C FORWARD -s 10.66.0.0/16 -j DROP 2>/dev/null ||
        iptables -A FORWARD -s 10.66.0.0/16 -j DROP
      ipset create -exist friends hash:ip
      ipset add -exist friends 10.0.1.2
      iptables -C FORWARD -m set --match-set friends src -j ACCEPT 2>/dev/null ||
        iptables -A FORWARD -m set --match-set friends src -j ACCEPT
      """

    /// As those write it that give all rules anew.
    private static let reload = """
      *filter
      :INPUT ACCEPT [0:0]
      :FORWARD ACCEPT [0:0]
      :OUTPUT ACCEPT [0:0]
      -A FORWARD -s 10.66.0.0/16 -j DROP
      -A FORWARD -m set --match-set friends src -j ACCEPT
      COMMIT

      """

    @Test(arguments: ["xdp", "tc"]) func nothingNewChangesNothing(_ hook: String) throws {
      let fast = try FastLine(.router, hook: hook, tracking: 40_000_000)
      let router = fast.middle
      try router.run(["sh", "-c", Self.idempotent])
      try fast.fpd.wait()
      let generation = try fast.fpd.generation()
      let program = try fast.slot().program
      let run = try fast.start(frames: 40_000_000)
      for _ in 0..<5 { try router.run(["sh", "-c", Self.idempotent]) }
      try fast.fpd.wait()
      #expect(try fast.fpd.generation() == generation)
      #expect(try fast.slot().program == program)
      let tally = try fast.finish(run)
      #expect(tally.isWhole, "\(tally)")
      // All rules given anew: for moments packets are the kernel's, and none is lost.
      let again = try fast.start(frames: 40_000_000)
      for _ in 0..<5 {
        try router.run("iptables-restore", input: Self.reload)
        try fast.fpd.wait()
      }
      let after = try fast.finish(again)
      // Those that the kernel takes meanwhile may come behind others on XDP (docs/connections.md).
      #expect(after.lost == 0 && after.duplicated == 0 && after.damaged == 0, "\(after)")
      try fast.expectAccelerated()
      let before = try fast.fpd.stats("p1")
      let later = try fast.start(frames: 40_000_000)
      fast.more(10_000, of: later)
      let last = try fast.finish(later)
      #expect(last.isWhole, "\(last)")
      #expect(try fast.fpd.stats("p1").punted(since: before) == [:])
      #expect(try fast.fpd.stop() == 0)
    }
  }
}
