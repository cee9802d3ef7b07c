// SPDX-License-Identifier: Apache-2.0

/// What the kernel of one network namespace is configured to do with packets, at one moment. Plain
/// values, equal when nothing changed; nothing in it grows with the number of routes, neighbours,
/// FDB entries or connections.
package struct NetworkState: Equatable, Sendable {
  package var links: [Link] = []
  package var addresses: [Address] = []
  package var policyRules: [PolicyRule] = []
  package var routes = Routes()
  package var qdiscs: [Qdisc] = []
  package var filters: [TrafficFilter] = []
  package var sysctls = Sysctls()
  package var ipsecPolicies = false
  /// `nil`: this kernel does not let them be read.
  package var hooks: [NetfilterHook]?
  /// What stands on devices beside netlink's knowledge, only those where something does; `nil`:
  /// this kernel does not let it be read.
  package var deviceViews: [DeviceView]?
  package var legacyTables: [RuleTable] = []
  package var nftables: [RuleTable] = []
  package var sets: [IPSet] = []
  /// The identity of exactly the hooks and rules above; `nil` where there is no proof that they belong
  /// together.
  package var ruleEpoch: RuleEpoch?
  /// Parts that could not be read at the last attempt, and why; what they hold is older.
  package var problems: [Problem] = []

  package init() {}

  /// Whether there are tables that are changed by replacing them whole, which nothing announces.
  package var hasReplaceableTables: Bool {
    let standing = hooks ?? []
    return !legacyTables.isEmpty
      || standing.contains { if case .xtables = $0.owner { true } else { false } }
  }

  /// Whether a device is down whose settings can be changed: of that the kernel says nothing before it comes up
  /// (netdev_state_change()).
  package var hasSilentLinks: Bool {
    links.contains { !$0.up && ($0.port != nil || !$0.kindName.isEmpty && $0.kind != .veth) }
  }

  package struct Problem: Equatable, Sendable {
    package var part: String
    package var detail: String

    package init(part: String, detail: String) {
      self.part = part
      self.detail = detail
    }
  }
}

extension NetworkState {
  /// Takes what messages said of links that are known, before they are read; whether any of it was new.
  package mutating func takeStates(_ states: [ChangeFeed.LinkState]) -> Bool {
    guard !states.isEmpty else { return false }
    var isNew = false
    let said = Dictionary(states.map { ($0.index, $0) }, uniquingKeysWith: { $1 })
    for place in links.indices {
      guard let now = said[links[place].index],
        now.up != links[place].up || now.carrier != links[place].carrier
      else { continue }
      (links[place].up, links[place].carrier) = (now.up, now.carrier)
      isNew = true
    }
    return isNew
  }
}

/// The parts of the state that are read separately: which one is dirty is all that an event tells,
/// so that a link going down does not read ten thousand rules again.
package struct Parts: OptionSet, Sendable, Hashable {
  package let rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  package static let links = Parts(rawValue: 1)
  package static let addresses = Parts(rawValue: 2)
  package static let policyRules = Parts(rawValue: 4)
  package static let routes = Parts(rawValue: 8)
  package static let trafficControl = Parts(rawValue: 16)
  package static let sysctls = Parts(rawValue: 32)
  package static let ipsec = Parts(rawValue: 64)
  package static let hooks = Parts(rawValue: 128)
  package static let devices = Parts(rawValue: 256)
  package static let xtables = Parts(rawValue: 512)
  package static let nftables = Parts(rawValue: 1024)
  package static let sets = Parts(rawValue: 2048)

  package static let all = Parts(rawValue: 4095)
  /// What a ruleEpoch stands for.
  package static let rules: Parts = [.hooks, .xtables, .nftables]

  package static let names: [(part: Parts, name: String)] = [
    (links, "links"), (addresses, "addresses"), (policyRules, "policy-rules"), (routes, "routes"),
    (trafficControl, "traffic-control"), (sysctls, "sysctls"), (ipsec, "ipsec"), (hooks, "hooks"),
    (devices, "devices"), (xtables, "iptables-legacy"), (nftables, "nftables"), (sets, "ipsets"),
  ]

  package var names: [String] { Self.names.filter { contains($0.part) }.map(\.name) }
}
