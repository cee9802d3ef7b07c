// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

extension Link {
  /// Reads an RTM_NEWLINK message's payload; `nil` when it is cut short or nameless.
  package static func parse(_ payload: Bytes) -> Link? {
    guard let hardware = payload.load(2, as: UInt16.self),
      let index = payload.load(4, as: Int32.self),
      let flags = payload.load(8, as: UInt32.self), payload.count >= 16
    else { return nil }
    var link = Link()
    link.hardware = hardware
    link.index = index
    link.up = flags & UInt32(IFF_UP.rawValue) != 0
    for attribute in Attributes(payload, after: 16) { link.take(attribute) }
    // A port's state is only meaningful under a bridge.
    if link.slaveKind != "bridge" { link.port = nil }
    return link.name.isEmpty ? nil : link
  }

  private mutating func take(_ attribute: Attribute) {
    switch attribute.type {
    case IFLA_IFNAME: name = attribute.string
    case IFLA_MTU: mtu = attribute.u32 ?? 0
    case IFLA_ADDRESS: address = attribute.payload.array
    case IFLA_CARRIER: carrier = attribute.u8 == 1
    case IFLA_MASTER: master = attribute.i32
    case IFLA_LINK: lower = attribute.i32.flatMap { $0 > 0 ? $0 : nil }
    case IFLA_LINK_NETNSID: lowerNamespace = attribute.i32
    case IFLA_NUM_TX_QUEUES: transmitQueues = attribute.u32 ?? 1
    case IFLA_LINKINFO: takeInfo(attribute.nested)
    case IFLA_XDP: takeXDP(attribute.nested)
    case IFLA_AF_SPEC: takeSettings(attribute.nested)
    default: break
    }
  }

  private mutating func takeInfo(_ info: Attributes) {
    var settings: Attributes?
    var slaveSettings: Attributes?
    for attribute in info {
      switch attribute.type {
      case IFLA_INFO_KIND: kindName = attribute.string
      case IFLA_INFO_DATA: settings = attribute.nested
      case IFLA_INFO_SLAVE_KIND: slaveKind = attribute.string
      case IFLA_INFO_SLAVE_DATA: slaveSettings = attribute.nested
      default: break
      }
    }
    kind = LinkKind.parse(kindName, settings ?? Attributes(Bytes(nil, count: 0)))
    if slaveKind == "bridge", let slaveSettings { port = BridgePort.parse(slaveSettings) }
  }

  private mutating func takeXDP(_ attributes: Attributes) {
    var mode = 0
    var single: UInt32 = 0
    var found: [XDPAttachment] = []
    for attribute in attributes {
      switch attribute.type {
      case IFLA_XDP_ATTACHED: mode = Int(attribute.u8 ?? 0)
      case IFLA_XDP_PROG_ID: single = attribute.u32 ?? 0
      case IFLA_XDP_DRV_PROG_ID: found.append(.init(mode: .native, program: attribute.u32 ?? 0))
      case IFLA_XDP_SKB_PROG_ID: found.append(.init(mode: .generic, program: attribute.u32 ?? 0))
      case IFLA_XDP_HW_PROG_ID: found.append(.init(mode: .offloaded, program: attribute.u32 ?? 0))
      default: break
      }
    }
    if found.isEmpty, single != 0 {
      found = [
        .init(mode: mode == 2 ? .generic : mode == 3 ? .offloaded : .native, program: single)
      ]
    }
    xdp = found
  }

  private mutating func takeSettings(_ families: Attributes) {
    for family in families {
      switch family.type {
      case Int(AF_INET):
        for attribute in family.nested where attribute.type == IFLA_INET_CONF {
          settings.takeIPv4(attribute.payload)
        }
      case Int(AF_INET6):
        for attribute in family.nested where attribute.type == IFLA_INET6_CONF {
          settings.takeIPv6(attribute.payload)
        }
      default: break
      }
    }
  }
}

