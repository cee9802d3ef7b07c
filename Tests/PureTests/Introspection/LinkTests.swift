// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Introspection
import Netlink
import Testing

@Suite struct LinkParsingTests {
  @Test func readsABridgePortWithItsFlags() throws {
    let link = try #require(Link.parse(message: Self.port))
    #expect(link.name == "p1")
    #expect(link.index == 7)
    #expect(link.up)
    #expect(link.carrier)
    #expect(link.master == 3)
    #expect(link.kind == .veth)
    #expect(link.port?.state == .forwarding)
    #expect(link.port?.isolated == true)
    #expect(link.port?.learning == false)
    #expect(link.port?.backupPort == 9)
    #expect(link.xdp == [XDPAttachment(mode: .generic, program: 42)])
  }

  @Test func readsTheSettingsOfABridge() throws {
    let link = try #require(
      Link.parse(
        message: Self.link("br0", 3) { request in
          request.nest(IFLA_LINKINFO) { info in
            info.attribute(IFLA_INFO_KIND, "bridge")
            info.nest(IFLA_INFO_DATA) { data in
              data.attribute(IFLA_BR_STP_STATE, UInt32(1))
              data.attribute(IFLA_BR_AGEING_TIME, UInt32(6000))
              data.attribute(IFLA_BR_VLAN_FILTERING, UInt8(1))
              data.attribute(IFLA_BR_VLAN_PROTOCOL, UInt16(0x88a8).bigEndian)
              data.attribute(IFLA_BR_NF_CALL_IPTABLES, UInt8(1))
              data.attribute(IFLA_BR_GROUP_FWD_MASK, UInt16(8))
            }
          }
        }))
    guard case .bridge(let settings) = link.kind else {
      Issue.record("not a bridge: \(link.kind)")
      return
    }
    #expect(settings.stp)
    #expect(settings.ageing == 6000)
    #expect(settings.vlanFiltering)
    #expect(settings.vlanProtocol == 0x88a8)
    #expect(settings.callIPTables)
    #expect(settings.groupForwardMask == 8)
  }

  @Test(arguments: [(2, false), (4, true), (5, true)] as [(UInt32, Bool)])
  func multicastPerVLANIsNotTakenForSpanningTreesPerVLAN(_ options: UInt32, _ wanted: Bool) throws {
    let link = try #require(
      Link.parse(
        message: Self.link("br0", 3) { request in
          request.nest(IFLA_LINKINFO) { info in
            info.attribute(IFLA_INFO_KIND, "bridge")
            info.nest(IFLA_INFO_DATA) {
              $0.attribute(IFLA_BR_MULTI_BOOLOPT, UInt64(0xf) << 32 | UInt64(options))
            }
          }
        }))
    guard case .bridge(let settings) = link.kind else {
      Issue.record("not a bridge: \(link.kind)")
      return
    }
    #expect(settings.multipleSpanningTree == wanted)
  }

  @Test func readsDeviceSettingsByTheirKernelNumbers() throws {
    var conf = [Int32](repeating: 0, count: 33)
    for number in [1, 6, 23, 24, 26] { conf[number - 1] = 1 }
    conf[8 - 1] = 2
    let bytes = conf.withUnsafeBytes { Array($0) }
    let link = try #require(
      Link.parse(
        message: Self.link("eth0", 2) { request in
          request.nest(IFLA_AF_SPEC) { families in
            families.nest(Int(AF_INET)) { $0.attribute(IFLA_INET_CONF, bytes: bytes) }
          }
        }))
    #expect(link.settings.forwarding)
    #expect(link.settings.sendRedirects)
    #expect(link.settings.acceptLocal)
    #expect(link.settings.sourceValidMark)
    #expect(link.settings.routeLocalnet)
    #expect(link.settings.rpFilter == 2)
    #expect(!link.settings.proxyARP)
  }

  @Test func aPortOfSomethingElseIsNoBridgePort() throws {
    let link = try #require(
      Link.parse(
        message: Self.link("eth0", 2) { request in
          request.nest(IFLA_LINKINFO) { info in
            info.attribute(IFLA_INFO_SLAVE_KIND, "bond")
            info.nest(IFLA_INFO_SLAVE_DATA) { $0.attribute(IFLA_BRPORT_STATE, UInt8(3)) }
          }
        }))
    #expect(link.slaveKind == "bond")
    #expect(link.port == nil)
  }

  @Test func everyTruncationIsReadOrRefusedWithoutATrap() {
    for length in 0..<Self.port.count {
      let link = Link.parse(message: Array(Self.port.prefix(length)))
      #expect(link == nil || link?.name == "p1")
    }
  }

  @Test func mergesVLANRanges() throws {
    let message = Self.link("p1", 7) { request in
      request.nest(IFLA_AF_SPEC) { list in
        for (flags, id) in [(6, 1), (8, 100), (16, 199), (4, 300)] as [(UInt16, UInt16)] {
          list.attribute(IFLA_BRIDGE_VLAN_INFO, UInt32(id) << 16 | UInt32(flags))
        }
      }
    }
    let parsed = try #require(message.withBytes { PortVLAN.parse($0) })
    #expect(parsed.index == 7)
    #expect(
      parsed.vlans == [
        PortVLAN(first: 1, last: 1, pvid: true, untagged: true),
        PortVLAN(first: 100, last: 199, pvid: false, untagged: false),
        PortVLAN(first: 300, last: 300, pvid: false, untagged: true),
      ])
  }

  /// ndo_dflt_bridge_getlink() of a card with virtual functions, after the bridge's own answer.
  @Test func whatACardSaysOfItsOwnSwitchIsNoPortsVLANs() {
    let message = Self.link("p1", 7) { request in
      request.nest(IFLA_AF_SPEC) { list in
        list.attribute(IFLA_BRIDGE_FLAGS, UInt16(2))
        list.attribute(IFLA_BRIDGE_MODE, UInt16(0))
      }
    }
    #expect(message.withBytes { PortVLAN.parse($0) } == nil)
  }

  /// The payload of an RTM_NEWLINK.
  static func link(_ name: String, _ index: Int32, _ body: (inout Request) -> Void = { _ in })
    -> [UInt8]
  {
    var request = Request(type: UInt16(RTM_NEWLINK))
    var header = ifinfomsg()
    header.ifi_type = 1
    header.ifi_index = index
    header.ifi_flags = 1
    request.append(header)
    request.attribute(IFLA_IFNAME, name)
    request.attribute(IFLA_CARRIER, UInt8(1))
    body(&request)
    return Array(request.bytes.dropFirst(16))
  }

  static let port = link("p1", 7) { request in
    request.attribute(IFLA_MASTER, UInt32(3))
    request.nest(IFLA_XDP) { xdp in
      xdp.attribute(IFLA_XDP_ATTACHED, UInt8(2))
      xdp.attribute(IFLA_XDP_PROG_ID, UInt32(42))
    }
    request.nest(IFLA_LINKINFO) { info in
      info.attribute(IFLA_INFO_KIND, "veth")
      info.attribute(IFLA_INFO_SLAVE_KIND, "bridge")
      info.nest(IFLA_INFO_SLAVE_DATA) { port in
        port.attribute(IFLA_BRPORT_STATE, UInt8(3))
        port.attribute(IFLA_BRPORT_ISOLATED, UInt8(1))
        port.attribute(IFLA_BRPORT_LEARNING, UInt8(0))
        port.attribute(IFLA_BRPORT_BACKUP_PORT, UInt32(9))
      }
    }
  }
}

