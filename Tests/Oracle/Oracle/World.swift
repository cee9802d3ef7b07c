// SPDX-License-Identifier: Apache-2.0
import Lab

/// A kind of network: how it is built, and who is where in it.
struct World {
  let name: String
  var cables = 4
  var hosts: Set<Int> = []
  var hasIPv6 = false
  var build: [String]
  /// By cable.
  var doors: [Door]
  /// Devices that have IPv4 addresses.
  var devices: [String]
  /// Ports of bridges, and the bridges.
  var ports: [String] = []
  var bridges: [String] = []
  var hasVLANs = false
  /// Connections are followed, and fpd is told to do so, too.
  var isTracked = false
  /// Networks that are routed somewhere: addresses in them are good destinations.
  var networks: [UInt32]

  /// What somebody at the end of a cable knows.
  struct Door {
    let port: Int
    /// The router's address there, if it has any, and the MAC one sends to.
    var own: UInt32?
    var gateway: MAC
    /// Its own address, and those of its neighbours.
    var address: UInt32
    var neighbours: [UInt32]
    /// MAC addresses of stations that are bridged from here.
    var stations: [MAC]
    /// The VLANs that most frames from here are tagged with; none where they are not.
    var vlans: [UInt16] = []
  }

  static let all: [(weight: Int, make: @Sendable (inout Chance) -> World)] = [
    (4, { router(&$0) }), (3, { bridge(&$0) }), (3, { bridgeRouter(&$0) }), (2, { overlay(&$0) }),
    (2, { twoBridges(&$0) }), (2, { containers(&$0) }), (2, { wires(&$0) }),
  ]

  /// Those that need what not every kernel has: asked for by name, so that a seed means the same everywhere.
  static let further: [(name: String, make: @Sendable (inout Chance) -> World)] = [
    ("vlans", { vlans(&$0) }), ("vrf", { vrf(&$0) }),
    ("connections", { connections(&$0) }),
  ]

  /// With the settings that a distribution brings: many check the way back.
  func asShipped(_ chance: inout Chance) -> World {
    var world = self
    let path = chance.one(weighted: [(50, 0), (30, 1), (20, 2)])
    if path > 0 { world.build.insert("sysctl net.ipv4.conf.all.rp_filter=\(path)", at: 0) }
    if chance.percent(15) { world.build.insert("sysctl net.ipv4.conf.all.accept_local=1", at: 0) }
    if chance.percent(50) {
      world.build.insert("sysctl net.ipv4.conf.all.send_redirects=0", at: 0)
    }
    return world
  }

  // MARK: Plain networks

  static func subnet(_ number: Int) -> UInt32 { 0x0a00_0000 | UInt32(number) << 8 }

  static func door(_ port: Int) -> Door {
    Door(
      port: port, own: subnet(port) + 1, gateway: Names.gatewayMAC(port),
      address: subnet(port) + 2, neighbours: [subnet(port) + 3], stations: [])
  }

  private static func text(_ address: UInt32) -> String { "\(IPv4Address(address))" }

  /// 10.0.N.1/24 on each pN, and routes to what lies behind.
  private static func router(_ chance: inout Chance) -> World {
    var build: [String] = []
    for port in 1...4 {
      build += ["ip link set p\(port) up", "ip addr add 10.0.\(port).1/24 dev p\(port)"]
      // Some are found by asking: then nobody answers, unless by chance.
      if chance.percent(85) {
        build.append(
          "ip neigh add 10.0.\(port).2 lladdr \(Names.hostMAC(port)) dev p\(port) nud "
            + chance.one(of: ["permanent", "permanent", "reachable", "noarp", "stale"]))
      }
    }
    build += [
      "ip route add 10.9.0.0/16 via 10.0.2.2", "ip route add 10.10.0.0/16 via 10.0.3.2",
      "ip route add 10.77.0.0/16 via 10.0.1.2",
    ]
    if chance.percent(60) { build.append("ip route add default via 10.0.4.2") }
    if chance.percent(20) {
      build.append("ip route add 10.30.0.0/16 nexthop via 10.0.2.2 nexthop via 10.0.3.2")
    }
    let hasIPv6 = chance.percent(20)
    if hasIPv6 { build += ipv6 }
    return World(
      name: "router", hasIPv6: hasIPv6, build: build, doors: (1...4).map(door),
      devices: ["p1", "p2", "p3", "p4"],
      networks: [0x0a09_0000, 0x0a0a_0000, 0x0a4d_0000, 0x0a1e_0000])
  }

