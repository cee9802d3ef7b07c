# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The fast path: what arrives must be what arrives without fpd, and the counters tell who carried it.

# Two hosts on a router, with neighbours that are known for good.
routed() {
  host 1
  host 2
  router
  sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv4.conf.all.rp_filter=1
  ip address add 10.0.1.1/24 dev p1
  ip address add 10.0.2.1/24 dev p2
  ip neighbour add 10.0.1.2 lladdr 02:00:00:00:00:01 dev p1 nud permanent
  ip neighbour add 10.0.2.2 lladdr 02:00:00:00:00:02 dev p2 nud permanent
}

route_frames() {
  record
  in_host_send 1 "$(ipv4_frame 020000000101 020000000001 10.0.1.2 10.0.2.2 64 01)" \
    "$(ipv4_frame 020000000101 020000000001 10.0.1.2 10.0.2.2 2 02)" \
    "$(ipv4_frame 020000000101 020000000001 10.0.1.2 10.0.2.2 1 03)" \
    "$(ipv4_frame 020000000101 020000000001 10.0.2.9 10.0.2.2 64 04)"
  in_host_send 2 "$(ipv4_frame 020000000102 020000000002 10.0.2.2 10.0.1.2 64 05)"
  observe "$1"
}

routes_on() {
  reads_live || skip 'programs cannot read the memory of this kernel'
  routed
  route_frames "$LAB/off"
  has "$LAB/off" h2 "$(ipv4_frame 020000000002 020000000102 10.0.1.2 10.0.2.2 63 01)"
  start_fpd_on "$1" p1 p2
  route_frames "$LAB/on"
  ctl stats
  # The router's message about the third, which quotes it, has a number of its own.
  without 03 "$LAB/off" >"$LAB/off.carried"
  without 03 "$LAB/on" >"$LAB/on.carried"
  same "$LAB/off.carried" "$LAB/on.carried"
  (($(counter p1 .forwarded) == 2 && $(counter p2 .forwarded) == 1)) || fail 'forwarded'
  (($(counter p1 '.punted["ttl-expired"]') == 1)) || fail 'ttl-expired'
  (($(counter p1 '.punted["reverse-path"]') == 1)) || fail 'reverse-path'
  lacks "$LAB/on" h2 04
}

test_routesOnXDP() { routes_on xdp; }
test_routesOnTC() { routes_on tc; }

# A firewall that masquerades, and two connections that are well under way; in the second host 2 answers.
follow_connections() {
  nft -f - <<'NFT'
table ip n {
  chain post { type nat hook postrouting priority srcnat; oifname "p2" masquerade; }
}
table ip f {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "p1" accept
  }
}
NFT
  conntrack -I -p udp -s 10.0.1.2 -d 10.0.2.2 --sport 4000 --dport 9 -n 10.0.2.1:4000 -t 600 \
    -u SEEN_REPLY,ASSURED
  conntrack -I -p udp -s 10.0.1.2 -d 10.0.2.2 --sport 9 --dport 4000 -n 10.0.2.1:9 -t 600 \
    -u SEEN_REPLY,ASSURED
}

connection_frames() {
  record
  in_host_send 1 "$(ipv4_frame 020000000101 020000000001 10.0.1.2 10.0.2.2 64 01)" \
    "$(ipv4_frame 020000000101 020000000001 10.0.1.2 10.0.2.2 2 02)"
  in_host_send 2 "$(ipv4_frame 020000000102 020000000002 10.0.2.2 10.0.2.1 64 03)"
  observe "$1"
}

connections_are_fast() {
  has "$LAB/on" h2 "$(ipv4_frame 020000000002 020000000102 10.0.2.1 10.0.2.2 63 01)"
  has "$LAB/on" h1 "$(ipv4_frame 020000000001 020000000101 10.0.2.2 10.0.1.2 63 03)"
  (($(counter p1 .forwarded) == 2 && $(counter p2 .forwarded) == 1)) || fail 'forwarded'
}

connections_on() {
  reads_live || skip 'programs cannot read the memory of this kernel'
  routed
  follow_connections
  connection_frames "$LAB/off"
  start_fpd_on "$1" p1 p2
  connection_frames "$LAB/on"
  ctl stats
  same "$LAB/off" "$LAB/on"
  connections_are_fast
}

