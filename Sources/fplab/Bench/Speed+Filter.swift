// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// Rules that no packet meets, of one kind and in some numbers.
  struct Blacklist: Sendable {
    let counts: [Int]
    /// Of those, what a quick run takes.
    let quickCounts: [Int]
    let name: @Sendable (_ count: Int) -> String
    /// Puts the rules in place, whether they are there or not.
    let load: @Sendable (_ count: Int, _ namespace: Namespace) throws -> Void
    let clear: @Sendable (_ namespace: Namespace) throws -> Void
  }

  /// What no packet comes from.
  private static func source(_ number: Int) -> String {
    // Spread over the address space, none of it the generator's.
    let mixed = UInt32(truncatingIfNeeded: number) &* 2_654_435_761
    return "\(100 + mixed >> 24 % 100).\(mixed >> 16 & 255).\(mixed >> 8 & 255).\(mixed & 255)"
  }

  private static let sizes = [1, 10, 100, 1000, 10_000]
  private static let fewerSizes = [1, 100, 10_000]

  static let iptables = Blacklist(counts: sizes, quickCounts: [100, 10_000]) {
    "\($0) rules of iptables-legacy"
  } load: { count, namespace in
    let rules = (0..<count).map { "-A FORWARD -s \(source($0))/32 -j DROP\n" }.joined()
    try namespace.run(
      ["iptables-legacy-restore"],
      input: "*filter\n:FORWARD ACCEPT [0:0]\n\(rules)COMMIT\n")
  } clear: {
    try $0.run("iptables-legacy -F FORWARD")
  }

  static let ipset = set("hash:ip", counts: fewerSizes, quickCounts: [10_000])

  private static let blacklists = [
    iptables,
    Blacklist(counts: fewerSizes, quickCounts: [10_000]) {
      "\($0) rules of nftables"
    } load: { count, namespace in
      let rules = (0..<count).map { "add rule ip fw forward ip saddr \(source($0)) drop\n" }
      try namespace.nft(
        noTable + "add table ip fw\n"
          + "add chain ip fw forward { type filter hook forward priority 0; }\n" + rules.joined())
    } clear: {
      try $0.nft(noTable)
    },
    ipset,
    set("hash:net", counts: [1000], quickCounts: []),
  ]

  private static let noTable = "add table ip fw\ndelete table ip fw\n"

  /// One rule on a set with so many members.
  private static func set(_ type: String, counts: [Int], quickCounts: [Int]) -> Blacklist {
    Blacklist(counts: counts, quickCounts: quickCounts) {
      "1 rule on an ipset, \(type), of \($0)"
    } load: { count, namespace in
      let members = (0..<count).map { "add blocked \(source($0))\n" }.joined()
      try namespace.run(
        ["ipset", "-exist", "restore"],
        input: "create blocked \(type)\nflush blocked\n\(members)")
      try namespace.run(
        ["iptables-legacy-restore"],
        input: "*filter\n:FORWARD ACCEPT [0:0]\n"
          + "-A FORWARD -m set --match-set blocked src -j DROP\nCOMMIT\n")
    } clear: {
      try $0.run("iptables-legacy -F FORWARD")
    }
  }

  /// A gateway with rules that no packet meets: Linux looks at each of them.
  func gateway() throws {
    for blacklist in Self.blacklists {
      for count in quick ? blacklist.quickCounts : blacklist.counts {
        try gateway(blacklist, count)
      }
    }
  }

  /// With the rules Linux and fpd; and fpd without them in the same rounds: what is left is the filter.
  private func gateway(_ blacklist: Blacklist, _ count: Int) throws {
    let (bed, router) = try routerBed()
    let generator = try generator(in: bed, to: router)
    let sink = try LoadSink(in: try bed["right"], device: "eth0")
    let arrived = { sink.count.frames }
    // Where the paper compares the hooks.
    let hooks = count == 100 ? ["xdp", "tc"] : ["xdp"]
    try measure(
      "gateway, \(blacklist.name(count))",
      [
        try base(),
        way(Self.linux, generator, arrived) {
          try blacklist.load(count, router)
          return .kernel
        },
      ] + hooks.map { fpd($0, in: router, ["p1", "p2"], generator, arrived) } + [
        fpd("xdp", in: router, ["p1", "p2"], generator, arrived, name: Self.noRules) {
          try blacklist.clear(router)
        }
      ], isShort: true)
    bed.close()
  }
}
