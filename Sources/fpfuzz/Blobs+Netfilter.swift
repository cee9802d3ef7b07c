// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

extension Blobs {
  private static func nftables(_ type: nf_tables_msg_types, _ random: inout Random) -> Request {
    let families: [UInt8] = [1, 2, 3, 5, 7, 10]
    return Request(
      subsystem: NFNL_SUBSYS_NFTABLES, message: Int32(type.rawValue), family: random.pick(families))
  }

  static func nftablesTable(_ random: inout Random) -> [UInt8] {
    var message = nftables(NFT_MSG_NEWTABLE, &random)
    message.attribute(Int(NFTA_TABLE_NAME.rawValue), random.name())
    message.attribute(Int(NFTA_TABLE_FLAGS.rawValue), UInt32(random.below(4)).bigEndian)
    message.attribute(Int(NFTA_TABLE_HANDLE.rawValue), random.next())
    return message.sealed
  }

  static func nftablesChain(_ random: inout Random) -> [UInt8] {
    var message = nftables(NFT_MSG_NEWCHAIN, &random)
    message.attribute(Int(NFTA_CHAIN_TABLE.rawValue), random.name())
    message.attribute(Int(NFTA_CHAIN_NAME.rawValue), random.name())
    if random.chance(2, in: 3) {
      let (number, priority) = (UInt32(random.below(7)), random.next32())
      let devices = (0..<random.below(4)).map { _ in random.name() }
      message.nest(Int(NFTA_CHAIN_HOOK.rawValue)) { hook in
        hook.attribute(Int(NFTA_HOOK_HOOKNUM.rawValue), number.bigEndian)
        hook.attribute(Int(NFTA_HOOK_PRIORITY.rawValue), priority.bigEndian)
        hook.nest(Int(NFTA_HOOK_DEVS.rawValue)) { list in
          for device in devices { list.attribute(1, device) }
        }
      }
      message.attribute(Int(NFTA_CHAIN_POLICY.rawValue), UInt32(random.below(3)).bigEndian)
      message.attribute(Int(NFTA_CHAIN_TYPE.rawValue), random.pick(["filter", "nat", "route"]))
    }
    return message.sealed
  }

  static func nftablesRule(_ random: inout Random) -> [UInt8] {
    var message = nftables(NFT_MSG_NEWRULE, &random)
    message.attribute(Int(NFTA_RULE_TABLE.rawValue), random.name())
    message.attribute(Int(NFTA_RULE_CHAIN.rawValue), random.name())
    message.attribute(Int(NFTA_RULE_HANDLE.rawValue), random.next())
    var random = random
    message.nest(Int(NFTA_RULE_EXPRESSIONS.rawValue)) { list in
      for _ in 0...random.below(8) {
        list.nest(Int(NFTA_LIST_ELEM.rawValue)) { expression(&$0, &random) }
      }
    }
    message.attribute(Int(NFTA_RULE_USERDATA.rawValue), bytes: [0, 3, 0x68, 0x69, 0, 1, 1, 7])
    return message.sealed
  }

  private static let expressions = [
    "payload", "meta", "cmp", "bitwise", "lookup", "immediate", "counter", "ct", "range", "limit",
    "log", "reject", "nat", "masq", "redir", "match", "target", "objref", "dynset", "fib", "rt",
    "exthdr", "socket", "tproxy", "queue", "notrack", "byteorder", "flow_offload", "last", "quota",
    "numgen", "novel",
  ]

