// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

// The expressions that do something rather than look at the packet.

extension RuleExpression {
  static func limit(_ fields: Attributes) -> RuleExpression? {
    var limit = Limit()
    for field in fields {
      switch field.type {
      case NFTA_LIMIT_RATE: limit.rate = field.big64 ?? 0
      case NFTA_LIMIT_UNIT: limit.unit = field.big64 ?? 0
      case NFTA_LIMIT_BURST: limit.burst = field.big32 ?? 0
      case NFTA_LIMIT_TYPE: limit.type = field.big32 ?? 0
      case NFTA_LIMIT_FLAGS: limit.flags = field.big32 ?? 0
      case NFTA_LIMIT_PAD: break
      default: return nil
      }
    }
    return .limit(limit)
  }

  static func log(_ fields: Attributes) -> RuleExpression? {
    var log = Log()
    for field in fields {
      switch field.type {
      case NFTA_LOG_GROUP: log.group = field.big16
      case NFTA_LOG_PREFIX: log.prefix = field.string
      case NFTA_LOG_SNAPLEN: log.snapLength = field.big32 ?? 0
      case NFTA_LOG_QTHRESHOLD: log.queueThreshold = field.big16 ?? 0
      case NFTA_LOG_LEVEL: log.level = field.big32
      case NFTA_LOG_FLAGS: log.flags = field.big32 ?? 0
      default: return nil
      }
    }
    return .log(log)
  }

  static func reject(_ fields: Attributes) -> RuleExpression? {
    var type: UInt32?
    var code: UInt8 = 0
    for field in fields {
      switch field.type {
      case NFTA_REJECT_TYPE: type = field.big32
      case NFTA_REJECT_ICMP_CODE: code = field.u8 ?? 0
      default: return nil
      }
    }
    return type.map { .reject(type: $0, code: code) }
  }

  static func nat(_ fields: Attributes) -> RuleExpression? {
    var nat = NAT(kind: .source)
    for field in fields {
      switch field.type {
      case NFTA_NAT_TYPE:
        guard let type = field.big32, type <= 1 else { return nil }
        nat.kind = type == 0 ? .source : .destination
      case NFTA_NAT_FAMILY: nat.family = field.big32 ?? 0
      case NFTA_NAT_REG_ADDR_MIN: nat.addresses[0] = field.register
      case NFTA_NAT_REG_ADDR_MAX: nat.addresses[1] = field.register
      case NFTA_NAT_REG_PROTO_MIN: nat.ports[0] = field.register
      case NFTA_NAT_REG_PROTO_MAX: nat.ports[1] = field.register
      case NFTA_NAT_FLAGS: nat.flags = field.big32 ?? 0
      default: return nil
      }
    }
    return .nat(nat)
  }

  static func masquerade(_ fields: Attributes) -> RuleExpression? {
    var nat = NAT(kind: .masquerade)
    for field in fields {
      switch field.type {
      case NFTA_MASQ_FLAGS: nat.flags = field.big32 ?? 0
      case NFTA_MASQ_REG_PROTO_MIN: nat.ports[0] = field.register
      case NFTA_MASQ_REG_PROTO_MAX: nat.ports[1] = field.register
      default: return nil
      }
    }
    return .nat(nat)
  }

  static func redirect(_ fields: Attributes) -> RuleExpression? {
    var nat = NAT(kind: .redirect)
    for field in fields {
      switch field.type {
      case NFTA_REDIR_REG_PROTO_MIN: nat.ports[0] = field.register
      case NFTA_REDIR_REG_PROTO_MAX: nat.ports[1] = field.register
      case NFTA_REDIR_FLAGS: nat.flags = field.big32 ?? 0
      default: return nil
      }
    }
    return .nat(nat)
  }

  static func object(_ fields: Attributes) -> RuleExpression? {
    var type: UInt32 = 0
    var name: String?
    var from: Register?
    var set: String?
    for field in fields {
      switch field.type {
      case NFTA_OBJREF_IMM_TYPE: type = field.big32 ?? 0
      case NFTA_OBJREF_IMM_NAME: name = field.string
      case NFTA_OBJREF_SET_SREG: from = field.register
      case NFTA_OBJREF_SET_NAME: set = field.string
      case NFTA_OBJREF_SET_ID: break
      default: return nil
      }
    }
    if let name { return .object(type: type, name: name) }
    guard let set, let from else { return nil }
    return .objectMap(set: set, from: from)
  }

  static func dynamicSet(_ fields: Attributes, _ family: RuleFamily) -> RuleExpression? {
    var update = DynamicSet()
    for field in fields {
      switch field.type {
      case NFTA_DYNSET_SET_NAME: update.set = field.string
      case NFTA_DYNSET_SET_ID, NFTA_DYNSET_PAD: break
      case NFTA_DYNSET_OP: update.operation = field.big32 ?? 0
      case NFTA_DYNSET_SREG_KEY: update.key = field.register
      case NFTA_DYNSET_SREG_DATA: update.data = field.register
      case NFTA_DYNSET_TIMEOUT: update.timeout = field.big64 ?? 0
      case NFTA_DYNSET_FLAGS: update.flags = field.big32 ?? 0
      case NFTA_DYNSET_EXPR: update.statements = [statement(field.nested, family)]
      case NFTA_DYNSET_EXPRESSIONS:
        update.statements = field.nested.map { statement($0.nested, family) }
      default: return nil
      }
    }
    return .updateSet(update)
  }

  /// A statement of a set's elements. Never one that holds statements itself: the kernel allows only
  /// counters, limits and the like, and garbage shall not nest without end.
  private static func statement(_ element: Attributes, _ family: RuleFamily) -> RuleExpression {
    let name = element.first(Int(NFTA_EXPR_NAME.rawValue))?.string ?? ""
    return name == "dynset" ? .other(UnknownExtension(name)) : parse(element, family: family)
  }

  static func transparentProxy(_ fields: Attributes) -> RuleExpression? {
    var family: UInt32 = 0
    var address: Register?
    var port: Register?
    for field in fields {
      switch field.type {
      case NFTA_TPROXY_FAMILY: family = field.big32 ?? 0
      case NFTA_TPROXY_REG_ADDR: address = field.register
      case NFTA_TPROXY_REG_PORT: port = field.register
      default: return nil
      }
    }
    return .transparentProxy(family: family, address: address, port: port)
  }

  static func queue(_ fields: Attributes) -> RuleExpression? {
    var number: UInt16 = 0
    var count: UInt16 = 1
    var flags: UInt16 = 0
    var from: Register?
    for field in fields {
      switch field.type {
      case NFTA_QUEUE_NUM: number = field.big16 ?? 0
      case NFTA_QUEUE_TOTAL: count = field.big16 ?? 1
      case NFTA_QUEUE_FLAGS: flags = field.big16 ?? 0
      case NFTA_QUEUE_SREG_QNUM: from = field.register
      default: return nil
      }
    }
    return .queue(number: number, count: count, flags: flags, from: from)
  }
}
