// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

/// Messages and rules that a kernel could have sent, with what they hold chosen at random.
enum Blobs {
  static let makers: [(name: String, make: @Sendable (inout Random) -> [UInt8])] = [
    ("link", link), ("address", address), ("route", route), ("policy rule", policyRule),
    ("qdisc", qdisc), ("netconf", netconf), ("nftables table", nftablesTable),
    ("nftables chain", nftablesChain), ("nftables rule", nftablesRule),
    ("nftables set", nftablesSet), ("nftables elements", nftablesElements),
    ("nftables object", nftablesObject), ("ipset", ipset), ("iptables rule", iptablesRule),
    ("ip6tables rule", ip6tablesRule), ("datagram", datagram),
  ]

  /// Several messages in one datagram.
  static func datagram(_ random: inout Random) -> [UInt8] {
    let messages = makers.dropLast(3)
    return (0...random.below(4)).flatMap { _ in
      messages[random.below(messages.count)].make(&random)
    }
  }

  private static func link(_ random: inout Random) -> [UInt8] {
    var message = Request(type: UInt16(RTM_NEWLINK))
    message.append(
      ifinfomsg(
        ifi_family: UInt8(random.pick([0, 7])), __ifi_pad: 0, ifi_type: 1,
        ifi_index: Int32(random.below(2000)), ifi_flags: random.next32(), ifi_change: 0))
    message.attribute(Int(IFLA_IFNAME), random.name())
    message.attribute(Int(IFLA_MTU), random.next32())
    message.attribute(Int(IFLA_ADDRESS), bytes: random.bytes(6))
    message.attribute(Int(IFLA_MASTER), UInt32(random.below(2000)))
    message.attribute(Int(IFLA_OPERSTATE), UInt8(random.below(7)))
    message.attribute(Int(IFLA_STATS64), bytes: random.bytes(192))
    let kind = random.pick(["bridge", "vlan", "vxlan", "veth", "bond", "macvlan", "tun", "ifb"])
    let fields = random.fields()
    message.nest(Int(IFLA_LINKINFO)) { info in
      info.attribute(Int(IFLA_INFO_KIND), kind)
      info.nest(Int(IFLA_INFO_DATA)) { data in
        for (type, value) in fields { data.attribute(type, bytes: value) }
      }
      info.attribute(Int(IFLA_INFO_SLAVE_KIND), "bridge")
      info.nest(Int(IFLA_INFO_SLAVE_DATA)) { data in
        for (type, value) in fields { data.attribute(type, bytes: value) }
      }
    }
    message.nest(Int(IFLA_XDP)) { xdp in
      xdp.attribute(Int(IFLA_XDP_ATTACHED), UInt8(fields.count & 3))
      xdp.attribute(Int(IFLA_XDP_PROG_ID), UInt32(7))
    }
    message.nest(Int(IFLA_AF_SPEC)) { spec in
      spec.nest(2) { inet in inet.attribute(1, bytes: fields.flatMap(\.1)) }
    }
    return message.sealed
  }

  private static func address(_ random: inout Random) -> [UInt8] {
    var message = Request(type: UInt16(RTM_NEWADDR))
    let six = random.chance(1, in: 2)
    message.append(
      ifaddrmsg(
        ifa_family: six ? 10 : 2, ifa_prefixlen: UInt8(random.below(129)), ifa_flags: 0x80,
        ifa_scope: UInt8(random.below(256)), ifa_index: UInt32(random.below(2000))))
    message.attribute(Int(IFA_ADDRESS), bytes: random.bytes(six ? 16 : 4))
    message.attribute(Int(IFA_LOCAL), bytes: random.bytes(six ? 16 : 4))
    message.attribute(Int(IFA_LABEL), random.name())
    message.attribute(Int(IFA_FLAGS), random.next32())
    message.attribute(Int(IFA_CACHEINFO), bytes: random.bytes(16))
    return message.sealed
  }