extension DeviceSettings {
  /// The array of IFLA_INET_CONF: one 32-bit number for each IPV4_DEVCONF_* (they count from 1).
  mutating func takeIPv4(_ array: Bytes) {
    func value(_ number: Int) -> Int32 { array.load(4 * (number - 1), as: Int32.self) ?? 0 }
    forwarding = value(1) != 0
    proxyARP = value(3) != 0
    sendRedirects = value(6) != 0
    sharedMedia = value(7) != 0
    rpFilter = UInt8(clamping: value(8))
    acceptSourceRoute = value(9) != 0
    logMartians = value(11) != 0
    disableXFRM = value(15) != 0
    disablePolicy = value(16) != 0
    acceptLocal = value(23) != 0
    sourceValidMark = value(24) != 0
    routeLocalnet = value(26) != 0
  }

  /// The array of IFLA_INET6_CONF: one 32-bit number for each DEVCONF_* (they count from 0).
  mutating func takeIPv6(_ array: Bytes) {
    forwarding6 = array.load(0, as: Int32.self) ?? 0 != 0
    disabled6 = array.load(4 * 26, as: Int32.self) ?? 0 != 0
  }
}

extension LinkKind {
  static func parse(_ name: String, _ settings: Attributes) -> LinkKind {
    switch name {
    case "": return .plain
    case "veth": return .veth
    case "bridge": return .bridge(BridgeSettings.parse(settings))
    case "vlan":
      var id: UInt16 = 0
      var ethertype: UInt16 = 0x8100
      for attribute in settings {
        if attribute.type == IFLA_VLAN_ID { id = attribute.u16 ?? 0 }
        if attribute.type == IFLA_VLAN_PROTOCOL { ethertype = attribute.big16 ?? 0x8100 }
      }
      return .vlan(id: id, protocol: ethertype)
    case "vxlan": return .vxlan(VXLANSettings.parse(settings))
    case "bond": return .bond(mode: settings.first(IFLA_BOND_MODE)?.u8 ?? 0)
    case "team": return .team
    case "macvlan", "macvtap": return .macvlan(mode: settings.first(IFLA_MACVLAN_MODE)?.u32 ?? 0)
    case "ipvlan", "ipvtap": return .ipvlan
    case "vrf": return .vrf(table: settings.first(IFLA_VRF_TABLE)?.u32 ?? 0)
    case "tun":
      return .tun(
        tap: settings.first(IFLA_TUN_TYPE)?.u8 == 2,
        vnetHeader: settings.first(IFLA_TUN_VNET_HDR)?.u8 == 1)
    case "ifb": return .ifb
    case "dummy": return .dummy
    default: return .other(name)
    }
  }
}

extension VXLANSettings {
  static func parse(_ attributes: Attributes) -> VXLANSettings {
    var settings = VXLANSettings()
    for attribute in attributes {
      switch attribute.type {
      case IFLA_VXLAN_ID: settings.id = attribute.u32 ?? 0
      case IFLA_VXLAN_PORT: settings.port = attribute.big16 ?? 0
      case IFLA_VXLAN_LINK: settings.lower = attribute.i32
      case IFLA_VXLAN_LEARNING: settings.learning = attribute.u8 == 1
      case IFLA_VXLAN_COLLECT_METADATA: settings.collectMetadata = attribute.u8 == 1
      default: break
      }
    }
    return settings
  }
}

