// SPDX-License-Identifier: Apache-2.0
import Netlink

/// A table of rules, whichever of the kernel's three firewalls keeps it.
///
/// Two values are equal when the configuration is: counters, the state of limits and quotas and the
/// elements of sets that packets or time change are not part of it.
package struct RuleTable: Equatable, Sendable {
  package var family: RuleFamily
  package var name: String
  package var backend: Backend
  package var flags: Flags = []
  package var chains: [Chain] = []
  package var sets: [NamedSet] = []
  package var objects: [NamedObject] = []
  package var flowtables: [Flowtable] = []
  /// The kernel's number of a table of nftables, which no other table of the namespace ever has.
  package var serial = Incidental<UInt64>(0)

  /// Which tool made the table, as far as the kernel lets one tell.
  package enum Backend: String, Sendable {
    case iptablesLegacy = "iptables-legacy"
    case iptablesNft = "iptables-nft"
    case nftables
  }

  /// `NFT_TABLE_F_*`.
  package struct Flags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// The table's base chains are not registered: no packet sees them.
    package static let dormant = Flags(rawValue: 1)
    package static let owner = Flags(rawValue: 2)
    package static let persist = Flags(rawValue: 4)
  }

  package init(family: RuleFamily, name: String, backend: Backend) {
    (self.family, self.name, self.backend) = (family, name, backend)
  }

  package func set(named name: String) -> NamedSet? { sets.first { $0.name == name } }
  package func chain(named name: String) -> Chain? { chains.first { $0.name == name } }
}

/// A value that has no part in whether two things are equal.
package struct Incidental<Value: Sendable>: Equatable, Sendable {
  package var value: Value
  package init(_ value: Value) { self.value = value }
  package static func == (a: Self, b: Self) -> Bool { true }
}

/// The packets a table is for, numbered as netfilter numbers its protocol families.
package enum RuleFamily: UInt8, Sendable {
  case inet = 1
  case ip = 2
  case arp = 3
  case netdev = 5
  case bridge = 7
  case ip6 = 10

  package var name: String {
    switch self {
    case .inet: "inet"
    case .ip: "ip"
    case .arp: "arp"
    case .netdev: "netdev"
    case .bridge: "bridge"
    case .ip6: "ip6"
    }
  }
}

/// A list of rules; one with a `base` is entered by packets, the others by jumps.
package struct Chain: Equatable, Sendable {
  package var name: String
  package var base: BaseChain?
  /// `NFT_CHAIN_*` flags: 2 offloaded to hardware, 4 the anonymous chain of one rule.
  package var flags: UInt32 = 0
  package var rules: [Rule] = []

  package init(name: String, base: BaseChain? = nil) {
    (self.name, self.base) = (name, base)
  }
}

/// Where a chain is hooked into the kernel's packet path.
package struct BaseChain: Equatable, Sendable {
  package var hook: ChainHook
  package var priority: Int32
  /// `filter`, `route` or `nat`; of iptables-legacy, what iptables-nft would make of it.
  package var type: String
  /// What happens to a packet that falls off the end of the chain.
  package var policy: Verdict
  /// The devices of a netdev chain, or of an inet one at ingress, sorted; a trailing `*` is a
  /// wildcard.
  package var devices: [String] = []

  package init(
    hook: ChainHook, priority: Int32, type: String, policy: Verdict, devices: [String] = []
  ) {
    (self.hook, self.priority, self.type) = (hook, priority, type)
    (self.policy, self.devices) = (policy, devices)
  }
}

/// A place in the packet path.
package enum ChainHook: Equatable, Hashable, Sendable {
  case prerouting, input, forward, output, postrouting, ingress, egress
  /// A hook newer than this program.
  case unknown(UInt32)

  /// The hook of a number in a family: arp and netdev number theirs differently.
  package init(number: UInt32, family: RuleFamily) {
    let inet: [ChainHook] = [.prerouting, .input, .forward, .output, .postrouting, .ingress]
    let hooks: [ChainHook] =
      switch family {
      case .arp: [.input, .output, .forward]
      case .netdev: [.ingress, .egress]
      case .inet: inet
      case .ip, .ip6, .bridge: inet.dropLast()
      }
    self = number < hooks.count ? hooks[Int(number)] : .unknown(number)
  }

  package var name: String {
    switch self {
    case .prerouting: "prerouting"
    case .input: "input"
    case .forward: "forward"
    case .output: "output"
    case .postrouting: "postrouting"
    case .ingress: "ingress"
    case .egress: "egress"
    case .unknown(let number): "hook \(number)"
    }
  }
}

/// One rule: what it looks at, in order, and what it does.
package struct Rule: Equatable, Sendable {
  /// The kernel's handle (nftables), or the rule's place in its chain, from 1 (iptables-legacy).
  package var handle: UInt64
  package var matches: [Match] = []
  package var target: Target = .fallThrough
  /// The rule as the kernel runs it (nftables); empty for iptables-legacy.
  package var expressions: [RuleExpression] = []

  package init(handle: UInt64) { self.handle = handle }

  /// The comment a user gave the rule.
  package var comment: String? {
    for case .comment(let text) in matches { return text }
    return nil
  }

  /// Names of the matches, targets and expressions whose meaning is not known here, in order. Only
  /// a rule without any is described in full by `matches` and `target`.
  package var unmodelled: [String] {
    var names: [String] = []
    for case .unknown(let kept) in matches { names.append(kept.name) }
    if case .unknown(let kept) = target { names.append(kept.name) }
    return names
  }

  /// Whether `unmodelled` is not empty, without building it.
  package var isFullyModelled: Bool {
    if case .unknown = target { return false }
    for case .unknown in matches { return false }
    return true
  }
}

/// A match, target or expression kept by name because its meaning is not known here. The fingerprint
/// of its configuration keeps equality honest.
package struct UnknownExtension: Hashable, Sendable {
  package var name: String
  package var revision: UInt8
  package var fingerprint: UInt64

  package init(_ name: String, revision: UInt8 = 0, _ bytes: Bytes) {
    (self.name, self.revision) = (name, revision)
    fingerprint = bytes.fingerprint()
  }

  package init(_ name: String, revision: UInt8 = 0, fingerprint: UInt64 = 0) {
    (self.name, self.revision, self.fingerprint) = (name, revision, fingerprint)
  }
}
