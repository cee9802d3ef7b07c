// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Rules that ask ipsets, judged by a running fpd's programs.
  @Suite(.needsFpd) struct FastSetTests {
    private static let kinds = SetKind.all
    private static let members = kinds.flatMap(\.members)
    private static let exceptions = kinds.flatMap(\.exceptions)
    private static let others = kinds.flatMap(\.others)

    /// Sets of all types with their elements (and without), and a rule for each.
    private func line(_ tool: IPTables, _ hook: String, filled: Bool, _ more: String = "") throws
      -> SetLine
    {
      let line = try SetLine(tool, hook: hook)
      try line.ipset(
        SetKind.inner + Self.kinds.map { $0.create(0, more) }
          + (filled ? Self.kinds.flatMap { $0.additions(to: 0) } : []))
      try line.rules(Self.kinds.map { $0.rule() })
      try line.follow()
      return line
    }

    // MARK: What is in a set

    @Test(arguments: IPTables.allCases, ["xdp", "tc"])
    func membersAreDroppedAndOthersForwarded(_ tool: IPTables, _ hook: String) throws {
      let line = try line(tool, hook, filled: true)
      try line.expect(drops: Self.members, forwards: Self.exceptions + Self.others)
      let places = try line.places()
      #expect(places.map(\.place) == Self.kinds.map { _ in "fast" }, "\(places)")
      #expect(
        places.map(\.text) == Self.kinds.map { "\($0.rule()) -j DROP" })
      for (number, kind) in Self.kinds.enumerated() {
        let dropped = try line.why(kind.why)
        #expect(dropped["verdict"] == "drop", "\(kind.type): \(dropped.text())")
        #expect(
          dropped["rule"]?.string
            == "\(tool.rawValue) filter/FORWARD rule \(number + 2): \(kind.rule()) -j DROP")
        let forwarded = try line.why("--dst 10.99.0.1 --proto udp")
        #expect(forwarded["verdict"] == "forward", "\(forwarded.text())")
      }
      #expect(try line.fpd.stop() == 0)
    }

    // MARK: What becomes of a set

    /// fpd is not waited for.
    @Test(arguments: IPTables.allCases, ["xdp", "tc"])
    func changesAreSeenByTheNextPacket(_ tool: IPTables, _ hook: String) throws {
      let line = try line(tool, hook, filled: false)
      try line.ipset(Self.kinds.map { $0.create(1) })
      let all = Self.members + Self.exceptions + Self.others
      try line.expect(forwards: all, "empty")
      for kind in Self.kinds {
        let (members, exceptions, others) = (kind.members, kind.exceptions, kind.others)
        let name = kind.name
        func fill(_ number: Int) throws { try line.ipset(kind.additions(to: number)) }
        for (element, members) in kind.elements {
          try line.ipset(kind.addition(element, to: 0))
          try line.expect(drops: members, forwards: others, "\(element) was added")
          if kind.exception == nil {
            try line.ipset("del \(name)0 \(element)")
            try line.expect(forwards: members + others, "\(element) was deleted")
            try line.ipset(kind.addition(element, to: 0))
          }
        }
        if let exception = kind.exception {
          try line.expect(drops: exceptions, "without exception")
          try line.ipset(kind.addition(exception.element, to: 0) + " nomatch")
          try line.expect(drops: members, forwards: exceptions + others, "with an exception")
          try line.ipset("del \(name)0 \(exception.element)")
          try line.expect(drops: members + exceptions, forwards: others, "without it again")
          // An element may become an exception where it lies, and be none again.
          let (first, packets) = kind.elements[0]
          for (word, isIn) in [("nomatch", false), ("", true)] {
            let change = "ipset -exist \(kind.addition(first, to: 0)) \(word)"
            try line.router.run(change)
            try line.expect(
              drops: isIn ? packets : [], forwards: isIn ? [] : packets, "\(first) \(word)")
          }
        }
        try line.ipset("flush \(name)0")
        try line.expect(forwards: members + exceptions + others, "\(kind.type) was flushed")
        try fill(1)
        try line.expect(forwards: members + others, "the other \(kind.type) was filled")
        try line.ipset("swap \(name)0 \(name)1")
        try line.expect(drops: members, forwards: exceptions + others, "\(kind.type) was swapped")
        try line.ipset("swap \(name)0 \(name)1")
        try line.expect(forwards: members + exceptions + others, "\(kind.type) was swapped back")
        try line.ipset(
          ["destroy \(name)1", kind.create(1)] + kind.additions(to: 1)
            + ["swap \(name)0 \(name)1", "destroy \(name)1"])
        try line.expect(drops: members, forwards: exceptions + others, "\(kind.type) was replaced")
      }
      try line.expect(drops: Self.members, forwards: Self.exceptions + Self.others, "all")
      #expect(try line.fpd.stop() == 0)
    }

    /// Elements of all types, and exceptions, end with their time, long before the kernel collects them.
    @Test(arguments: ["xdp", "tc"]) func elementsEndWithTheirTime(_ hook: String) throws {
      let line = try line(.legacy, hook, filled: false, "timeout 86400")
      let lasting = Self.kinds.filter { $0.exception != nil }
      let ending = Self.kinds.filter { $0.exception == nil }
      try line.ipset(
        lasting.flatMap { kind in
          kind.elements.map { kind.addition($0.element, to: 0) + " timeout 0" }
        })
      let began = Instant.now
      try line.ipset(
        ending.flatMap { $0.additions(to: 0, " timeout 2") }
          + lasting.compactMap { kind in
            kind.exception.map { kind.addition($0.element, to: 0) + " timeout 2 nomatch" }
          })
      try line.expect(drops: Self.members, forwards: Self.exceptions + Self.others, "at first")
      let members = ending.flatMap(\.members)
      var passed: Set<Int> = []
      while true {
        let seen = try line.passing(members)
        // Only what was answered well before the time was over: the kernel counts it from its own
        // clock, which a busy machine may let fall behind and catch up.
        if Instant.now > began + .milliseconds(1500) { break }
        passed.formUnion(seen)
      }
      #expect(passed == [])
      // What was added last ends last.
      #expect(
        try eventually(within: .seconds(5)) {
          try line.passing(members + Self.exceptions) == Set(members.indices)
        })
      try line.expect(
        drops: lasting.flatMap(\.members) + Self.exceptions, forwards: members + Self.others,
        "at last")
      for kind in Self.kinds {
        try line.router.run(
          ["ipset", "-exist", "restore"],
          input: kind.additions(to: 0, " timeout 1000").joined(separator: "\n") + "\n")
      }
      try line.expect(drops: Self.members, forwards: Self.exceptions + Self.others, "renewed")
      #expect(try line.fpd.stop() == 0)
    }

    private static let four = (1...4).map { Probe.to(IPv4Address("10.60.0.\($0)") ?? "0.0.0.0") }

    /// By swap, which the kernel lets do sets that rules may ask alike.
    @Test(arguments: IPTables.allCases, ["xdp", "tc"])
    func aSetMayBecomeOneOfAnotherType(_ tool: IPTables, _ hook: String) throws {
      let line = try SetLine(tool, hook: hook)
      let four = Self.four
      try line.ipset(
        "create a hash:ip", "create b bitmap:ip range 10.60.0.0/16", "create c hash:ip counters",
        "add a 10.60.0.1", "add b 10.60.0.2", "add c 10.60.0.3")
      try line.rules(["-m set --match-set a dst"])
      try line.follow()
      try line.expect(drops: [four[0]], forwards: [four[1], four[2], four[3]])
      try line.ipset("swap a b")
      try line.expect(drops: [four[1]], forwards: [four[0], four[2], four[3]], "a bitmap")
      // A look-up counts there, which only the kernel can.
      try line.ipset("swap a c")
      let whole = (dropped: [four[2]], passed: [four[0], four[1], four[3]])
      let either: Set = ["rule-unknown", "rule-effect", "rules-changed"]
      try line.expect(leaves: whole, because: either, "one that counts")
      try line.follow()
      try line.expect(leaves: whole, because: ["rule-effect"], "one that counts, known")
      #expect(try line.places().map(\.place) == ["punted"])
      #expect(try line.places().map(\.causes) == [["set a"]])
      try line.ipset("swap a c")
      let passed = try line.passing(four)
      #expect(passed == [0, 2, 3])
      try line.follow()
      try line.expect(drops: [four[1]], forwards: [four[0], four[2], four[3]], "a bitmap again")
      #expect(try line.places().map(\.place) == ["fast"])
      #expect(try line.fpd.stop() == 0)
    }

    /// A set that comes with the name or the number of one that is gone.
    @Test(arguments: IPTables.allCases, ["xdp", "tc"])
    func setsThatAreMadeAnewAndRenamed(_ tool: IPTables, _ hook: String) throws {
      let line = try SetLine(tool, hook: hook)
      let four = Self.four
      func expect(_ match: String, _ numbers: Set<Int>, _ note: String) throws {
        try line.rules([match])
        #expect(try line.passing(four) == Set(four.indices).subtracting(numbers), "\(note)")
        try line.follow()
        try line.expect(
          drops: numbers.sorted().map { four[$0] },
          forwards: four.indices.filter { !numbers.contains($0) }.map { four[$0] }, "\(note)")
        #expect(try line.places().map(\.place) == ["fast"])
        #expect(try line.places().map(\.text) == ["\(match) -j DROP"])
      }
      try line.ipset("create a hash:ip", "add a 10.60.0.1")
      try expect("-m set --match-set a dst", [0], "at first")
      try line.rules([])
      try line.destroy("a")
      try line.ipset("create b hash:ip", "add b 10.60.0.4")
      try line.ipset("create a hash:net", "add a 10.60.0.2/31")
      try expect("-m set --match-set a dst", [1, 2], "of another type, made anew")
      try expect("-m set --match-set b dst", [3], "in the first one's place")
      #expect(try !line.router.attempt(["ipset", "rename", "b", "c"]).succeeded)
      try line.rules([])
      #expect(try eventually { try line.router.attempt(["ipset", "rename", "b", "c"]).succeeded })
      try line.ipset("create b hash:ip", "add b 10.60.0.1")
      try expect("-m set --match-set c dst", [3], "under another name")
      try expect("-m set --match-set b dst", [0], "under the name of another")
      #expect(try line.fpd.stop() == 0)
    }

    // MARK: What the kernel alone may ask

    @Test(arguments: IPTables.allCases, ["xdp", "tc"])
    func otherTypesAreLeftToTheKernelByName(_ tool: IPTables, _ hook: String) throws {
      let line = try SetLine(tool, hook: hook)
      let mac = try line.bed["left"].mac(of: "eth0")
      let host = "10.0.1.2"
      let all: [(type: String, sides: String, element: (String) -> String)] = [
        ("hash:mac", "src", { _ in "\(mac)" }),
        ("hash:net,net", "src,dst", { "10.0.1.0/24,\($0)/32" }),
        ("hash:ip,port,ip", "src,dst,dst", { "\(host),udp:7,\($0)" }),
        ("hash:ip,port,net", "src,dst,dst", { "\(host),udp:7,\($0)/32" }),
        ("hash:net,port,net", "src,dst,dst", { "\(host)/32,udp:7,\($0)/32" }),
        ("hash:net,iface", "dst,src", { "\($0)/32,p1" }),
        ("hash:ip,mark", "dst,dst", { "\($0),0" }),
        ("hash:ip,mac", "src,src", { _ in "\(host),\(mac)" }),
        ("bitmap:ip,mac range 10.0.1.0/24", "src,src", { _ in "\(host),\(mac)" }),
        ("hash:ip counters", "dst", { $0 }),
      ]
      var kinds: [(type: String, sides: String, element: (String) -> String)] = []
      var absent: [String] = []
      for kind in all {
        let words = ["ipset", "create", "s\(kinds.count)"] + Command.split(kind.type)
        let made = try line.router.attempt(words)
        if made.succeeded { kinds.append(kind) } else { absent.append(kind.type) }
      }
      if !absent.isEmpty { print("skipped, since this kernel has no \(absent)") }
      #expect(kinds.count > 1)
      var rules: [String] = []
      var (dropped, passed, forwarded): ([Probe], [Probe], [Probe]) = ([], [], [])
      for (number, kind) in kinds.enumerated() {
        func probe(_ last: Int) -> Probe {
          .to(IPv4Address(0x0a5a_0000 | UInt32(number << 8 | last)))
        }
        try line.ipset("add s\(number) \(kind.element("\(probe(1).destination)"))")
        rules.append("-d 10.90.\(number).0/25 -m set --match-set s\(number) \(kind.sides)")
        let asksOfSource = !kind.sides.contains("dst")
        dropped.append(probe(1))
        if asksOfSource { dropped.append(probe(2)) } else { passed.append(probe(2)) }
        forwarded.append(probe(200))
      }
      try line.rules(rules)
      try line.follow()
      try line.expect(
        forwards: forwarded, leaves: (dropped, passed), because: ["rule-unknown", "rule-effect"])
      let places = try line.places()
      #expect(places.map(\.place) == kinds.map { _ in "punted" })
      #expect(places.map(\.causes) == kinds.indices.map { ["set s\($0)"] }, "\(places)")
      for number in kinds.indices {
        let answer = try line.why("--dst 10.90.\(number).1 --proto udp --dport 7")
        #expect(answer["verdict"] == "punt", "\(answer.text())")
        #expect(
          answer["reason"]?.string == (number == kinds.count - 1 ? "rule-effect" : "rule-unknown"))
        #expect(
          answer["rule"]?.string?.contains("rule \(number + 2): \(rules[number]) -j DROP") == true,
          "\(answer.text())")
      }
      #expect(try line.fpd.stop() == 0)
    }

    /// The kernel refuses to swap a set while somebody lists it, and one with timeouts is counted through.
    @Test func nobodysSwapsAreRefusedBecauseFpdLooks() throws {
      let line = try SetLine(.legacy, hook: "xdp")
      let elements = (0..<40_000).map { "\(IPv4Address(0x0a00_0000 + UInt32($0)))" }
      try line.ipset(
        ["a", "b"].flatMap { set in
          ["create \(set) hash:ip timeout 1000 maxelem 100000"]
            + elements.map { "add \(set) \($0)" }
        })
      try line.rules(["-m set --match-set a src"])
      try line.follow()
      let swaps = Array(repeating: "swap a b", count: 200_000)
      for _ in 0..<5 { try line.ipset(swaps) }
      #expect(try line.fpd.stop() == 0)
    }
  }
}
