# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Bridges that filter by VLAN. Host 1 is in VLAN 10, host 2 on a trunk of 10 and 20, host 3 in VLAN 20,
# host 4 has 10 untagged and 20 tagged.

vlan_hosts() {
  local name
  ip link add br0 type bridge vlan_filtering 1 vlan_default_pvid 0 mcast_snooping 0
  ip link set br0 up
  for name in 1 2 3 4; do
    host "$name"
    ip link set "p$name" master br0
  done
  bridge vlan add dev p1 vid 10 pvid untagged
  bridge vlan add dev p2 vid 10
  bridge vlan add dev p2 vid 20
  bridge vlan add dev p3 vid 20 pvid untagged
  bridge vlan add dev p4 vid 10 pvid untagged
  bridge vlan add dev p4 vid 20
  for name in 1 2 4; do station "$name" "p$name" 10; done
  for name in 2 3 4; do station "$name" "p$name" 20; done
  # One address in two places: at host 1 in VLAN 10, at host 3 in VLAN 20.
  station 7 p1 10
  station 7 p3 20
}

# station N PORT VLAN
station() { bridge fdb add "02:00:00:00:00:0$1" dev "$2" master static vlan "$3"; }

# Frames of every kind; the first digit of an ID is the round, the others tell the frame.
vlan_round() {
  local round=$1
  in_host_send 1 "$(frame 1 2 "${round}11")" "$(frame 1 4 "${round}12")" "$(frame 1 3 "${round}13")" \
    "$(frame 1 2 "${round}14" 8100000a)" "$(frame 1 2 "${round}15" 81000014)" \
    "$(frame 1 2 "${round}16" 8100a000)" "$(frame 1 9 "${round}17")"
  in_host_send 2 "$(frame 2 1 "${round}21" 8100000a)" "$(frame 2 3 "${round}22" 81006014)" \
    "$(frame 2 1 "${round}23")" "$(frame 2 4 "${round}24" 81000014)" \
    "$(frame 2 4 "${round}25" 8100200a)" "$(frame 2 7 "${round}26" 8100000a)" \
    "$(frame 2 7 "${round}27" 81000014)" "$(frame 2 1 "${round}28" 8100001e)" \
    "$(frame 2 9 "${round}29" 81000014)"
  in_host_send 3 "$(frame 3 4 "${round}31")" "$(frame 3 1 "${round}32")" \
    "$(frame 3 2 "${round}33" 8100c000)"
  in_host_send 4 "$(frame 4 1 "${round}41")" "$(frame 4 3 "${round}42" 81008014)" \
    "$(frame 4 2 "${round}43")"
  flush
}

vlan_walk() {
  record
  vlan_round 1
  bridge vlan add dev p1 vid 20 pvid untagged
  vlan_round 2
  bridge vlan delete dev p1 vid 20
  bridge vlan add dev p1 vid 10 pvid untagged
  bridge vlan set dev p4 vid 20 state blocking
  vlan_round 3
  bridge vlan set dev p4 vid 20 state forwarding
  observe "$1"
}

vlans_on() {
  reads_live || skip 'programs cannot read the memory of this kernel'
  vlan_hosts
  vlan_walk "$LAB/off"
  start_fpd_on "$1" p1 p2 p3 p4
  vlan_walk "$LAB/on"
  ctl stats
  same "$LAB/off" "$LAB/on"
  # What was seen is what 802.1Q says.
  has "$LAB/on" h2 "$(frame 1 2 111 8100000a)"
  has "$LAB/on" h4 "$(frame 1 4 112)"
  lacks "$LAB/on" h3 113
  has "$LAB/on" h2 "$(frame 1 2 116 8100a00a)"
  has "$LAB/on" h1 "$(frame 2 1 121)"
  has "$LAB/on" h3 "$(frame 2 3 122)"
  has "$LAB/on" h4 "$(frame 2 4 124 81000014)"
  has "$LAB/on" h1 "$(frame 2 7 126)"
  has "$LAB/on" h3 "$(frame 2 7 127)"
  lacks "$LAB/on" h1 128
  has "$LAB/on" h2 "$(frame 3 2 133 8100c014)"
  has "$LAB/on" h2 "$(frame 1 2 211 81000014)"
  lacks "$LAB/on" h4 331
  lacks "$LAB/on" h3 342
  has "$LAB/on" h4 "$(frame 1 9 117)"
  lacks "$LAB/on" h3 117
  local name
  for name in 1 2 3 4; do grew 5 "$(counter "p$name" .forwarded)" "forwarded on p$name"; done
  (($(counter p1 '.punted["vlan-not-allowed"]') == 2)) || fail 'vlan-not-allowed on p1'
  (($(counter p2 '.punted["destination-unknown"]') == 3)) || fail 'destination-unknown on p2'
}

