// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// Interfaces come and go in the midst of what fpd does to them, and others are under load.
  @Suite(.needsFpd) struct FaultSwapTests {
    /// At every moment of the way from its coming to its program: some are gone before fpd has heard of
    /// them, some while their program is put in place, some when it runs.
    @Test(arguments: ["xdp", "tc"]) func interfaceIsDeletedInTheMidstOfASwap(_ hook: String) throws
    {
      let line = try FaultLine(hook)
      let router = line.router
      var chance = Chance(seed: 1)
      let held = try DatapathBench.held(by: line.fpd.pid).count
      for round in 0..<60 {
        try router.ip(batch: [
          "link add q1 type veth peer name q2", "addr add 10.77.0.1/24 dev q1", "link set q1 up",
          "link set q2 up",
        ])
        // Programs of p1 are swapped at the same time.
        try router.sysctl("net.ipv4.conf.all.rp_filter=\(round.isMultiple(of: 2) ? 2 : 0)")
        switch chance.below(4) {
        case 0: break
        case 1: line.more(chance.below(20_000))
        case 2: line.more(chance.below(100_000))
        default:
          #expect(
            try eventually {
              try line.fpd.status()["interfaces"]?.array?.contains {
                $0["name"] == "q1" && $0["accelerated"] == true
              } == true
            })
        }
        try router.run("ip link del q1")
        if round.isMultiple(of: 10) { try line.change() }
      }
      try line.expectRecovered()
      #expect(try line.fpd.status()["interfaces"]?.array?.contains { $0["name"] == "q1" } == false)
      // Of those that are gone nothing is left, in the kernel or in the bpffs.
      #expect(try eventually { try DatapathBench.held(by: line.fpd.pid).count <= held + 2 })
      let wanted = try ["p1", "p2"].map { "\(try router.ifindex(of: $0))-\(hook)" }
      var pins: [String] = []
      let isRest = try eventually {
        pins = try Command.run(["ls", router.pins()]).check().output
          .split(separator: "\n").map(String.init)
        return Set(pins) == Set(wanted)
      }
      #expect(isRest, "\(pins)")
      try line.change(2)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    /// The way out itself goes and comes back under load: nothing comes meanwhile, all of it again then.
    @Test(arguments: ["xdp", "tc"]) func wayOutIsDeletedAndComesBack(_ hook: String) throws {
      let line = try FaultLine(hook)
      let (router, right) = (line.router, try line.fast.line.bed["right"])
      try line.router.run("ip link add spare type bridge")
      for round in 0..<20 {
        try router.run("ip link del spare")
        try router.ip(batch: [
          "link add spare type veth peer name far netns \(right.name)",
          "addr add 10.0.9.1/24 dev spare", "link set spare up",
          "neigh replace 10.0.9.2 lladdr 02:00:00:00:09:02 dev spare nud permanent",
        ])
        try right.run("ip link set far up")
        let sink = try LoadSink(in: right, device: "far")
        if round.isMultiple(of: 2) { try line.fpd.wait() }
        // What is on its way to it is lost with it, and the route as well: the rest goes where it went.
        try line.unjudged {
          try router.run("ip route add \(DropSwitch.destination)/32 via 10.0.9.2")
          #expect(eventually { sink.count.frames > 200 })
          try router.run("ip link del spare")
        }
        try router.run("ip link add spare type bridge")
      }
      try line.expectRecovered()
      try line.change(2)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }
  }
}
