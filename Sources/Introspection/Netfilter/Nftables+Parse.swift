// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

// NFT_MSG_NEW* messages: `struct nfgenmsg` (family, version, resource), then attributes.

/// Which table of nftables: names are unique in a family only.
struct TableKey: Hashable {
  var family: RuleFamily
  var name: String

  init?(_ payload: Bytes, name: String) {
    guard let family = payload[0].flatMap(RuleFamily.init(rawValue:)), !name.isEmpty else {
      return nil
    }
    (self.family, self.name) = (family, name)
  }
}

extension RuleTable {
  /// NFT_MSG_NEWTABLE; without chains, and of backend `.nftables` until they are known.
  package static func parse(_ payload: Bytes) -> RuleTable? {
    var name = ""
    var flags: UInt32 = 0
    var serial: UInt64 = 0
    for field in Attributes(payload, after: 4) {
      switch field.type {
      case NFTA_TABLE_NAME: name = field.string
      case NFTA_TABLE_HANDLE: serial = field.big64 ?? 0
      case NFTA_TABLE_FLAGS: flags = field.big32 ?? 0
      default: break
      }
    }
    guard let key = TableKey(payload, name: name) else { return nil }
    var table = RuleTable(family: key.family, name: key.name, backend: .nftables)
    table.flags = Flags(rawValue: flags)
    table.serial.value = serial
    return table
  }
}

extension Chain {
  /// NFT_MSG_NEWCHAIN; without its rules.
  package static func parse(_ payload: Bytes) -> (table: String, chain: Chain)? {
    var table = ""
    var chain = Chain(name: "")
    var hook: Attributes?
    var type = ""
    var policy = Verdict.accept
    for field in Attributes(payload, after: 4) {
      switch field.type {
      case NFTA_CHAIN_TABLE: table = field.string
      case NFTA_CHAIN_NAME: chain.name = field.string
      case NFTA_CHAIN_HOOK: hook = field.nested
      case NFTA_CHAIN_TYPE: type = field.string
      case NFTA_CHAIN_POLICY: policy = field.big32.map(policy(of:)) ?? .unknown(-1)
      case NFTA_CHAIN_FLAGS: chain.flags = (field.big32 ?? 0) & ~1  // NFT_CHAIN_BASE: see `base`
      default: break
      }
    }
    guard let key = TableKey(payload, name: table), !chain.name.isEmpty else { return nil }
    if let hook { chain.base = BaseChain(hook, key.family, type: type, policy: policy) }
    return (table, chain)
  }

  private static func policy(of number: UInt32) -> Verdict {
    switch number {
    case 0: .drop
    case 1: .accept
    default: .unknown(Int32(bitPattern: number))
    }
  }
}

extension BaseChain {
  init(_ hook: Attributes, _ family: RuleFamily, type: String, policy: Verdict) {
    var number: UInt32 = .max
    var priority: Int32 = 0
    var devices: [String] = []
    for field in hook {
      switch field.type {
      case NFTA_HOOK_HOOKNUM: number = field.big32 ?? .max
      case NFTA_HOOK_PRIORITY: priority = field.big32.map(Int32.init(bitPattern:)) ?? 0
      case NFTA_HOOK_DEV: devices = [field.string]
      case NFTA_HOOK_DEVS: devices = field.nested.map(device).sorted()
      default: break
      }
    }
    self.init(
      hook: ChainHook(number: number, family: family), priority: priority, type: type,
      policy: policy, devices: devices)
  }
}

/// NFTA_DEVICE_NAME, or since Linux 6.16 NFTA_DEVICE_PREFIX.
private func device(_ field: Attribute) -> String {
  field.type == 2 ? field.string + "*" : field.string
}

