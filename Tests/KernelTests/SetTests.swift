// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Lab
import Rules
import Testing

/// A way to create a set, the types of what is added to it, and what rules ask of it.
struct SetCase: CustomTestStringConvertible, Sendable {
  let type: String
  let options: String
  let sides: [String]
  var additions = 40
  var timeouts: Bool { options.contains("timeout") }
  var testDescription: String { "\(type) \(options)" }

  init(_ type: String, _ options: String = "", additions: Int = 40) {
    self.type = type
    self.options = options
    self.additions = additions
    sides = type.contains(",") ? ["src,dst", "dst,dst", "src,src", "dst,src"] : ["src", "dst"]
  }
}

extension Kernel {
  /// fpm/live/ipset.h against the kernel's own match, by packets that a router with such a rule forwards.
  @Suite struct SetTests {
    static let cases = [
      SetCase("hash:ip", additions: 12), SetCase("hash:ip", "timeout 500", additions: 12),
      SetCase("hash:ip", "netmask 28", additions: 6),
      SetCase("hash:ip", "bitmask 255.255.0.255", additions: 10),
      SetCase("hash:ip", "comment", additions: 12), SetCase("hash:ip", "skbinfo", additions: 12),
      SetCase("hash:ip", "comment skbinfo timeout 1000 forceadd", additions: 12),
      SetCase("hash:ip", "hashsize 64 bucketsize 2", additions: 30),
      SetCase("hash:net", additions: 16), SetCase("hash:net", "timeout 500", additions: 16),
      SetCase("hash:net", "skbinfo comment", additions: 16),
      SetCase("hash:ip,port", additions: 400), SetCase("hash:ip,port", "timeout 9", additions: 400),
      SetCase("hash:ip,port", "netmask 24", additions: 60),
      SetCase("hash:ip,port", "bitmask 255.255.0.255", additions: 200),
      SetCase("hash:net,port", additions: 150),
      SetCase("hash:net,port", "timeout 500 comment", additions: 150),
      SetCase("bitmap:ip", "range 10.0.0.0/16", additions: 12),
      SetCase("bitmap:ip", "range 10.0.16.0-10.0.200.7 timeout 500", additions: 0),
      SetCase("bitmap:ip", "range 10.0.0.0/16 timeout 500", additions: 12),
      SetCase("bitmap:ip", "range 10.0.0.0/16 netmask 28 comment", additions: 6),
      SetCase("bitmap:port", "range 0-2000", additions: 4),
      SetCase("bitmap:port", "range 0-2000 timeout 500 skbinfo", additions: 4),
    ]

