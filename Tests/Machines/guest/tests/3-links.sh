# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Devices that a kernel built for one machine may lack. fpd is started first: what is tested is that
# the change is seen as well as what it is taken for.

test_vlanDeviceIsRoutedAndStaysSlow() {
  needs_module 8021q
  start_fpd
  router
  cable eth0
  ip link add link eth0 name eth0.7 type vlan id 7
  ip link set eth0.7 up
  ip address add 10.7.0.1/24 dev eth0.7
  expect "$(reason eth0.7 device-kind vlan)"
  expect '.interfaces["eth0.7"] | .hook == "none" and .graph.router.conf.rp_filter != null'
  ip link delete eth0.7
  expect '.interfaces["eth0.7"] == null and .interfaces.eth0 != null'
}

test_vlanInVlanIsSeen() {
  needs_module 8021q
  start_fpd
  cable eth0
  ip link add link eth0 name outer type vlan id 100 protocol 802.1ad
  ip link add link outer name inner type vlan id 5
  ip link set outer up
  ip link set inner up
  expect "$(reason outer device-kind vlan)"
  expect "$(reason inner device-kind vlan)"
}

test_vlanDeviceIsABridgePort() {
  needs_module 8021q
  start_fpd
  cable eth0
  ip link add br0 type bridge
  ip link set br0 up
  ip link add link eth0 name eth0.7 type vlan id 7
  ip link set eth0.7 up master br0
  expect '.interfaces["eth0.7"].graph.bridge.conf.bridge == "br0"'
}

test_bondTakesItsMembers() {
  needs_module bonding
  start_fpd
  ip link add bond0 type bond mode active-backup miimon 100
  cable eth0
  cable eth1
  ip link set eth0 down
  ip link set eth0 master bond0
  ip link set eth1 down
  ip link set eth1 master bond0
  ip link set bond0 up
  expect "$(reason eth0 bond-member bond0)"
  expect "$(reason eth1 bond-member bond0)"
  expect "$(reason bond0 device-kind bond)"
  ip link set eth1 nomaster
  expect "$(no_reason eth1 bond-member)"
}

test_teamTakesItsMembers() {
  needs_module team
  start_fpd
  ip link add team0 type team
  cable eth0
  ip link set eth0 down
  ip link set eth0 master team0
  expect "$(reason eth0 bond-member team0)"
}

test_vrfTakesItsMembers() {
  needs_module vrf
  start_fpd
  router
  ip link add blue type vrf table 10
  ip link set blue up
  cable eth0 10.0.0.1/24
  ip link set eth0 master blue
  expect "$(reason eth0 vrf-member blue)"
  expect '.interfaces.eth0.hook == "none"'
  ip link set eth0 nomaster
  expect "$(no_reason eth0 vrf-member)"
}

test_wireguardIsNotEthernet() {
  needs_module wireguard
  start_fpd
  ip link add wg0 type wireguard
  expect "$(reason wg0 not-ethernet wireguard)"
}

test_dummyIsRouted() {
  needs_module dummy
  start_fpd
  router
  ip link add eth0 type dummy
  ip link set eth0 up
  ip address add 10.0.0.1/24 dev eth0
  expect '.interfaces.eth0.graph.router.next_nf == null and
    (.interfaces.eth0.graph | has("router"))'
  expect "$(no_reason eth0 device-kind)"
}

test_macvlanTakesItsLowerDevicesFrames() {
  needs_module macvlan
  start_fpd
  cable eth0
  ip link add link eth0 name mac0 type macvlan mode bridge
  ip link set mac0 up
  expect "$(reason mac0 device-kind macvlan)"
  expect "$(reason eth0 receive-handler)"
  ip link delete mac0
  expect "$(no_reason eth0 receive-handler)"
}

test_ipvlanTakesItsLowerDevicesFrames() {
  needs_module ipvlan
  start_fpd
  cable eth0
  ip link add link eth0 name ipv0 type ipvlan mode l2
  ip link set ipv0 up
  expect "$(reason ipv0 device-kind ipvlan)"
  expect "$(reason eth0 receive-handler)"
}

test_tunnelsAreSeen() {
  needs_module vxlan
  needs_module geneve
  needs_module ip_gre
  start_fpd
  ip link add vx0 type vxlan id 5 dstport 4789 remote 192.0.2.1
  ip link add vx1 type vxlan external dstport 4790
  ip link add gen0 type geneve id 6 remote 192.0.2.1
  ip link add gre9 type gre remote 192.0.2.1 local 192.0.2.2
  expect "$(no_reason vx0 device-kind)"
  expect "$(reason vx1 device-kind 'vxlan external')"
  expect "$(reason gen0 device-kind geneve)"
  expect "$(reason gre9 not-ethernet gre)"
}

test_renamedLinkKeepsItsIndex() {
  start_fpd
  cable eth0
  expect '.interfaces.eth0 != null'
  local index
  index=$(jq '.interfaces.eth0.ifindex' "$LAB/graph.json")
  ip link set eth0 down
  ip link set eth0 name wan
  expect ".interfaces.eth0 == null and .interfaces.wan.ifindex == $index"
}
