// SPDX-License-Identifier: Apache-2.0
import Introspection
import Netlink
import Testing

/// A table of iptables-legacy as the kernel gives it, byte by byte.
@Suite struct LegacyEntriesTests {
  private static let entrySize = 152
  private static let markSize = 176

  /// `struct ipt_entry` and a standard target.
  private static func entry(
    _ verdict: Int, _ packets: UInt8 = 0, source: UInt8 = 0, goto: Bool = false
  ) -> [UInt8] {
    var bytes = header(size: entrySize, packets)
    if source != 0 {
      bytes[0] = source
      for place in 8..<12 { bytes[place] = 255 }
    }
    if goto { bytes[82] = 2 }
    bytes += [40, 0] + [UInt8](repeating: 0, count: 30)
    let number = UInt32(bitPattern: Int32(verdict))
    bytes += (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(8 * $0)) } + [0, 0, 0, 0]
    return bytes
  }

  private static func mark(_ name: String) -> [UInt8] {
    let text = Array(name.utf8)
    return header(size: markSize, 0) + [64, 0] + Array("ERROR".utf8)
      + [UInt8](repeating: 0, count: 25) + text + [UInt8](repeating: 0, count: 32 - text.count)
  }

  private static func header(size: Int, _ packets: UInt8) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 112)
    (bytes[88], bytes[90]) = (112, UInt8(size))
    (bytes[96], bytes[104]) = (packets, packets &* 2)
    return bytes
  }

  /// INPUT: policy; FORWARD: a jump, a rule without a target, a drop, policy; OUTPUT: policy; and a chain.
  private static let bytes: [UInt8] =
    entry(-2, 1)
    + entry(6 * entrySize + markSize, 2, source: 10) + entry(3 * entrySize, 3)
    + entry(-1, 4, source: 11) + entry(-1, 5)
    + entry(-2, 6)
    + mark("user") + entry(6 * entrySize + markSize, 7, goto: true) + entry(-5, 8) + entry(-5, 9)
    + mark("ERROR")

  private static let hooks: [LegacyEntries.Hook] = [
    .init(number: 1, entry: 0, underflow: 0),
    .init(number: 2, entry: entrySize, underflow: 4 * entrySize),
    .init(number: 3, entry: 5 * entrySize, underflow: 5 * entrySize),
  ]

  private func read(
    _ bytes: [UInt8] = bytes, _ hooks: [LegacyEntries.Hook] = hooks
  ) -> LegacyEntries? {
    bytes.withBytes { LegacyEntries($0, family: .ip, name: "filter", hooks: hooks) }
  }

  @Test func findsTheRuleOfEveryEntry() throws {
    let entries = try #require(read())
    let places: [LegacyEntries.Place?] = [
      .init("INPUT", 0), .init("FORWARD", 1), .init("FORWARD", 2), .init("FORWARD", 3),
      .init("FORWARD", 0), .init("OUTPUT", 0), nil, .init("user", 1), .init("user", 2), nil, nil,
    ]
    #expect(entries.places == places)
    #expect(entries.tallies.map(\.packets) == [1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 0])
    #expect(entries.byPlace[.init("FORWARD", 3)] == Tally(packets: 4, bytes: 8))
    #expect(entries.table.chains.map(\.name) == ["INPUT", "FORWARD", "OUTPUT", "user"])
    let forward = entries.table.chains[1]
    #expect(forward.base?.policy == .drop && forward.base?.hook == .forward)
    #expect(forward.rules.map(\.target) == [.jump("user"), .fallThrough, .drop])
    #expect(forward.rules.map(\.handle) == [1, 2, 3])
    #expect(entries.table.chains[3].rules.map(\.target) == [.goto("user"), .return])
    #expect(entries.table.chains[3].base == nil)
  }

  @Test func countersAreNoPartOfTheFingerprint() {
    func fingerprint(_ bytes: [UInt8]) -> UInt64? {
      bytes.withBytes { LegacyEntries.fingerprint($0, .ip) }
    }
    let before = fingerprint(Self.bytes)
    var bytes = Self.bytes
    for place in 96..<112 { bytes[Self.entrySize + place] = 99 }
    #expect(fingerprint(bytes) == before && before != nil)
    for place in [0, 11, 82, 88 + 32, Self.entrySize - 40] {
      bytes[Self.entrySize + place] ^= 1
      #expect(fingerprint(bytes) != before, "byte \(place)")
      bytes[Self.entrySize + place] ^= 1
    }
  }

  @Test func whatDoesNotHoldTogetherIsRefused() {
    #expect(read([]) == nil)
    #expect(read(Array(Self.bytes.dropLast(8))) == nil)
    #expect(read(Array(Self.bytes.dropLast(Self.markSize))) == nil, "no end")
    #expect(read(Self.mark("ERROR")) == nil, "hooks that are nowhere")
    var hooks = Self.hooks
    hooks[1].underflow -= Self.entrySize
    #expect(read(Self.bytes, hooks) == nil, "a policy elsewhere")
    hooks = Self.hooks
    hooks[2].entry = hooks[1].entry
    #expect(read(Self.bytes, hooks) == nil, "two chains in one place")
    #expect(read(Self.bytes, Array(Self.hooks.dropFirst())) == nil, "an entry before all chains")
    var bytes = Self.bytes
    bytes[Self.entrySize + 144] &+= 8
    #expect(read(bytes) == nil, "a jump into the middle")
    bytes = Self.bytes
    bytes[Self.entrySize + 90] = 0
    #expect(read(bytes) == nil, "an entry without an end")
  }

  @Test func garbledTablesDoNoHarm() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var bytes = Self.bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(
          in: 0...255, using: &random)
      }
      if Bool.random(using: &random) {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
      }
      guard let entries = read(bytes) else { continue }
      #expect(entries.places.count == entries.tallies.count)
    }
  }
}
