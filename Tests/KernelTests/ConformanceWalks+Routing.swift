// SPDX-License-Identifier: Apache-2.0

extension ConformanceWalks {
  static let routing = Walk(
    "routes and policy rules",
    [
      Step(
        "forwarding without routes", ["sysctl -q -w net.ipv4.ip_forward=1"],
        exactly: [
          "p1":
            #"{"hook":"none","graph":{},"slow_path":[{"reason":"no-routes","scope":"interface"}]}"#
        ]),
      Step(
        "an address", ["ip addr add 10.0.1.1/24 dev p1"],
        exactly: [
          "p1": #"{"hook":"tc","graph":{"router":{"conf":{"rp_filter":"off","policy_rules":false,"#
            + #""routes":["plain"],"send_redirects":true},"next_nf":null}},"slow_path":[]}"#
        ]),
      Step("a second address", ["ip addr add 10.0.2.1/24 dev p2"], changesNothing: true),
      Step("a route", ["ip route add 10.5.0.0/16 via 10.0.2.2"], changesNothing: true),
      Step("a default route", ["ip route add default via 10.0.2.2"], changesNothing: true),
      Step(
        "another route like it", ["ip route append 10.5.0.0/16 via 10.0.2.3"], changesNothing: true),
      Step(
        "a neighbour", ["ip neigh add 10.0.2.2 lladdr 02:00:00:00:00:02 dev p2"],
        changesNothing: true),
      Step(
        "a multipath route",
        ["ip route add 10.6.0.0/16 nexthop via 10.0.1.2 nexthop via 10.0.2.2"],
        [
          #"interfaces.p1.graph.router.conf.routes == ["plain","multipath"]"#,
          "interfaces.p1.graph.router.conf.multipath_hash_policy == 0",
          "interfaces.p1.slow_path lacks multipath-hash",
        ]),
      Step(
        "multipath by ports", ["sysctl -q -w net.ipv4.fib_multipath_hash_policy=1"],
        [
          "interfaces.p1.graph.router.conf.multipath_hash_policy == 1",
          "interfaces.p1.slow_path has multipath-hash",
        ]),
      Step(
        "multipath by addresses", ["sysctl -q -w net.ipv4.fib_multipath_hash_policy=0"],
        ["interfaces.p1.slow_path lacks multipath-hash"]),
      Step(
        "the multipath route goes", ["ip route del 10.6.0.0/16"],
        [#"interfaces.p1.graph.router.conf.routes == ["plain"]"#]),
      Step(
        "a blackhole", ["ip route add blackhole 10.7.0.0/16"],
        [#"interfaces.p1.graph.router.conf.routes == ["plain","blackhole"]"#]),
      Step(
        "unreachable and prohibit",
        ["ip route add unreachable 10.8.0.0/16", "ip route add prohibit 10.9.0.0/16"],
        [
          #"interfaces.p1.graph.router.conf.routes == ["plain","blackhole","unreachable","prohibit"]"#
        ]),
      Step(
        "they go again",
        ["ip route del 10.7.0.0/16", "ip route del 10.8.0.0/16", "ip route del 10.9.0.0/16"],
        [#"interfaces.p1.graph.router.conf.routes == ["plain"]"#]),
      Step(
        "a nexthop object",
        ["ip nexthop add id 7 via 10.0.2.2 dev p2", "ip route add 10.10.0.0/16 nhid 7"],
        [#"interfaces.p1.graph.router.conf.routes == ["plain","nexthop-object"]"#]),
      Step(
        "the nexthop goes and takes its route", ["ip nexthop del id 7"],
        [#"interfaces.p1.graph.router.conf.routes == ["plain"]"#]),
      Step(
        "a policy rule", ["ip rule add from 10.0.1.0/24 table 100"],
        [
          "interfaces.p1.graph.router.conf.policy_rules == true",
          "interfaces.p1.slow_path has policy-rules",
        ]),
      Step(
        "a route in its table", ["ip route add default via 10.0.2.9 table 100"],
        [#"interfaces.p1.graph.router.conf.routes == ["plain","other-table"]"#]),
      Step(
        "another rule, by mark", ["ip rule add fwmark 5 table 100"],
        [#"interfaces.p1.slow_path == [{"reason":"policy-rules","scope":"packets","detail":"2"}]"#]),
      Step(
        "the rules go", ["ip rule del fwmark 5", "ip rule del from 10.0.1.0/24"],
        [
          "interfaces.p1.graph.router.conf.policy_rules == false",
          "interfaces.p1.slow_path lacks policy-rules",
        ]),
      Step(
        "table 100 is emptied", ["ip route flush table 100"],
        [#"interfaces.p1.graph.router.conf.routes == ["plain"]"#]),
      Step(
        "table main is not looked into", ["ip rule del pref 32766"],
        [
          "interfaces.p1.graph.router.conf.policy_rules == true",
          "interfaces.p1.slow_path has policy-rules",
        ]),
      Step(
        "and is again", ["ip rule add pref 32766 table main"],
        ["interfaces.p1.slow_path lacks policy-rules"]),
      Step(
        "the default rules in another order",
        ["ip rule del pref 0", "ip rule add pref 100 table local"],
        ["interfaces.p1.graph.router.conf.policy_rules == true"]),
      Step(
        "and back", ["ip rule add pref 0 table local", "ip rule del pref 100"],
        ["interfaces.p1.graph.router.conf.policy_rules == false"]),
      Step(
        "an encapsulating route", ["ip route add 10.11.0.0/16 encap ip id 5 dst 10.0.2.2 dev p2"],
        [
          "interfaces.p1.slow_path has encapsulated-routes",
          #"interfaces.p1.graph.router.conf.routes == ["plain","lwtunnel"]"#,
        ], provided: Step.encapsulation),
      Step(
        "an encapsulating route goes", ["ip route del 10.11.0.0/16"],
        ["interfaces.p1.slow_path lacks encapsulated-routes"], provided: Step.encapsulation),
      Step(
        "an IPsec policy",
        [
          "ip xfrm policy add src 10.0.1.0/24 dst 10.5.0.0/16 dir fwd tmpl src 10.0.1.9 dst 10.0.1.1 proto esp mode tunnel"
        ],
        ["interfaces.p1.slow_path has ipsec-policies"]),
      Step(
        "no IPsec policy", ["ip xfrm policy flush"],
        ["interfaces.p1.slow_path lacks ipsec-policies"]),
      Step(
        "what no IPsec policy is for is dropped", ["ip xfrm policy setdefault fwd block"],
        ["interfaces.p1.slow_path has ipsec-policies"],
        provided: "ip xfrm policy getdefault"),
      Step(
        "and is not", ["ip xfrm policy setdefault fwd accept"],
        ["interfaces.p1.slow_path lacks ipsec-policies"],
        provided: "ip xfrm policy getdefault"),
      Step(
        "the addresses go", ["ip addr flush dev p1", "ip addr flush dev p2"],
        ["interfaces.p1.graph nodes", "interfaces.p1.slow_path has no-routes"]),
    ])

  static let sysctls = Walk(
    "sysctls",
    [
      Step(
        "a router", ["ip addr add 10.0.1.1/24 dev p1", "sysctl -q -w net.ipv4.ip_forward=1"],
        ["interfaces.p1.graph nodes router", "interfaces.p2.graph nodes router"]),
      Step(
        "rp_filter of a device", ["sysctl -q -w net.ipv4.conf.p1.rp_filter=1"],
        [
          #"interfaces.p1.graph.router.conf.rp_filter == "strict""#,
          #"interfaces.p2.graph.router.conf.rp_filter == "off""#,
        ]),
      Step(
        "the larger of two holds", ["sysctl -q -w net.ipv4.conf.all.rp_filter=2"],
        [
          #"interfaces.p1.graph.router.conf.rp_filter == "loose""#,
          #"interfaces.p2.graph.router.conf.rp_filter == "loose""#,
        ]),
      Step(
        "rp_filter off",
        ["sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.p1.rp_filter=0"],
        [#"interfaces.p1.graph.router.conf.rp_filter == "off""#]),
      Step(
        "forwarding off on one device", ["sysctl -q -w net.ipv4.conf.p1.forwarding=0"],
        [
          "interfaces.p1.graph nodes", "interfaces.p1.slow_path has forwarding-off",
          #"interfaces.p1.hook == "none""#, "interfaces.p2.graph nodes router",
        ]),
      Step(
        "forwarding on again", ["sysctl -q -w net.ipv4.conf.p1.forwarding=1"],
        ["interfaces.p1.graph nodes router", #"interfaces.p1.hook == "tc""#]),
      Step(
        "accept_local", ["sysctl -q -w net.ipv4.conf.p1.accept_local=1"],
        [
          "interfaces.p1.graph.router.conf.accept_local == true",
          "interfaces.p2.graph.router.conf.accept_local absent",
        ]),
      Step(
        "route_localnet", ["sysctl -q -w net.ipv4.conf.all.route_localnet=1"],
        ["interfaces.p2.graph.router.conf.route_localnet == true"]),
      Step(
        "src_valid_mark", ["sysctl -q -w net.ipv4.conf.p2.src_valid_mark=1"],
        ["interfaces.p2.graph.router.conf.src_valid_mark == true"]),
      Step(
        "send_redirects off",
        ["sysctl -q -w net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.p1.send_redirects=0"],
        [
          "interfaces.p1.graph.router.conf.send_redirects == false",
          "interfaces.p2.graph.router.conf.send_redirects == true",
        ]),
      Step(
        "default for devices to come",
        [
          "sysctl -q -w net.ipv4.conf.default.rp_filter=1", "ip link add v0 type veth peer name v1",
        ],
        [
          #"interfaces.v0.slow_path has link-down"#,
          #"interfaces.v0.graph.router.conf.rp_filter == "strict""#,
          #"interfaces.p1.graph.router.conf.rp_filter == "off""#,
        ]),
      Step(
        "a sysctl that has no say", ["sysctl -q -w net.ipv4.tcp_fin_timeout=33"],
        changesNothing: true),
      Step(
        "ip_forward off", ["sysctl -q -w net.ipv4.ip_forward=0"],
        [
          "interfaces.p1.slow_path has forwarding-off",
          "interfaces.p2.slow_path has forwarding-off",
        ]),
    ])

  static let ipv6 = Walk(
    "IPv6 stays with the kernel, and says so", ipv6: .quiet,
    [
      Step(
        "an IPv4 router", ["ip addr add 10.0.1.1/24 dev p1", "sysctl -q -w net.ipv4.ip_forward=1"],
        ["interfaces.p1.graph nodes router", "interfaces.p1.slow_path lacks ipv6-not-modelled"]),
      Step("an IPv6 address", ["ip addr add 2001:db8:1::1/64 dev p1"], changesNothing: true),
      Step(
        "IPv6 forwarding", ["sysctl -q -w net.ipv6.conf.all.forwarding=1"],
        ["interfaces.p1.slow_path has ipv6-not-modelled"]),
      Step(
        "an IPv6 route", ["ip route add 2001:db8:2::/64 via 2001:db8:1::2"], changesNothing: true),
      Step(
        "an IPv6 policy rule", ["ip -6 rule add from 2001:db8:3::/64 table 100"],
        changesNothing: true),
      Step(
        "an ip6tables-legacy rule", ["ip6tables-legacy -A FORWARD -s 2001:db8:9::1 -j DROP"],
        changesNothing: true),
      Step(
        "an ip6tables-nft rule", ["ip6tables-nft -A FORWARD -s 2001:db8:9::1 -j DROP"],
        changesNothing: true),
      Step(
        "IPv6 forwarding off", ["sysctl -q -w net.ipv6.conf.all.forwarding=0"],
        ["interfaces.p1.slow_path lacks ipv6-not-modelled"]),
    ])
}

extension Step {
  static let encapsulation =
    "ip route replace 192.0.2.0/24 encap ip id 5 dst 192.0.2.1 dev far1"
}
