// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// Sources that no packet has, one rule each, as blacklists are.
  private struct Blacklist: Sendable {
    let name: String
    let load: @Sendable (_ count: Int, _ namespace: Namespace) throws -> Void
    let clear: @Sendable (_ namespace: Namespace) throws -> Void
  }

  private static func source(_ number: Int) -> String {
    // Spread over the address space, none of it the generator's.
    let mixed = UInt32(truncatingIfNeeded: number) &* 2_654_435_761
    return "\(100 + mixed >> 24 % 100).\(mixed >> 16 & 255).\(mixed >> 8 & 255).\(mixed & 255)"
  }

  private static let blacklists = [
    Blacklist(name: "iptables-legacy") { count, namespace in
      let rules = (0..<count).map { "-A FORWARD -s \(source($0))/32 -j DROP\n" }.joined()
      try namespace.run(
        ["iptables-legacy-restore"],
        input: "*filter\n:FORWARD ACCEPT [0:0]\n\(rules)COMMIT\n")
    } clear: {
      try $0.run("iptables-legacy -F FORWARD")
    },
    Blacklist(name: "nftables") { count, namespace in
      let rules = (0..<count).map { "add rule ip fw forward ip saddr \(source($0)) drop\n" }
      try namespace.run(
        ["nft", "-f", "-"],
        input: "add table ip fw\n"
          + "add chain ip fw forward { type filter hook forward priority 0; }\n" + rules.joined())
    } clear: {
      try $0.run("nft delete table ip fw")
    },
  ]

  /// A gateway with so many rules that no packet meets: Linux looks at each of them.
  func gateway() throws {
    for blacklist in Self.blacklists {
      for count in quick ? [1, 100, 10_000] : [1, 10, 100, 1000, 10_000] {
        try gateway(blacklist, count)
      }
    }
  }

  private func gateway(_ blacklist: Blacklist, _ count: Int) throws {
    let (bed, router) = try routerBed()
    try blacklist.load(count, router)
    let generator = try generator(in: bed, to: router)
    let sink = try LoadSink(in: try bed["right"], device: "eth0")
    let arrived = { sink.count.frames }
    try measure(
      "gateway, \(count) rules of \(blacklist.name)",
      [
        try base(),
        Way(name: Self.linux, generator: generator, arrived: arrived) { .kernel },
        fpd("xdp", in: router, ["p1", "p2"], generator, arrived),
      ], isShort: true)
    try blacklist.clear(router)
    bed.close()
  }
}
