// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

// NFTA_LIST_ELEM { NFTA_EXPR_NAME, NFTA_EXPR_DATA { the expression's own attributes } }. An attribute
// that is not known here makes the whole expression `.other`: a newer kernel may have changed its
// meaning.

extension RuleExpression {
  /// Decodes one element of a list of expressions.
  package static func parse(_ element: Attributes, family: RuleFamily) -> RuleExpression {
    var name = ""
    var data = Bytes(nil, count: 0)
    for attribute in element {
      switch attribute.type {
      case NFTA_EXPR_NAME: name = attribute.string
      case NFTA_EXPR_DATA: data = attribute.payload
      default: break
      }
    }
    return decode(name, data, family) ?? .other(.init(name, fingerprint: unknown(name, data)))
  }

  private static func unknown(_ name: String, _ data: Bytes) -> UInt64 {
    switch name {
    case "last": 0
    case "quota": quota(data)
    default: data.fingerprint()
    }
  }

  /// A fingerprint of a quota without what packets have consumed of it.
  static func quota(_ data: Bytes) -> UInt64 {
    var result: UInt64 = 0
    for field in Attributes(data) {
      switch field.type {
      case NFTA_QUOTA_BYTES: result = field.payload.fingerprint(from: result)
      case NFTA_QUOTA_FLAGS: result = result &* 3 &+ UInt64((field.big32 ?? 0) & 1)  // inverted
      default: break
      }
    }
    return result
  }

  private static func decode(
    _ name: String, _ data: Bytes, _ family: RuleFamily
  ) -> RuleExpression? {
    let fields = Attributes(data)
    return switch name {
    case "payload": payload(fields)
    case "meta": meta(fields)
    case "cmp": compare(fields)
    case "counter": .counter
    case "immediate": immediate(fields)
    case "bitwise": bitwise(fields)
    case "match": xtables(fields).map { .match(.xtables($0, revision: $1, $2, family: family)) }
    case "target": xtables(fields).map { .target(.xtables($0, revision: $1, $2)) }
    case "lookup": lookup(fields)
    case "ct": conntrack(fields)
    case "range": range(fields)
    case "limit": limit(fields)
    case "log": log(fields)
    case "reject": reject(fields)
    case "nat": nat(fields)
    case "masq": masquerade(fields)
    case "redir": redirect(fields)
    case "byteorder": byteOrder(fields)
    case "objref": object(fields)
    case "dynset": dynamicSet(fields, family)
    case "fib": fib(fields)
    case "rt": route(fields)
    case "exthdr": extensionHeader(fields)
    case "socket": socket(fields)
    case "tproxy": transparentProxy(fields)
    case "queue": queue(fields)
    case "notrack": .untrack
    case "flow_offload": fields.first(1).map { .offload(flowtable: $0.string) }
    default: nil
    }
  }

  // MARK: Loading

  private static func payload(_ fields: Attributes) -> RuleExpression? {
    var base: UInt32?
    var offset: UInt32?
    var length: UInt32?
    var to: Register?
    for field in fields {
      switch field.type {
      case NFTA_PAYLOAD_DREG: to = field.register
      case NFTA_PAYLOAD_BASE: base = field.big32
      case NFTA_PAYLOAD_OFFSET: offset = field.big32
      case NFTA_PAYLOAD_LEN: length = field.big32
      default: return nil  // NFTA_PAYLOAD_SREG and what follows write to the packet
      }
    }
    guard let base = base.flatMap(UInt8.init(exactly:)), let offset, let length, let to else {
      return nil
    }
    return .payload(base: base, offset: offset, length: length, to: to)
  }

  private static func meta(_ fields: Attributes) -> RuleExpression? {
    var key: UInt32?
    var to: Register?
    var from: Register?
    for field in fields {
      switch field.type {
      case NFTA_META_DREG: to = field.register
      case NFTA_META_KEY: key = field.big32
      case NFTA_META_SREG: from = field.register
      default: return nil
      }
    }
    guard let key else { return nil }
    if let to { return .meta(key: key, to: to) }
    return from.map { .metaWrite(key: key, from: $0) }
  }

