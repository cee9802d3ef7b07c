// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

// From an nftables rule's expressions to the matches and target they amount to. nftables loads a field
// of the packet into a register, perhaps masks it, and compares or looks it up: each such sequence is
// one match. Whatever does not fit is kept as unknown by the expression's name.

extension Rule {
  /// Fills in `matches` and `target` from `expressions`.
  ///
  /// - Parameter keyLength: the length of the keys of a set of the rule's table.
  mutating func lower(family: RuleFamily, keyLength: (String) -> Int?) {
    var lowering = Lowering(family: family)
    for expression in expressions {
      lowering.step(expression, keyLength)
    }
    matches = Array(lowering.matches)
    target = lowering.target
  }
}

private struct Lowering {
  let family: RuleFamily
  var matches: [Match] = []
  var target = Target.fallThrough
  /// What the registers hold, by first slot.
  private var fields: [(slot: UInt8, field: PacketField)] = []

  typealias Register = RuleExpression.Register

  init(family: RuleFamily) { self.family = family }

  mutating func step(_ expression: RuleExpression, _ keyLength: (String) -> Int?) {
    switch expression {
    case .payload(let base, let offset, let length, let to):
      load(.payload(base: base, offset: offset), length, to)
    case .meta(let key, let to): load(.meta(key), Self.metaLength(key), to)
    case .conntrack(let key, let direction, let to):
      load(.conntrack(key, direction: direction), Self.conntrackLength(key), to)
    case .bitwise(let from, let to, let mask, let xor): bitwise(from, to, mask, xor)
    case .compare(let comparison, let from, let value): compare(from, comparison, value)
    case .range(let negated, let from, let low, let high): range(from, low, high, negated)
    case .lookup(let set, let from, let to, let negated):
      lookup(set, from, to, negated, keyLength(set))
    case .counter: break
    case .immediate(let to, let value): forget(to, Int(value.count))
    case .verdict(let verdict): finish(Target(verdict))
    case .match(let match): matches.append(match)
    case .target(let target): finish(target)
    case .reject(let type, let code): finish(.reject(0x1_0000 | type << 8 | UInt32(code)))
    case .nat(let nat): finish(.unknown(UnknownExtension(nat.statement)))
    case .transparentProxy, .queue: finish(.unknown(UnknownExtension(expression.name)))
    case .other(let kept): unknown(kept)
    case .fib(_, _, let to), .route(_, let to), .socket(_, _, let to),
      .byteOrder(_, let to, _, _, _):
      forget(to, 16)
      unknown(UnknownExtension(expression.name))
    case .extensionHeader(let header):
      if let to = header.to { forget(to, Int(min(header.length, 64))) }
      unknown(UnknownExtension(expression.name))
    case .metaWrite, .conntrackWrite, .limit, .log, .object, .objectMap, .updateSet, .untrack,
      .offload:
      unknown(UnknownExtension(expression.name))
    }
  }

  private mutating func unknown(_ kept: UnknownExtension) {
    // What an expression that is not understood leaves in the registers is not known either.
    if !Self.leavesRegistersAlone.contains(kept.name) { fields.removeAll() }
    matches.append(.unknown(kept))
  }

  private static let leavesRegistersAlone: Set<String> = [
    "meta", "ct", "limit", "log", "objref", "dynset", "notrack", "flow_offload", "quota", "last",
    "connlimit", "dup", "payload",
  ]

  /// A rule ends with its verdict; a second would be news.
  private mutating func finish(_ outcome: Target) {
    guard target == .fallThrough else { return unknown(UnknownExtension("second verdict")) }
    target = outcome
  }

  // MARK: Registers

  private mutating func load(_ source: PacketField.Source, _ length: UInt32, _ to: Register) {
    forget(to, Int(min(length, 64)))
    guard to != .verdict, length > 0, let length = UInt8(exactly: length), length <= 64 else {
      return
    }
    fields.append((to.slot, PacketField(source: source, length: length)))
  }

  private mutating func forget(_ register: Register, _ length: Int) {
    guard register != .verdict else { return }
    let first = Int(register.slot)
    let end = first + max(1, (length + 3) / 4)
    fields.removeAll { slot, field in
      let start = Int(slot)
      return start < end && first < start + (Int(field.length) + 3) / 4
    }
  }

  private func field(_ register: Register) -> PacketField? {
    fields.last { $0.slot == register.slot }?.field
  }

  private mutating func bitwise(
    _ from: Register, _ to: Register, _ mask: RegisterValue, _ xor: RegisterValue
  ) {
    let source = field(from)
    forget(to, Int(mask.count))
    guard var source, source.mask == nil, mask.count == source.length, xor.isZero else { return }
    source.mask = mask
    fields.append((to.slot, source))
  }

