// SPDX-License-Identifier: Apache-2.0

/// Why traffic, or a whole interface, stays with the kernel. Every punt has one of these names; a user
/// sees it in `fpctl graph`, `fpctl status` and, later, in counters.
package enum Reason: String, CaseIterable, Sendable {
  // An interface as a whole.
  case loopback
  case linkDown = "link-down"
  case noCarrier = "no-carrier"
  case notEthernet = "not-ethernet"
  case deviceKind = "device-kind"
  case bridgeDevice = "bridge-device"
  case bondMember = "bond-member"
  case vrfMember = "vrf-member"
  case receiveHandler = "receive-handler"
  case foreignXDP = "foreign-xdp"
  case foreignIngress = "foreign-tc-ingress"
  case netfilterIngress = "netfilter-ingress"
  case packetTap = "packet-tap"
  case hookOff = "hook-off"
  case forwardingOff = "forwarding-off"
  case noRoutes = "no-routes"

  // Some of an interface's packets.
  case ipv6 = "ipv6-not-modelled"
  case egressQdisc = "egress-qdisc"
  case foreignEgress = "foreign-tc-egress"
  case netfilterEgress = "netfilter-egress"
  case portNotForwarding = "port-not-forwarding"
  case portFlag = "bridge-port-flag"
  case vlanProtocol = "vlan-protocol"
  case spanningTreeGroups = "multiple-spanning-tree"
  case bridgeFilter = "bridge-filter"
  case bridgeNetfilter = "bridge-netfilter"
  case policyRules = "policy-rules"
  case multipathHash = "multipath-hash"
  case encapsulatedRoutes = "encapsulated-routes"
  case ipsec = "ipsec-policies"
  case conntrack
  case nat
  case netfilterHook = "netfilter-hook"
  case unmodelledRules = "unmodelled-rules"
  case unreadable

  /// What it means, for a person.
  package var meaning: String {
    switch self {
    case .loopback: "the loopback device carries local traffic only"
    case .linkDown: "the link is administratively down"
    case .noCarrier: "the link has no carrier"
    case .notEthernet: "frames on this device do not begin with an Ethernet header"
    case .deviceKind: "this kind of device is not accelerated where packets enter it"
    case .bridgeDevice: "frames of a bridge are handled where they enter it: at its ports"
    case .bondMember: "the link is a member of a bond or team, which takes its frames"
    case .vrfMember: "the link belongs to a VRF, which has routing tables of its own"
    case .receiveHandler: "another subsystem takes the device's frames before any protocol does"
    case .foreignXDP: "an XDP program of somebody else is attached; it is never replaced"
    case .foreignIngress: "tc or TCX programs or filters of somebody else see packets first"
    case .netfilterIngress: "a netfilter ingress hook (netdev family) stands on the device"
    case .packetTap: "a packet tap (tcpdump, an LLDP daemon) must see every packet"
    case .hookOff: "the configuration of fpd says: hook: off"
    case .forwardingOff: "the kernel does not forward IPv4 here, and the device is no bridge port"
    case .noRoutes: "there is no route to forward by"
    case .ipv6: "IPv6 is forwarded by the kernel"
    case .egressQdisc: "packets leaving here are shaped, policed or reordered by a qdisc"
    case .foreignEgress: "packets leaving here pass tc or TCX programs or filters of somebody else"
    case .netfilterEgress: "packets leaving here pass a netfilter egress hook"
    case .portNotForwarding: "the bridge port is not in the forwarding state"
    case .portFlag: "a setting of the bridge port needs the kernel"
    case .vlanProtocol: "the bridge filters by another tag than 802.1Q"
    case .spanningTreeGroups: "the bridge keeps a spanning tree per group of VLANs"
    case .bridgeFilter: "bridged frames pass ebtables or nftables bridge rules"
    case .bridgeNetfilter: "bridged packets pass iptables (bridge-nf-call-iptables)"
    case .policyRules: "policy rules choose the routing table"
    case .multipathHash: "multipath routes choose the next hop by more than the addresses"
    case .encapsulatedRoutes: "some routes encapsulate (MPLS, SEG6 or other lightweight tunnels)"
    case .ipsec: "IPsec policies exist; packets may have to be encrypted"
    case .conntrack: "connection tracking sees every packet"
    case .nat: "addresses may be translated"
    case .netfilterHook: "a netfilter hook that is not understood is on the path"
    case .unmodelledRules: "rules with matches or targets that are not understood"
    case .unreadable: "this part of the kernel's configuration could not be read"
    }
  }
}