extension Link {
  static func parse(message payload: [UInt8]) -> Link? { payload.withBytes { Link.parse($0) } }
}

@Suite struct RouteKindTests {
  @Test(arguments: [
    (UInt8(1), UInt8(254), 0, ["plain"]), (1, 254, 9, ["multipath"]), (1, 254, 22, ["lwtunnel"]),
    (1, 254, 30, ["nexthop-object"]), (6, 254, 0, ["blackhole"]), (7, 254, 0, ["unreachable"]),
    (8, 254, 0, ["prohibit"]), (9, 254, 0, ["throw"]), (1, 100, 0, ["plain", "other-table"]),
    (2, 255, 0, []), (3, 255, 0, []), (1, 255, 0, []),
  ])
  func kindsOfRoutes(_ type: UInt8, _ table: UInt8, _ attribute: Int, _ names: [String]) throws {
    var request = Request(type: UInt16(RTM_NEWROUTE))
    var header = rtmsg()
    header.rtm_family = 2
    header.rtm_type = type
    header.rtm_table = table
    request.append(header)
    request.attribute(Int(RTA_TABLE.rawValue), UInt32(table))
    if attribute != 0 { request.attribute(attribute, UInt32(1)) }
    let payload = Array(request.bytes.dropFirst(16))
    let parsed = try #require(payload.withBytes { RouteKinds.parse($0) })
    #expect(parsed.family == .ipv4)
    #expect(parsed.kinds.names == names)
  }