  private static func expression(_ element: inout Request, _ random: inout Random) {
    let name = random.pick(expressions)
    element.attribute(Int(NFTA_EXPR_NAME.rawValue), name)
    element.nest(Int(NFTA_EXPR_DATA.rawValue)) { data in
      switch name {
      case "payload":
        let lengths: [UInt32] = [1, 2, 4, 6, 16, 64]
        number(&data, 1, 1 + UInt32(random.below(4)))
        number(&data, 2, UInt32(random.below(3)))
        number(&data, 3, UInt32(random.below(40)))
        number(&data, 4, random.pick(lengths))
      case "meta":
        number(&data, 2, UInt32(random.below(32)))
        number(&data, 1, 1 + UInt32(random.below(4)))
      case "cmp":
        number(&data, 1, 1 + UInt32(random.below(4)))
        number(&data, 2, UInt32(random.below(6)))
        value(&data, 3, random.bytes(random.pick([1, 2, 3, 4, 6, 16])))
      case "bitwise":
        let size = random.pick([1, 2, 4, 16])
        number(&data, 1, 1)
        number(&data, 2, 1)
        number(&data, 3, UInt32(size))
        value(&data, 4, random.bytes(size))
        value(&data, 5, [UInt8](repeating: 0, count: size))
      case "lookup":
        data.attribute(1, "__set0")
        number(&data, 2, 1)
        if random.chance(1, in: 3) { number(&data, 3, 0) }
      case "immediate":
        let code = UInt32(bitPattern: Int32(random.below(8)) - 5)
        number(&data, 1, 0)
        data.nest(2) { $0.nest(2) { number(&$0, 1, code) } }
      case "match", "target":
        let (kind, revision, size) = random.pick(matches)
        data.attribute(1, kind)
        number(&data, 2, UInt32(revision))
        data.attribute(3, bytes: random.bytes(size))
      default:
        for type in 1...(1 + random.below(7)) { number(&data, type, random.next32() & 15) }
      }
    }
  }

  private static func number(_ request: inout Request, _ type: Int, _ value: UInt32) {
    request.attribute(type, value.bigEndian)
  }

  private static func value(_ request: inout Request, _ type: Int, _ bytes: [UInt8]) {
    request.nest(type) { $0.attribute(1, bytes: bytes) }
  }

  static func nftablesSet(_ random: inout Random) -> [UInt8] {
    var message = nftables(NFT_MSG_NEWSET, &random)
    message.attribute(Int(NFTA_SET_TABLE.rawValue), random.name())
    message.attribute(Int(NFTA_SET_NAME.rawValue), random.name())
    for type in [NFTA_SET_FLAGS, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN, NFTA_SET_DATA_TYPE] {
      number(&message, Int(type.rawValue), UInt32(random.below(256)))
    }
    let size = random.next32()
    message.nest(Int(NFTA_SET_DESC.rawValue)) { description in
      number(&description, 1, size)
      description.nest(2) { list in
        for length in [4, 2] as [UInt32] { list.nest(1) { number(&$0, 1, length) } }
      }
    }
    return message.sealed
  }

  static func nftablesElements(_ random: inout Random) -> [UInt8] {
    var message = nftables(NFT_MSG_NEWSETELEM, &random)
    message.attribute(Int(NFTA_SET_ELEM_LIST_TABLE.rawValue), random.name())
    message.attribute(Int(NFTA_SET_ELEM_LIST_SET.rawValue), "__set0")
    var random = random
    message.nest(Int(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue)) { list in
      for _ in 0...random.below(20) {
        list.nest(1) { element in
          value(&element, 1, random.bytes(4))
          if random.chance(1, in: 3) { element.nest(2) { $0.nest(2) { number(&$0, 1, 1) } } }
          if random.chance(1, in: 3) { number(&element, 3, UInt32(random.below(4))) }
          if random.chance(1, in: 4) { value(&element, 10, random.bytes(4)) }
        }
      }
    }
    return message.sealed
  }

  static func nftablesObject(_ random: inout Random) -> [UInt8] {
    var message = nftables(
      random.chance(1, in: 2) ? NFT_MSG_NEWOBJ : NFT_MSG_NEWFLOWTABLE, &random)
    message.attribute(Int(NFTA_OBJ_TABLE.rawValue), random.name())
    message.attribute(Int(NFTA_OBJ_NAME.rawValue), random.name())
    let (first, second) = (random.next32(), random.next32())
    message.nest(Int(NFTA_OBJ_DATA.rawValue)) { data in
      number(&data, 1, first)
      number(&data, 2, second)
      data.nest(3) { list in list.attribute(1, "eth0") }
    }
    return message.sealed
  }