test_connectionsOnXDP() { connections_on xdp; }
test_connectionsOnTC() { connections_on tc; }

# Connection tracking is a module, and comes with the first rule that needs it.
test_connectionTrackingLoadedAfterFpdIsFollowed() {
  reads_live || skip 'programs cannot read the memory of this kernel'
  until_within 20 modprobe -q -r nft_masq nft_chain_nat nft_ct xt_conntrack xt_MASQUERADE xt_nat \
    iptable_nat nf_conntrack_netlink nf_nat nf_conntrack || true
  if [[ -e /sys/module/nf_conntrack ]]; then fail 'nf_conntrack is in use'; fi
  routed
  start_fpd_on xdp p1 p2
  follow_connections
  expect '.interfaces.p1.graph.conntrack.conf.nat'
  accelerated xdp p1 p2
  connection_frames "$LAB/on"
  ctl stats
  ctl rules
  connections_are_fast
}

bridge_frames() {
  record
  in_host_send 1 "$(frame 1 2 01)" "$(frame 1 2 02)" "$(frame 1 9 03)" "$(frame 1 2 04 8100000a)"
  in_host_send 2 "$(frame 2 1 05)"
  observe "$1"
}

bridges_on() {
  reads_live || skip 'programs cannot read the memory of this kernel'
  bridge_of_hosts
  bridge_frames "$LAB/off"
  start_fpd_on "$1" p1 p2 p3
  bridge_frames "$LAB/on"
  ctl stats
  same "$LAB/off" "$LAB/on"
  has "$LAB/on" h3 "$(frame 1 9 03)"
  lacks "$LAB/on" h3 01
  (($(counter p1 .forwarded) >= 2 && $(counter p2 .forwarded) == 1)) || fail 'forwarded'
  (($(counter p1 '.punted["destination-unknown"]') == 1)) || fail 'destination-unknown'
}

bridge_of_hosts() {
  local name
  ip link add br0 type bridge mcast_snooping 0
  ip link set br0 up
  for name in 1 2 3; do
    host "$name"
    ip link set "p$name" master br0
    bridge fdb add "02:00:00:00:00:0$name" dev "p$name" master static
  done
}

test_bridgesOnXDP() { bridges_on xdp; }
test_bridgesOnTC() { bridges_on tc; }

# What the types of a module tell can be known only when it has been loaded.
test_bridgeLoadedAfterFpdIsForwarded() {
  reads_live || skip 'programs cannot read the memory of this kernel'
  until_within 40 modprobe -q -r br_netfilter bridge veth || true
  if [[ -e /sys/module/bridge || -e /sys/module/veth ]]; then fail 'bridge or veth is in use'; fi
  printf 'interfaces:\n  p1: {hook: xdp}\n  p2: {hook: tc}\n' >"$LAB/fpd.yaml"
  start_fpd --config "$LAB/fpd.yaml"
  bridge_of_hosts
  accelerated xdp p1
  accelerated tc p2
  bridge_frames "$LAB/on"
  ctl stats
  has "$LAB/on" h2 "$(frame 1 2 01)"
  (($(counter p1 .forwarded) >= 2 && $(counter p2 .forwarded) == 1)) || fail 'forwarded'
}

test_withoutLiveReadingPacketsFlowAndStatusSaysWhy() {
  if reads_live; then skip 'programs can read the memory of this kernel'; fi
  routed
  route_frames "$LAB/off"
  start_fpd
  ctl wait --timeout 60
  ctl status
  ctl status --json >"$LAB/status.json"
  jq -e '.state == "degraded" and
    (.problems | map(select(.what == "cannot-read-live")) | .[0].detail | contains("6.2"))' \
    "$LAB/status.json" || fail 'status does not say cannot-read-live'
  jq -e '.interfaces[] | select(.name == "p1") | .reason == "cannot-read-live" and
    (.accelerated | not)' "$LAB/status.json" || fail 'p1'
  jq -e '.interfaces[] | select(.name == "lo") | .reason == "loopback"' "$LAB/status.json"
  route_frames "$LAB/on"
  has "$LAB/on" h2 "$(ipv4_frame 020000000002 020000000102 10.0.1.2 10.0.2.2 63 01)"
}
