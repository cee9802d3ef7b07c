// SPDX-License-Identifier: Apache-2.0

/// A network device and what is configured on it.
package struct Link: Equatable, Sendable {
  package var index: Int32 = 0
  package var name = ""
  package var hardware: UInt16 = 0  // ARPHRD_*
  package var up = false
  package var carrier = false
  package var mtu: UInt32 = 0
  package var address: [UInt8] = []
  package var kind = LinkKind.plain
  /// The device's IFLA_INFO_KIND, or "" for devices a driver made.
  package var kindName = ""
  /// The bridge, bond or VRF this device is enslaved to, and as what.
  package var master: Int32?
  package var slaveKind = ""
  /// The device below (vlan, macvlan) or the peer (veth), and the namespace it is in where not ours.
  package var lower: Int32?
  package var lowerNamespace: Int32?
  package var port: BridgePort?
  /// The VLANs of a port, or of the bridge itself, where the bridge filters by VLAN.
  package var vlans: [PortVLAN] = []
  package var xdp: [XDPAttachment] = []
  package var settings = DeviceSettings()
  package var transmitQueues: UInt32 = 1

  package init() {}

  package static let ethernet: UInt16 = 1
  package static let loopback: UInt16 = 772

  package var isEthernet: Bool { hardware == Self.ethernet }
}

/// An XDP program on a device.
package struct XDPAttachment: Equatable, Sendable {
  package enum Mode: String, Sendable { case native, generic, offloaded }
  package var mode: Mode
  package var program: UInt32

  package init(mode: Mode, program: UInt32) {
    self.mode = mode
    self.program = program
  }
}

/// What a virtual device is, with the settings that decide how it treats packets.
package enum LinkKind: Equatable, Sendable {
  case plain
  case veth
  case bridge(BridgeSettings)
  case vlan(id: UInt16, protocol: UInt16)
  case vxlan(VXLANSettings)
  case bond(mode: UInt8)
  case team
  case macvlan(mode: UInt32)
  case ipvlan
  case vrf(table: UInt32)
  case tun(tap: Bool, vnetHeader: Bool)
  case ifb
  case dummy
  case other(String)
}

package struct BridgeSettings: Equatable, Sendable {
  package var stp = false
  package var ageing: UInt32 = 30000  // in hundredths of a second, as the kernel reports it
  package var forwardDelay: UInt32 = 1500
  package var vlanFiltering = false
  package var vlanProtocol: UInt16 = 0x8100
  package var defaultPVID: UInt16 = 1
  package var groupForwardMask: UInt16 = 0
  package var callIPTables = false
  package var callIP6Tables = false
  package var callARPTables = false
  package var multicastSnooping = true
  package var multipleSpanningTree = false
  package var id: UInt64 = 0

  package init() {}
}

package struct BridgePort: Equatable, Sendable {
  /// br_state: the numbers are the kernel's BR_STATE_*.
  package enum State: UInt8, Sendable { case disabled, listening, learning, forwarding, blocking }

  package var state = State.disabled
  package var learning = true
  package var unicastFlood = true
  package var hairpin = false
  package var isolated = false
  package var locked = false
  package var macAuthenticationBypass = false
  package var guarded = false
  package var rootBlock = false
  package var proxyARP = false
  package var suppressNeighbours = false
  package var vlanTunnel = false
  package var multicastToUnicast = false
  package var groupForwardMask: UInt16 = 0
  package var backupPort: Int32?

  package init() {}
}

/// A range of VLANs on a port of a VLAN-filtering bridge, or on the bridge itself.
package struct PortVLAN: Equatable, Sendable {
  package var first: UInt16
  package var last: UInt16
  package var pvid: Bool
  package var untagged: Bool

  package init(first: UInt16, last: UInt16, pvid: Bool, untagged: Bool) {
    self.first = first
    self.last = last
    self.pvid = pvid
    self.untagged = untagged
  }
}

package struct VXLANSettings: Equatable, Sendable {
  package var id: UInt32 = 0
  package var port: UInt16 = 0
  package var lower: Int32?
  package var learning = true
  package var collectMetadata = false

  package init() {}
}

/// The per-device settings of IPv4 and IPv6 that change forwarding (`/proc/sys/net/ipv4/conf/DEV/`).
package struct DeviceSettings: Equatable, Sendable {
  package var forwarding = false
  package var rpFilter: UInt8 = 0
  package var acceptLocal = false
  package var routeLocalnet = false
  package var sendRedirects = false
  package var sharedMedia = false
  package var sourceValidMark = false
  package var proxyARP = false
  package var acceptSourceRoute = false
  package var logMartians = false
  package var disableXFRM = false
  package var disablePolicy = false
  package var forwarding6 = false
  package var disabled6 = false

  package init() {}
}

extension Link {
  /// Ethernet addresses as people write them.
  package var addressText: String { hexadecimal(address, separator: ":") }
}

package func hexadecimal(_ bytes: [UInt8], separator: String = "") -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: separator)
}
