// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Glibc
import Netlink

/// Reads the parts of a namespace's configuration from the kernel, each whole and at one moment.
package final class KernelReader {
  private var socket: NetlinkSocket
  private let sysctls: SysctlReader
  private let rulesets: RulesetReader
  /// What is read there besides; without, it is unknown.
  package var live: (any LiveView)?

  package init(sysctls: SysctlReader, live: (any LiveView)?) throws {
    socket = try NetlinkSocket(NETLINK_ROUTE, receive: 1 << 20)
    socket.checkStrictly()
    rulesets = try RulesetReader()
    self.sysctls = sysctls
    self.live = live
  }

  /// Reads `parts` again into `state`. A part that cannot be read keeps its older value and is named
  /// among the problems; routes are not read here but surveyed. Answers what changed so often meanwhile
  /// that it has to be read once more.
  @discardableResult
  package func read(_ parts: Parts, into state: inout NetworkState) -> Parts {
    readEach(parts.subtracting(.rules), into: &state)
    let rules = parts.intersection(.rules)
    return rules.isEmpty ? [] : readRules(rules, into: &state)
  }

  /// How often rules that change while they are read are read again.
  private static let attempts = 4
  private static let unsteady = "rules"

  /// Identity, rules, identity: only when both are equal do the rules belong to them.
  private func readRules(_ wanted: Parts, into state: inout NetworkState) -> Parts {
    state.problems.removeAll { $0.part == Self.unsteady }
    guard let live else {
      readEach(wanted, into: &state)
      return []
    }
    var parts = wanted
    do {
      for _ in 0..<Self.attempts {
        let before = try live.ruleEpoch()
        // What was read under another identity is not what this one stands for.
        if let before { parts.formUnion(before.parts(since: state.ruleEpoch)) }
        readEach(parts, into: &state)
        parts = wanted
        let isWhole = !state.problems.contains { Parts.rules.names.contains($0.part) }
        state.ruleEpoch = isWhole ? before : nil
        if let before, try live.ruleEpoch() == before { return [] }
      }
      state.problems.append(
        .init(
          part: Self.unsteady,
          detail: "firewall rules changed \(Self.attempts) times while they were read"))
    } catch {
      readEach(parts, into: &state)
      state.problems.append(.init(part: Self.unsteady, detail: String(describing: error)))
      state.ruleEpoch = nil
      return []
    }
    state.ruleEpoch = nil
    return .rules
  }

  private func readEach(_ parts: Parts, into state: inout NetworkState) {
    var problems = state.problems.filter { problem in
      !parts.names.contains(problem.part)
    }
    for (part, name) in Parts.names where parts.contains(part) {
      do {
        try readOne(part, into: &state)
      } catch {
        problems.append(.init(part: name, detail: String(describing: error)))
      }
    }
    state.problems = problems
  }

  private func readOne(_ part: Parts, into state: inout NetworkState) throws {
    switch part {
    case .links: state.links = try steadily { () throws(NetlinkError) in try links() }
    case .addresses: state.addresses = try steadily { () throws(NetlinkError) in try addresses() }
    case .policyRules: state.policyRules = try steadily { () throws(NetlinkError) in try rules() }
    case .trafficControl:
      (state.qdiscs, state.filters) = try steadily { () throws(NetlinkError) in
        try trafficControl()
      }
    case .sysctls: state.sysctls = sysctls.read()
    case .ipsec: state.ipsecPolicies = try ipsecPolicies()
    case .hooks: state.hooks = try live?.hooks()
    case .devices:
      state.deviceViews = try live?.devices(state.links.map(\.index)).filter { !$0.isBare }
    case .xtables: state.legacyTables = try rulesets.readLegacy()
    case .nftables: state.nftables = try rulesets.readNftables().tables
    case .sets: state.sets = try rulesets.readSets()
    default: break
    }
  }

  /// Whether the list of ipsets is another than when it was last read.
  package func setsIdentity() throws -> UInt64 { try rulesets.setsIdentity() }

  /// Dumps again when the table changed under the dump.
  private func steadily<Result>(
    _ read: () throws(NetlinkError) -> Result
  ) throws(NetlinkError) -> Result {
    for _ in 0..<8 {
      do { return try read() } catch .interrupted { continue }
    }
    return try read()
  }

  // MARK: - rtnetlink

  private func links() throws(NetlinkError) -> [Link] {
    var links: [Link] = []
    links.reserveCapacity(64)
    try socket.dump("reading links", linkRequest(family: 0, mask: 8)) { message in
      // RTEXT_FILTER_SKIP_STATS
      if let link = Link.parse(message.payload) { links.append(link) }
    }
    links.sort { $0.index < $1.index }
    try readPortVLANs(&links)
    return links
  }

  private func linkRequest(family: UInt8, mask: UInt32) -> Request {
    var request = Request(type: UInt16(RTM_GETLINK))
    var header = ifinfomsg()
    header.ifi_family = family
    request.append(header)
    request.attribute(IFLA_EXT_MASK, mask)
    return request
  }

  private func readPortVLANs(_ links: inout [Link]) throws(NetlinkError) {
    let filtering = links.contains {
      if case .bridge(let bridge) = $0.kind { bridge.vlanFiltering } else { false }
    }
    guard filtering else { return }
    var found: [Int32: [PortVLAN]] = [:]
    let request = linkRequest(family: UInt8(AF_BRIDGE), mask: 4)  // RTEXT_FILTER_BRVLAN_COMPRESSED
    try socket.dump("reading VLANs of bridge ports", request) { message in
      if let (index, vlans) = PortVLAN.parse(message.payload) { found[index] = vlans }
    }
    for place in links.indices {
      if let vlans = found[links[place].index] { links[place].vlans = vlans }
    }
  }

  private func addresses() throws(NetlinkError) -> [Address] {
    var addresses: [Address] = []
    var request = Request(type: UInt16(RTM_GETADDR))
    request.append(ifaddrmsg())
    try socket.dump("reading addresses", request) { message in
      if let address = Address.parse(message.payload) { addresses.append(address) }
    }
    return addresses
  }

  private func rules() throws(NetlinkError) -> [PolicyRule] {
    var rules: [PolicyRule] = []
    var request = Request(type: UInt16(RTM_GETRULE))
    request.append(fib_rule_hdr())
    do {
      try socket.dump("reading policy rules", request) { message in
        if let rule = PolicyRule.parse(message.payload) { rules.append(rule) }
      }
    } catch .refused(_, EOPNOTSUPP, _) {
      return []  // a kernel without policy routing has none
    }
    return rules
  }

  private func trafficControl() throws(NetlinkError) -> ([Qdisc], [TrafficFilter]) {
    var qdiscs: [Qdisc] = []
    var request = Request(type: UInt16(RTM_GETQDISC))
    request.append(tcmsg())
    try socket.dump("reading qdiscs", request) { message in
      if let qdisc = Qdisc.parse(message.payload) { qdiscs.append(qdisc) }
    }
    qdiscs.sort { ($0.link, $0.parent, $0.handle) < ($1.link, $1.parent, $1.handle) }
    var filters: [TrafficFilter] = []
    for qdisc in qdiscs where qdisc.kind == "clsact" || qdisc.kind == "ingress" {
      filters += try self.filters(of: qdisc.link, .ingress, parent: 0xffff_fff2)
      if qdisc.kind == "clsact" {
        filters += try self.filters(of: qdisc.link, .egress, parent: 0xffff_fff3)
      }
    }
    return (qdiscs, filters)
  }

  private func filters(
    of link: Int32, _ side: TrafficFilter.Side, parent: UInt32
  ) throws(NetlinkError) -> [TrafficFilter] {
    var filters: [TrafficFilter] = []
    var request = Request(type: UInt16(RTM_GETTFILTER))
    var header = tcmsg()
    header.tcm_ifindex = link
    header.tcm_parent = parent
    request.append(header)
    do {
      try socket.dump("reading tc filters", request) { message in
        if var filter = TrafficFilter.parse(message.payload, side: side), filter.handle != 0 {
          // Filters of a block that devices share name no device.
          filter.link = link
          filters.append(filter)
        }
      }
    } catch .refused(_, ENODEV, _) {
      return []  // the device went away meanwhile: its event is on the way
    } catch .refused(_, EINVAL, _) {
      return []
    }
    return filters
  }

  // MARK: - IPsec

  private func ipsecPolicies() throws(NetlinkError) -> Bool {
    do {
      if try anyIPsecPolicy() { return true }
      return try blocksWithoutIPsecPolicy()
    } catch .refused(_, EPROTONOSUPPORT, _) { return false }
  }

  /// Whether packets that no policy is for are dropped (`ip xfrm policy setdefault`).
  private func blocksWithoutIPsecPolicy() throws(NetlinkError) -> Bool {
    var socket = try NetlinkSocket(NETLINK_XFRM)
    var request = Request(type: UInt16(FPD_XFRM_MSG_GETDEFAULT))
    request.append(zeros: FPD_XFRM_DEFAULT_SIZE)
    var blocks = false
    do {
      try socket.ask("reading the default of IPsec policies", request) {
        (message) throws(NetlinkError) in
        let block = UInt8(FPD_XFRM_BLOCK)
        blocks = message.payload[1] == block || message.payload[2] == block
      }
    } catch .refused(_, EINVAL, _) { return false }  // before Linux 5.15 there is no such thing
    return blocks
  }

  /// Whether there is any policy: one datagram of the dump tells, the rest is not read.
  private func anyIPsecPolicy() throws(NetlinkError) -> Bool {
    var socket = try NetlinkSocket(NETLINK_XFRM)
    var request = Request(type: UInt16(FPD_XFRM_MSG_GETPOLICY))
    request.append(zeros: FPD_XFRM_POLICY_ID_SIZE)
    let sequence = try socket.send(
      "reading IPsec policies", request, flags: NLM_F_REQUEST | NLM_F_DUMP)
    let datagram = try socket.receive("reading IPsec policies")
    return Messages(datagram).contains { message in
      message.sequence == sequence && Int(message.type) == FPD_XFRM_MSG_NEWPOLICY
    }
  }
}
