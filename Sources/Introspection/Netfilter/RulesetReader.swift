// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Glibc
import Netlink

/// Reads every firewall of the network namespace it was created in: iptables-legacy, nftables (and so
/// iptables-nft) and the ipsets. One thread uses it; its socket serves all reads.
///
/// Reading changes nothing in the kernel: a table of iptables-legacy that is not there is not asked
/// for, because asking would create it and hook it into the packet path.
package final class RulesetReader {
  private var socket: NetlinkSocket
  private typealias SetIdentity = NftablesRuleset.SetToRead.Identity
  private var constantElements: [SetIdentity: [NamedSet.Element]] = [:]
  /// Named sets that had too many elements: they are not asked again, which would take its time.
  private var longSets: Set<SetIdentity> = []
  /// Behind the highest index of an ipset; `nil`: not looked for yet.
  private var setsEnd: Int?
  private static let setsAtFirst = 1024
  private static let setsAhead = 8

  package init() throws(NetlinkError) {
    // The kernel answers dumps in pieces no larger than what is read, whatever the buffer's size.
    socket = try NetlinkSocket(NETLINK_NETFILTER)
  }

  /// How often a ruleset that changes while it is read is read again.
  static let attempts = 10

  /// How many elements of a named set are part of the ruleset: reading them takes about two microseconds
  /// each, with every commit.
  package static let elementLimit = 65_536

  // MARK: nftables

  /// All tables of nftables, as of one generation. Generation 0 is a kernel without nftables.
  package func readNftables() throws(NetlinkError) -> (generation: UInt32, tables: [RuleTable]) {
    for _ in 0..<Self.attempts {
      guard let before = try generation() else { return (0, []) }
      do throws(NetlinkError) {
        let tables = try dumpNftables()
        if try generation() == before { return (before, tables) }
      } catch {
        guard case .interrupted = error else { throw error }
      }
    }
    throw .interrupted(what: "reading the nftables ruleset \(Self.attempts) times")
  }

  /// The number of the last commit to nftables; `nil` where the kernel has none.
  package func generation() throws(NetlinkError) -> UInt32? {
    var generation: UInt32?
    do throws(NetlinkError) {
      try socket.ask("reading the nftables generation", .nftables(NFT_MSG_GETGEN)) {
        (message) throws(NetlinkError) in
        let id = Int(NFTA_GEN_ID.rawValue)
        generation = Attributes(message.payload, after: 4).first(id)?.big32 ?? generation
      }
    } catch  where error.saysMissing { return nil }
    guard let generation else { throw .malformed(what: "reading the nftables generation") }
    return generation
  }

  private func dumpNftables() throws(NetlinkError) -> [RuleTable] {
    var ruleset = NftablesRuleset()
    try dump(NFT_MSG_GETTABLE, "tables") { ruleset.addTable($0) }
    if ruleset.tables.isEmpty { return [] }
    try dump(NFT_MSG_GETCHAIN, "chains") { ruleset.addChain($0) }
    try dump(NFT_MSG_GETSET, "sets") { ruleset.addSet($0) }
    try dump(NFT_MSG_GETOBJ, "objects", optional: true) { ruleset.addObject($0) }
    try dump(NFT_MSG_GETFLOWTABLE, "flowtables", optional: true) { ruleset.addFlowtable($0) }
    try addElements(to: &ruleset)
    try dump(NFT_MSG_GETRULE, "rules") { ruleset.addRule($0) }
    return ruleset.finished
  }

  /// Asks for the elements of each set that is part of the ruleset. The kernel finds a set by walking all of
  /// a table's, so that thousands of them take seconds; those that cannot have changed are not asked for
  /// again.
  private func addElements(to ruleset: inout NftablesRuleset) throws(NetlinkError) {
    var kept: [SetIdentity: [NamedSet.Element]] = [:]
    var long: Set<SetIdentity> = []
    for place in ruleset.setsToRead {
      let (table, set, identity) = (place.table, place.set, place.identity)
      if place.isNamed, let identity, longSets.contains(identity) {
        long.insert(identity)
        continue
      }
      var elements = place.isConstant ? identity.flatMap { constantElements[$0] } : nil
      if elements == nil {
        elements = try self.elements(
          of: ruleset.tables[table].sets[set].name, table: ruleset.tables[table].name,
          family: ruleset.tables[table].family, upTo: place.isNamed ? Self.elementLimit : .max)
      }
      guard let elements else {
        if let identity {
          long.insert(identity)
          longSets.insert(identity)
        }
        continue
      }
      ruleset.tables[table].sets[set].elements = elements
      ruleset.tables[table].sets[set].isRead = true
      if place.isConstant, let identity {
        kept[identity] = elements
        constantElements[identity] = elements  // at hand if this attempt is interrupted
      }
    }
    (constantElements, longSets) = (kept, long)
  }

  /// The elements of a set, in the order of their keys.
  package func elements(
    of set: String, table: String, family: RuleFamily
  ) throws(NetlinkError) -> [NamedSet.Element] {
    try elements(of: set, table: table, family: family, upTo: .max) ?? []
  }

  /// `nil` where there are more than `limit`.
  private func elements(
    of set: String, table: String, family: RuleFamily, upTo limit: Int
  ) throws(NetlinkError) -> [NamedSet.Element]? {
    var request = Request.nftables(NFT_MSG_GETSETELEM, family: family.rawValue)
    request.attribute(Int(NFTA_SET_ELEM_LIST_TABLE.rawValue), table)
    request.attribute(Int(NFTA_SET_ELEM_LIST_SET.rawValue), set)
    var elements: [NamedSet.Element] = []
    do throws(NetlinkError) {
      try socket.dump("reading the elements of nftables set \(set)", request) {
        (message) throws(NetlinkError) in
        if elements.count <= limit { elements += NamedSet.elements(message.payload) }
      }
    } catch {
      // The set went while the ruleset was read.
      if error.code == ENOENT { throw .interrupted(what: "reading nftables set \(set)") }
      throw error
    }
    if elements.count > limit { return nil }
    elements.sort(by: NamedSet.Element.inOrder)
    return elements
  }

  /// - Parameter optional: whether older kernels have no such things.
  func dump(
    _ type: nf_tables_msg_types, _ what: String, optional: Bool = false,
    _ add: (Bytes) -> NftablesRuleset.Added
  ) throws(NetlinkError) {
    let what = "reading the nftables \(what)"
    do throws(NetlinkError) {
      try socket.dump(what, .nftables(type)) { (message) throws(NetlinkError) in
        switch add(message.payload) {
        case .yes: break
        case .ownerMissing: throw .interrupted(what: what)
        case .malformed: throw .malformed(what: what)
        }
      }
    } catch  where error.saysMissing { return }  // a kind of thing this kernel has not
  }

  // MARK: ipset

  /// All ipsets, by name; none where the kernel has no ipset.
  package func readSets() throws(NetlinkError) -> [IPSet] {
    var sets: [IPSet] = []
    try listSets { if let set = IPSet.parse($0) { sets.append(set) } }
    return sets.sorted { $0.name < $1.name }
  }

  /// A number that changes when a set is created, destroyed, renamed or swapped for one of another
  /// make; for polling, as the kernel announces none of this.
  package func setsIdentity() throws(NetlinkError) -> UInt64 {
    var identity: UInt64 = 0
    try listSets { identity &+= IPSet.identity($0) }
    return identity
  }

  private func listSets(_ body: (Bytes) -> Void) throws(NetlinkError) {
    do throws(NetlinkError) {
      try listSets(protocol: 7, body)
    } catch  where error.code == Int32(IPSET_ERR_PROTOCOL.rawValue) {
      try listSets(protocol: 6, body)
    } catch  where error.saysMissing { return }
  }

  /// As long as the kernel lists a set, it refuses to swap, rename or destroy it, for which a user's command
  /// would fail. Asked for one by its name, it does so with the lock held that such commands wait for.
  private func listSets(
    protocol version: UInt8, _ body: (Bytes) -> Void
  ) throws(NetlinkError) {
    for name in version < 7 ? try namesListed(version) : try names(version) {
      var request = Request.sets(version, IPSET_CMD_LIST, showing: IPSET_FLAG_LIST_HEADER)
      request.attribute(Int(IPSET_ATTR_SETNAME), name)
      do throws(NetlinkError) {
        try socket.dump("reading the ipset \(name)", request) { (message) throws(NetlinkError) in
          body(message.payload)
        }
      } catch  where error.code == ENOENT { continue }  // gone since
    }
  }

  /// Asked for one index after the other: a list of all names would hold each set for a moment. A new set
  /// gets the lowest index that is free, so that behind the last known there is not far to look.
  private func names(_ version: UInt8) throws(NetlinkError) -> [String] {
    var names: [String] = []
    var end = setsEnd.map { $0 + Self.setsAhead } ?? Self.setsAtFirst
    var (index, found) = (0, 0)
    while index < min(end, 65535) {
      var request = Request.sets(version, IPSET_CMD_GET_BYINDEX)
      request.attribute(Int(IPSET_ATTR_INDEX) | 0x4000, UInt16(index).bigEndian)
      do throws(NetlinkError) {
        try socket.ask("reading the name of an ipset", request) { (message) throws(NetlinkError) in
          if let name = IPSet.name(message.payload) { names.append(name) }
        }
        found = index + 1
        end = max(end, found + Self.setsAhead)
      } catch  where error.code == ENOENT {}
      index += 1
    }
    setsEnd = found
    return names
  }

  /// Kernels before 4.20 tell names in no other way.
  private func namesListed(_ version: UInt8) throws(NetlinkError) -> [String] {
    var names: [String] = []
    try socket.dump(
      "reading the ipsets", .sets(version, IPSET_CMD_LIST, showing: IPSET_FLAG_LIST_SETNAME)
    ) { (message) throws(NetlinkError) in
      if let name = IPSet.name(message.payload) { names.append(name) }
    }
    return names
  }
}

extension Request {
  fileprivate static func sets(
    _ version: UInt8, _ command: ipset_cmd, showing flags: ipset_cmd_flags? = nil
  ) -> Request {
    var request = Request(
      subsystem: NFNL_SUBSYS_IPSET, message: Int32(command.rawValue), family: UInt8(AF_INET))
    request.attribute(Int(IPSET_ATTR_PROTOCOL), version)
    if let flags {
      request.attribute(
        Int(IPSET_ATTR_FLAGS) | 0x4000,  // NLA_F_NET_BYTEORDER
        UInt32(flags.rawValue).bigEndian)
    }
    return request
  }
}

extension NetlinkError {
  /// The kernel has no such subsystem: nfnetlink answers EINVAL, older kernels and protocols
  /// otherwise.
  var saysMissing: Bool {
    switch code {
    case EINVAL, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT: true
    default: false
    }
  }
}

extension Request {
  static func nftables(_ type: nf_tables_msg_types, family: UInt8 = 0) -> Request {
    Request(subsystem: NFNL_SUBSYS_NFTABLES, message: Int32(type.rawValue), family: family)
  }
}