extension BridgeSettings {
  static func parse(_ attributes: Attributes) -> BridgeSettings {
    var settings = BridgeSettings()
    for attribute in attributes {
      switch attribute.type {
      case IFLA_BR_STP_STATE: settings.stp = attribute.u32 ?? 0 != 0
      case IFLA_BR_AGEING_TIME: settings.ageing = attribute.u32 ?? 0
      case IFLA_BR_FORWARD_DELAY: settings.forwardDelay = attribute.u32 ?? 0
      case IFLA_BR_VLAN_FILTERING: settings.vlanFiltering = attribute.u8 == 1
      case IFLA_BR_VLAN_PROTOCOL: settings.vlanProtocol = attribute.big16 ?? 0x8100
      case IFLA_BR_VLAN_DEFAULT_PVID: settings.defaultPVID = attribute.u16 ?? 0
      case IFLA_BR_GROUP_FWD_MASK: settings.groupForwardMask = attribute.u16 ?? 0
      case IFLA_BR_NF_CALL_IPTABLES: settings.callIPTables = attribute.u8 == 1
      case IFLA_BR_NF_CALL_IP6TABLES: settings.callIP6Tables = attribute.u8 == 1
      case IFLA_BR_NF_CALL_ARPTABLES: settings.callARPTables = attribute.u8 == 1
      case IFLA_BR_MCAST_SNOOPING: settings.multicastSnooping = attribute.u8 == 1
      case IFLA_BR_BRIDGE_ID: settings.id = attribute.big64 ?? 0
      case IFLA_BR_MULTI_BOOLOPT:
        // struct br_boolopt_multi: values, then which of them are known
        let options = attribute.payload.load(0, as: UInt32.self) ?? 0
        settings.multipleSpanningTree = options & 1 << 2 != 0  // BR_BOOLOPT_MST_ENABLE
      default: break
      }
    }
    return settings
  }
}

extension BridgePort {
  static func parse(_ attributes: Attributes) -> BridgePort {
    var port = BridgePort()
    for attribute in attributes {
      let on = attribute.u8 == 1
      switch attribute.type {
      case IFLA_BRPORT_STATE: port.state = attribute.u8.flatMap(State.init) ?? .disabled
      case IFLA_BRPORT_LEARNING: port.learning = on
      case IFLA_BRPORT_UNICAST_FLOOD: port.unicastFlood = on
      case IFLA_BRPORT_MODE: port.hairpin = on
      case IFLA_BRPORT_GUARD: port.guarded = on
      case IFLA_BRPORT_PROTECT: port.rootBlock = on
      case IFLA_BRPORT_ISOLATED: port.isolated = on
      case IFLA_BRPORT_LOCKED: port.locked = on
      case IFLA_BRPORT_LOCKED + 1: port.macAuthenticationBypass = on  // IFLA_BRPORT_MAB, since 6.2
      case IFLA_BRPORT_PROXYARP, IFLA_BRPORT_PROXYARP_WIFI: port.proxyARP = port.proxyARP || on
      case IFLA_BRPORT_NEIGH_SUPPRESS: port.suppressNeighbours = on
      case IFLA_BRPORT_VLAN_TUNNEL: port.vlanTunnel = on
      case IFLA_BRPORT_MCAST_TO_UCAST: port.multicastToUnicast = on
      case IFLA_BRPORT_GROUP_FWD_MASK: port.groupForwardMask = attribute.u16 ?? 0
      case IFLA_BRPORT_BACKUP_PORT: port.backupPort = attribute.i32
      default: break
      }
    }
    return port
  }
}

extension PortVLAN {
  /// Reads the VLANs of one device from an AF_BRIDGE RTM_NEWLINK: its index and its ranges.
  package static func parse(_ payload: Bytes) -> (index: Int32, vlans: [PortVLAN])? {
    guard let index = payload.load(4, as: Int32.self), payload.count >= 16,
      let specification = Attributes(payload, after: 16).first(IFLA_AF_SPEC)
    else { return nil }
    // A network card with a switch of its own answers a second time, for itself (BRIDGE_FLAGS_SELF).
    if (specification.nested.first(IFLA_BRIDGE_FLAGS)?.u16 ?? 0) & 2 != 0 { return nil }
    var vlans: [PortVLAN] = []
    var opened: UInt16?
    for attribute in specification.nested where attribute.type == IFLA_BRIDGE_VLAN_INFO {
      guard let flags = attribute.payload.load(0, as: UInt16.self),
        let id = attribute.payload.load(2, as: UInt16.self)
      else { continue }
      if flags & 8 != 0 {  // BRIDGE_VLAN_INFO_RANGE_BEGIN
        opened = id
        continue
      }
      vlans.append(
        PortVLAN(first: opened ?? id, last: id, pvid: flags & 2 != 0, untagged: flags & 4 != 0))
      opened = nil
    }
    return (index, vlans)
  }
}