  private static func conntrack(_ fields: Attributes) -> RuleExpression? {
    var key: UInt32?
    var direction: UInt8 = 2
    var to: Register?
    var from: Register?
    for field in fields {
      switch field.type {
      case NFTA_CT_DREG: to = field.register
      case NFTA_CT_KEY: key = field.big32
      case NFTA_CT_DIRECTION: direction = field.u8 ?? 2
      case NFTA_CT_SREG: from = field.register
      default: return nil
      }
    }
    guard let key else { return nil }
    if let to { return .conntrack(key: key, direction: direction, to: to) }
    return from.map { .conntrackWrite(key: key, direction: direction, from: $0) }
  }

  private static func fib(_ fields: Attributes) -> RuleExpression? {
    var result: UInt32?
    var flags: UInt32?
    var to: Register?
    for field in fields {
      switch field.type {
      case NFTA_FIB_DREG: to = field.register
      case NFTA_FIB_RESULT: result = field.big32
      case NFTA_FIB_FLAGS: flags = field.big32
      default: return nil
      }
    }
    guard let result, let flags, let to else { return nil }
    return .fib(result: result, flags: flags, to: to)
  }

  private static func route(_ fields: Attributes) -> RuleExpression? {
    var key: UInt32?
    var to: Register?
    for field in fields {
      switch field.type {
      case NFTA_RT_DREG: to = field.register
      case NFTA_RT_KEY: key = field.big32
      default: return nil
      }
    }
    guard let key, let to else { return nil }
    return .route(key: key, to: to)
  }

  private static func socket(_ fields: Attributes) -> RuleExpression? {
    var key: UInt32?
    var level: UInt32 = 0
    var to: Register?
    for field in fields {
      switch field.type {
      case NFTA_SOCKET_DREG: to = field.register
      case NFTA_SOCKET_KEY: key = field.big32
      case NFTA_SOCKET_LEVEL: level = field.big32 ?? 0
      default: return nil
      }
    }
    guard let key, let to else { return nil }
    return .socket(key: key, level: level, to: to)
  }

  private static func extensionHeader(_ fields: Attributes) -> RuleExpression? {
    var header = ExtensionHeader()
    for field in fields {
      switch field.type {
      case NFTA_EXTHDR_DREG: header.to = field.register
      case NFTA_EXTHDR_SREG: header.from = field.register
      case NFTA_EXTHDR_TYPE: header.type = field.u8 ?? 0
      case NFTA_EXTHDR_OFFSET: header.offset = field.big32 ?? 0
      case NFTA_EXTHDR_LEN: header.length = field.big32 ?? 0
      case NFTA_EXTHDR_FLAGS: header.flags = field.big32 ?? 0
      case NFTA_EXTHDR_OP: header.operation = field.big32 ?? 0
      default: return nil
      }
    }
    return .extensionHeader(header)
  }

  private static func immediate(_ fields: Attributes) -> RuleExpression? {
    var to: Register?
    var data: DataValue?
    for field in fields {
      switch field.type {
      case NFTA_IMMEDIATE_DREG: to = field.register
      case NFTA_IMMEDIATE_DATA: data = DataValue(field.nested)
      default: return nil
      }
    }
    switch (to, data) {
    case (.some(.verdict), .verdict(let verdict)): return .verdict(verdict)
    case (.some(let to), .value(let bytes)) where to != .verdict:
      return RegisterValue(bytes).map { .immediate(to: to, $0) }
    default: return nil
    }
  }

  // MARK: Computing and comparing

  private static func compare(_ fields: Attributes) -> RuleExpression? {
    var from: Register?
    var comparison: Comparison?
    var data: RegisterValue?
    for field in fields {
      switch field.type {
      case NFTA_CMP_SREG: from = field.register
      case NFTA_CMP_OP: comparison = field.big32.flatMap(Comparison.init(number:))
      case NFTA_CMP_DATA: data = RegisterValue(field.nested)
      default: return nil
      }
    }
    guard let from, let comparison, let data else { return nil }
    return .compare(comparison, from: from, data)
  }