  /// The same in IPv6: fd00:N::1/64 on each pN.
  private static var ipv6: [String] {
    let ports = (1...4).flatMap {
      [
        "ip -6 addr add fd00:\($0)::1/64 dev p\($0) nodad",
        "ip -6 neigh add fd00:\($0)::2 lladdr \(Names.hostMAC($0)) dev p\($0) nud permanent",
      ]
    }
    return ports + [
      "ip -6 route add fd00:9::/32 via fd00:2::2", "sysctl net.ipv6.conf.all.forwarding=1",
      "sysctl net.ipv6.icmp.ratelimit=0",
    ]
  }

  static func bridged(_ ports: ClosedRange<Int>, _ bridge: String) -> [String] {
    ports.map { "ip link set p\($0) master \(bridge)" } + ports.map { "ip link set p\($0) up" }
  }

  static func newBridge(_ name: String, _ number: Int, _ chance: inout Chance) -> [String] {
    // One draw: trials remain what they were otherwise.
    let draw = chance.below(100)
    let options =
      (draw < 70 ? "" : " mcast_snooping 0") + (draw % 3 == 0 ? " nf_call_iptables 1" : "")
    return [
      "ip link add \(name) address \(Names.bridgeMAC(number)) type bridge ageing_time 3000000"
        + options, "ip link set \(name) up",
    ]
  }

  /// Four stations on a bridge that has no address.
  private static func bridge(_ chance: inout Chance) -> World {
    let all = (1...4).map { Names.hostMAC($0) }
    return World(
      name: "bridge", build: newBridge("br0", 0, &chance) + bridged(1...4, "br0"),
      doors: (1...4).map { port in
        Door(
          port: port, own: nil, gateway: Names.hostMAC(port % 4 + 1),
          address: 0x0a00_0000 + UInt32(port),
          neighbours: (1...4).map { 0x0a00_0000 + UInt32($0) }, stations: all)
      }, devices: [], ports: ["p1", "p2", "p3", "p4"], bridges: ["br0"], networks: [0x0a00_0000])
  }

  /// A bridge's door: neighbours on it, and the router above.
  static func bridgeDoor(_ port: Int, _ network: Int, _ ports: ClosedRange<Int>) -> Door {
    Door(
      port: port, own: subnet(network) + 1, gateway: Names.bridgeMAC(network - 1),
      address: subnet(network) + 1 + UInt32(port),
      neighbours: ports.map { subnet(network) + 1 + UInt32($0) },
      stations: ports.map(Names.hostMAC))
  }

  private static func neighbours(
    _ network: Int, _ ports: ClosedRange<Int>, on device: String, _ chance: inout Chance
  ) -> [String] {
    ports.filter { _ in chance.percent(85) }.map {
      "ip neigh add \(text(subnet(network) + 1 + UInt32($0))) lladdr \(Names.hostMAC($0)) "
        + "dev \(device) nud permanent"
    }
  }

