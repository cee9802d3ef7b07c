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
  case fragment
  case connectionNew = "connection-new"
  case connectionState = "connection-state"
  case connectionWindow = "connection-window"
  case connectionExtension = "connection-extension"
  case connectionProtocol = "connection-protocol"
  case connectionChecksum = "connection-checksum"
  case natEgress = "nat-egress"
  case nat
  case netfilterHook = "netfilter-hook"
  case unmodelledRules = "unmodelled-rules"
  case filterRules = "filter-rules"
  case rulesUnwatched = "rules-unwatched"
  case unreadable

  // What a program finds out about a packet.
  case changed
  case rulesChanged = "rules-changed"
  case multicast
  case otherProtocol = "other-protocol"
  case otherHost = "other-host"
  case vlanTag = "vlan-tag"
  case vlanOffload = "vlan-offload"
  case checksumOffload = "checksum-offload"
  case malformed
  case ipChecksum = "ip-checksum"
  case ipOptions = "ip-options"
  case padding
  case martianSource = "martian-source"
  case martianDestination = "martian-destination"
  case ownSource = "own-source"
  case localRoutes = "local-routes"
  case reversePath = "reverse-path"
  case localDelivery = "local-delivery"
  case noRoute = "no-route"
  case routeType = "route-type"
  case routeRealms = "route-realms"
  case multipath
  case nextHop = "next-hop"
  case nextHopException = "next-hop-exception"
  case ttlExpired = "ttl-expired"
  case redirectNeeded = "redirect-needed"
  case mtuExceeded = "mtu-exceeded"
  case neighbour
  case egressDown = "egress-down"
  case egressDevice = "egress-device"
  case egressCannotRedirect = "egress-cannot-redirect"
  case invalidSourceMAC = "invalid-source-mac"
  case sourceUnknown = "source-unknown"
  case sourceMoved = "source-moved"
  case ageingRefresh = "ageing-refresh"
  case destinationUnknown = "destination-unknown"
  case samePort = "same-port"
  case isolatedPort = "isolated-port"
  case vlanNotAllowed = "vlan-not-allowed"
  case vlanStatistics = "vlan-statistics"
  case qinq
  case ruleUnknown = "rule-unknown"
  case ruleEffect = "rule-effect"
  case packetMark = "packet-mark"
  case rulesTooMany = "rules-too-many"
  case rulesMet = "rules-met"

  // What keeps fpd from attaching.
  case cannotReadLive = "cannot-read-live"
  case noNativeXDP = "no-native-xdp"
  case loadFailed = "load-failed"
  case shadow

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
    case .fragment: "fragments are put together before their connection is looked up"
    case .connectionNew: "no connection of the kernel's table has these addresses and ports"
    case .connectionState:
      "the connection is not established in both directions, or the packet begins or ends it"
    case .connectionWindow: "the kernel follows the connection's TCP window"
    case .connectionExtension:
      "the kernel counts, rewrites or tells something for each packet of the connection"
    case .connectionProtocol: "connections of other protocols than TCP and UDP are the kernel's"
    case .connectionChecksum: "the checksum of TCP or UDP is wrong, or cannot be verified here"
    case .natEgress: "the connection was masqueraded for another device"
    case .nat: "addresses may be translated"
    case .netfilterHook: "a netfilter hook that is not understood is on the path"
    case .unmodelledRules: "rules with matches or targets that are not understood"
    case .filterRules: "forwarded packets pass firewall rules, which the kernel judges"
    case .rulesUnwatched: "this kernel does not tell when firewall rules change"
    case .rulesChanged: "firewall rules have changed since the program was made"
    case .changed: "a setting has changed for which a new program is being made"
    case .multicast: "multicast and broadcast frames are for several receivers"
    case .otherProtocol: "neither IPv4 nor a frame from one station to another"
    case .otherHost: "the frame is addressed to another host"
    case .vlanTag: "the frame has a VLAN tag"
    case .vlanOffload: "the device takes VLAN tags off before the fast path could see them"
    case .checksumOffload: "a local sender has left the checksum to be filled in later"
    case .malformed: "the headers are not sound"
    case .ipChecksum: "the checksum of the IP header is wrong"
    case .ipOptions: "the IP header has options"
    case .padding: "the frame has bytes behind the packet, which the kernel cuts off"
    case .martianSource: "the source address can be nobody's"
    case .martianDestination: "the destination address can be nobody's"
    case .ownSource: "the source is an address of this host"
    case .localRoutes: "somebody made a local route here: the kernel looks closer at every source"
    case .reversePath: "the way back to the source does not satisfy rp_filter"
    case .localDelivery: "the packet is for this host"
    case .noRoute: "no route leads to the destination"
    case .routeType: "the route is a blackhole, unreachable, prohibit or broadcast route"
    case .routeRealms: "routes or rules count traffic by realm"
    case .multipath: "the route has several next hops"
    case .nextHop: "the next hop is dead, reached through IPv6 or chosen by TOS"
    case .nextHopException: "the next hop has exceptions (path MTU, redirects) that may apply"
    case .ttlExpired: "the packet's time to live is over; the kernel tells its sender"
    case .redirectNeeded: "the sender should be told of a better first hop"
    case .mtuExceeded: "the packet is too large for the way out"
    case .neighbour: "the next hop's MAC address is not known or must be confirmed"
    case .egressDown: "the device that the packet leaves by is down or has no carrier"
    case .egressDevice: "the device that the packet leaves by takes no Ethernet frames"
    case .egressCannotRedirect: "the device that the packet leaves by cannot take frames from XDP"
    case .invalidSourceMAC: "the source MAC address is zero or multicast"
    case .sourceUnknown: "the bridge has yet to learn the source"
    case .sourceMoved: "the source has moved to another port"
    case .ageingRefresh: "the bridge has to note that the source is still there"
    case .destinationUnknown: "the bridge does not know the destination and floods"
    case .samePort: "the destination is where the frame came from"
    case .isolatedPort: "both ports are isolated"
    case .vlanNotAllowed: "the frame's VLAN is not one that both ports take"
    case .vlanStatistics: "the bridge counts packets for each VLAN (vlan_stats_enabled)"
    case .qinq: "the frame has a second VLAN tag, or one that is not the bridge's"
    case .cannotReadLive: "this kernel does not let programs read its tables"
    case .noNativeXDP: "the driver has no XDP of its own"
    case .shadow: "fpd only decides, and compares with what the kernel does (shadow mode)"
    case .loadFailed: "a program could not be made or loaded; fpctl status tells why"
    case .unreadable: "this part of the kernel's configuration could not be read"
    case .ruleUnknown: "it may meet a rule with a match or target that is not understood"
    case .ruleEffect: "it meets a rule that does what only the kernel can"
    case .packetMark:
      "somebody may ask for the packet's mark, which XDP does not know or take along"
    case .rulesTooMany: "it may meet a rule of a ruleset or list that is longer than is followed"
    case .rulesMet: "it meets more rules than are counted for one packet"
    }
  }
}