  private static func range(_ fields: Attributes) -> RuleExpression? {
    var from: Register?
    var operation: UInt32?
    var low: RegisterValue?
    var high: RegisterValue?
    for field in fields {
      switch field.type {
      case NFTA_RANGE_SREG: from = field.register
      case NFTA_RANGE_OP: operation = field.big32
      case NFTA_RANGE_FROM_DATA: low = RegisterValue(field.nested)
      case NFTA_RANGE_TO_DATA: high = RegisterValue(field.nested)
      default: return nil
      }
    }
    guard let from, let operation, operation <= 1, let low, let high else { return nil }
    return .range(negated: operation == 1, from: from, low: low, high: high)
  }

  private static func bitwise(_ fields: Attributes) -> RuleExpression? {
    var from: Register?
    var to: Register?
    var mask: RegisterValue?
    var xor: RegisterValue?
    for field in fields {
      switch field.type {
      case NFTA_BITWISE_SREG: from = field.register
      case NFTA_BITWISE_DREG: to = field.register
      case NFTA_BITWISE_LEN: break  // the masks' length
      case NFTA_BITWISE_MASK: mask = RegisterValue(field.nested)
      case NFTA_BITWISE_XOR: xor = RegisterValue(field.nested)
      case NFTA_BITWISE_OP where field.big32 == 0: break
      default: return nil  // shifts, and operations on two registers
      }
    }
    guard let from, let to, let mask, let xor, mask.count == xor.count else { return nil }
    return .bitwise(from: from, to: to, mask: mask, xor: xor)
  }

  private static func byteOrder(_ fields: Attributes) -> RuleExpression? {
    var from: Register?
    var to: Register?
    var operation: UInt32?
    var length: UInt32?
    var size: UInt32?
    for field in fields {
      switch field.type {
      case NFTA_BYTEORDER_SREG: from = field.register
      case NFTA_BYTEORDER_DREG: to = field.register
      case NFTA_BYTEORDER_OP: operation = field.big32
      case NFTA_BYTEORDER_LEN: length = field.big32
      case NFTA_BYTEORDER_SIZE: size = field.big32
      default: return nil
      }
    }
    guard let from, let to, let operation, let length = length.flatMap(UInt8.init(exactly:)),
      let size = size.flatMap(UInt8.init(exactly:)), operation <= 1
    else { return nil }
    return .byteOrder(from: from, to: to, toHost: operation == 0, length: length, size: size)
  }

  private static func lookup(_ fields: Attributes) -> RuleExpression? {
    var set: String?
    var from: Register?
    var to: Register?
    var flags: UInt32 = 0
    for field in fields {
      switch field.type {
      case NFTA_LOOKUP_SET: set = field.string
      case NFTA_LOOKUP_SREG: from = field.register
      case NFTA_LOOKUP_DREG: to = field.register
      case NFTA_LOOKUP_SET_ID: break
      case NFTA_LOOKUP_FLAGS: flags = field.big32 ?? ~0
      default: return nil
      }
    }
    guard let set, let from, flags <= 1 else { return nil }
    return .lookup(set: set, from: from, to: to, negated: flags == 1)
  }

  // MARK: Matches and targets of iptables

  private static func xtables(_ fields: Attributes) -> (String, UInt8, Bytes)? {
    var name: String?
    var revision: UInt32?
    var info: Bytes?
    for field in fields {
      switch field.type {
      case NFTA_MATCH_NAME: name = field.string  // the numbers of NFTA_TARGET_* are the same
      case NFTA_MATCH_REV: revision = field.big32
      case NFTA_MATCH_INFO: info = field.payload
      default: return nil
      }
    }
    guard let name, let revision = revision.flatMap(UInt8.init(exactly:)), let info else {
      return nil
    }
    return (name, revision, info)
  }
}
