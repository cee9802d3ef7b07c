// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

/// The tables of nftables while their parts come in, message by message.
package struct NftablesRuleset {
  package var tables: [RuleTable] = []
  private var tableIndex: [TableKey: Int] = [:]
  private var chainIndex: [[String: Int]] = []
  private var keyLengths: [[String: Int]] = []
  private var tableHandles: [UInt64?] = []
  /// The sets whose elements are part of the ruleset.
  private(set) var setsToRead: [SetToRead] = []
  /// The sets that rules add elements to, or take some from, by table.
  private var updatedSets: [Set<String>] = []
  /// Where the last rule went: rules come chain by chain.
  private var last: (key: TableKey, chain: String, at: (Int, Int))?

  /// Where a set is.
  struct SetToRead {
    var table: Int
    var set: Int
    var identity: Identity?
    /// Whether its elements never read otherwise: those of a named set do, and those of a verdict map when
    /// a chain is renamed.
    var isConstant: Bool
    /// Anonymous sets are as long as a rule that somebody wrote.
    var isNamed: Bool

    /// Handles, which the kernel uses once in a namespace and in a table.
    struct Identity: Hashable {
      var table: UInt64
      var set: UInt64
    }
  }

  /// What became of a message. A part whose table or chain is not known was made after these were
  /// read.
  package enum Added { case yes, ownerMissing, malformed }

  package init() {}

  package mutating func addTable(_ payload: Bytes) -> Added {
    guard let table = RuleTable.parse(payload),
      let key = TableKey(payload, name: table.name)
    else { return .malformed }
    tableIndex[key] = tables.count
    tables.append(table)
    chainIndex.append([:])
    keyLengths.append([:])
    let handle = Int(NFTA_TABLE_HANDLE.rawValue)
    updatedSets.append([])
    tableHandles.append(Attributes(payload, after: 4).first(handle)?.big64)
    return .yes
  }

  package mutating func addChain(_ payload: Bytes) -> Added {
    guard let (table, chain) = Chain.parse(payload) else { return .malformed }
    guard let at = index(payload, table) else { return .ownerMissing }
    chainIndex[at][chain.name] = tables[at].chains.count
    tables[at].chains.append(chain)
    return .yes
  }

  package mutating func addSet(_ payload: Bytes) -> Added {
    guard let (table, set) = NamedSet.parse(payload) else { return .malformed }
    guard let at = index(payload, table) else { return .ownerMissing }
    keyLengths[at][set.name] = Int(set.keyLength)
    let isNamed = !set.flags.contains(.anonymous)
    if !isNamed || set.isSteady {
      let isConstant =
        !isNamed && set.flags.contains(.constant)
        && set.flags.isDisjoint(with: [.map, .objectMap])
      var place = SetToRead(
        table: at, set: tables[at].sets.count, identity: nil, isConstant: isConstant,
        isNamed: isNamed)
      let handle = Attributes(payload, after: 4).first(Int(NFTA_SET_HANDLE.rawValue))?.big64
      if let handle, let table = tableHandles[at] {
        place.identity = .init(table: table, set: handle)
      }
      setsToRead.append(place)
    }
    tables[at].sets.append(set)
    return .yes
  }

  package mutating func addObject(_ payload: Bytes) -> Added {
    guard let (table, object) = NamedObject.parse(payload) else { return .malformed }
    guard let at = index(payload, table) else { return .ownerMissing }
    tables[at].objects.append(object)
    return .yes
  }

  package mutating func addFlowtable(_ payload: Bytes) -> Added {
    guard let (table, flowtable) = Flowtable.parse(payload) else { return .malformed }
    guard let at = index(payload, table) else { return .ownerMissing }
    tables[at].flowtables.append(flowtable)
    return .yes
  }

  package mutating func addRule(_ payload: Bytes) -> Added {
    let parsed = Rule.parse(payload) { table, set in
      index(payload, table).flatMap { keyLengths[$0][set] }
    }
    guard let (table, chain, rule) = parsed, let key = TableKey(payload, name: table) else {
      return .malformed
    }
    if last?.key != key || last?.chain != chain {
      guard let at = tableIndex[key], let inner = chainIndex[at][chain] else {
        return .ownerMissing
      }
      last = (key, chain, (at, inner))
    }
    guard let at = last?.at else { return .ownerMissing }
    tables[at.0].chains[at.1].rules.append(rule)
    for expression in rule.expressions {
      switch expression {
      case .updateSet(let update): updatedSets[at.0].insert(update.set)
      case .other(let kept) where kept.name == "dynset":
        updatedSets[at.0].formUnion(tables[at.0].sets.map(\.name))
      default: break
      }
    }
    return .yes
  }

  /// The tables, each with the tool that made it, and without elements that packets may change.
  package var finished: [RuleTable] {
    zip(tables, updatedSets).map { table, updated in
      var table = table
      if table.looksMadeByIptables { table.backend = .iptablesNft }
      for place in table.sets.indices where updated.contains(table.sets[place].name) {
        (table.sets[place].elements, table.sets[place].isRead) = ([], false)
      }
      return table
    }
  }

  private func index(_ payload: Bytes, _ table: String) -> Int? {
    TableKey(payload, name: table).flatMap { tableIndex[$0] }
  }
}

