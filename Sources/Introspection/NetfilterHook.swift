// SPDX-License-Identifier: Apache-2.0

/// A function that netfilter calls at one point of a packet's path.
package struct NetfilterHook: Equatable, Sendable {
  package enum Family: UInt8, Sendable { case ipv4 = 2, arp = 3, bridge = 7, ipv6 = 10 }
  package enum Point: UInt8, Sendable, CaseIterable {
    case prerouting, input, forward, output, postrouting

    /// Whether packets that are forwarded pass it.
    package var isOnTheWay: Bool { self != .input && self != .output }
  }

  /// Whose function it is.
  package enum Owner: Equatable, Sendable {
    case nftables(table: String, chain: String)
    case xtables(table: String)
    case conntrack
    case nat
    case defragmentation
    case bridgeNetfilter
    case synproxy
    case apparmor
    case bpf
    case other(String)
  }

  package var family: Family
  package var point: Point
  package var priority: Int32
  package var function: String
  /// Where the function is in the kernel's memory.
  package var address: UInt64 = 0
  /// What it is called with: a table or a chain.
  package var argument: UInt64 = 0
  /// Of a table of iptables-legacy, which ruleset it has.
  package var ruleset: RuleEpoch.Table?
  package var owner: Owner

  /// Whether IPv4 packets that are forwarded come by.
  package var seesRouted: Bool { family == .ipv4 && point.isOnTheWay }

  package init(
    family: Family, point: Point, priority: Int32, function: String, table: String, chain: String
  ) {
    self.family = family
    self.point = point
    self.priority = priority
    // A module's function reads "name [module]".
    let name = function.prefix { $0 != " " }
    self.function = String(name)
    owner = Owner(function: String(name), table: table, chain: chain)
  }
}

extension ChainHook {
  /// Where forwarded packets meet it; `nil` where they do not.
  package var pointOnTheWay: NetfilterHook.Point? {
    switch self {
    case .prerouting: .prerouting
    case .forward: .forward
    case .postrouting: .postrouting
    case .input, .output, .ingress, .egress, .unknown: nil
    }
  }
}

extension NetfilterHook.Owner {
  /// Those of iptables-legacy that are called with a table.
  private static let tableFunctions: Set = [
    "ipt_do_table", "ip6t_do_table", "arpt_do_table", "iptable_mangle_hook", "ip6table_mangle_hook",
  ]

  init(function: String, table: String, chain: String) {
    if function.hasPrefix("nft_do_chain") {
      self = .nftables(table: table, chain: chain)
    } else if Self.tableFunctions.contains(function)
      || function.hasPrefix("ebt_")
    {
      self = .xtables(table: table)
    } else if function.contains("conntrack_defrag") || function.hasPrefix("ipv6_defrag") {
      self = .defragmentation
    } else if function.contains("conntrack") || function == "nf_confirm"
      || function == "ipv4_confirm"
      || function == "nf_ct_bridge_pre" || function == "ipv6_confirm"
      || function.contains("ct_bridge")
    {
      self = .conntrack
    } else if function.hasPrefix("nf_nat_") {
      self = .nat
    } else if function.hasPrefix("br_nf_") || function.hasPrefix("ip_sabotage") {
      self = .bridgeNetfilter
    } else if function.contains("synproxy") {
      self = .synproxy
    } else if function.hasPrefix("apparmor_") {
      self = .apparmor
    } else if function == "nf_hook_run_bpf" {
      self = .bpf
    } else {
      self = .other(function)
    }
  }

  /// How a person names it.
  package var text: String {
    switch self {
    case .nftables(let table, let chain): "nftables \(table)/\(chain)"
    case .xtables(let table): "iptables-legacy \(table)"
    case .conntrack: "conntrack"
    case .nat: "nat"
    case .defragmentation: "defragmentation"
    case .bridgeNetfilter: "br_netfilter"
    case .synproxy: "synproxy"
    case .apparmor: "apparmor"
    case .bpf: "bpf"
    case .other(let function): function
    }
  }
}

/// What stands on a device that netlink does not tell.
package struct DeviceView: Equatable, Sendable {
  package var link: Int32
  package var tcxIngress: UInt32 = 0
  package var tcxEgress: UInt32 = 0
  package var netfilterIngress: UInt32 = 0
  package var netfilterEgress: UInt32 = 0
  package var taps: UInt32 = 0
  /// The function that takes the device's packets before any protocol does, "" when none.
  package var receiveHandler = ""
  package var receiveHandlerAddress: UInt64 = 0
  /// The device takes VLAN tags off frames before XDP sees them.
  package var stripsTags = false

  package init(link: Int32) { self.link = link }

  /// Whether anything stands there at all.
  package var isBare: Bool { self == DeviceView(link: link) }
}

/// Numbers that change when the part of the kernel's configuration they stand for changes.
package struct KernelIdentity: Equatable, Sendable {
  package var hooks: UInt64 = 0
  package var xtables: UInt64 = 0
  package var nftables: UInt64 = 0
  package var devices: UInt64 = 0
  package var deviceSettings: UInt64 = 0
  package var routes: UInt64 = 0
  package var policies: UInt64 = 0
  /// How many rulesets iptables-legacy ever made, in all namespaces.
  package var replaces: UInt64 = 0

  package init() {}
}

/// Reads from the kernel's own memory what no netlink family tells.
package protocol LiveView: AnyObject {
  func identity() throws -> KernelIdentity
  /// Every netfilter hook in use; throws when there are more than can be told.
  func hooks() throws -> [NetfilterHook]
  /// Which rules there are now; `nil` in the middle of a commit.
  func ruleEpoch() throws -> RuleEpoch?
  /// What stands on each of these devices; those that are gone are left out.
  func devices(_ links: [Int32]) throws -> [DeviceView]
}