extension Reason {
  /// Those a program tells for a packet, in the order of its counters, which begin with the packets
  /// forwarded and dropped.
  package static let counted: [Reason] = [
    .packetTap, .receiveHandler, .netfilterIngress, .foreignIngress, .multicast, .otherProtocol,
    .ipv6, .otherHost, .vlanTag, .vlanOffload, .checksumOffload, .malformed, .ipChecksum,
    .ipOptions, .padding, .martianSource, .martianDestination, .ownSource, .reversePath,
    .localDelivery, .forwardingOff, .noRoute, .routeType, .routeRealms, .policyRules, .multipath,
    .nextHop, .nextHopException, .encapsulatedRoutes, .ipsec, .netfilterHook, .ttlExpired,
    .redirectNeeded, .mtuExceeded, .neighbour, .egressDown, .egressDevice, .egressCannotRedirect,
    .egressQdisc, .foreignEgress, .netfilterEgress, .invalidSourceMAC, .portNotForwarding,
    .portFlag, .spanningTreeGroups, .bridgeFilter, .bridgeNetfilter, .sourceUnknown, .sourceMoved,
    .ageingRefresh, .destinationUnknown, .samePort, .isolatedPort, .vlanNotAllowed, .changed,
    .vlanProtocol, .vlanStatistics, .qinq, .ruleUnknown, .ruleEffect, .rulesTooMany, .rulesMet,
    .localRoutes, .rulesChanged, .fragment, .connectionNew, .connectionState, .connectionWindow,
    .connectionExtension, .connectionProtocol, .connectionChecksum, .natEgress,
    .packetMark,
  ]

  /// The first counter of a reason.
  package static let firstCounter = 2

  /// The reason behind a counter; `nil` for those of forwarded and dropped packets, and for none.
  package init?(counter: Int) {
    let place = counter - Self.firstCounter
    guard Self.counted.indices.contains(place) else { return nil }
    self = Self.counted[place]
  }

  package var counter: Int? {
    Self.counted.firstIndex(of: self).map { $0 + Self.firstCounter }
  }
}

extension Reason {
  /// At which step of a packet's way it is found out.
  package var step: String {
    switch self {
    case .packetTap, .receiveHandler, .netfilterIngress, .foreignIngress, .vlanOffload,
      .checksumOffload:
      "ingress"
    case .multicast, .otherProtocol, .ipv6, .otherHost, .vlanTag, .malformed, .ipChecksum,
      .ipOptions, .padding:
      "parse"
    case .invalidSourceMAC, .portNotForwarding, .portFlag, .spanningTreeGroups, .bridgeFilter,
      .bridgeNetfilter, .sourceUnknown, .sourceMoved, .ageingRefresh, .destinationUnknown,
      .samePort, .isolatedPort, .vlanNotAllowed, .vlanProtocol, .vlanStatistics, .qinq:
      "bridge"
    case .egressDown, .egressDevice, .egressCannotRedirect, .egressQdisc, .foreignEgress,
      .netfilterEgress, .packetMark:
      "egress"
    case .netfilterHook, .unmodelledRules, .filterRules, .rulesUnwatched, .rulesChanged,
      .conntrack, .nat, .fragment, .connectionNew, .connectionState, .connectionWindow,
      .connectionExtension, .connectionProtocol, .connectionChecksum, .natEgress, .ruleUnknown,
      .ruleEffect, .rulesTooMany, .rulesMet:
      "filter"
    default: "router"
    }
  }
}