test_vlansOnXDP() { vlans_on xdp; }
test_vlansOnTC() { vlans_on tc; }

# Nothing has to be told to fpd for a packet to be judged by what is configured now.
vlan_removed() {
  record
  in_host_send 1 "$(frame 1 2 01)"
  flush
  if [[ -n $daemon ]]; then kill -STOP "$daemon"; fi
  bridge vlan delete dev p2 vid 10
  in_host_send 1 "$(frame 1 2 02)" "$(frame 1 4 03)"
  flush
  bridge vlan add dev p2 vid 10 untagged
  in_host_send 1 "$(frame 1 2 04)"
  observe "$1"
  if [[ -n $daemon ]]; then kill -CONT "$daemon"; fi
  bridge vlan add dev p2 vid 10
}

removed_on() {
  reads_live || skip 'programs cannot read the memory of this kernel'
  vlan_hosts
  vlan_removed "$LAB/off"
  start_fpd_on "$1" p1 p2 p3 p4
  vlan_removed "$LAB/on"
  ctl stats
  same "$LAB/off" "$LAB/on"
  has "$LAB/on" h2 "$(frame 1 2 01 8100000a)"
  lacks "$LAB/on" h2 02
  has "$LAB/on" h4 "$(frame 1 4 03)"
  has "$LAB/on" h2 "$(frame 1 2 04)"
  (($(counter p1 .forwarded) == 3)) || fail "forwarded: $(counter p1 .forwarded)"
  (($(counter p1 '.punted["vlan-not-allowed"]') == 1)) || fail 'vlan-not-allowed'
}

test_vlanRemovedWhileFpdIsStoppedOnXDP() { removed_on xdp; }
test_vlanRemovedWhileFpdIsStoppedOnTC() { removed_on tc; }

# Bridges measure frames without the tag: 1518 bytes are the most for host 2, and 1522 with it.
longest=$(frame 1 2 0a)$(printf '%02920d' 0)

odd_frames() {
  record
  in_host_send 2 "$(frame 2 1 01 8100000a 81000014)" "$(frame 2 1 02 88a8000a)" \
    "$(frame 2 1 03 8100000a)"
  in_host_send 1 "$(frame 1 2 04 88a80014)" "$(frame 1 2 05 8100000a 88a80014)"
  flush
  ip link set br0 type bridge vlan_stats_enabled 1
  in_host_send 1 "$(frame 1 2 06)"
  flush
  ip link set br0 type bridge vlan_stats_enabled 0
  ip link add link p1 name p1.10 type vlan id 10
  ip link set p1.10 up
  in_host_send 1 "$(frame 1 2 07 8100000a)" "$(frame 1 2 08)"
  flush
  ip link delete p1.10
  in_host_send 1 "$(frame 1 2 09 8100000a)" "$longest" "${longest}00"
  observe "$1"
}

odd_on() {
  reads_live || skip 'programs cannot read the memory of this kernel'
  needs_module 8021q
  vlan_hosts
  ip link set p1 mtu 1600
  in_host 1 ip link set eth0 mtu 1600
  odd_frames "$LAB/off"
  start_fpd_on "$1" p1 p2 p3 p4
  odd_frames "$LAB/on"
  ctl stats
  same "$LAB/off" "$LAB/on"
  has "$LAB/on" h1 "$(frame 2 1 01 81000014)"
  lacks "$LAB/on" h2 07
  has "$LAB/on" h2 "$(frame 1 2 09 8100000a)"
  (($(counter p2 '.punted.qinq') == 2)) || fail "qinq on p2: $(counter p2 '.punted.qinq')"
  (($(counter p1 '.punted.qinq') == 2)) || fail "qinq on p1: $(counter p1 '.punted.qinq')"
  (($(counter p1 '.punted["vlan-statistics"]') == 1)) || fail 'vlan-statistics'
  (($(counter p1 '.punted["vlan-tag"]') == 1)) || fail 'vlan-tag'
  grep -q "^h2 .*8100000a88b5${mark}0a" "$LAB/on" || fail 'the longest frame did not come'
  if grep "^h2 .*${mark}0a" "$LAB/on" | grep -qE '^.{3048}'; then fail 'a longer one came'; fi
  # XDP's own limit includes the tag: there the kernel sends the longest.
  (($(counter p1 .forwarded) == $2)) || fail "forwarded: $(counter p1 .forwarded)"
  (($(counter p1 '.punted["mtu-exceeded"]') == 4 - $2)) || fail 'mtu-exceeded'
}

