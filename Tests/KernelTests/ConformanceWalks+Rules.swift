// SPDX-License-Identifier: Apache-2.0

extension ConformanceWalks {
  private static let router = Step(
    "a router", ["ip addr add 10.0.1.1/24 dev p1", "sysctl -q -w net.ipv4.ip_forward=1"],
    ["interfaces.p1.graph nodes router", #"interfaces.p1.hook == "tc""#])

  private static func rules(
    _ count: Int, _ backends: String, _ tables: String = "filter", policy: String = "accept",
    punted: Int = 0
  ) -> String {
    let (backends, tables) = (quoted(backends), quoted(tables))
    return #"interfaces.p1.graph.filter.conf == {"family":"ipv4","rules":\#(count),"#
      + #""backends":\#(backends),"tables":\#(tables),"policy":"\#(policy)","punted_rules":\#(punted)}"#
  }

  private static func quoted(_ words: String) -> String {
    "[" + words.split(separator: " ").map { "\"\($0)\"" }.joined(separator: ",") + "]"
  }

  static let legacyRules = Walk(
    "iptables-legacy and ipset",
    [
      router,
      Step(
        "tables without rules", ["iptables-legacy -L"],
        ["interfaces.p1.graph nodes filter router", rules(0, "", "")]),
      Step(
        "a rule", ["iptables-legacy -A FORWARD -s 10.0.9.0/24 -j DROP"],
        [
          #"interfaces.p1.graph.filter.next_nf == "router""#,
          rules(1, "iptables-legacy"), "interfaces.p2.graph nodes filter router",
        ]),
      Step(
        "another, before it", ["iptables-legacy -I FORWARD -p tcp --dport 22 -j ACCEPT"],
        [rules(2, "iptables-legacy")]),
      Step(
        "rules for the machine itself", ["iptables-legacy -A INPUT -p icmp -j DROP"],
        changesNothing: true),
      Step(
        "a chain nobody jumps to",
        ["iptables-legacy -N spare", "iptables-legacy -A spare -j DROP"], changesNothing: true),
      Step(
        "a jump to it", ["iptables-legacy -A FORWARD -i p2 -j spare"], [rules(4, "iptables-legacy")]
      ),
      Step(
        "a policy", ["iptables-legacy -P FORWARD DROP"],
        [rules(4, "iptables-legacy", policy: "drop")]),
      Step(
        "rules are deleted", ["iptables-legacy -F FORWARD"],
        [rules(0, "iptables-legacy", policy: "drop")]),
      Step(
        "the policy is lifted", ["iptables-legacy -P FORWARD ACCEPT"],
        [rules(0, "", "")]),
      Step("ipset create", ["ipset create blocked hash:ip"], changesNothing: true),
      Step("ipset add", ["ipset add blocked 10.0.9.9"], changesNothing: true),
      Step(
        "a rule with a set",
        ["iptables-legacy -A FORWARD -m set --match-set blocked src -j DROP"],
        ["interfaces.p1.graph.filter.conf.rules == 1"]),
      Step("another member", ["ipset add blocked 10.0.9.10"], changesNothing: true),
      Step(
        "a set of networks",
        [
          "ipset create nets hash:net",
          "iptables-legacy -A FORWARD -m set --match-set nets dst -j DROP",
        ],
        ["interfaces.p1.graph.filter.conf.rules == 2"]),
      Step(
        "restored all at once",
        [
          "sh -c 'printf \"*filter\\n-A FORWARD -s 10.1.1.1 -j DROP\\n-A FORWARD -s 10.1.1.2 -j DROP\\n-A FORWARD -s 10.1.1.3 -j DROP\\nCOMMIT\\n\" | iptables-legacy-restore'"
        ],
        [rules(3, "iptables-legacy")]),
      Step("ipset destroy", ["ipset destroy"], changesNothing: true),
      Step(
        "the mangle table", ["iptables-legacy -t mangle -A FORWARD -j TTL --ttl-set 9"],
        ["interfaces.p1.graph.filter.conf.rules == 4"]),
      Step(
        "the mangle table is emptied", ["iptables-legacy -t mangle -F"],
        [rules(3, "iptables-legacy")]),
      Step(
        "connections are tracked",
        ["iptables-legacy -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"],
        [
          "interfaces.p1.graph.conntrack.conf.nat == false",
          "interfaces.p1.graph.filter.conf.rules == 4",
        ]),
      Step(
        "no more", ["iptables-legacy -D FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"],
        ["interfaces.p1.graph.conntrack absent", rules(3, "iptables-legacy")]),
      Step(
        "addresses are translated",
        ["iptables-legacy -t nat -A POSTROUTING -o p2 -j MASQUERADE"],
        ["interfaces.p1.graph.conntrack.conf.nat == true", "interfaces.p1.slow_path lacks nat"]),
      Step(
        "a match nobody knows",
        ["iptables-legacy -A FORWARD -m statistic --mode random --probability 0.5 -j DROP"],
        [
          "interfaces.p1.slow_path has rule-effect",
          "interfaces.p1.graph.filter.conf.punted_rules == 1",
        ],
        provided: "iptables-legacy -A INPUT -m statistic --mode random --probability 0.5"),
    ])

  static let nftRules = Walk(
    "iptables-nft and nftables",
    [
      router,
      Step(
        "an iptables rule", ["iptables-nft -A FORWARD -s 10.0.9.0/24 -j DROP"],
        ["interfaces.p1.graph nodes filter router", rules(1, "iptables-nft")]),
      Step(
        "the same through the name everybody uses",
        ["iptables -A FORWARD -p udp --dport 53 -j ACCEPT"],
        [rules(2, "iptables-nft")]),
      Step(
        "a policy", ["iptables-nft -P FORWARD DROP"], [rules(2, "iptables-nft", policy: "drop")]),
      Step(
        "a rule of iptables-legacy beside it", ["iptables-legacy -A FORWARD -s 10.9.9.9 -j DROP"],
        [
          "interfaces.p1.graph.filter.conf.rules == 3",
          #"interfaces.p1.graph.filter.conf.backends == ["iptables-legacy","iptables-nft"]"#,
        ]),
      Step(
        "and gone", ["iptables-legacy -F FORWARD"],
        [
          "interfaces.p1.graph.filter.conf.rules == 2",
          #"interfaces.p1.graph.filter.conf.backends == ["iptables-nft"]"#,
        ]),
      Step(
        "everything is flushed", ["nft flush ruleset"], [rules(0, "", "")]),
      Step(
        "a table and a chain without a hook", ["nft: table ip t {;chain side {;counter drop;};}"],
        changesNothing: true),
      Step(
        "a rule in a chain",
        [
          "nft add chain ip t transit { type filter hook forward priority 0 ; }",
          "nft add rule ip t transit ip saddr 10.0.9.9 drop",
        ],
        [rules(1, "nftables", "t")]),
      Step(
        "a jump", ["nft add rule ip t transit tcp dport 23 jump side"], [rules(3, "nftables", "t")]),
      Step(
        "a set", ["nft: table ip t {;set bad {;type ipv4_addr;};}"], changesNothing: true),
      Step(
        "a rule with the set", ["nft add rule ip t transit ip saddr @bad drop"],
        [rules(4, "nftables", "t")]),
      Step(
        "members of the set", ["nft add element ip t bad { 10.0.8.1, 10.0.8.2 }"],
        changesNothing: true),
      Step(
        "a verdict map",
        [
          "nft: table ip t {;map verdicts {;type inet_service : verdict;elements = { 80 : accept, 81 : drop };};}",
          "nft add rule ip t transit tcp dport vmap @verdicts",
        ],
        ["interfaces.p1.graph.filter.conf.rules == 5"]),
      Step(
        "a policy", ["nft add chain ip t transit { policy drop ; }"],
        [#"interfaces.p1.graph.filter.conf.policy == "drop""#]),
      Step(
        "the table sleeps", ["nft add table ip t { flags dormant ; }"],
        [rules(0, "", "")]),
      Step(
        "and wakes", ["nft add table ip t"],
        [#"interfaces.p1.graph.filter.conf.policy == "drop""#]),
      Step(
        "an inet table",
        [
          "nft: table inet u {;chain transit {;type filter hook forward priority 5;;meta l4proto icmp drop;};}"
        ],
        [
          "interfaces.p1.graph.filter.conf.rules == 6",
          #"interfaces.p1.graph.filter.conf.tables == ["t","u"]"#,
        ]),
      Step(
        "an ip6 table",
        ["nft: table ip6 v {;chain transit {;type filter hook forward priority 5;;drop;};}"],
        changesNothing: true),
      Step(
        "rules for the machine itself",
        ["nft: table ip w {;chain in {;type filter hook input priority 0;;tcp dport 22 drop;};}"],
        changesNothing: true),
      Step(
        "connections are tracked", ["nft insert rule ip t transit ct state established accept"],
        [
          "interfaces.p1.graph.conntrack.conf.nat == false",
          "interfaces.p1.graph.filter.conf.rules == 7",
        ]),
      Step(
        "addresses are translated",
        [
          "nft: table ip n {;chain post {;type nat hook postrouting priority 100;;oifname p2 masquerade;};}"
        ],
        ["interfaces.p1.graph.conntrack.conf.nat == true"]),
      Step(
        "translation goes", ["nft delete table ip n"],
        ["interfaces.p1.graph.conntrack.conf.nat == false"]),
      Step(
        "a rule at a device's ingress",
        [
          "nft: table netdev d {;chain in {;type filter hook ingress device p1 priority 0;;ip saddr 10.0.7.7 drop;};}"
        ],
        [
          "interfaces.p1.slow_path has netfilter-ingress", #"interfaces.p1.hook == "none""#,
          "interfaces.p2.slow_path lacks netfilter-ingress",
        ]),
      Step(
        "ingress goes", ["nft delete table netdev d"],
        ["interfaces.p1.slow_path lacks netfilter-ingress"]),
      Step(
        "everything is flushed again", ["nft flush ruleset"],
        [rules(0, "", ""), "interfaces.p1.slow_path lacks filter-rules"]),
    ])
}