  /// p1, p2, p3 on br0 with 10.0.1.1/24; p4 is routed, 10.0.4.1/24.
  private static func bridgeRouter(_ chance: inout Chance) -> World {
    var build = newBridge("br0", 0, &chance) + bridged(1...3, "br0")
    build += [
      "ip addr add 10.0.1.1/24 dev br0", "ip link set p4 up", "ip addr add 10.0.4.1/24 dev p4",
      "ip neigh add 10.0.4.2 lladdr \(Names.hostMAC(4)) dev p4 nud permanent",
      "ip route add 10.9.0.0/16 via 10.0.4.2", "ip route add 10.77.0.0/16 via 10.0.1.2",
    ]
    build += neighbours(1, 1...3, on: "br0", &chance)
    return World(
      name: "bridge and router", build: build,
      doors: (1...3).map { bridgeDoor($0, 1, 1...3) } + [door(4)], devices: ["br0", "p4"],
      ports: ["p1", "p2", "p3"], bridges: ["br0"], networks: [0x0a09_0000, 0x0a4d_0000])
  }

  /// br0 over p1, p2 with 10.0.1.1/24, br1 over p3, p4 with 10.0.2.1/24.
  private static func twoBridges(_ chance: inout Chance) -> World {
    var build = newBridge("br0", 0, &chance) + newBridge("br1", 1, &chance)
    build += bridged(1...2, "br0") + bridged(3...4, "br1")
    build += [
      "ip addr add 10.0.1.1/24 dev br0", "ip addr add 10.0.2.1/24 dev br1",
      "ip route add 10.9.0.0/16 via 10.0.2.4", "ip route add 10.77.0.0/16 via 10.0.1.2",
    ]
    build += neighbours(1, 1...2, on: "br0", &chance) + neighbours(2, 3...4, on: "br1", &chance)
    return World(
      name: "two bridges", build: build,
      doors: (1...2).map { bridgeDoor($0, 1, 1...2) } + (3...4).map { bridgeDoor($0, 2, 3...4) },
      devices: ["br0", "br1"], ports: ["p1", "p2", "p3", "p4"], bridges: ["br0", "br1"],
      networks: [0x0a09_0000, 0x0a4d_0000])
  }

  // MARK: With tunnels and devices upon devices

  /// Routers p1, p2, p3; a VXLAN over p3, a macvlan on p4, and what else comes out of a router.
  private static func overlay(_ chance: inout Chance) -> World {
    var world = router(&chance)
    world.build += [
      "ip link add vx0 address \(Names.deviceMAC(1)) type vxlan id 42 dstport 4789 remote 10.0.3.2 "
        + "local 10.0.3.1 dev p3 srcport 50000 50001 nolearning",
      "ip link set vx0 up", "ip addr add 10.20.0.1/24 dev vx0",
      "ip neigh add 10.20.0.2 lladdr 02:00:00:00:0c:01 dev vx0 nud permanent",
      "ip route add 10.21.0.0/16 via 10.20.0.2",
      "ip link add link p4 name mv0 address \(Names.deviceMAC(2)) type macvlan mode bridge",
      "ip link set mv0 up", "ip addr add 10.40.0.1/24 dev mv0",
      "ip neigh add 10.40.0.2 lladdr 02:00:00:00:0c:02 dev mv0 nud permanent",
      "ip tuntap add tun0 mode tun", "ip link set tun0 up", "ip addr add 10.50.0.1/24 dev tun0",
      "ip link add dm0 type veth peer name dm1", "ip link set dm0 up",
      "ip addr add 10.60.0.1/24 dev dm0",
    ]
    world.networks += [0x0a14_0000, 0x0a15_0000, 0x0a28_0000, 0x0a32_0000, 0x0a3c_0000]
    return World(
      name: "overlay", hasIPv6: world.hasIPv6, build: world.build, doors: world.doors,
      devices: world.devices + ["vx0", "mv0"], networks: world.networks)
  }

  // MARK: Hosts of containers

  private static func container(_ port: Int, _ address: String, via gateway: String) -> [String] {
    [
      "@\(port) ip addr add \(address) dev eth0",
      "@\(port) ip route add default via \(gateway) dev eth0 onlink",
    ]
  }