test_qinqStatisticsVlanDevicesAndLengthsOnXDP() { odd_on xdp 2; }
test_qinqStatisticsVlanDevicesAndLengthsOnTC() { odd_on tc 3; }

# Host 5 is on a port of its own; the bridge has an address in VLAN 10.
routed_vlans() {
  vlan_hosts
  host 5
  router
  sysctl -q -w net.ipv6.conf.all.disable_ipv6=1
  bridge vlan add dev br0 vid 10 pvid untagged self
  bridge vlan add dev br0 vid 20 self
  ip link set br0 address 02:00:00:00:02:00
  ip address add 10.0.10.1/24 dev br0
  ip address add 10.0.5.1/24 dev p5
  local name
  for name in 1 2 4 5; do
    ip neighbour add "10.0.$((name == 5 ? 5 : 10)).1$name" lladdr "02:00:00:00:00:0$name" \
      dev "$([[ $name == 5 ]] && echo p5 || echo br0)" nud permanent
  done
}

routed_vlan_frames() {
  local bridge=020000000200 own=020000000105
  record
  in_host_send 1 "$(ipv4_frame $bridge "$(mac 1)" 10.0.10.11 10.0.5.15 64 01)" \
    "$(ipv4_frame $bridge "$(mac 1)" 10.0.10.11 10.0.5.15 64 02 8100e000)"
  in_host_send 2 "$(ipv4_frame $bridge "$(mac 2)" 10.0.10.12 10.0.5.15 64 03 8100600a)" \
    "$(ipv4_frame $bridge "$(mac 2)" 10.0.10.12 10.0.5.15 64 04 81000014)"
  in_host_send 5 "$(ipv4_frame $own "$(mac 5)" 10.0.5.15 10.0.10.11 64 05)" \
    "$(ipv4_frame $own "$(mac 5)" 10.0.5.15 10.0.10.12 64 06)" \
    "$(ipv4_frame $own "$(mac 5)" 10.0.5.15 10.0.10.14 64 07)"
  flush
  bridge vlan add dev br0 vid 10 pvid self
  in_host_send 1 "$(ipv4_frame $bridge "$(mac 1)" 10.0.10.11 10.0.5.15 64 08)"
  flush
  bridge vlan add dev br0 vid 10 untagged self
  in_host_send 5 "$(ipv4_frame $own "$(mac 5)" 10.0.5.15 10.0.10.11 64 09)"
  flush
  bridge vlan add dev br0 vid 10 pvid untagged self
  observe "$1"
}

routed_on() {
  reads_live || skip 'programs cannot read the memory of this kernel'
  routed_vlans
  routed_vlan_frames "$LAB/off"
  start_fpd_on "$1" p1 p2 p3 p4 p5
  routed_vlan_frames "$LAB/on"
  ctl stats
  same "$LAB/off" "$LAB/on"
  has "$LAB/on" h5 "$(ipv4_frame "$(mac 5)" 020000000105 10.0.10.11 10.0.5.15 63 01)"
  has "$LAB/on" h5 "$(ipv4_frame "$(mac 5)" 020000000105 10.0.10.11 10.0.5.15 63 02)"
  has "$LAB/on" h5 "$(ipv4_frame "$(mac 5)" 020000000105 10.0.10.12 10.0.5.15 63 03)"
  lacks "$LAB/on" h5 08
  lacks "$LAB/on" h1 09
  has "$LAB/on" h1 "$(ipv4_frame "$(mac 1)" 020000000200 10.0.5.15 10.0.10.11 63 05)"
  has "$LAB/on" h2 "$(ipv4_frame "$(mac 2)" 020000000200 10.0.5.15 10.0.10.12 63 06 8100000a)"
  (($(counter p1 .forwarded) == 2)) || fail "forwarded on p1: $(counter p1 .forwarded)"
  (($(counter p2 .forwarded) == 1)) || fail "forwarded on p2: $(counter p2 .forwarded)"
  grew 2 "$(counter p5 .forwarded)" 'forwarded on p5'
}

test_routesThroughVlansOnXDP() { routed_on xdp; }
test_routesThroughVlansOnTC() { routed_on tc; }
