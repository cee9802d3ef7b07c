// SPDX-License-Identifier: Apache-2.0
import Lab

/// Where the way down the kernel's routing trie does not end at the longest prefix: it is walked back up,
/// and over to another branch.
enum ContractPrefixCases {
  private struct Prefix {
    let address: UInt32
    let length: UInt32
    let isViaC: Bool

    var mask: UInt32 { UInt32.max << (32 - length) }
    var text: String { "\(IPv4Address(address))/\(length)" }
    func holds(_ destination: UInt32) -> Bool { destination & mask == address }
    var added: String { "ip route add \(text) via \(isViaC ? "10.0.3.2" : "10.0.2.2")" }
    var deleted: String { "ip route del \(text)" }
  }

  /// The same numbers each time: xorshift.
  private struct Numbers {
    var state: UInt32
    mutating func next(below limit: UInt32) -> UInt32 {
      state ^= state << 13
      state ^= state >> 17
      state ^= state << 5
      return (state >> 3) % limit
    }
  }

  /// Prefixes around a few addresses, so that most lie within others. The first holds all.
  private static func prefixes(_ count: Int, _ numbers: inout Numbers) -> [Prefix] {
    let stems = (0..<4).map { _ in 0x2800_0000 | numbers.next(below: 1 << 26) }
    var found = [Prefix(address: 0x2800_0000, length: 6, isViaC: false)]
    while found.count < count {
      let length = 7 + numbers.next(below: 26)
      var address = stems[Int(numbers.next(below: 4))]
      if numbers.next(below: 2) == 0 { address ^= 1 << (32 - length) }
      address &= UInt32.max << (32 - length)
      let isViaC = numbers.next(below: 2) == 1
      if found.contains(where: { $0.address == address && $0.length == length }) { continue }
      if address >> 26 != 0x2800_0000 >> 26 { continue }
      found.append(Prefix(address: address, length: length, isViaC: isViaC))
    }
    return found
  }

  /// How many leaves are closer to a destination than the one of its longest prefix: the way down leads
  /// to one of them first. Nil without a prefix.
  private static func detours(_ destination: UInt32, _ prefixes: [Prefix]) -> Int? {
    let matching = prefixes.filter { $0.holds(destination) }
    guard let longest = matching.max(by: { $0.length < $1.length }) else { return nil }
    let distance = longest.address ^ destination
    let keys = Set(prefixes.map(\.address))
    return keys.count {
      ($0 ^ destination).leadingZeroBitCount > distance.leadingZeroBitCount
    }
  }

  /// Frames to the destinations whose way is the longest.
  private static func frames(_ prefixes: [Prefix], _ numbers: inout Numbers) -> [Shot] {
    var destinations: Set<UInt32> = []
    for prefix in prefixes {
      let (first, last) = (prefix.address, prefix.address | ~prefix.mask)
      destinations.formUnion([first, last, first &- 1, last &+ 1])
      for _ in 0..<12 { destinations.insert(first ^ 1 << numbers.next(below: 26)) }
    }
    let ranked = destinations.compactMap { destination in
      detours(destination, prefixes).map { (destination, $0) }
    }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }
    return ranked.prefix(64).enumerated().map { place, found in
      .udp(to: IPv4Address(found.0), id: UInt16(place))
    }
  }

  private static func still(_ seed: UInt32) -> ContractCase {
    var numbers = Numbers(state: seed &* 0x9e37_79b1)
    let all = prefixes(28, &numbers)
    return ContractCase(
      "back up from the way down, \(seed)", setup: all.map(\.added), frames(all, &numbers),
      sees: 64, .fast)
  }

  /// Half of the routes go, which leaves nodes with few children, or come, which splits them.
  private static func moving(_ seed: UInt32, comes: Bool) -> ContractCase {
    var numbers = Numbers(state: seed &* 0x85eb_ca6b)
    let all = prefixes(40, &numbers)
    let (stays, moves) = (Array(all.prefix(20)), Array(all.dropFirst(20)))
    return ContractCase(
      "back up after routes \(comes ? "came" : "went") at once, \(seed)",
      setup: comes ? stays.map(\.added) : all.map(\.added),
      sudden: comes ? moves.map(\.added) : moves.map(\.deleted),
      frames(comes ? all : stays, &numbers), sees: 64, .fast)
  }

  static let climbs: [ContractCase] =
    (1...6).map(still) + (1...2).map { moving($0, comes: false) }
    + (3...4).map { moving($0, comes: true) } + [
      // Without a route that holds all, the walk ends at the root, or in a prefix that holds all there is.
      ContractCase(
        "back up to the root and no further",
        setup: [
          "ip route add 40.1.0.0/16 via 10.0.2.2", "ip route add 40.1.2.0/24 via 10.0.3.2",
          "ip route add 40.1.2.128/25 via 10.0.2.2", "ip route add 40.1.2.200/32 via 10.0.3.2",
        ],
        [
          .udp(to: "40.1.2.129"), .udp(to: "40.1.2.127"), .udp(to: "40.1.3.1"),
          .udp(to: "40.2.0.1", from: "10.77.0.40"),
        ], sees: 4, .counts(["forwarded": 3, "no-route": 1]))
    ]
}
