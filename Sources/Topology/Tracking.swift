// SPDX-License-Identifier: Apache-2.0
import Introspection

/// Which packets of connections that Linux tracks programs carry.
package enum ConnectionUse: Sendable {
  case none
  /// Those of which the kernel keeps nothing that programs could not.
  case exact
  /// Also those over TCP whose window the kernel is asked not to look at any more.
  case marked
}

/// Connection tracking and NAT on the way of forwarded packets, as the kernel itself puts them there.
struct Tracking: Equatable {
  /// Addresses are translated, behind prerouting's rules and behind postrouting's.
  var translates: Bool
  /// Programs ask for connections to be marked.
  var marks: Bool

  /// `nil` where nothing of it is there, or not in the places and the order that programs take for granted.
  init?(_ hooks: [NetfilterHook], marks: Bool) {
    self.marks = marks
    let way = hooks.filter(\.seesRouted)
    func steps(_ point: NetfilterHook.Point) -> [Step?] {
      way.filter { $0.point == point && $0.owner.tracks }.map { Self.steps[$0.function] }
    }
    var arriving = steps(.prerouting)[...]
    if arriving.first == .defragment { arriving = arriving.dropFirst() }
    translates = arriving.last == .translate
    let expected: [Step] = translates ? [.follow, .translate] : [.follow]
    guard Array(arriving) == expected, steps(.postrouting).reversed() == expected,
      steps(.forward).isEmpty,
      // What ends a connection's first packet comes behind all that could still lose it.
      way.last(where: { $0.point == .postrouting })?.owner == .conntrack
    else { return nil }
  }

  private enum Step { case defragment, follow, translate }

  private static let steps: [String: Step] = [
    "ipv4_conntrack_defrag": .defragment, "ipv4_conntrack_in": .follow,
    "nf_nat_ipv4_pre_routing": .translate, "nf_nat_ipv4_in": .translate,
    "nf_nat_ipv4_out": .translate, "nf_confirm": .follow, "ipv4_confirm": .follow,
  ]
}

extension NetfilterHook.Owner {
  fileprivate var tracks: Bool {
    switch self {
    case .conntrack, .nat, .defragmentation: true
    default: false
    }
  }
}
