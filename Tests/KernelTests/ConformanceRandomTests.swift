// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Whatever the order of changes, the graph that has followed them is the one that a fresh look gives.
  @Suite(.needsFpd) struct ConformanceRandomTests {
    /// FPD_CONFORMANCE_SEED=N is one run of many.
    @Test(arguments: RandomRun.number("FPD_CONFORMANCE_SEED").map { [UInt64($0)] } ?? [1, 2, 3, 4])
    func graphDoesNotDependOnItsHistory(seed: UInt64) throws {
      let bed = Testbed()
      let namespace = try bed.add("random", ipv6: .quiet)
      let other = try bed.add("other", ipv6: .quiet)
      for number in 1...3 {
        try bed.cable(.init(other, "far\(number)"), .init(namespace, "p\(number)"))
      }
      let directory = try TemporaryDirectory("programs")
      let object = try ForeignProgram.xdpPass(in: directory)
      var dice = Dice(state: seed)
      var fpd = try Fpd(in: namespace)
      var history: [String] = []
      for _ in 0..<4 {
        for _ in 0..<30 {
          let command = Self.command(&dice, object)
          history.append(command)
          // Many make no sense at this point and fail: that is part of the game.
          _ = try namespace.attempt(Command.split(command))
        }
        try fpd.wait()
        let followed = try fpd.graph()
        #expect(try fpd.stop() == 0)
        fpd = try Fpd(in: namespace)
        try fpd.wait()
        let fresh = try fpd.graph()
        guard followed["interfaces"] == fresh["interfaces"] else {
          try fpd.wait()
          let later =
            try fpd.graph()["interfaces"] == fresh["interfaces"] ? "still" : "not any more"
          Issue.record(
            """
            \(Self.differences(followed, fresh)) (a moment later the second is \(later) so) \
            after: \(history.suffix(30).joined(separator: "; "))
            """)
          return
        }
      }
      #expect(try fpd.stop() == 0)
    }

    /// What they say of the interfaces that they do not agree about, shortest first: a log is cut somewhere.
    private static func differences(_ followed: JSON, _ fresh: JSON) -> String {
      let (one, other) = (followed["interfaces"]?.object, fresh["interfaces"]?.object)
      let names = Set((one?.keys ?? []) + (other?.keys ?? [])).filter { one?[$0] != other?[$0] }
      return names.map { name in
        let (one, other) = (one?[name]?.object, other?[name]?.object)
        let parts = Set((one?.keys ?? []) + (other?.keys ?? [])).filter { one?[$0] != other?[$0] }
        return parts.sorted().map { part in
          "\(name) \(part): followed \(one?[part]?.text() ?? "-"), fresh \(other?[part]?.text() ?? "-")"
        }.joined(separator: "; ")
      }.sorted { $0.count < $1.count }.joined(separator: "\n")
    }

    private static func command(_ dice: inout Dice, _ object: String) -> String {
      let port = dice.pick(["p1", "p2", "p3"])
      let bridge = dice.pick(["br0", "br1"])
      let tool = dice.pick(["iptables-legacy", "iptables-nft"])
      let onOff = dice.pick(["on", "off"])
      let bit = dice.pick(["0", "1"])
      let verb = dice.pick(["add", "del"])
      let rule = dice.pick(["-s 10.9.0.1 -j DROP", "-p tcp --dport 22 -j ACCEPT", "-i p2 -j DROP"])
      return dice.pick([
        "ip link add \(bridge) type bridge", "ip link set \(bridge) up", "ip link del \(bridge)",
        "ip link set \(port) master \(bridge)", "ip link set \(port) nomaster",
        "bridge link set dev \(port) isolated \(onOff)",
        "bridge link set dev \(port) locked \(onOff)",
        "ip link set \(bridge) type bridge group_fwd_mask \(dice.pick(["0", "0x8"]))",
        "ip link set \(bridge) type bridge nf_call_iptables \(bit)",
        "ip addr \(verb) 10.0.1.1/24 dev \(port)", "ip addr \(verb) 10.0.2.1/24 dev \(bridge)",
        "ip link set \(port) down", "ip link set \(port) up",
        "ip route \(verb) blackhole 10.7.0.0/16", "ip route \(verb) 10.8.0.0/16 via 10.0.1.9",
        "ip rule \(verb) fwmark 7 table 100", "ip route \(verb) 10.6.0.0/16 dev \(port) table 100",
        "sysctl -q -w net.ipv4.ip_forward=\(bit)",
        "sysctl -q -w net.ipv4.conf.\(port).forwarding=\(bit)",
        "sysctl -q -w net.ipv4.conf.all.rp_filter=\(bit)",
        "sysctl -q -w net.ipv6.conf.all.forwarding=\(bit)",
        "sysctl -q -w net.bridge.bridge-nf-call-iptables=\(bit)",
        "\(tool) -A FORWARD \(rule)", "\(tool) -D FORWARD \(rule)", "\(tool) -F",
        "\(tool) -P FORWARD \(dice.pick(["ACCEPT", "DROP"]))",
        "\(tool) -t nat -A POSTROUTING -o p3 -j MASQUERADE", "\(tool) -t nat -F",
        "\(tool) -A FORWARD -m conntrack --ctstate INVALID -j DROP",
        "nft add table ip t", "nft add chain ip t c { type filter hook forward priority 0 ; }",
        "nft add rule ip t c ip saddr 10.3.3.3 drop", "nft delete table ip t", "nft flush ruleset",
        "ipset create s hash:ip", "ipset destroy s",
        "\(tool) -A FORWARD -m set --match-set s src -j DROP",
        "tc qdisc \(verb) dev \(port) root tbf rate 1mbit burst 32k latency 50ms",
        "tc qdisc \(verb) dev \(port) clsact",
        "tc filter add dev \(port) ingress u32 match ip dst 10.9.9.9/32 flowid 1:1",
        "tc filter del dev \(port) ingress",
        "ip link set dev \(port) xdpgeneric obj \(object) sec xdp",
        "ip link set dev \(port) xdpgeneric off",
        "ip link add mv0 link \(port) type macvlan mode bridge", "ip link del mv0",
        "ip xfrm policy add src 10.0.1.0/24 dst 10.5.0.0/16 dir fwd action block",
        "ip xfrm policy flush",
      ])
    }
  }
}

/// Numbers that are the same on each run with the same seed (SplitMix64).
private struct Dice: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func pick(_ choices: [String]) -> String {
    choices[Int(next() % UInt64(choices.count))]
  }
}
