// SPDX-License-Identifier: Apache-2.0

/// What in the rules makes the kernel track connections. Tracking is switched on per namespace and
/// family by the first rule that needs it; whether it is on now is seen at its hooks.
package struct ConntrackUse: Equatable, Sendable {
  /// Names of what demands it, each once, in order; empty when no rule does.
  package var demandedBy: [String] = []
  /// Whether a table has a base chain of type `nat`: NAT applies to connections.
  package var hasNATChains = false
  /// Whether a rule translates addresses.
  package var translates = false

  package init(_ tables: [RuleTable]) {
    var names: Set<String> = []
    for table in tables {
      // The kernel switches tracking on for the rules of a dormant table too.
      for chain in table.chains {
        if chain.base?.type == "nat", !table.flags.contains(.dormant) { hasNATChains = true }
        for rule in chain.rules { Self.collect(rule, into: &names) }
      }
    }
    translates = !names.isDisjoint(with: Self.translations)
    demandedBy = names.sorted()
  }

  private static func collect(_ rule: Rule, into names: inout Set<String>) {
    for match in rule.matches {
      switch match {
      case .conntrack: names.insert("conntrack")
      case .connectionMark: names.insert("connmark")
      case .lookup(let lookup): collect(lookup, into: &names)
      case .unknown(let kept) where tracking.contains(kept.name):
        names.insert(kept.name)
      default: break
      }
    }
    switch rule.target {
    case .unknown(let kept) where tracking.contains(kept.name):
      names.insert(kept.name)
    case .verdictMap(let lookup): collect(lookup, into: &names)
    case .connectionMark: names.insert("CONNMARK")
    case .mark(let change) where change.connection != 0: names.insert("CONNMARK")
    default: break
    }
    for expression in rule.expressions {
      switch expression {
      case .conntrack, .conntrackWrite: names.insert("ct")
      case .object(let type, _) where objects.contains(type): names.insert("ct object")
      default: break
      }
    }
  }

  private static func collect(_ lookup: Lookup, into names: inout Set<String>) {
    for field in lookup.fields {
      if case .conntrack = field.source { names.insert("ct") }
    }
  }

  private static let translations: Set<String> = [
    "SNAT", "DNAT", "MASQUERADE", "REDIRECT", "NETMAP", "snat", "dnat", "masquerade", "redirect",
  ]

  /// Matches and targets of iptables and expressions of nftables that look at connections or change
  /// them.
  private static let tracking = translations.union([
    "conntrack", "state", "connmark", "connbytes", "connlimit", "connlabel", "helper", "cluster",
    "CT", "CONNMARK", "CONNSECMARK", "SYNPROXY", "synproxy", "ct", "flow_offload",
  ])

  /// `NFT_OBJECT_CT_HELPER`, `_CONNLIMIT`, `_CT_TIMEOUT`, `_CT_EXPECT`, `_SYNPROXY`.
  private static let objects: Set<UInt32> = [3, 5, 7, 9, 10]
}

/// The sysctls of connection tracking that change what a packet may do; `nil` where the kernel has
/// not the file, as when connection tracking is not loaded.
package struct ConntrackSettings: Equatable, Sendable {
  package var beLiberal: Bool?
  package var accounting: Bool?
  package var timestamps: Bool?
  package var looseTCP: Bool?
  package var checksums: Bool?
  package var limit: UInt32?

  package init() {}

  /// Reads them for the calling thread's network namespace.
  package static func read() -> ConntrackSettings {
    var settings = ConntrackSettings()
    settings.beLiberal = number("nf_conntrack_tcp_be_liberal").map { $0 != 0 }
    settings.accounting = number("nf_conntrack_acct").map { $0 != 0 }
    settings.timestamps = number("nf_conntrack_timestamp").map { $0 != 0 }
    settings.looseTCP = number("nf_conntrack_tcp_loose").map { $0 != 0 }
    settings.checksums = number("nf_conntrack_checksum").map { $0 != 0 }
    settings.limit = number("nf_conntrack_max")
    return settings
  }

  /// How many connections are tracked now.
  package static func count() -> UInt32? { number("nf_conntrack_count") }

  private static func number(_ name: String) -> UInt32? {
    guard case .success(let text) = ProcFile.read("/proc/sys/net/netfilter/\(name)") else {
      return nil
    }
    return UInt32(text.prefix { $0 != "\n" })
  }
}