  /// A machine as container engines leave it: containers at p1, p2 on a bridge, p3 and p4 outside.
  private static func containers(_ chance: inout Chance) -> World {
    let style = chance.one(of: ContainerRules.allCases)
    let bridge = style.bridge
    var build = [
      "ip link add \(bridge) address \(Names.bridgeMAC(0)) type bridge", "ip link set \(bridge) up",
      "ip addr add \(style.prefix).0.1/16 dev \(bridge)",
    ]
    build += bridged(1...2, bridge)
    for port in 1...2 {
      if style.hasHairpin { build.append("bridge link set dev p\(port) hairpin on") }
      build += container(port, "\(style.prefix).0.\(port + 1)/16", via: "\(style.prefix).0.1")
      build.append(
        "ip neigh add \(style.prefix).0.\(port + 1) lladdr \(Names.hostMAC(port)) dev \(bridge) "
          + "nud permanent")
      // What a container is asked to answer goes to a router it knows.
      build.append(
        "@\(port) ip neigh add \(style.prefix).0.1 lladdr \(Names.bridgeMAC(0)) dev eth0 nud permanent"
      )
    }
    for port in 3...4 {
      build += [
        "ip link set p\(port) up", "ip addr add 10.0.\(port).1/24 dev p\(port)",
        "ip neigh add 10.0.\(port).2 lladdr \(Names.hostMAC(port)) dev p\(port) nud permanent",
      ]
    }
    build += ["ip route add default via 10.0.3.2", "ip route add 10.9.0.0/16 via 10.0.4.2"]
    build += style.rules(chance.one(of: ["iptables-legacy", "iptables-nft"]))
    let base = style.network
    let inside = (1...2).map { port in
      Door(
        port: port, own: base + 1, gateway: Names.bridgeMAC(0), address: base + 1 + UInt32(port),
        neighbours: [base + 2, base + 3], stations: [Names.hostMAC(1), Names.hostMAC(2)])
    }
    return World(
      name: "containers as \(style.rawValue) leaves them", hosts: [1, 2], build: build,
      doors: inside + [door(3), door(4)], devices: [bridge, "p3", "p4"], ports: ["p1", "p2"],
      bridges: [bridge], networks: [0x0a09_0000, base])
  }

  /// The plugin ptp of CNI, and routed containers in general: a route to each, and no bridge.
  private static func wires(_ chance: inout Chance) -> World {
    var build: [String] = []
    for port in 1...2 {
      build += [
        "ip link set p\(port) up", "ip addr add 10.1.0.1/32 dev p\(port)",
        "ip route add 10.1.0.\(port + 1)/32 dev p\(port)",
        "sysctl net.ipv4.conf.p\(port).proxy_arp=\(chance.below(2))",
      ]
      build += container(port, "10.1.0.\(port + 1)/32", via: "10.1.0.1")
    }
    for port in 3...4 {
      build += [
        "ip link set p\(port) up", "ip addr add 10.0.\(port).1/24 dev p\(port)",
        "ip neigh add 10.0.\(port).2 lladdr \(Names.hostMAC(port)) dev p\(port) nud permanent",
      ]
    }
    build += ["ip route add default via 10.0.3.2", "ip route add 10.9.0.0/16 via 10.0.4.2"]
    // One container is a router itself: networks in networks.
    build += [
      "@2 sysctl net.ipv4.ip_forward=1", "@2 ip link add lo1 type veth peer name lo2",
      "@2 ip link set lo1 up", "@2 ip link set lo2 up", "@2 ip addr add 10.2.0.1/24 dev lo1",
      "ip route add 10.2.0.0/24 via 10.1.0.3 dev p2 onlink",
    ]
    let inside = (1...2).map { port in
      Door(
        port: port, own: 0x0a01_0001, gateway: Names.gatewayMAC(port),
        address: 0x0a01_0001 + UInt32(port), neighbours: [0x0a01_0002, 0x0a01_0003], stations: [])
    }
    return World(
      name: "containers on wires", hosts: [1, 2], build: build,
      doors: inside + [door(3), door(4)], devices: ["p1", "p2", "p3", "p4"],
      networks: [0x0a09_0000, 0x0a02_0000, 0x0a01_0000])
  }
}