  // MARK: Conditions

  private mutating func compare(_ from: Register, _ comparison: Comparison, _ value: RegisterValue)
  {
    // Padding behind the value has no meaning, so a field may be longer than what it is compared to.
    guard let field = field(from), let match = field.match(comparison, value, context) else {
      return matches.append(.unknown(UnknownExtension("cmp")))
    }
    matches.append(match)
  }

  private mutating func range(
    _ from: Register, _ low: RegisterValue, _ high: RegisterValue, _ negated: Bool
  ) {
    guard let field = field(from), low.count == field.length, high.count == low.count,
      let match = field.match(low, high, negated, context)
    else { return matches.append(.unknown(UnknownExtension("range"))) }
    matches.append(match)
  }

  private mutating func lookup(
    _ set: String, _ from: Register, _ to: Register?, _ negated: Bool, _ keyLength: Int?
  ) {
    var keys: [PacketField] = []
    var slot = Int(from.slot)
    var missing = keyLength ?? 0
    while missing > 0, let key = fields.last(where: { Int($0.slot) == slot })?.field {
      keys.append(key)
      slot += (Int(key.length) + 3) / 4
      missing -=
        keys.count == 1 && Int(key.length) >= missing
        ? missing : (Int(key.length) + 3) & ~3
    }
    let complete = keyLength != nil && !keys.isEmpty && missing <= 0
    let lookup = Lookup(set: set, fields: keys, negated: negated)
    switch to {
    case nil where complete: matches.append(.lookup(lookup))
    case .some(.verdict) where complete && !negated: finish(.verdictMap(lookup))
    case .some(let to):
      forget(to, 64)
      matches.append(.unknown(UnknownExtension("map")))
      // Whatever it is asked with, a verdict map leads on to its chains.
      if to == .verdict { finish(.verdictMap(lookup)) }
    case nil: matches.append(.unknown(UnknownExtension("lookup")))
    }
  }

  /// What earlier matches say the packet is.
  private var context: PacketContext {
    var context = PacketContext(family: family, network: nil, transport: nil)
    switch family {
    case .ip: context.network = .ip
    case .ip6: context.network = .ip6
    default: break
    }
    for match in matches {
      switch match {
      case .family(2, negated: false), .etherType(0x0800, negated: false): context.network = .ip
      case .family(10, negated: false), .etherType(0x86dd, negated: false): context.network = .ip6
      case .transport(let number, negated: false): context.transport = number
      default: break
      }
    }
    return context
  }

  // MARK: Lengths

  private static func metaLength(_ key: UInt32) -> UInt32 {
    switch Int(key) {
    case NFT_META_IIFNAME, NFT_META_OIFNAME, NFT_META_BRI_IIFNAME, NFT_META_BRI_OIFNAME,
      NFT_META_IIFKIND, NFT_META_OIFKIND:
      16
    case NFT_META_PROTOCOL, NFT_META_IFTYPE, NFT_META_OIFTYPE: 2
    case NFT_META_NFPROTO, NFT_META_L4PROTO, NFT_META_PKTTYPE: 1
    case NFT_META_TIME_NS: 8
    default: 4
    }
  }

  private static func conntrackLength(_ key: UInt32) -> UInt32 {
    switch Int(key) {
    case NFT_CT_DIRECTION, NFT_CT_L3PROTOCOL, NFT_CT_PROTOCOL: 1
    case NFT_CT_PROTO_SRC, NFT_CT_PROTO_DST, NFT_CT_ZONE: 2
    case NFT_CT_BYTES, NFT_CT_PKTS, NFT_CT_AVGPKT: 8
    case NFT_CT_SRC, NFT_CT_DST, NFT_CT_SRC_IP6, NFT_CT_DST_IP6, NFT_CT_LABELS, NFT_CT_HELPER: 16
    default: 4
    }
  }
}

/// What is known of a packet at some point of a rule.
struct PacketContext {
  var family: RuleFamily
  var network: RuleFamily?
  var transport: UInt8?
}

extension RuleExpression.NAT {
  /// nft's word for it.
  package var statement: String {
    switch kind {
    case .source: "snat"
    case .destination: "dnat"
    case .masquerade: "masquerade"
    case .redirect: "redirect"
    }
  }
}

extension Target {
  init(_ verdict: Verdict) {
    self =
      switch verdict {
      case .accept: .accept
      case .drop: .drop
      case .return: .return
      case .continue: .fallThrough
      case .queue(0): .queue
      case .jump(let chain): .jump(chain)
      case .goto(let chain): .goto(chain)
      case .break, .queue, .unknown: .unknown(UnknownExtension("verdict \(verdict)"))
      }
  }
}
