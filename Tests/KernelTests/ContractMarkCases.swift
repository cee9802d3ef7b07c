// SPDX-License-Identifier: Apache-2.0
import Lab

/// Rules that give packets a mark, and others that ask for it; marks of connections.
enum ContractMarkCases {
  private static let good = Shot.burst { .udp(to: "10.8.0.1", id: $0) }
  private static let others = Shot.burst { .udp(to: "10.8.0.1", ports: (1000, 2001), id: $0) }
  private static let viaB = "ip route add 10.8.0.0/16 via 10.0.2.2"
  private static let gone = ["ip route flush 10.8.0.0/16", "nft: delete table ip t"]

  private static func table(_ prerouting: String, _ forward: String) -> String {
    "nft: add table ip t;add chain ip t p { type filter hook prerouting priority -150; };"
      + "add chain ip t f { type filter hook forward priority 0; policy drop; };"
      + (prerouting.isEmpty ? "" : "add rule ip t p \(prerouting);") + "add rule ip t f \(forward)"
  }

  /// Of two tables of one name the one that came last is asked first.
  private static func twins(_ families: [String]) -> String {
    let rules = ["ip": "meta mark set 1", "inet": "meta mark 1 drop"]
    return "nft: "
      + families.map { family in
        "add table \(family) t;"
          + "add chain \(family) t f { type filter hook forward priority 0; };"
          + "add rule \(family) t f \(rules[family] ?? "accept")"
      }.joined(separator: ";")
  }

  private static func mangle(_ rules: String...) -> [String] {
    rules.map { "iptables-legacy -t mangle \($0)" }
  }

  static let forget = ["conntrack -F"]
  /// A connection that the first of them belong to.
  static let entry =
    "conntrack -I -p udp -s 10.0.1.2 -d 10.8.0.1 --sport 1000 --dport 2000 -t 3600 "
    + "-u SEEN_REPLY,ASSURED"

  static let marks: [ContractCase] = {
    let restore = mangle(
      "-A PREROUTING -j CONNMARK --restore-mark", "-A FORWARD -m mark ! --mark 5 -j DROP")
    let save = mangle(
      "-A PREROUTING -p udp -j MARK --set-xmark 0x6/0xf",
      "-A FORWARD -m mark --mark 6/15 -j CONNMARK --save-mark --nfmask 0xf --ctmask 0xf",
      "-A POSTROUTING -m connmark ! --mark 6/7 -j DROP")
    let set = mangle("-A FORWARD -p udp -j CONNMARK --set-mark 5")
    let untracked = mangle(
      "-A PREROUTING -j MARK --set-mark 3", "-A FORWARD -m mark --mark 3 -j MARK --or-mark 4",
      "-A FORWARD -m mark ! --mark 7 -j DROP")
    return [
      ContractCase(
        "marked, and let pass for it",
        setup: [viaB, table("ip saddr 10.0.1.2 meta mark set 7", "meta mark 7 accept")],
        undo: gone, good, sees: 3, .fast),
      ContractCase(
        "marked, and lost for it",
        setup: [
          viaB, table("udp dport 2000 meta mark set meta mark | 0x10", "meta mark != 0x10 accept"),
        ], undo: gone, good + others, sees: 3, .counts(["forwarded": 3, "dropped": 3])),
      ContractCase(
        "asked for by a table of the same name, before it is marked",
        setup: [viaB, twins(["ip", "inet"])], undo: gone + ["nft: delete table inet t"], good,
        sees: 3, .fast),
      ContractCase(
        "asked for by a table of the same name, behind that",
        setup: [viaB, twins(["inet", "ip"])], undo: gone + ["nft: delete table inet t"], good,
        sees: 0, .dropped),
      ContractCase(
        "a chain for those without a mark gives them one",
        setup: [
          viaB,
          "nft: add table ip t;add chain ip t c;"
            + "add chain ip t f { type filter hook forward priority 0; policy drop; };"
            + "add rule ip t c meta mark set 3;add rule ip t c udp dport 2000 accept;"
            + "add rule ip t f meta mark 0 jump c;add rule ip t f meta mark 0 accept",
        ], undo: gone, good + others, sees: 3, .counts(["forwarded": 3, "dropped": 3])),
      ContractCase(
        "marked by iptables, twice", setup: [viaB] + untracked, good,
        sees: 3, .fast),
      ContractCase(
        "the mark of its connection", setup: [viaB, "\(entry) --mark 5"] + restore,
        undo: forget, good, sees: 3, .fast),
      ContractCase(
        "the mark of its connection, which is another",
        setup: [viaB, "\(entry) --mark 4"] + restore, undo: forget, good, sees: 0,
        .dropped),
      ContractCase(
        "its connection has that mark", setup: [viaB, "\(entry) --mark 6"] + save,
        undo: forget, good, sees: 3, .fast),
      ContractCase(
        "its connection gets that mark", setup: [viaB, "\(entry) --mark 0x31"] + save,
        undo: forget, good, sees: 3, .counts(["forwarded": 2, "rule-effect": 1])),
      ContractCase(
        "its connection gets a mark, once", setup: [viaB, entry] + set, undo: forget, good,
        sees: 3, .counts(["forwarded": 2, "rule-effect": 1])),
      // The other end of a cable is here: who stands there asks for the mark.
      ContractCase(
        "marked, and asked for it behind a cable",
        setup: [
          "ip link add x1 type veth peer name x2", "ip link set x1 up", "ip link set x2 up",
          "ip addr add 10.50.0.1/24 dev x1", "ethtool -K x2 gro on",
          "ip neigh replace 10.50.0.2 lladdr 02:00:00:00:0f:0f dev x1 nud permanent",
          "ip route add 10.8.0.0/16 via 10.50.0.2",
          "nft: add table ip t;add chain ip t p { type filter hook prerouting priority -150; };"
            + "add rule ip t p iifname p1 meta mark set 7;"
            + "add table netdev d;add chain netdev d i { type filter hook ingress device x2 priority 0; };"
            + "add rule netdev d i meta mark 7 counter",
        ],
        undo: [
          "nft: delete table netdev d", "nft: delete table ip t", "ip link del x1",
        ], good, observe: ["nft list table netdev d"], sees: 0, .punted("packet-mark"), tc: .fast),
    ]
  }()
}
