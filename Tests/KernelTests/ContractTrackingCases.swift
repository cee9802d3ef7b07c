// SPDX-License-Identifier: Apache-2.0
import Lab

/// Rules that have packets not tracked, in front of connection tracking; and what is lost there.
enum ContractTrackingCases {
  private static let good = Shot.burst { .udp(to: "10.8.0.1", id: $0) }
  private static let others = Shot.burst { .udp(to: "10.8.0.1", ports: (1000, 2001), id: $0) }
  private static let viaB = "ip route add 10.8.0.0/16 via 10.0.2.2"
  private static let gone = ["nft: delete table ip t"]
  private static let forget = ContractMarkCases.forget
  private static let entry = ContractMarkCases.entry

  private static func raw(_ rule: String) -> String {
    "iptables-legacy -t raw -A PREROUTING \(rule)"
  }
  private static func forward(_ rule: String) -> String { "iptables-legacy -A FORWARD \(rule)" }

  private static let one = raw("-p udp --dport 2000 -j CT --notrack")
  private static let tracked = [
    forward("-m conntrack --ctstate UNTRACKED -j ACCEPT"), forward("-j DROP"),
  ]

  static let cases: [ContractCase] = [
    ContractCase(
      "not tracked, and let pass for it", setup: [viaB, one] + tracked, good, sees: 3, .fast),
    ContractCase(
      "others are tracked", setup: [viaB, one] + tracked, good + others, sees: 3,
      .counts(["forwarded": 3, "connection-new": 3])),
    ContractCase(
      "not tracked, by its old name", setup: [viaB, raw("-j NOTRACK")] + tracked,
      good + others, sees: 6, .fast),
    ContractCase(
      "not tracked, whatever it is", setup: [viaB, raw("-d 10.8.0.0/16 -j NOTRACK")] + tracked,
      [
        .echoReply(to: "10.8.0.1"), .udp(to: "10.8.0.1", id: 7).header { $0[23] = 47 },
        // A length that connection tracking would not have.
        .udp(to: "10.8.0.1", id: 8).editing { $0[39] &+= 1 },
      ], sees: 3, .fast),
    ContractCase(
      "not tracked, by nft",
      setup: [
        viaB,
        "nft: add table ip t;"
          + "add chain ip t p { type filter hook prerouting priority -300; };"
          + "add chain ip t f { type filter hook forward priority 0; policy drop; };"
          + "add rule ip t p udp dport 2000 notrack;add rule ip t f ct mark 0 drop;"
          + "add rule ip t f ct state vmap { invalid : drop, untracked : accept }",
      ], undo: gone, good + others, sees: 3, .counts(["forwarded": 3, "connection-new": 3])),
    ContractCase(
      "asked about before and behind",
      setup: [
        viaB, raw("-m conntrack --ctstate UNTRACKED -j DROP"),
        raw("-m conntrack ! --ctstate INVALID -j DROP"), one,
        raw("-m conntrack ! --ctstate INVALID -p udp --dport 2000 -j ACCEPT"),
        raw("-m conntrack --ctstate UNTRACKED -j DROP"), raw("-p udp --dport 2001 -j DROP"),
      ] + tracked, good + others, sees: 3, .counts(["forwarded": 3, "dropped": 3])),
    ContractCase(
      "lost before it could be tracked",
      setup: [viaB, raw("-p udp --dport 2001 -j DROP"), one] + tracked, good + others, sees: 3,
      .counts(["forwarded": 3, "dropped": 3])),
    ContractCase(
      "lost behind, for it is not tracked",
      setup: [viaB, one]
        + [forward("-m conntrack --ctstate UNTRACKED -j DROP")], good + others, sees: 3,
      .counts(["dropped": 3, "connection-new": 1, "connection-state": 2])),
    ContractCase(
      "not tracked, cut in pieces", setup: [viaB, one] + tracked,
      [.udp(to: "10.8.0.1") { $0.moreFragments = true }], .punted("fragment")),
    ContractCase(
      "not tracked, though there is a connection", setup: [viaB, entry, one] + tracked,
      undo: forget, good, sees: 3, .fast),
    ContractCase(
      "the mark of a connection that it has nothing of",
      setup: [
        viaB, "\(entry) --mark 5", one, forward("-m connmark --mark 5 -j DROP"),
        forward("-m connmark ! --mark 7 -j DROP"),
        "iptables-legacy -t mangle -A PREROUTING -j CONNMARK --restore-mark",
        "iptables-legacy -t mangle -A FORWARD -j CONNMARK --set-mark 9",
        forward("-m mark --mark 5 -j DROP"),
      ], undo: forget, good, sees: 3, .fast),
    // Last: the hooks of NAT stay.
    ContractCase(
      "not tracked, though its connection has another address",
      setup: [
        viaB, "iptables-legacy -t nat -A POSTROUTING -s 10.77.0.0/16 -j MASQUERADE",
        "\(entry) -n 10.0.2.1", one,
      ] + tracked, undo: forget, good, sees: 3, .punted("rule-effect")),
  ]
}