extension Rule {
  /// NFT_MSG_NEWRULE.
  ///
  /// - Parameter keyLength: the length of the keys of a set of the rule's table.
  package static func parse(
    _ payload: Bytes, keyLength: (_ table: String, _ set: String) -> Int? = { _, _ in nil }
  ) -> (table: String, chain: String, rule: Rule)? {
    guard let family = payload[0].flatMap(RuleFamily.init(rawValue:)) else { return nil }
    var table = ""
    var chain = ""
    var rule = Rule(handle: 0)
    var comment: String?
    for field in Attributes(payload, after: 4) {
      switch field.type {
      case NFTA_RULE_TABLE: table = field.string
      case NFTA_RULE_CHAIN: chain = field.string
      case NFTA_RULE_HANDLE: rule.handle = field.big64 ?? 0
      case NFTA_RULE_EXPRESSIONS:
        rule.expressions = expressions(field.nested, family)
      case NFTA_RULE_USERDATA: comment = Self.comment(field.payload)
      default: break
      }
    }
    guard !table.isEmpty, !chain.isEmpty else { return nil }
    rule.lower(family: family) { keyLength(table, $0) }
    if let comment { rule.matches.append(.comment(comment)) }
    return (table, chain, rule)
  }

  /// Counted first: an array that grows keeps twice the memory it needs.
  private static func expressions(_ list: Attributes, _ family: RuleFamily) -> [RuleExpression] {
    var expressions: [RuleExpression] = []
    var count = 0
    for _ in list { count += 1 }
    expressions.reserveCapacity(count)
    for element in list { expressions.append(.parse(element.nested, family: family)) }
    return expressions
  }

  /// nft's own notes on a rule: type, length, value; type 0 is the comment.
  private static func comment(_ notes: Bytes) -> String? {
    var rest = notes
    while let type = rest[0], let length = rest[1], let value = rest.slice(2, Int(length)) {
      if type == 0 { return value.string }
      guard let next = rest.dropping(2 + Int(length)) else { return nil }
      rest = next
    }
    return nil
  }
}

extension NamedSet {
  /// NFT_MSG_NEWSET; without elements.
  package static func parse(_ payload: Bytes) -> (table: String, set: NamedSet)? {
    var table = ""
    var set = NamedSet(name: "")
    for field in Attributes(payload, after: 4) {
      switch field.type {
      case NFTA_SET_TABLE: table = field.string
      case NFTA_SET_NAME: set.name = field.string
      case NFTA_SET_FLAGS: set.flags = Flags(rawValue: field.big32 ?? 0)
      case NFTA_SET_KEY_TYPE: set.keyType = field.big32 ?? 0
      case NFTA_SET_KEY_LEN: set.keyLength = field.big32 ?? 0
      case NFTA_SET_DATA_TYPE: set.dataType = field.big32 ?? 0
      case NFTA_SET_DATA_LEN: set.dataLength = field.big32 ?? 0
      case NFTA_SET_OBJ_TYPE: set.objectType = field.big32 ?? 0
      case NFTA_SET_TIMEOUT: set.timeout = field.big64 ?? 0
      case NFTA_SET_DESC: set.describe(field.nested)
      case NFTA_SET_EXPR: set.statements = [statement(field.nested)]
      case NFTA_SET_EXPRESSIONS: set.statements = field.nested.map { statement($0.nested) }
      default: break
      }
    }
    guard TableKey(payload, name: table) != nil, !set.name.isEmpty else { return nil }
    return (table, set)
  }

  private static func statement(_ element: Attributes) -> String {
    element.first(Int(NFTA_EXPR_NAME.rawValue))?.string ?? ""
  }

  private mutating func describe(_ description: Attributes) {
    for field in description {
      switch field.type {
      case NFTA_SET_DESC_SIZE: size = field.big32 ?? 0
      case NFTA_SET_DESC_CONCAT:
        fields = field.nested.compactMap {
          $0.nested.first(Int(NFTA_SET_FIELD_LEN.rawValue))?.big32
        }
      default: break
      }
    }
  }

  /// The elements in one NFT_MSG_NEWSETELEM; a big set comes in several.
  package static func elements(_ payload: Bytes) -> [Element] {
    let list = Int(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue)
    guard let elements = Attributes(payload, after: 4).first(list) else { return [] }
    return elements.nested.compactMap { Element($0.nested) }
  }
}