  static func ipset(_ random: inout Random) -> [UInt8] {
    var message = Request(
      subsystem: NFNL_SUBSYS_IPSET, message: Int32(IPSET_CMD_LIST.rawValue), family: 2)
    message.attribute(Int(IPSET_ATTR_PROTOCOL), UInt8(7))
    message.attribute(Int(IPSET_ATTR_SETNAME), random.name())
    message.attribute(
      Int(IPSET_ATTR_TYPENAME),
      random.pick(["hash:ip", "hash:net,port", "bitmap:port", "list:set"]))
    message.attribute(Int(IPSET_ATTR_REVISION), UInt8(random.below(8)))
    message.attribute(Int(IPSET_ATTR_FAMILY), UInt8(random.pick([0, 2, 10])))
    message.attribute(Int(IPSET_ATTR_INDEX), UInt16(random.below(256)).bigEndian)
    let fields = random.fields()
    message.nest(Int(IPSET_ATTR_DATA)) { data in
      for (type, value) in fields { data.attribute(type, bytes: value) }
    }
    return message.sealed
  }

  // MARK: iptables

  /// Names, revisions and sizes of matches of iptables.
  private static let matches: [(String, UInt8, Int)] = [
    ("tcp", 0, 16), ("udp", 0, 16), ("icmp", 0, 8), ("icmp6", 0, 8), ("sctp", 0, 296),
    ("multiport", 1, 48), ("iprange", 1, 72), ("mac", 0, 16), ("mark", 1, 16), ("addrtype", 1, 8),
    ("addrtype", 0, 16), ("pkttype", 0, 8), ("length", 0, 8), ("ttl", 0, 8), ("hl", 0, 8),
    ("dscp", 0, 8), ("tos", 1, 8), ("physdev", 0, 72), ("comment", 0, 256), ("set", 4, 48),
    ("set", 1, 8), ("conntrack", 3, 168), ("conntrack", 2, 160), ("state", 0, 8),
    ("connmark", 1, 16), ("limit", 0, 48), ("novel", 9, 24), ("REJECT", 0, 8), ("LOG", 0, 40),
  ]

  static func iptablesRule(_ random: inout Random) -> [UInt8] { entry(&random, size: 112, at: 88) }
  static func ip6tablesRule(_ random: inout Random) -> [UInt8] {
    entry(&random, size: 168, at: 140)
  }

  /// `struct ipt_entry` or `ip6t_entry`: `at` is where the offsets of target and next rule are.
  private static func entry(_ random: inout Random, size: Int, at: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: size)
    let names = size == 112 ? 16 : 64
    if random.chance(1, in: 2) {
      for index in 0..<(size == 112 ? 16 : 64) { bytes[index] = UInt8(random.below(256)) }
    }
    if random.chance(1, in: 2) {
      let name = Array(random.name().utf8)
      bytes.replaceSubrange(names..<names + name.count, with: name)
      for index in 0..<name.count + random.below(2) { bytes[names + 32 + index] = 0xff }
    }
    bytes[size == 112 ? 80 : 128] = random.pick([0, 1, 6, 17, 58])
    for _ in 0..<random.below(4) { bytes += match(&random) }
    let target = bytes.count
    if random.chance(2, in: 3) {
      let verdicts: [Int32] = [-1, -2, -4, -5, 0, 1000]
      let verdict = random.pick(verdicts)
      var standard = [UInt8](repeating: 0, count: 40)
      standard[0] = 40
      withUnsafeBytes(of: verdict.littleEndian) { standard.replaceSubrange(32..<36, with: $0) }
      bytes += standard
    } else {
      bytes += match(&random)
    }
    for (offset, value) in [(at, target), (at + 2, bytes.count)] {
      bytes[offset] = UInt8(truncatingIfNeeded: value)
      bytes[offset + 1] = UInt8(truncatingIfNeeded: value >> 8)
    }
    return bytes
  }

  /// `struct xt_entry_match`, or a target, which looks the same.
  private static func match(_ random: inout Random) -> [UInt8] {
    let (name, revision, size) = random.pick(matches)
    var bytes = [UInt8](repeating: 0, count: 32)
    withUnsafeBytes(of: UInt16(32 + size).littleEndian) { bytes.replaceSubrange(0..<2, with: $0) }
    bytes.replaceSubrange(2..<2 + name.utf8.count, with: Array(name.utf8))
    bytes[31] = revision
    return bytes
      + (random.chance(1, in: 2) ? random.bytes(size) : [UInt8](repeating: 0, count: size))
  }
}
