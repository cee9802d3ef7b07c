# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Rules, hooks and attachments: the identities that this kernel's memory gives.

lab_router() {
  router
  cable eth0 10.0.0.1/24
  cable eth1 10.1.0.1/24
}

test_legacyRulesAreSeen() {
  start_fpd
  lab_router
  iptables-legacy -A FORWARD -s 192.0.2.0/24 -j DROP
  expect '.interfaces.eth0.graph.filter.conf | .rules == 1 and .backends == ["iptables-legacy"]'
  iptables-legacy -A FORWARD -s 198.51.100.0/24 -j DROP
  expect '.interfaces.eth0.graph.filter.conf.rules == 2'
  iptables-legacy -F
  # Its tables stay, and are watched where programs can.
  expect '.interfaces.eth0.graph.filter.conf.rules // 0 == 0'
}

test_nftRulesAreSeen() {
  start_fpd
  lab_router
  iptables-nft -A FORWARD -s 192.0.2.0/24 -j DROP
  expect '.interfaces.eth0.graph.filter.conf.rules == 1'
  nft add table inet t
  nft add chain inet t f '{ type filter hook forward priority 0; }'
  nft add rule inet t f ip saddr 198.51.100.0/24 drop
  expect '.interfaces.eth0.graph.filter.conf.rules == 2'
}

test_natAndConnectionTrackingAreSeen() {
  start_fpd
  lab_router
  nft add table ip n
  nft add chain ip n post '{ type nat hook postrouting priority 100; }'
  nft add rule ip n post oifname eth1 masquerade
  expect "$(translates eth0)"
}

test_flowtableKeepsItsDevicesSlow() {
  needs_module nf_flow_table_inet
  needs_module nft_flow_offload
  start_fpd
  lab_router
  nft -f - <<'NFT'
table inet t {
  flowtable fast {
    hook ingress priority 0
    devices = { eth0, eth1 }
  }
  chain forward {
    type filter hook forward priority 0
    ip protocol { tcp, udp } flow add @fast
  }
}
NFT
  expect "$(reason eth0 netfilter-ingress)"
  expect "$(reason eth1 netfilter-ingress)"
  expect '.interfaces.eth0.hook == "none"'
  nft delete table inet t
  expect "$(no_reason eth0 netfilter-ingress)"
}

test_reversePathSysctlIsSeen() {
  start_fpd
  lab_router
  sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0
  expect '.interfaces.eth0.graph.router.conf.rp_filter == "off"'
  sysctl -q -w net.ipv4.conf.eth0.rp_filter=1
  expect '.interfaces.eth0.graph.router.conf.rp_filter == "strict"'
  sysctl -q -w net.ipv4.conf.all.rp_filter=2
  expect '.interfaces.eth0.graph.router.conf.rp_filter == "loose"'
}

test_shapingQdiscIsSeen() {
  start_fpd
  lab_router
  tc qdisc add dev eth1 root tbf rate 1mbit burst 10kb latency 50ms
  expect "$(reason eth1 egress-qdisc tbf)"
  tc qdisc delete dev eth1 root
  expect "$(no_reason eth1 egress-qdisc)"
}

test_foreignFilterIsSeen() {
  start_fpd
  lab_router
  tc qdisc add dev eth0 clsact
  tc filter add dev eth0 ingress matchall action drop
  expect "$(reason eth0 foreign-tc-ingress matchall)"
  tc filter delete dev eth0 ingress
  expect "$(no_reason eth0 foreign-tc-ingress)"
}

test_packetTapIsSeen() {
  start_fpd
  lab_router
  expect "$(no_reason eth0 packet-tap)"
  tcpdump -i eth0 -w /dev/null >"$LAB/tcpdump.log" 2>&1 &
  local tap=$!
  until_within 20 grep -q listening "$LAB/tcpdump.log" || fail "$(<"$LAB/tcpdump.log")"
  expect "$(reason eth0 packet-tap)"
  kill "$tap"
  wait "$tap" || true
  expect "$(no_reason eth0 packet-tap)"
}

test_routesByKindAreSeen() {
  start_fpd
  lab_router
  expect '.interfaces.eth0.graph.router.conf.routes | index("plain") != null'
  ip route add blackhole 203.0.113.0/24
  expect '.interfaces.eth0.graph.router.conf.routes | index("blackhole") != null'
  ip rule add from 10.0.0.0/24 lookup 100
  expect '.interfaces.eth0.graph.router.conf.policy_rules == true'
  expect "$(reason eth0 policy-rules)"
}

test_ipsecPolicyIsSeen() {
  start_fpd
  lab_router
  ip xfrm policy add src 10.0.0.0/24 dst 10.9.0.0/24 dir out tmpl src 10.0.0.1 dst 10.9.0.1 \
    proto esp mode tunnel
  expect "$(reason eth0 ipsec-policies)"
  ip xfrm policy flush
  expect "$(no_reason eth0 ipsec-policies)"
}