    @Test(arguments: cases) func everyTypeSaysWhatTheKernelSays(_ set: SetCase) throws {
      let bench = try SetBench()
      var chance = RandomSets(
        seed: UInt64(set.testDescription.utf8.reduce(7) { $0 * 31 % 9973 + Int($1) }))
      try bench.ipset(["create s \(set.type) \(set.options)"])
      var program: [String: FilterProgram] = [:]
      for sides in set.sides {
        for negation in ["", "! "] {
          try bench.rule("-m set \(negation)--match-set s \(sides)")
          program[negation + sides] = try bench.program()
        }
      }
      // The set is filled behind the programs' backs.
      try bench.ipset(
        (0..<set.additions).map { _ in
          chance.addition(to: "s", type: set.type, timeouts: set.timeouts)
        })
      for (place, sides) in set.sides.enumerated() {
        let negation = place == 1 ? "! " : ""
        try bench.rule("-m set \(negation)--match-set s \(sides)")
        let packets = chance.packets(150)
        let known = try #require(program[negation + sides])
        let met = try bench.compare(packets, by: known, "\(set.testDescription) \(sides)")
        if set.additions > 0 { #expect(met > 0 && met < packets.count, "\(sides): \(met)") }
      }
    }

    static let compilers = FilterTests.compilers

    @Test(arguments: compilers, [false, true])
    func listsAskTheirSetsInOrder(_ compiler: String, bounded: Bool) throws {
      let bench = try SetBench(compiler: compiler, bounded: bounded)
      var chance = RandomSets(seed: bounded ? 3 : 4)
      try bench.ipset([
        "create hosts hash:ip", "create nets hash:net", "create six hash:ip family inet6",
        "create pairs hash:ip,port", "create ports bitmap:port range 0-2000",
        "create range bitmap:ip range 10.0.0.0/16", "create l list:set timeout 600",
        "add six ::1", "add l six", "add l pairs timeout 0",
      ])
      try bench.rule("-m set --match-set l src,dst")
      let program = try bench.program()
      for (name, type) in [
        ("hosts", "hash:ip"), ("pairs", "hash:ip,port"), ("ports", "bitmap:port"),
        ("range", "bitmap:ip"), ("nets", "hash:net"),
      ] {
        try bench.ipset(
          (0..<(type == "hash:ip,port" ? 60 : 2)).map { _ in
            chance.addition(to: name, type: type)
          } + ["add l \(name)"])
        let met = try bench.compare(chance.packets(120), by: program, "with \(name)")
        #expect(met > 0 && met < 120, "with \(name): \(met)")
      }
      // A list asked with one side does not ask sets that need two.
      try bench.rule("-m set ! --match-set l dst")
      let one = try bench.program()
      let met = try bench.compare(chance.packets(120), by: one, "one side")
      #expect(met > 0 && met < 120, "one side: \(met)")
      try bench.ipset(["flush l"])
      #expect(try bench.compare(chance.packets(60), by: one, "an empty list") == 60)
    }

    @Test func whatASetBecomesIsSeenByTheNextPacket() throws {
      let bench = try SetBench()
      var chance = RandomSets(seed: 11)
      let packets = chance.packets(100)
      try bench.ipset([
        "create a hash:ip", "create b bitmap:ip range 10.0.0.0/16", "create c hash:ip",
      ])
      try bench.rule("-m set --match-set a src")
      let program = try bench.program()
      #expect(try bench.compare(packets, by: program, "empty") == 0)
      try bench.ipset((0..<12).map { _ in chance.addition(to: "a", type: "hash:ip") })
      let full = try bench.compare(packets, by: program, "filled")
      #expect(full > 0)
      try bench.ipset((0..<12).map { _ in chance.addition(to: "b", type: "bitmap:ip") })
      // It has the same features, and another type.
      try bench.router.run("ipset swap a b")
      #expect(try bench.compare(packets, by: program, "a bitmap instead") > 0)
      try bench.router.run("ipset swap b c")
      try bench.router.run("ipset swap a b")
      #expect(try bench.compare(packets, by: program, "an empty one instead") == 0)
      try bench.router.run("ipset swap a c")
      #expect(try bench.compare(packets, by: program, "the first again") == full)
      try bench.router.run("ipset flush a")
      #expect(try bench.compare(packets, by: program, "flushed") == 0)
      // The array that sets are found in is allocated anew.
      try bench.ipset((0..<200).map { "create more\($0) hash:ip" })
      try bench.ipset((0..<12).map { _ in chance.addition(to: "a", type: "hash:ip") })
      #expect(try bench.compare(packets, by: program, "among many") > 0)
    }

    @Test func whatOnlyTheKernelMayAskIsLeftToIt() throws {
      let bench = try SetBench()
      var packet = RulePacket()
      (packet.source, packet.destination) = (0x0a00_0001, 0x0b00_0001)
      (packet.transport, packet.length, packet.ttl) = (17, 40, 64)
      try bench.ipset([
        "create a hash:ip", "create counting hash:ip counters",
        "create macs bitmap:ip,mac range 10.0.0.0/24",
        "create l list:set", "add a 10.0.0.1", "add counting 10.0.0.1",
      ])
      try bench.rule("-m set --match-set a src")
      let program = try bench.program()
      #expect(try bench.judge(packet, by: program) == .met)
      try bench.router.run("ipset swap a counting")
      #expect(try bench.judge(packet, by: program) == .unknown)
      try bench.router.run("ipset swap a counting")
      #expect(try bench.judge(packet, by: program) == .met)
      #expect(try bench.judge(packet, by: bench.program(findsSets: false)) == .unknown)
      // ICMPv6 over IPv4 has a type there, which nobody reads.
      try bench.ipset(["create pairs hash:ip,port", "add l macs", "add l a"])
      try bench.rule("-m set --match-set pairs src,dst")
      packet.transport = 58
      #expect(try bench.judge(packet, by: bench.program()) == .unknown)
      // A list is the kernel's as far as it asks such a set.
      try bench.rule("-m set --match-set l src,src")
      let list = try bench.program()
      #expect(try bench.judge(packet, by: list) == .unknown)
      try bench.ipset(["del l macs", "add l macs after a"])
      #expect(try bench.judge(packet, by: list) == .met)
      packet.source += 1
      #expect(try bench.judge(packet, by: list) == .unknown)
    }

    @Test(arguments: [
      "hash:ip", "hash:net", "hash:ip,port", "hash:net,port", "bitmap:ip", "list:set",
    ])
    func elementsEndWithTheirTime(_ type: String) throws {
      let bench = try SetBench()
      var packet = RulePacket()
      (packet.source, packet.destination) = (0x0a00_0001, 0x0a00_0002)
      (packet.transport, packet.destinationPort, packet.length, packet.ttl) = (6, 80, 40, 64)
      let element = ["hash:ip": "10.0.0.1", "hash:net": "10.0.0.0/24", "bitmap:ip": "10.0.0.1"]
      let range = type == "bitmap:ip" ? "range 10.0.0.0/24 " : ""
      let pair = type == "hash:ip,port" ? "10.0.0.1,tcp:80" : "10.0.0.0/24,tcp:80"
      let added = type == "list:set" ? "inner" : element[type] ?? pair
      // Collected only long after.
      try bench.ipset([
        "create inner hash:ip", "add inner 10.0.0.1", "create s \(type) \(range)timeout 86400",
        "add s \(added) timeout 0",
      ])
      try bench.rule("-m set --match-set s src\(type.contains(",") ? ",dst" : "")")
      let program = try bench.program()
      #expect(try bench.judge(packet, by: program) == .met)
      // It ends a second after a moment between these two; what is asked when is what counts, for a machine
      // may be busy with something else at any time.
      let earliest = Instant.now
      try bench.ipset(["add s \(added) timeout 1"])
      let latest = Instant.now
      var (tooEarly, tooLate) = (false, false)
      while Instant.now - latest < .seconds(3) {
        let asked = Instant.now
        if try bench.judge(packet, by: program) == .met {
          tooLate = tooLate || asked - latest > .milliseconds(1100)
        } else {
          tooEarly = Instant.now - earliest < .milliseconds(900)
          break
        }
      }
      #expect(!tooEarly && !tooLate)
      #expect(try bench.judge(packet, by: program) == .unmet)
      #expect(try bench.kernel([packet]) == [.unmet])
      try bench.ipset(["add s \(added) timeout 100"])
      #expect(try bench.judge(packet, by: program) == .met)
    }

    /// An element that is always there is found, and one that never is is not, while thousands of others
    /// come and go, the table grows, and sets are exchanged.
    @Test(arguments: ["hash:ip", "hash:net"])
    func elementsAreFoundWhileOthersComeAndGo(_ type: String) throws {
      let bench = try SetBench()
      func text(_ number: Int) -> String {
        "11.\(number >> 16 & 255).\(number >> 8 & 255).\(number & 255)"
      }
      let networks = type == "hash:net"
      var lines: [String] = []
      for number in 0..<20_000 {
        lines.append("add s \(text(number * 8))\(networks ? "/\(29 + number % 4)" : "")")
        if number % 5 == 0 {
          lines.append(
            "del s \(text(number * 4 / 8 * 8))\(networks ? "/\(29 + number / 2 % 4)" : "")")
        }
        if number % 1000 == 999 { lines.append("swap s t") }
      }
      for set in ["s", "t"] {
        try bench.ipset(["create \(set) \(type) hashsize 64", "add \(set) 10.0.0.1"])
      }
      try bench.rule("-m set --match-set s src")
      let program = try bench.program()
      var packet = RulePacket()
      (packet.destination, packet.transport) = (0x0b00_0001, 17)
      (packet.length, packet.ttl) = (40, 64)
      let packets = [UInt32(0x0a00_0001), 0x0a00_0002].map { source in
        packet.source = source
        return packet
      }
      let directory = try TemporaryDirectory("elements")
      let file = "\(directory.path)/elements"
      try lines.joined(separator: "\n").appending("\n").write(
        toFile: file, atomically: true, encoding: .utf8)
      let busy = try bench.router.start(["ipset", "-exist", "restore", "-file", file])
      let deadline = Instant.now + .seconds(60)
      var turns = 0
      while busy.isRunning, Instant.now < deadline {
        let answers = try bench.judge(
          Array(repeating: packets, count: 50).flatMap { $0 }, by: program)
        let wrong = answers.enumerated().first { turn, answer in
          answer != (turn % 2 == 0 ? SetBench.Answer.met : .unmet)
        }
        #expect(wrong == nil, "turn \(turns): \(wrong.map { "\($0)" } ?? "")")
        if wrong != nil { break }
        turns += 1
      }
      #expect(turns > 20)
      let all = (0..<400).map { number in
        packet.source = 0x0b00_0000 + UInt32(number * 8 * 50 + number % 9)
        return packet
      }
      let met = try bench.compare(all, by: program, "afterwards")
      #expect(met > 0 && met < all.count)
    }

    /// Figures of this machine, where somebody wants them: FPD_MEASURE=1.
    @Test(.enabled("measures when FPD_MEASURE is set") { getenv("FPD_MEASURE") != nil })
    func whatALookUpCosts() throws {
      let bench = try SetBench()
      let places = 0..<10_000 as Range<Int>
      func address(_ number: Int) -> String { "12.0.\(number >> 8 & 255).\(number & 255)" }
      for (type, options, lengths) in [
        ("hash:ip", "", [32]), ("hash:ip", "timeout 3600", [32]), ("hash:ip,port", "", [32]),
        ("hash:net", "", [32]), ("hash:net", "", [28, 30, 31, 32]), ("hash:net,port", "", [32]),
        ("bitmap:ip", "range 12.0.0.0/16", [32]), ("bitmap:port", "range 0-65535", [32]),
        ("list:set", "", [32]),
      ] {
        let sides = type.contains(",") ? "src,dst" : "src"
        try bench.ipset(
          ["create s \(type == "list:set" ? "hash:ip" : type) \(options)"]
            + places.map { number in
              let network = "\(address(number * 4))/\(lengths[number % lengths.count])"
              switch type {
              case "hash:net": return "add s \(network)"
              case "hash:net,port": return "add s \(network),udp:53"
              case "hash:ip,port": return "add s \(address(number * 4)),udp:53"
              case "bitmap:port": return "add s \(number * 4)"
              default: return "add s \(address(number * 4))"
              }
            } + (type == "list:set" ? ["create l list:set", "add l s"] : []))
        try bench.rule("-m set --match-set \(type == "list:set" ? "l" : "s") \(sides)")
        let program = try bench.program()
        for step in [4, 1] {
          let packets = (0..<1024).map { number in
            var packet = RulePacket()
            packet.source = 0x0c00_0000 + UInt32(number * step * 8 + (step == 1 ? 1 : 0))
            (packet.destination, packet.transport) = (0x0b00_0001, 17)
            packet.sourcePort = UInt16(number * step * 4 + (step == 1 ? 1 : 0))
            (packet.destinationPort, packet.length, packet.ttl) = (53, 40, 64)
            return packet
          }
          let met = try bench.judge(packets, by: program).count { $0 == .met }
          let cost = try program.cost(of: packets)
          print(
            "\(type) \(options) lengths \(lengths), \(met) of 1024 met:",
            "\(cost.with - cost.without) ns (\(cost.with) - \(cost.without))")
        }
        try bench.rule("-s 12.0.0.1")
        let plain = try bench.program()
        var packet = RulePacket()
        (packet.source, packet.length) = (0x0c01_0000, 40)
        let cost = try plain.cost(of: [packet])
        print("a rule on one address: \(cost.with - cost.without) ns")
        try bench.router.restore(.legacy, "*filter\nCOMMIT\n")
        // Members of lists are in use.
        try bench.router.run("ipset flush")
        try bench.router.run("ipset destroy")
      }
    }
  }
}
