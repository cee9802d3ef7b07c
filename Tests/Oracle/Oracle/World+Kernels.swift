// SPDX-License-Identifier: Apache-2.0
import Lab

/// Networks of what the kernel of a machine may have and that of another lacks.
extension World {
  /// A bridge that filters by VLAN: p1 in 10, p2 a trunk, p3 in 20 and tagged in 10, routed by a VLAN device
  /// for each; p4 is a routed port with a VLAN device on it.
  static func vlans(_ chance: inout Chance) -> World {
    var build = newBridge("br0", 0, &chance)
    build += ["ip link set br0 type bridge vlan_filtering 1"] + bridged(1...3, "br0")
    build += [
      "bridge vlan del dev p1 vid 1", "bridge vlan add dev p1 vid 10 pvid untagged",
      "bridge vlan add dev p2 vid 10", "bridge vlan add dev p2 vid 20",
      "bridge vlan add dev p3 vid 20 pvid untagged", "bridge vlan add dev p3 vid 10",
      "bridge vlan add dev br0 vid 10 self", "bridge vlan add dev br0 vid 20 self",
      "ip link add link br0 name v10 type vlan id 10", "ip link set v10 up",
      "ip addr add 10.0.1.1/24 dev v10",
      "ip link add link br0 name v20 type vlan id 20", "ip link set v20 up",
      "ip addr add 10.0.2.1/24 dev v20",
      "ip link set p4 up", "ip addr add 10.0.4.1/24 dev p4",
      "ip link add link p4 name v5 type vlan id 5", "ip link set v5 up",
      "ip addr add 10.0.5.1/24 dev v5",
      "ip neigh add 10.0.1.2 lladdr \(Names.hostMAC(1)) dev v10 nud permanent",
      "ip neigh add 10.0.1.3 lladdr \(Names.hostMAC(2)) dev v10 nud permanent",
      "ip neigh add 10.0.2.4 lladdr \(Names.hostMAC(3)) dev v20 nud permanent",
      "ip neigh add 10.0.4.2 lladdr \(Names.hostMAC(4)) dev p4 nud permanent",
      "ip neigh add 10.0.5.2 lladdr \(Names.hostMAC(4)) dev v5 nud permanent",
      "ip route add 10.9.0.0/16 via 10.0.4.2", "ip route add 10.10.0.0/16 via 10.0.5.2",
      "ip route add 10.77.0.0/16 via 10.0.1.2",
    ]
    func station(_ port: Int, in network: Int, _ vlans: [UInt16]) -> Door {
      var door = bridgeDoor(port, network, 1...3)
      // The VLAN devices have the bridge's own.
      (door.gateway, door.vlans) = (Names.bridgeMAC(0), vlans)
      return door
    }
    var doors = [
      station(1, in: 1, []), station(2, in: 1, [10, 10, 20]), station(3, in: 2, []),
      station(3, in: 1, [10]), door(4), door(4),
    ]
    doors[5].vlans = [5]
    return World(
      name: "VLANs", build: build, doors: doors, devices: ["v10", "v20", "p4", "v5"],
      ports: ["p1", "p2", "p3"], bridges: ["br0"], hasVLANs: true,
      networks: [0x0a09_0000, 0x0a0a_0000, 0x0a4d_0000])
  }

  /// A router whose p1 and p2 are in a VRF, with a route from there into the main table and one back.
  static func vrf(_ chance: inout Chance) -> World {
    var build = [
      "ip link add red address \(Names.deviceMAC(3)) type vrf table 10", "ip link set red up",
    ]
    for port in 1...4 {
      if port < 3 { build.append("ip link set p\(port) master red") }
      build += [
        "ip link set p\(port) up", "ip addr add 10.0.\(port).1/24 dev p\(port)",
        "ip neigh add 10.0.\(port).2 lladdr \(Names.hostMAC(port)) dev p\(port) nud permanent",
      ]
    }
    build += [
      "ip route add vrf red 10.9.0.0/16 via 10.0.2.2", "ip route add 10.10.0.0/16 via 10.0.3.2",
      "ip route add default via 10.0.4.2",
    ]
    if chance.percent(50) {
      build += [
        "ip route add vrf red 10.10.0.0/16 via 10.0.3.2 dev p3",
        "ip route add 10.0.1.0/24 dev red", "ip route add 10.77.0.0/16 dev red",
        "ip route add vrf red 10.77.0.0/16 via 10.0.1.2",
      ]
    }
    return World(
      name: "VRF", build: build, doors: (1...4).map(door), devices: ["p1", "p2", "p3", "p4"],
      networks: [0x0a09_0000, 0x0a0a_0000, 0x0a4d_0000])
  }
}

extension TrialMaker {
  /// What an administrator of VLANs does.
  mutating func vlan() -> Change {
    let port = chance.one(of: world.ports + world.bridges)
    let place = "dev \(port)" + (world.bridges.contains(port) ? " self" : "")
    let number = chance.one(of: [1, 5, 10, 10, 20, 20, 30])
    let bridge = world.bridges[0]
    switch chance.below(12) {
    case 0..<4:
      let flags = chance.one(of: ["", " untagged", " pvid untagged", " pvid"])
      return Change(
        "bridge vlan add \(place) vid \(number)\(flags)",
        undo: "bridge vlan del \(place) vid \(number)")
    case 4..<6:
      return Change(
        "bridge vlan del \(place) vid \(number)", undo: "bridge vlan add \(place) vid \(number)")
    case 6:
      return Change(
        "ip link set \(bridge) type bridge vlan_filtering 0",
        undo: "ip link set \(bridge) type bridge vlan_filtering 1")
    case 7:
      return Change(
        "ip link set \(bridge) type bridge vlan_protocol 802.1ad",
        undo: "ip link set \(bridge) type bridge vlan_protocol 802.1Q")
    case 8:
      return Change(
        "bridge vlan add \(place) vid 8-12", undo: "bridge vlan del \(place) vid 8-12")
    case 9:
      let state = chance.one(of: ["blocking", "learning", "disabled"])
      return Change(
        "bridge vlan set \(place) vid \(number) state \(state)",
        undo: "bridge vlan set \(place) vid \(number) state forwarding")
    case 10:
      return Change(
        "ip link set \(bridge) type bridge vlan_default_pvid 30",
        undo: "ip link set \(bridge) type bridge vlan_default_pvid 1")
    default:
      return Change(
        "bridge fdb add \(Names.hostMAC(1 + chance.below(3))) dev \(chance.one(of: world.ports)) "
          + "master static vlan \(number)",
        undo: "ip link set \(bridge) type bridge vlan_stats_enabled 1")
    }
  }
}
