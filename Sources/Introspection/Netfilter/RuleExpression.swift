// SPDX-License-Identifier: Apache-2.0

/// One step of an nftables rule, as the kernel runs it. Registers are 32-bit slots from 0; verdicts
/// have their own.
package enum RuleExpression: Equatable, Sendable {
  case payload(base: UInt8, offset: UInt32, length: UInt32, to: Register)
  case meta(key: UInt32, to: Register)
  case metaWrite(key: UInt32, from: Register)
  case compare(Comparison, from: Register, RegisterValue)
  indirect case range(negated: Bool, from: Register, low: RegisterValue, high: RegisterValue)
  /// `to = (from & mask) ^ xor`.
  indirect case bitwise(from: Register, to: Register, mask: RegisterValue, xor: RegisterValue)
  /// `size` bytes at a time; `toHost` or to network order.
  case byteOrder(from: Register, to: Register, toHost: Bool, length: UInt8, size: UInt8)
  indirect case lookup(set: String, from: Register, to: Register?, negated: Bool)
  case immediate(to: Register, RegisterValue)
  case verdict(Verdict)
  /// Its values are not configuration.
  case counter
  case conntrack(key: UInt32, direction: UInt8, to: Register)
  case conntrackWrite(key: UInt32, direction: UInt8, from: Register)
  indirect case limit(Limit)
  indirect case log(Log)
  case reject(type: UInt32, code: UInt8)
  indirect case nat(NAT)
  /// A match of iptables.
  indirect case match(Match)
  /// A target of iptables.
  indirect case target(Target)
  indirect case object(type: UInt32, name: String)
  indirect case objectMap(set: String, from: Register)
  indirect case updateSet(DynamicSet)
  case fib(result: UInt32, flags: UInt32, to: Register)
  case route(key: UInt32, to: Register)
  indirect case extensionHeader(ExtensionHeader)
  case socket(key: UInt32, level: UInt32, to: Register)
  case transparentProxy(family: UInt32, address: Register?, port: Register?)
  case queue(number: UInt16, count: UInt16, flags: UInt16, from: Register?)
  case untrack
  case offload(flowtable: String)
  indirect case other(UnknownExtension)

  /// The number of a 32-bit slot; 255 is the verdict register.
  package struct Register: Equatable, Sendable {
    package var slot: UInt8
    package init(slot: UInt8) { self.slot = slot }
    package static let verdict = Register(slot: 255)
  }

  package struct Limit: Equatable, Sendable {
    package var rate: UInt64 = 0
    /// Seconds.
    package var unit: UInt64 = 0
    package var burst: UInt32 = 0
    /// 0 packets, 1 bytes.
    package var type: UInt32 = 0
    package var flags: UInt32 = 0
  }

  package struct Log: Equatable, Sendable {
    package var group: UInt16?
    package var prefix: String = ""
    package var level: UInt32?
    package var flags: UInt32 = 0
    package var snapLength: UInt32 = 0
    package var queueThreshold: UInt16 = 0
  }

  /// `snat`, `dnat`, `masquerade` and `redirect`.
  package struct NAT: Equatable, Sendable {
    package enum Kind: String, Sendable { case source, destination, masquerade, redirect }
    package var kind: Kind
    package var family: UInt32 = 0
    package var addresses: [Register?] = [nil, nil]
    package var ports: [Register?] = [nil, nil]
    package var flags: UInt32 = 0
  }

  package struct DynamicSet: Equatable, Sendable {
    package var set = ""
    /// 0 add, 1 update, 2 delete.
    package var operation: UInt32 = 0
    package var key: Register?
    package var data: Register?
    package var timeout: UInt64 = 0
    package var flags: UInt32 = 0
    package var statements: [RuleExpression] = []
  }

  package struct ExtensionHeader: Equatable, Sendable {
    /// 0 IPv6 extension header, 1 TCP option, 2 IPv4 option, 3 SCTP chunk, 4 DCCP option.
    package var operation: UInt32 = 0
    package var type: UInt8 = 0
    package var offset: UInt32 = 0
    package var length: UInt32 = 0
    package var flags: UInt32 = 0
    package var to: Register?
    package var from: Register?
  }

  /// The kernel's name of the expression.
  package var name: String {
    switch self {
    case .payload: "payload"
    case .meta, .metaWrite: "meta"
    case .compare: "cmp"
    case .range: "range"
    case .bitwise: "bitwise"
    case .byteOrder: "byteorder"
    case .lookup: "lookup"
    case .immediate, .verdict: "immediate"
    case .counter: "counter"
    case .conntrack, .conntrackWrite: "ct"
    case .limit: "limit"
    case .log: "log"
    case .reject: "reject"
    case .nat(let nat):
      switch nat.kind {
      case .source, .destination: "nat"
      case .masquerade: "masq"
      case .redirect: "redir"
      }
    case .match: "match"
    case .target: "target"
    case .object, .objectMap: "objref"
    case .updateSet: "dynset"
    case .fib: "fib"
    case .route: "rt"
    case .extensionHeader: "exthdr"
    case .socket: "socket"
    case .transparentProxy: "tproxy"
    case .queue: "queue"
    case .untrack: "notrack"
    case .offload: "flow_offload"
    case .other(let kept): kept.name
    }
  }
}
