// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

/// Which kinds of routes there are, however many of each: the routes themselves are never kept.
package struct RouteKinds: OptionSet, Sendable, Hashable {
  package let rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  package static let plain = RouteKinds(rawValue: 1)
  package static let multipath = RouteKinds(rawValue: 2)
  /// Lightweight tunnels: MPLS, SEG6, BPF and the like.
  package static let encapsulated = RouteKinds(rawValue: 4)
  package static let nexthopObject = RouteKinds(rawValue: 8)
  package static let blackhole = RouteKinds(rawValue: 16)
  package static let unreachable = RouteKinds(rawValue: 32)
  package static let prohibit = RouteKinds(rawValue: 64)
  package static let throwing = RouteKinds(rawValue: 128)
  /// In a table that only policy rules or VRFs lead to.
  package static let otherTable = RouteKinds(rawValue: 256)

  package static let all: [(kind: RouteKinds, name: String)] = [
    (plain, "plain"), (multipath, "multipath"), (encapsulated, "lwtunnel"),
    (nexthopObject, "nexthop-object"), (blackhole, "blackhole"), (unreachable, "unreachable"),
    (prohibit, "prohibit"), (throwing, "throw"), (otherTable, "other-table"),
  ]

  package var names: [String] { Self.all.filter { contains($0.kind) }.map(\.name) }

  /// Reads an RTM_NEWROUTE message's payload. Routes the kernel makes for itself (local, broadcast,
  /// multicast, cached clones) are of no kind.
  package static func parse(_ payload: Bytes) -> (family: IPFamily, kinds: RouteKinds)? {
    guard let family = payload[0].flatMap(IPFamily.init), let shortTable = payload[4],
      let type = payload[7], let flags = payload.load(8, as: UInt32.self)
    else { return nil }
    if flags & 0x200 != 0 { return (family, []) }  // RTM_F_CLONED
    var table = UInt32(shortTable)
    var kinds: RouteKinds
    switch Int(type) {
    case RTN_UNICAST: kinds = .plain
    case RTN_BLACKHOLE: kinds = .blackhole
    case RTN_UNREACHABLE: kinds = .unreachable
    case RTN_PROHIBIT: kinds = .prohibit
    case RTN_THROW: kinds = .throwing
    default: return (family, [])
    }
    for attribute in Attributes(payload, after: 12) {
      switch attribute.type {
      case Int(RTA_TABLE.rawValue): table = attribute.u32 ?? table
      case Int(RTA_MULTIPATH.rawValue): kinds.become(.multipath)
      case Int(RTA_ENCAP.rawValue): kinds.become(.encapsulated)
      case Int(RTA_NH_ID.rawValue): kinds.become(.nexthopObject)
      default: break
      }
    }
    if table == 255 { return (family, []) }  // RT_TABLE_LOCAL
    if ![253, 254].contains(table) { kinds.insert(.otherTable) }
    return (family, kinds)
  }

  private mutating func become(_ kind: RouteKinds) {
    remove(.plain)
    insert(kind)
  }
}

/// The kinds of routes of both families.
package struct Routes: Equatable, Sendable {
  package var ipv4: RouteKinds = []
  package var ipv6: RouteKinds = []
  /// Whether the whole of both tables has been looked through since the last change that might have
  /// removed the last route of a kind. Until then a kind may be listed that is gone: never the reverse.
  package var surveyed = false

  package init() {}
}
