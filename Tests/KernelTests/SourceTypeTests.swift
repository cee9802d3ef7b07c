// SPDX-License-Identifier: Apache-2.0
import Lab
import Rules
import Testing

extension Kernel {
  /// `-m addrtype --src-type` as fpm/live/late.h finds it, against the kernel's own match.
  @Suite struct SourceTypeTests {
    private static let sources: [UInt32] = [
      0x0afa_0001, 0x0afa_0101, 0x0afa_00ff, 0x0afa_0000, 0x0afa_0105,  // its own nets
      0x0a01_0101, 0x0a02_0101, 0x0a03_0101, 0x0a04_0101,  // routed in many ways
      0x0a05_0101, 0x0a06_0101,
    ]

    private var packets: [RulePacket] {
      Self.sources.map { source in
        var packet = RulePacket()
        (packet.source, packet.destination) = (source, 0x0b00_0001)
        (packet.transport, packet.length, packet.ttl) = (17, 40, 64)
        return packet
      }
    }

    @Test(arguments: ["UNICAST", "LOCAL", "BROADCAST", "! LOCAL", "BLACKHOLE", "UNICAST,LOCAL"])
    func sourcesHaveTheTypeThatTheKernelFinds(_ types: String) throws {
      let bench = try SetBench()
      try bench.router.ip(batch: [
        "route add 10.1.0.0/16 via 10.250.1.2", "route add blackhole 10.2.0.0/16",
        "route add unreachable 10.3.0.0/16", "route add prohibit 10.4.0.0/16",
        "route add throw 10.5.0.0/16", "route add local 10.6.0.0/16 dev lo",
      ])
      let negation = types.hasPrefix("! ") ? "! " : ""
      try bench.rule("-m addrtype \(negation)--src-type \(types.dropFirst(negation.count))")
      let program = try bench.program()
      let met = try bench.compare(packets, by: program, types)
      #expect((met > 0) == (types != "BLACKHOLE"), "\(types): \(met)")
      // What is changed is seen.
      try bench.router.ip(batch: [
        "route del blackhole 10.2.0.0/16", "route add local 10.2.0.0/16 dev lo",
        "addr add 10.1.1.1/32 dev lo", "route del local 10.6.0.0/16 dev lo",
      ])
      let after = try bench.compare(packets, by: program, "\(types), changed")
      if types.contains("LOCAL") && types != "UNICAST,LOCAL" { #expect(after != met) }
    }

    @Test func whereNoRouteIsFoundTheKernelIsAsked() throws {
      let bench = try SetBench()
      try bench.router.run("ip route replace 11.0.0.0/8 via 10.250.1.2")
      try bench.router.run("ip route del default")
      try bench.rule("-m addrtype --src-type UNICAST")
      let program = try bench.program()
      var lost = packets[0]
      lost.source = 0x0c01_0101
      #expect(try bench.judge(lost, by: program) == .unknown)
      #expect(try bench.judge(packets[4], by: program) == .met)
      #expect(try bench.judge(packets[0], by: program) == .unmet)
    }
  }
}
