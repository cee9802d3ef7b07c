// SPDX-License-Identifier: Apache-2.0
import Lab

extension MatrixNftables {
  static let chains: [MatrixCase] = [
    MatrixCase(
      ":$C-a", "in $C-a udp dport 53 drop", "in $C-a udp dport 54 return",
      "in $C-a udp dport 55 accept", "meta l4proto udp counter jump $C-a", "udp dport 54-56",
      meets: [.udp(53), .udp(54), .udp(56)], misses: [.udp(55), .udp(57), .tcp(53)]),
    MatrixCase(
      ":$C-a", "in $C-a udp dport 53 drop", "meta l4proto udp goto $C-a", "counter drop",
      meets: [.udp(53), .tcp(53)], misses: [.udp(54)]),
    MatrixCase(
      ":$C-a", ":$C-b", "in $C-b udp dport 53 return", "in $C-b udp dport 54 accept",
      "in $C-a goto $C-b", "in $C-a accept", "meta l4proto udp jump $C-a", "drop",
      meets: [.udp(53), .udp(55), .tcp(53)], misses: [.udp(54)]),
    MatrixCase("meta l4proto udp return", "drop", meets: [.tcp()], misses: [.udp()]),
    MatrixCase(
      "meta l4proto udp continue", "udp dport 53 drop", meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase("counter drop", meets: [.udp()]),
    MatrixCase(
      lines: stride(from: 1000, to: 1300, by: 2).map { "udp dport \($0)" },
      meets: [.udp(1000), .udp(1130), .udp(1298)],
      misses: [.udp(999), .udp(1001), .udp(1299), .udp(1300)]),
    MatrixCase(
      lines: (0..<30).map { "udp dport >= \($0) counter continue" }, left: [.udp()], "rules-met"),
    MatrixCase(
      lines: (0..<30).map { "udp dport >= \($0) continue" } + ["udp dport 53"], meets: [.udp(53)],
      misses: [.udp(54)]),
  ]

  static let policy: [MatrixCase] = [
    MatrixCase("udp dport 53", meets: [.udp(53)], misses: [.udp(54), .tcp(53)]),
    MatrixCase("iifname != p1", meets: [.udp().at(.c)], misses: [.udp()]),
    MatrixCase("udp dport { 53, 60-70 } accept", meets: [.udp(60)], misses: [.udp(59), .udp(71)]),
    MatrixCase(
      "udp dport vmap { 53 : accept, 54 : drop }", meets: [.udp(53)], misses: [.udp(54), .udp(55)]),
    .leaves("udp dport 53 reject", [.udp(53)], "rule-effect"),
  ]

  /// A table of the case's own with chains on hooks.
  private static func own(_ family: String, _ chains: [(String, [String])]) -> String {
    let bodies = chains.enumerated().map { number, chain in
      "chain k\(number) {\ntype filter hook \(chain.0);\n\(chain.1.joined(separator: "\n"))\n}"
    }
    return "own table \(family) $C {\n\(bodies.joined(separator: "\n"))\n}"
  }

  static let hooks: [MatrixCase] = [
    MatrixCase(
      own("ip", [("prerouting priority raw", ["ip daddr $D udp dport 53 drop"])]),
      meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase(
      own("inet", [("prerouting priority mangle", ["ip daddr $D udp dport 53 counter drop"])]),
      meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase(
      own("ip", [("postrouting priority 0", ["ip daddr $D udp dport 53 drop"])]),
      meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase(
      own(
        "inet",
        [
          (
            "forward priority -50",
            ["ip daddr $D udp dport 53 accept", "ip daddr $D udp dport 54 drop"]
          )
        ]),
      own("ip", [("forward priority 50; policy accept", ["ip daddr $D udp dport 53-55 drop"])])
        .replacingName,
      meets: [.udp(53), .udp(54), .udp(55)], misses: [.udp(56)]),
    MatrixCase(
      own(
        "ip",
        [
          ("prerouting priority 5", ["ip daddr $D ip ttl 64 drop"]),
          ("postrouting priority 5", ["ip daddr $D ip ttl 62 drop"]),
        ]), meets: [.udp().ttl(64), .udp().ttl(63)], misses: [.udp().ttl(65), .udp().ttl(62)]),
    MatrixCase(
      own("ip", [("prerouting priority 6", ["ip daddr $D iifname p3 drop"])]),
      meets: [.udp().at(.c)], misses: [.udp()]),
    MatrixCase(
      own("ip", [("postrouting priority 7", ["ip saddr $S oifname p3 drop"])]),
      meets: [.udp().toC], misses: [.udp()]),
    MatrixCase(
      own("ip", [("prerouting priority 8", ["ip daddr $D udp dport 53 meta mark set 5"])]),
      own("ip", [("forward priority 8", ["ip daddr $D meta mark 5 drop"])]).replacingName,
      meets: [.udp(53)], misses: [.udp(54)]),
    // Neither a hook on which nothing passes here nor a table that sleeps has a say.
    MatrixCase(
      own(
        "ip", [("input priority 0; policy drop", []), ("output priority 0", ["ip daddr $D drop"])]),
      misses: [.udp()]),
    MatrixCase(
      "own table ip $C {\nflags dormant\nchain k {\ntype filter hook forward priority 3;\n"
        + "ip daddr $D drop\n}\n}", misses: [.udp()]),
    MatrixCase(
      own("ip6", [("forward priority 0; policy drop", [])]), misses: [.udp()]),
  ]

  private static func to53(_ match: String) -> MatrixCase {
    .leaves("udp dport 53 \(match)", [.udp(53)])
  }

  /// Only packets that meet the rest of the rule, wherever it stands.
  static let looks: [MatrixCase] =
    [
      "fib saddr type local", "fib daddr . iif type unicast", "rt classid 5", "meta skuid 0",
      "meta cpu != 77", "iifgroup 0", "meta iiftype ether", "meta length 1-2000",
      "meta hour \"00:00\"-\"23:59\"", "jhash ip saddr mod 2 seed 0x5 0", "ip id 5",
      "ip checksum 5", "udp checksum 0", "@th,48,16 5",
    ].map(to53) + [
      .leaves("fib saddr type unicast udp dport 53", [.udp(53)]),
      // Asked of all packets; the kernel finds it in TCP alone.
      .leaves(
        "tcp option maxseg size 500", [.tcp(5, .syn, options: [2, 4, 1, 244]), .udp(5)],
        misses: []),
      // The kernel is asked for both at once.
      .leaves("udp dport 53 udp length 20", [.udp(53), .udp(54)], misses: [.tcp(53)]),
      .leaves("tcp sequence 1", [.tcp(5)], misses: [.udp(5)]),
      .leaves("icmp id 0", [.icmp(8)], misses: [.udp(5)]),
      MatrixCase(
        "udp dport 53 drop", "meta l4proto udp ip id 77 drop", meets: [.udp(53)],
        misses: [.tcp(53)],
        left: [.udp(54)]),
      MatrixCase(
        "udp dport 53 accept", "meta l4proto udp ip id 77 drop", misses: [.udp(53), .tcp(53)],
        left: [.udp(54)]),
    ]

  /// Also where the rule says nothing else.
  private static func acts(_ statement: String) -> [MatrixCase] {
    let packets: [MatrixPacket] = [.udp(53), .udp(53)]
    return [
      .leaves("udp dport 53 \(statement)", packets, "rule-effect"),
      .leaves("bare udp dport 53 \(statement)", packets, "rule-effect"),
    ]
  }

  static let statements: [MatrixCase] =
    [
      "limit rate 1/hour burst 1 packets", "quota over 50 bytes", "quota until 50 bytes",
      "numgen inc mod 2 0", "log", "log prefix \"words\"", "log group 5",
      "reject", "reject with icmp host-unreachable", "reject with icmp admin-prohibited",
      "meta priority set 1:1", "ip dscp set 5",
      "ip ttl set 9", "udp dport set 77", "meta nftrace set 1",
    ].flatMap(acts) + [
      MatrixCase("udp dport 53 meta mark set 5", meets: [.udp(53)], misses: [.udp(54), .tcp(53)]),
      .leaves(
        "bare tcp dport 53 tcp option maxseg size set 500",
        [.tcp(53, .syn, options: [2, 4, 5, 180])], "rule-effect", misses: [.tcp(54), .udp(53)]),
      .leaves(
        "meta l4proto udp limit rate 1/hour burst 1 packets udp dport 53", [.udp(53), .udp(54)],
        "rule-effect", misses: [.tcp(53)]),
      .leaves(
        "tcp dport 53 reject with tcp reset", [.tcp(53, .syn)], "rule-effect",
        misses: [.tcp(54, .syn), .udp(53)]),
      .leaves(
        "table counter $C-n { }", "udp dport 53 counter name $C-n drop", [.udp(53)], "rule-effect"),
      .leaves(
        "table limit $C-l { rate 5/second; }", "udp dport 53 limit name $C-l drop", [.udp(53)],
        "rule-effect"),
      MatrixCase(
        "udp dport 53 drop", "meta l4proto udp reject", meets: [.udp(53)], misses: [.tcp(53)],
        left: [.udp(54)], "rule-effect"),
      MatrixCase(
        "udp dport 53 accept", "meta l4proto udp log", "counter drop", meets: [.tcp(53)],
        misses: [.udp(53)], left: [.udp(54)], "rule-effect"),
    ]

  static func copies(_ tool: MatrixTool) -> [MatrixCase] {
    tool == .ip ? acts("dup to 10.0.3.2 device p3") : []
  }

  private static let any =
    "conntrack|netfilter-hook|filter-rules|rule-unknown|rule-effect|nat|connection-new|connection-state"

  private static func tracked(_ rule: String) -> MatrixCase {
    MatrixCase(rule, left: [.udp(53), .udp(54), .tcp(53, .syn)], any)
  }

  static let connections: [MatrixCase] = [
    tracked("ct state new udp dport 53 drop"), tracked("ct state established,related accept"),
    tracked("ct state invalid drop"), tracked("ct mark 1 drop"), tracked("ct mark set 1"),
    tracked("ct state vmap { new : continue, invalid : drop }"),
    tracked("ct direction original udp dport 54 drop"), tracked("ct bytes > 1000 drop"),
    tracked(
      "own table ip $C {\nchain k {\ntype nat hook prerouting priority dstnat;\n"
        + "ip daddr $D udp dport 53 dnat to $E\n}\n}"),
    tracked(
      "own table ip $C {\nchain k {\ntype nat hook postrouting priority srcnat;\n"
        + "ip daddr $D masquerade\n}\n}"),
  ]
}

extension String {
  /// A second table of a case.
  fileprivate var replacingName: String {
    var words = split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    if words.count > 3 { words[3] += "b" }
    return words.joined(separator: " ")
  }
}