  private static func route(_ random: inout Random) -> [UInt8] {
    var message = Request(type: UInt16(RTM_NEWROUTE))
    let six = random.chance(1, in: 2)
    let size = six ? 16 : 4
    message.append(
      rtmsg(
        rtm_family: six ? 10 : 2, rtm_dst_len: UInt8(random.below(129)), rtm_src_len: 0,
        rtm_tos: 0, rtm_table: 254, rtm_protocol: 3, rtm_scope: 0,
        rtm_type: UInt8(random.below(12)), rtm_flags: 0))
    message.attribute(Int(RTA_TABLE.rawValue), random.next32())
    message.attribute(Int(RTA_DST.rawValue), bytes: random.bytes(size))
    message.attribute(Int(RTA_OIF.rawValue), random.next32())
    message.attribute(Int(RTA_GATEWAY.rawValue), bytes: random.bytes(size))
    if random.chance(1, in: 3) {
      let hops = (0...random.below(5)).map { _ in random.bytes(8 + 4 + size) }
      var nexthops: [UInt8] = []
      for var hop in hops {
        hop.replaceSubrange(0..<2, with: [UInt8(hop.count), 0])
        hop.replaceSubrange(8..<12, with: [UInt8(4 + size), 0, 5, 0])
        nexthops += hop
      }
      message.attribute(Int(RTA_MULTIPATH.rawValue), bytes: nexthops)
    }
    if random.chance(1, in: 4) {
      message.attribute(Int(RTA_ENCAP_TYPE.rawValue), UInt16(random.below(12)))
      let fields = random.fields()
      message.nest(Int(RTA_ENCAP.rawValue)) { encap in
        for (type, value) in fields { encap.attribute(type, bytes: value) }
      }
    }
    return message.sealed
  }

  private static func policyRule(_ random: inout Random) -> [UInt8] {
    var message = Request(type: UInt16(RTM_NEWRULE))
    message.append(random.bytes12())
    message.attribute(Int(FRA_TABLE), random.next32())
    message.attribute(Int(FRA_PRIORITY), random.next32())
    message.attribute(Int(FRA_SRC), bytes: random.bytes(4))
    message.attribute(Int(FRA_IIFNAME), random.name())
    message.attribute(Int(FRA_FWMARK), random.next32())
    message.attribute(Int(FRA_SUPPRESS_PREFIXLEN), random.next32())
    return message.sealed
  }

  private static func qdisc(_ random: inout Random) -> [UInt8] {
    var message = Request(type: UInt16(random.pick([RTM_NEWQDISC, RTM_NEWTFILTER])))
    message.append(
      tcmsg(
        tcm_family: 0, tcm__pad1: 0, tcm__pad2: 0, tcm_ifindex: Int32(random.below(2000)),
        tcm_handle: random.next32(), tcm_parent: random.next32(), tcm_info: random.next32()))
    message.attribute(Int(TCA_KIND), random.pick(["noqueue", "fq_codel", "clsact", "htb", "bpf"]))
    let fields = random.fields()
    message.nest(Int(TCA_OPTIONS)) { options in
      for (type, value) in fields { options.attribute(type, bytes: value) }
    }
    message.attribute(Int(TCA_STATS), bytes: random.bytes(36))
    return message.sealed
  }

  private static func netconf(_ random: inout Random) -> [UInt8] {
    var message = Request(type: UInt16(RTM_NEWNETCONF))
    message.append(UInt32(random.pick([2, 10, 7])))
    for type in 1...8 where random.chance(3, in: 4) {
      message.attribute(type, random.next32())
    }
    return message.sealed
  }
}

extension Random {
  mutating func next32() -> UInt32 { UInt32(truncatingIfNeeded: next() >> 32) }

  /// Twelve bytes, a `struct fib_rule_hdr`.
  mutating func bytes12() -> (UInt32, UInt32, UInt32) { (next32(), next32(), next32()) }

  /// Attributes of kinds nobody settled.
  mutating func fields() -> [(Int, [UInt8])] {
    (0...below(20)).map { _ in (below(64), bytes(pick([1, 2, 4, 4, 4, 8, 16]))) }
  }
}

extension Request {
  /// The message with its length filled in, as the kernel would send it.
  var sealed: [UInt8] {
    var bytes = bytes
    withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { length in
      bytes.replaceSubrange(0..<4, with: length)
    }
    return bytes
  }
}
