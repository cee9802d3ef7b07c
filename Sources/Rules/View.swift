// SPDX-License-Identifier: Apache-2.0
import Introspection

extension FlatRuleset {
  /// What connection tracking and NAT have done to the packets that come to a stage.
  package enum View: Equatable, Hashable, Sendable {
    /// Nothing: connections are not tracked.
    case plain
    /// They come to it before connection tracking.
    case untracked
    /// The connection is known, and the destination is still the one they came in with.
    case arriving
    /// The destination is the one that is routed to, the source the one they came in with.
    case routed
    /// The source is the one they go out with.
    case leaving
  }
}

/// Where connection tracking and NAT stand among the hooks of a family, which are in the kernel's order.
struct TrackingHooks {
  private var conntrack: Int?
  /// NAT of the destination, behind that.
  private var arrival: Int?
  /// NAT of the source.
  private var departure: Int?

  init(_ hooks: [NetfilterHook], _ family: RuleFamily) {
    for (place, hook) in hooks.enumerated() where hook.family == NetfilterHook.Family(family) {
      switch (hook.point, hook.owner) {
      case (.prerouting, .conntrack): conntrack = conntrack ?? place
      case (.prerouting, .nat) where conntrack != nil: arrival = arrival ?? place
      case (.postrouting, .nat): departure = departure ?? place
      default: break
      }
    }
  }

  /// Whether a destination may be another one before it is routed to.
  var translates: Bool { arrival != nil }

  /// What a chain at these places sees; `nil` where that is not one thing.
  func view(_ hook: ChainHook, at places: [Int]) -> FlatRuleset.View? {
    guard conntrack != nil else { return .plain }
    let views = Set(places.map { view(hook, at: $0) })
    return views.count == 1 ? views.first : nil
  }

  private func view(_ hook: ChainHook, at place: Int) -> FlatRuleset.View {
    switch hook {
    case .prerouting where place < conntrack ?? 0: .untracked
    case .prerouting where place < arrival ?? 0: .arriving
    case .postrouting where place > departure ?? .max: .leaving
    default: .routed
    }
  }
}

extension NetfilterHook.Family {
  init(_ family: RuleFamily) { self = family == .ip6 ? .ipv6 : .ipv4 }
}