extension NamedSet.Element {
  fileprivate init?(_ fields: Attributes) {
    self.init(key: [])
    var flags: UInt32 = 0
    for field in fields {
      switch field.type {
      case NFTA_SET_ELEM_KEY:
        guard case .value(let bytes) = DataValue(field.nested) else { return nil }
        key = bytes.array
      case NFTA_SET_ELEM_KEY_END:
        guard case .value(let bytes) = DataValue(field.nested) else { return nil }
        keyEnd = bytes.array
      case NFTA_SET_ELEM_DATA:
        switch DataValue(field.nested) {
        case .value(let bytes): value = .data(bytes.array)
        case .verdict(let verdict): value = .verdict(verdict)
        case nil: return nil
        }
      case NFTA_SET_ELEM_OBJREF: value = .object(field.string)
      case NFTA_SET_ELEM_FLAGS: flags = field.big32 ?? 0
      case NFTA_SET_ELEM_EXPR, NFTA_SET_ELEM_EXPRESSIONS: runsStatements = true
      default: break
      }
    }
    isEnd = flags & 1 != 0
    isCatchAll = flags & 2 != 0
    if key.isEmpty && !isCatchAll { return nil }
  }

  package init(key: [UInt8]) { self.key = key }

  /// An order that does not depend on the kernel's hash seed; the end of a range sorts before the
  /// start of another at the same key.
  package static func inOrder(_ a: NamedSet.Element, _ b: NamedSet.Element) -> Bool {
    if a.key != b.key { return a.key.lexicographicallyPrecedes(b.key) }
    if a.isEnd != b.isEnd { return a.isEnd }
    return (a.keyEnd ?? []).lexicographicallyPrecedes(b.keyEnd ?? [])
  }
}

extension NamedObject {
  /// NFT_MSG_NEWOBJ.
  package static func parse(_ payload: Bytes) -> (table: String, object: NamedObject)? {
    var table = ""
    var object = NamedObject(name: "", type: 0, fingerprint: 0)
    var data = Bytes(nil, count: 0)
    for field in Attributes(payload, after: 4) {
      switch field.type {
      case NFTA_OBJ_TABLE: table = field.string
      case NFTA_OBJ_NAME: object.name = field.string
      case NFTA_OBJ_TYPE: object.type = field.big32 ?? 0
      case NFTA_OBJ_DATA: data = field.payload
      default: break
      }
    }
    guard TableKey(payload, name: table) != nil, !object.name.isEmpty else { return nil }
    switch Int32(bitPattern: object.type) {
    case NFT_OBJECT_COUNTER: object.fingerprint = 0
    case NFT_OBJECT_QUOTA: object.fingerprint = RuleExpression.quota(data)
    default: object.fingerprint = data.fingerprint()
    }
    return (table, object)
  }
}

extension Flowtable {
  /// NFT_MSG_NEWFLOWTABLE.
  package static func parse(_ payload: Bytes) -> (table: String, flowtable: Flowtable)? {
    var table = ""
    var flowtable = Flowtable(name: "", hook: 0, priority: 0, flags: 0, devices: [])
    for field in Attributes(payload, after: 4) {
      switch field.type {
      case NFTA_FLOWTABLE_TABLE: table = field.string
      case NFTA_FLOWTABLE_NAME: flowtable.name = field.string
      case NFTA_FLOWTABLE_FLAGS: flowtable.flags = field.big32 ?? 0
      case NFTA_FLOWTABLE_HOOK:
        for hook in field.nested {
          switch hook.type {
          case NFTA_FLOWTABLE_HOOK_NUM: flowtable.hook = hook.big32 ?? 0
          case NFTA_FLOWTABLE_HOOK_PRIORITY:
            flowtable.priority = hook.big32.map(Int32.init(bitPattern:)) ?? 0
          case NFTA_FLOWTABLE_HOOK_DEVS: flowtable.devices = hook.nested.map(device).sorted()
          default: break
          }
        }
      default: break
      }
    }
    guard TableKey(payload, name: table) != nil, !flowtable.name.isEmpty else { return nil }
    return (table, flowtable)
  }
}
