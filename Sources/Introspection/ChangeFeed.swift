// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Glibc
import Netlink

/// Says which parts of the configuration may have changed; never what changed, but for links that have gone
/// down or come up. A lost, truncated or malformed message says "everything", so that nothing is believed
/// that was not read.
package final class ChangeFeed {
  private let route: Listener
  private var listeners: [Listener] = []
  private var seen = Routes()
  private var arrivals = Routes()
  private var states: [LinkState] = []

  /// What a message said of a link. Reading all links has to wait until the kernel is through with the change,
  /// which is some ten milliseconds where a link goes down.
  package struct LinkState: Equatable, Sendable {
    package var index: Int32
    package var up: Bool
    package var carrier: Bool
  }

  /// How often the kernel had more to say than fitted (ENOBUFS), since the start.
  package var overruns: Int { listeners.reduce(0) { $0 + $1.overruns } }

  package init() throws(NetlinkError) {
    route = Listener(
      try NetlinkSocket(
        NETLINK_ROUTE,
        groups: [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_TC]
          .map(\.rawValue),
        receive: Listener.buffer),
      everything: .all.subtracting([.nftables, .xtables, .sets]), Self.part)
    listeners = [route]
    route.onMessage = { [unowned self] message in note(message) }
    // Not every kernel has all of these; what it lacks it cannot change either.
    for group in [
      RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF,
      RTNLGRP_NEXTHOP, RTNLGRP_BRVLAN,
    ] { route.join(group.rawValue) }
    route.accept(RouteFilter.program(seen: seen))
    for group in [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE] { route.join(group.rawValue) }

    if let socket = try? NetlinkSocket(NETLINK_NETFILTER, receive: Listener.buffer) {
      let parts: Parts = [.nftables, .hooks, .devices]
      let netfilter = Listener(socket, everything: parts) { _ in parts }
      netfilter.accept(onlyGenerations)
      netfilter.join(UInt32(NFNLGRP_NFTABLES.rawValue))
      listeners.append(netfilter)
    }
    if let socket = try? NetlinkSocket(NETLINK_XFRM) {
      let ipsec = Listener(socket, everything: .ipsec) { _ in .ipsec }
      ipsec.join(UInt32(FPD_XFRM_GROUP_POLICY))
      listeners.append(ipsec)
    }
  }

  /// What to wait on.
  package var descriptors: [Int32] { listeners.map(\.descriptor) }

  /// Takes every message that is there.
  package func drain() -> Parts { listeners.reduce([]) { $0.union($1.drain()) } }

  /// The kinds of routes that appeared in what was drained since the last call.
  package func takeArrivals() -> Routes {
    defer { arrivals = Routes() }
    return arrivals
  }

  /// From now on every route is news but a plain one where there are some.
  package func expectOnlyPlain() {
    var routes = Routes()
    routes.ipv4 = seen.ipv4.intersection(.plain)
    routes.ipv6 = seen.ipv6.intersection(.plain)
    expect(routes)
  }

  /// The links' states that were told of in what was drained since the last call, the latest last.
  package func takeStates() -> [LinkState] {
    defer { states = [] }
    return states
  }

  private func note(_ message: Message) {
    if Int(message.type) == RTM_NEWLINK {
      // A bridge's own messages about its ports do not tell of the carrier.
      guard message.payload.load(0, as: UInt8.self) == 0, let link = Link.parse(message.payload)
      else { return }
      states.append(LinkState(index: link.index, up: link.up, carrier: link.carrier))
      return
    }
    guard Int(message.type) == RTM_NEWROUTE else { return }
    guard let (family, kinds) = RouteKinds.parse(message.payload) else { return }
    if family == .ipv4 { arrivals.ipv4.formUnion(kinds) } else { arrivals.ipv6.formUnion(kinds) }
  }

  /// From now on routes of these kinds are no news.
  package func expect(_ routes: Routes) {
    guard routes.ipv4 != seen.ipv4 || routes.ipv6 != seen.ipv6 else { return }
    seen = routes
    route.accept(RouteFilter.program(seen: routes))
  }

  private static func part(of message: Message) -> Parts {
    switch Int(message.type) {
    // With a link its qdiscs come and go, and nothing more is said of them.
    case RTM_NEWLINK, RTM_DELLINK: [.links, .devices, .routes, .trafficControl]
    case RTM_NEWADDR, RTM_DELADDR: [.addresses, .routes]
    case RTM_NEWRULE, RTM_DELRULE: [.policyRules, .routes]
    case RTM_NEWROUTE, RTM_DELROUTE: []  // the kinds are noted as they arrive
    case RTM_NEWNEXTHOP, RTM_DELNEXTHOP: .routes
    case RTM_NEWQDISC, RTM_DELQDISC, RTM_NEWTFILTER, RTM_DELTFILTER, RTM_NEWTCLASS, RTM_DELTCLASS,
      RTM_NEWCHAIN, RTM_DELCHAIN:
      .trafficControl
    case RTM_NEWNETCONF, RTM_DELNETCONF: [.links, .sysctls]
    case 112, 113: .links  // RTM_NEWVLAN, RTM_DELVLAN
    case Int(NLMSG_DONE), Int(NLMSG_NOOP): []
    default: .links
    }
  }
}

/// One socket that hears of changes.
private final class Listener {
  static let buffer: Int32 = 4 << 20

  private var socket: NetlinkSocket
  private let everything: Parts
  private let part: (Message) -> Parts
  private(set) var overruns = 0
  var onMessage: ((Message) -> Void)?

  init(
    _ socket: consuming NetlinkSocket, everything: Parts, _ part: @escaping (Message) -> Parts
  ) {
    self.socket = socket
    self.everything = everything
    self.part = part
  }

  var descriptor: Int32 { socket.descriptor }

  func join(_ group: UInt32) { _ = socket.join(group) }

  func accept(_ program: [sock_filter]) { socket.accept(program) }

  func drain() -> Parts {
    var dirty: Parts = []
    while true {
      do {
        guard let datagram = try socket.receiveIfAny("listening for changes") else { return dirty }
        var any = false
        for message in Messages(datagram) {
          any = true
          dirty.formUnion(part(message))
          onMessage?(message)
        }
        if !any { dirty.formUnion(everything) }
      } catch {
        overruns += 1
        dirty.formUnion(everything)
        guard case .overrun = error else { return dirty }
      }
    }
  }
}

/// nftables announces each rule of a commit and, last, its new generation: that one is enough, and a
/// load of ten thousand rules is one message instead of ten thousand.
private let onlyGenerations: [sock_filter] = [
  load16(4),
  jump(
    ifEqual: bigEndian(UInt16(NFNL_SUBSYS_NFTABLES) << 8 | UInt16(NFT_MSG_NEWGEN.rawValue)), 0, 1),
  accept, reject,
]