  @Test func theThreeRulesOfANewNamespaceAreDefault() {
    for (priority, table, expected) in [(0, 255, true), (32766, 254, true), (100, 254, false)] {
      var rule = PolicyRule(family: .ipv4)
      rule.action = 1
      rule.priority = UInt32(priority)
      rule.table = UInt32(table)
      #expect(rule.isDefault == expected)
      rule.selectors = ["from"]
      #expect(!rule.isDefault)
    }
  }
}

@Suite struct PolicyRuleTests {
  private func rule(_ priority: Int, _ table: Int, _ family: IPFamily = .ipv4) -> PolicyRule {
    var rule = PolicyRule(family: family, table: UInt32(table), action: 1)
    rule.priority = UInt32(priority)
    return rule
  }

  @Test func rulesThatANamespaceStartsWithMayBeMissing() {
    let all = [rule(0, 255), rule(32766, 254), rule(32767, 253)]
    #expect(PolicyRule.missing(.ipv4, of: all) == 0)
    #expect(PolicyRule.missing(.ipv4, of: all.dropLast()) == 0)
    #expect(PolicyRule.missing(.ipv4, of: [all[0]]) == 1)
    #expect(PolicyRule.missing(.ipv4, of: [all[2], rule(0, 255, .ipv6)]) == 2)
    #expect(PolicyRule.missing(.ipv4, of: []) == 0)
  }

  @Test(arguments: [
    (FRA_FWMASK, "fwmark"), (FRA_SUPPRESS_IFGROUP, "suppress_ifgroup"), (90, "attribute 90"),
  ])
  func whateverElseARuleAsksOfAPacketMakesItNoDefault(_ type: Int, _ selector: String) throws {
    var request = Request(type: UInt16(RTM_NEWRULE))
    request.append(fib_rule_hdr())
    request.attribute(FRA_PRIORITY, UInt32(32766))
    request.attribute(FRA_TABLE, UInt32(254))
    request.attribute(FRA_PROTOCOL, UInt8(2))
    request.attribute(type, UInt32(5))
    var payload = Array(request.bytes.dropFirst(16))
    (payload[0], payload[7]) = (2, 1)
    let parsed = try #require(payload.withBytes { PolicyRule.parse($0) })
    #expect(parsed.selectors == [selector])
    #expect(!parsed.isDefault)
  }
}

@Suite struct NetfilterHookTests {
  @Test(arguments: [
    ("nft_do_chain_inet", NetfilterHook.Owner.nftables(table: "t", chain: "c")),
    ("ipt_do_table [ip_tables]", .xtables(table: "t")), ("ipv4_conntrack_in", .conntrack),
    ("nf_confirm", .conntrack), ("ipv4_conntrack_defrag", .defragmentation),
    ("nf_nat_ipv4_out [nf_nat]", .nat), ("br_nf_pre_routing", .bridgeNetfilter),
    ("nf_hook_run_bpf", .bpf), ("selinux_ip_forward", .other("selinux_ip_forward")),
  ])
  func functionsTellWhoseHookItIs(_ function: String, _ owner: NetfilterHook.Owner) {
    let hook = NetfilterHook(
      family: .ipv4, point: .forward, priority: 0, function: function, table: "t", chain: "c")
    #expect(hook.owner == owner)
  }
}
