// SPDX-License-Identifier: Apache-2.0
import Introspection
import Netlink
import Testing

@Suite struct XtablesEntryTests {
  private func decode(
    _ bytes: [UInt8], _ family: RuleFamily = .ip, target: String? = "ACCEPT"
  ) -> Rule? {
    bytes.withBytes { Rule.xtables(entry: $0, family: family, line: 1, target: target) }
  }

  /// `-i eth0 ! -o eth+ -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT`, byte by byte.
  private var entry: [UInt8] {
    func name(_ text: String, _ size: Int) -> [UInt8] {
      Array(text.utf8) + Array(repeating: 0, count: size - text.utf8.count)
    }
    func mask(_ count: Int) -> [UInt8] {
      Array(repeating: 0xff, count: count) + Array(repeating: 0, count: 16 - count)
    }
    var bytes: [UInt8] = [10, 0, 0, 0] + [0, 0, 0, 0] + [255, 0, 0, 0] + [0, 0, 0, 0]  // addresses
    bytes += name("eth0", 16) + name("eth+", 16) + mask(5) + mask(3)  // interfaces
    bytes += [6, 0] + [0] + [0x02]  // protocol, flags, inverted: output interface
    bytes += [0, 0, 0, 0] + [160, 0] + [200, 0] + [0, 0, 0, 0]  // cache, offsets, comefrom
    bytes += Array(repeating: 7, count: 16)  // counters
    bytes += [48, 0] + name("tcp", 29) + [0]
    bytes += [0, 0, 0xff, 0xff] + [80, 0, 80, 0] + [0, 0, 0, 0] + [0, 0, 0, 0]
    bytes += [40, 0] + name("", 29) + [0] + [0xfe, 0xff, 0xff, 0xff] + [0, 0, 0, 0]
    return bytes
  }

  private var expected: [Match] {
    [
      .input(InterfaceMatch("eth0")),
      .output(InterfaceMatch("eth", wildcard: true, negated: true)),
      .source(.ipv4(0x0a00_0000, mask: 0xff00_0000, negated: false)),
      .transport(6, negated: false),
      .tcp(
        TCPMatch(
          source: .all, destination: PortRange(80, 80), option: 0, flagMask: 0, flagValue: 0,
          inverted: [])),
    ]
  }

  @Test func decodesAnEntryByteByByte() throws {
    let rule = try #require(decode(entry))
    #expect(rule.matches == expected)
    #expect(rule.target == .accept)
    #expect(rule.unmodelled.isEmpty)
  }

  /// xt_state has UNTRACKED where xt_conntrack has SNAT.
  @Test func statesOfTheOldMatchHaveBitsOfTheirOwn() throws {
    func match(_ mask: UInt8) throws -> Match? {
      var bytes = entry
      let name = Array("state".utf8) + Array(repeating: UInt8(0), count: 24)
      bytes.replaceSubrange(112..<160, with: [40, 0] + name + [0] + [mask, 0, 0, 0, 0, 0, 0, 0])
      bytes.replaceSubrange(88..<92, with: [152, 0, 192, 0])
      return try #require(decode(bytes)).matches.last
    }
    for (mask, states) in [
      (0x02, .established), (0x41, [.invalid, .untracked]), (0x0e, [.established, .related, .new]),
    ] as [(UInt8, ConntrackMatch.States)] {
      #expect(
        try match(mask)
          == .conntrack(
            ConntrackMatch(
              conditions: ConntrackMatch.state, inverted: 0, states: states, status: 0)))
    }
    guard case .unknown(let kept)? = try match(0x80) else {
      Issue.record("0x80 means nothing to xt_state")
      return
    }
    #expect(kept.name == "state")
  }

  @Test func takesTheTargetFromTheEntryWithoutAName() throws {
    #expect(try #require(decode(entry, target: nil)).target == .accept)
    #expect(try #require(decode(entry, target: "elsewhere")).target == .jump("elsewhere"))
    var going = entry
    going[82] = 2  // IPT_F_GOTO
    #expect(try #require(decode(going, target: "elsewhere")).target == .goto("elsewhere"))
    #expect(try #require(decode(entry, target: "")).target == .fallThrough)
  }

  @Test func countersAreNoPartOfARule() throws {
    var counted = entry
    for offset in 96..<112 { counted[offset] = 0x55 }
    #expect(decode(counted) == decode(entry))
  }

  /// Addresses' masks, protocol, flags, inversions and the whole match.
  @Test(arguments: Array(8..<16) + Array(80..<84) + Array(144..<156))
  func everyBitThatMattersIsSeen(_ offset: Int) {
    for bit in 0..<8 {
      var changed = entry
      changed[offset] ^= 1 << UInt8(bit)
      let rule = decode(changed, target: "elsewhere")
      #expect(rule != decode(entry, target: "elsewhere"), "byte \(offset), bit \(bit)")
    }
  }

  @Test func flagsNobodyKnowsAreUnmodelled() throws {
    for (offset, bit) in [(82, 0x40), (83, 0x80), (83, 0x04)] as [(Int, UInt8)] {
      var changed = entry
      changed[offset] |= bit
      #expect(try #require(decode(changed)).unmodelled == ["header flags"])
    }
    var tcp = entry
    tcp[155] = 0x10  // an inversion that xt_tcp has not
    #expect(try #require(decode(tcp)).unmodelled == ["tcp"])
    var revision = entry
    revision[112 + 31] = 9
    #expect(try #require(decode(revision)).unmodelled == ["tcp"])
  }

  @Test func interfaceMaskOfAnotherShapeIsUnmodelled() throws {
    var changed = entry
    changed[50] = 0  // a hole in the mask
    #expect(try #require(decode(changed)).unmodelled == ["interface mask"])
  }

  @Test(arguments: ["iptables", "ip6tables"])
  func decodesRecordedRulesAndNeverTheirPieces(_ file: String) throws {
    let blobs = try RecordedBlobs.of(file)
    let family: RuleFamily = file == "iptables" ? .ip : .ip6
    #expect(blobs.count > 40)
    var names: Set<String> = []
    for (bytes, target) in blobs {
      let rule = try #require(decode(bytes, family, target: target))
      names.formUnion(rule.unmodelled)
      #expect(!rule.matches.contains(.unknown(UnknownExtension("interface mask"))))
      for length in stride(from: 0, to: bytes.count, by: 3) {
        let piece = decode(Array(bytes.prefix(length)), family, target: target)
        #expect(piece == nil, "\(length) of \(bytes.count) bytes, \(target)")
      }
    }
    #expect(
      names.subtracting(["DNAT"]) == [
        "LOG", "limit", "recent", "statistic", "TCPMSS", "MASQUERADE",
      ])
  }
}