extension RuleTable {
  /// Whether the table is what iptables-nft makes: one of its table names, and every base chain one
  /// of the built-in chains of that table with its type, hook and priority. The kernel does not note
  /// who made a table; nft can make one that is the same in all of this, and then it also behaves so.
  package var looksMadeByIptables: Bool {
    let based = chains.filter { $0.base != nil }
    return !based.isEmpty
      && based.allSatisfy { chain in
        guard let base = chain.base, base.devices.isEmpty,
          let builtin = BaseChain.iptables(family, table: name, chain: chain.name)
        else { return false }
        // iptables-nft hooks `security` at 150, where the kernel's own table is at 50.
        let priority = name == "security" ? 150 : builtin.priority
        return base.hook == builtin.hook && base.priority == priority && base.type == builtin.type
      }
  }
}

extension BaseChain {
  /// A built-in chain as iptables, ip6tables, arptables and ebtables make it with nftables. Of
  /// iptables-legacy hook and priority are the same.
  package static func iptables(
    _ family: RuleFamily, table: String, chain: String
  ) -> BaseChain? {
    let hooks: [String: ChainHook] = [
      "PREROUTING": .prerouting, "INPUT": .input, "FORWARD": .forward, "OUTPUT": .output,
      "POSTROUTING": .postrouting,
    ]
    guard let hook = hooks[chain] else { return nil }
    let priority: Int32? =
      switch family {
      case .ip, .ip6: inet(table, hook)
      case .arp: table == "filter" && (hook == .input || hook == .output) ? 0 : nil
      case .bridge: bridge(table, hook)
      case .inet, .netdev: nil
      }
    guard let priority else { return nil }
    let type =
      switch table {
      case "nat" where family != .bridge: "nat"
      case "mangle" where hook == .output: "route"
      default: "filter"
      }
    return BaseChain(hook: hook, priority: priority, type: type, policy: .accept)
  }

  private static func inet(_ table: String, _ hook: ChainHook) -> Int32? {
    switch (table, hook) {
    case ("filter", .input), ("filter", .forward), ("filter", .output): 0
    case ("mangle", _): -150
    case ("raw", .prerouting), ("raw", .output): -300
    case ("nat", .prerouting), ("nat", .output): -100
    case ("nat", .input), ("nat", .postrouting): 100
    case ("security", .input), ("security", .forward), ("security", .output): 50
    default: nil
    }
  }

  private static func bridge(_ table: String, _ hook: ChainHook) -> Int32? {
    switch (table, hook) {
    case ("filter", .input), ("filter", .forward), ("filter", .output): -200
    case ("nat", .prerouting): -300
    case ("nat", .output): 100
    case ("nat", .postrouting): 300
    default: nil
    }
  }
}
