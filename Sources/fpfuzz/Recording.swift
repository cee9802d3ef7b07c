// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Introspection
import Netlink

/// Writes what the kernel says about this network namespace as a corpus: real bytes to start from.
enum Recording {
  static func write(to directory: String) throws {
    var route = try NetlinkSocket(NETLINK_ROUTE)
    for (name, type) in [
      ("links", RTM_GETLINK), ("addresses", RTM_GETADDR), ("routes", RTM_GETROUTE),
      ("rules", RTM_GETRULE), ("qdiscs", RTM_GETQDISC), ("netconf", RTM_GETNETCONF),
      ("neighbours", RTM_GETNEIGH), ("nexthops", RTM_GETNEXTHOP),
    ] {
      var request = Request(type: UInt16(type))
      // The size of each request's header in words; zeros ask for everything.
      let words = type == RTM_GETNETCONF ? 1 : type == RTM_GETNEXTHOP ? 2 : 5
      for _ in 0..<words { request.append(UInt32(0)) }
      try record(name, in: directory, &route, request)
    }
    var netfilter = try NetlinkSocket(NETLINK_NETFILTER)
    for (name, type) in [
      ("tables", NFT_MSG_GETTABLE), ("chains", NFT_MSG_GETCHAIN), ("rules", NFT_MSG_GETRULE),
      ("sets", NFT_MSG_GETSET), ("objects", NFT_MSG_GETOBJ),
      ("flowtables", NFT_MSG_GETFLOWTABLE),
    ] {
      let request = Request(subsystem: NFNL_SUBSYS_NFTABLES, message: Int32(type.rawValue))
      try record("nftables-\(name)", in: directory, &netfilter, request)
    }
    try recordElements(directory, &netfilter)
    var request = Request(
      subsystem: NFNL_SUBSYS_IPSET, message: Int32(IPSET_CMD_LIST.rawValue), family: 2)
    request.attribute(Int(IPSET_ATTR_PROTOCOL), UInt8(7))
    request.attribute(Int(IPSET_ATTR_FLAGS), UInt32(IPSET_FLAG_LIST_HEADER.rawValue).bigEndian)
    try record("ipsets", in: directory, &netfilter, request)
    try recordEntries(directory)
  }

  private static func record(
    _ name: String, in directory: String, _ socket: inout NetlinkSocket, _ request: Request
  ) throws {
    var lines: [String] = []
    do {
      try socket.dump("recording \(name)", request) { (message) throws(NetlinkError) in
        lines.append(message.bytes.hex)
      }
    } catch NetlinkError.refused(_, let code, _) {
      FuzzCommand.complain("no \(name): error \(code)\n")
    }
    try save(name, lines, in: directory)
  }

  private static func recordElements(
    _ directory: String, _ socket: inout NetlinkSocket
  ) throws {
    var lines: [String] = []
    for table in try RulesetReader().readNftables().tables {
      for set in table.sets {
        var request = Request(
          subsystem: NFNL_SUBSYS_NFTABLES, message: Int32(NFT_MSG_GETSETELEM.rawValue),
          family: table.family.rawValue)
        request.attribute(Int(NFTA_SET_ELEM_LIST_TABLE.rawValue), table.name)
        request.attribute(Int(NFTA_SET_ELEM_LIST_SET.rawValue), set.name)
        try socket.dump("recording elements", request) { (message) throws(NetlinkError) in
          lines.append(message.bytes.hex)
        }
      }
    }
    try save("nftables-elements", lines, in: directory)
  }

  private static func recordEntries(_ directory: String) throws {
    var lines: [RuleFamily: [String]] = [:]
    try RulesetReader().eachLegacyRule { (family, entry, target) throws(NetlinkError) in
      lines[family, default: []].append("\(entry.array.hex) # \(target)")
    }
    try save("iptables", lines[.ip] ?? [], in: directory)
    try save("ip6tables", lines[.ip6] ?? [], in: directory)
  }

  private static func save(_ name: String, _ lines: [String], in directory: String) throws {
    guard !lines.isEmpty else { return }
    try Corpus.write(lines, to: "\(directory)/\(name).hex")
  }
}

extension Message {
  /// The message as it came over the socket.
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    for number in [UInt32(16 + payload.count), UInt32(type) | UInt32(flags) << 16, 0, 0] {
      withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
    bytes += payload.array
    while bytes.count & 3 != 0 { bytes.append(0) }
    return bytes
  }
}
