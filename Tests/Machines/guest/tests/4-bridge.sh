# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Bridges with VLAN filtering, and what br_netfilter makes of a bridge.

vlan_bridge() {
  ip link add br0 type bridge vlan_filtering 1
  ip link set br0 up
  cable p1
  cable p2
  ip link set p1 master br0
  ip link set p2 master br0
}

test_vlanFilteringAndPortVlansAreSeen() {
  start_fpd
  vlan_bridge
  expect '.interfaces.p1.graph.bridge.conf | .bridge == "br0" and .VLAN_enabled == true and
    .pvid == 1 and .untagged == ["1"] and .vlan_protocol == "802.1Q"'
  bridge vlan add dev p1 vid 10 pvid untagged
  bridge vlan delete dev p1 vid 1
  bridge vlan add dev p1 vid 20-29
  expect '.interfaces.p1.graph.bridge.conf | .pvid == 10 and .untagged == ["10"] and
    .vlans == ["10", "20-29"]'
  expect '.interfaces.p2.graph.bridge.conf | .pvid == 1 and .vlans == ["1"]'
}

test_switchingVlanFilteringOffIsSeen() {
  start_fpd
  vlan_bridge
  expect '.interfaces.p1.graph.bridge.conf.VLAN_enabled == true'
  ip link set br0 type bridge vlan_filtering 0
  expect '.interfaces.p1.graph.bridge.conf | .VLAN_enabled == false and (has("pvid") | not)'
}

test_providerBridgeStaysSlow() {
  start_fpd
  vlan_bridge
  ip link set br0 type bridge vlan_protocol 802.1ad
  expect "$(reason p1 vlan-protocol)"
}

test_spanningTreeChangesThePortState() {
  start_fpd
  vlan_bridge
  expect '.interfaces.p1.graph.bridge.conf | .STP_enabled == false and .port_state == "forwarding"'
  brctl stp br0 on
  expect '.interfaces.p1.graph.bridge.conf.STP_enabled == true'
}

test_bridgeNetfilterFollowsItsSysctl() {
  needs_module br_netfilter
  start_fpd
  vlan_bridge
  iptables-nft -A FORWARD -s 192.0.2.1 -j DROP
  sysctl -q -w net.bridge.bridge-nf-call-iptables=1
  expect "$(reason p1 bridge-netfilter)"
  sysctl -q -w net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 \
    net.bridge.bridge-nf-call-arptables=0
  # Rules stand on its hooks, and who is told to ask them is not looked up packet by packet.
  expect "$(reason p1 bridge-netfilter "IPv4, if told to")"
  iptables-nft -F
  iptables-nft -X
  nft flush ruleset
  expect "$(no_reason p1 bridge-netfilter)"
}
