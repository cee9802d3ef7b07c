// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Namespaces and the cables between them; all of it goes when the testbed is closed or forgotten.
public final class Testbed {
  public private(set) var namespaces: [String: Namespace] = [:]

  public init() {}

  deinit { close() }

  public func close() {
    for namespace in namespaces.values { namespace.close() }
    namespaces = [:]
  }

  /// Adds a namespace under a short word.
  @discardableResult public func add(
    _ word: String, ipv6: Namespace.IPv6 = .off
  ) throws -> Namespace {
    let namespace = try Namespace(word, ipv6: ipv6)
    namespaces[word] = namespace
    return namespace
  }

  /// The namespace of that word.
  public subscript(word: String) -> Namespace {
    get throws {
      guard let namespace = namespaces[word] else {
        throw LabError("this testbed has no namespace '\(word)', only \(namespaces.keys.sorted())")
      }
      return namespace
    }
  }

  /// One end of a cable: a device that is made in a namespace, with an address where one is given.
  public struct Plug {
    let namespace: Namespace
    let device: String
    let address: String?

    public init(_ namespace: Namespace, _ device: String, _ address: String? = nil) {
      self.namespace = namespace
      self.device = device
      self.address = address
    }
  }

  /// A cable (a veth pair) between two namespaces, both ends up.
  public func cable(_ left: Plug, _ right: Plug) throws {
    try left.namespace.run(
      ["ip", "link", "add", left.device, "type", "veth"]
        + ["peer", "name", right.device, "netns", right.namespace.name])
    for plug in [left, right] { try up(plug.namespace, plug.device, plug.address) }
  }

  private func up(_ namespace: Namespace, _ device: String, _ address: String?) throws {
    var lines = address.map { ["addr add \($0) dev \(device)"] } ?? []
    lines.append("link set \(device) up")
    try namespace.ip(batch: lines)
  }

  // MARK: Whole labs

  /// Two hosts with a router between: `left` 10.0.1.2 – eth0/p1 – `router` 10.0.1.1/10.0.2.1 – p2/eth0 –
  /// `right` 10.0.2.2. The router forwards.
  public static func hostRouterHost(ipv6: Namespace.IPv6 = .off) throws -> Testbed {
    let bed = Testbed()
    let router = try bed.add("router", ipv6: ipv6)
    for (number, word) in [(1, "left"), (2, "right")] {
      let host = try bed.add(word, ipv6: ipv6)
      try bed.cable(
        Plug(host, "eth0", "10.0.\(number).2/24"),
        Plug(router, "p\(number)", "10.0.\(number).1/24"))
      try host.run("ip route add default via 10.0.\(number).1")
    }
    try router.sysctl("net.ipv4.ip_forward=1")
    return bed
  }

  /// Hosts `h1`…`hN` (10.0.0.1…) on ports p1…pN of bridge br0 in `switch`.
  public static func bridged(hosts: Int, ipv6: Namespace.IPv6 = .off) throws -> Testbed {
    let bed = Testbed()
    let bridge = try bed.add("switch", ipv6: ipv6)
    try bridge.ip(batch: ["link add br0 type bridge", "link set br0 up"])
    for number in 1...max(1, hosts) {
      let host = try bed.add("h\(number)", ipv6: ipv6)
      try bed.cable(Plug(host, "eth0", "10.0.0.\(number)/24"), Plug(bridge, "p\(number)"))
      try bridge.run("ip link set p\(number) master br0")
    }
    return bed
  }

  /// `node1` – `node2` (192.168.0.1 and .2 on eth0), joined by VXLAN as flannel does it: a device without learning, its
  /// entries and neighbours permanent. The pods of node N are to be 10.244.N.0/24.
  public static func overlay() throws -> Testbed {
    let bed = Testbed()
    for word in ["node1", "node2"] { try bed.add(word) }
    try bed.cable(
      Plug(bed["node1"], "eth0", "192.168.0.1/24"), Plug(bed["node2"], "eth0", "192.168.0.2/24"))
    for (own, other) in [(1, 2), (2, 1)] {
      let node = try bed["node\(own)"]
      try node.sysctl("net.ipv4.ip_forward=1")
      try node.ip(batch: [
        "link add flannel.1 address 02:42:00:00:00:0\(own) type vxlan id 1 dstport 8472 "
          + "local 192.168.0.\(own) dev eth0 nolearning",
        "addr add 10.244.\(own).0/32 dev flannel.1", "link set flannel.1 up",
        "neigh add 10.244.\(other).0 lladdr 02:42:00:00:00:0\(other) dev flannel.1 nud permanent",
        "route add 10.244.\(other).0/24 via 10.244.\(other).0 dev flannel.1 onlink",
      ])
      try node.run(
        "bridge fdb add 02:42:00:00:00:0\(other) dev flannel.1 dst 192.168.0.\(other) self permanent"
      )
    }
    return bed
  }

  /// `left` – `r1` – … – `rN` – `right`, each cable a /24: 10.0.0.0 next to `left`, 10.0.N.0 next to
  /// `right`; west ends .1, east ends .2, devices `west` and `east`. Every host reaches every other.
  public static func chain(routers: Int, ipv6: Namespace.IPv6 = .off) throws -> Testbed {
    let bed = Testbed()
    let words = ["left"] + (1...max(1, routers)).map { "r\($0)" } + ["right"]
    for word in words { try bed.add(word, ipv6: ipv6) }
    for (number, (west, east)) in zip(words, words.dropFirst()).enumerated() {
      try bed.cable(
        Plug(try bed[west], "east", "10.0.\(number).1/24"),
        Plug(try bed[east], "west", "10.0.\(number).2/24"))
    }
    for (place, word) in words.enumerated() {
      let namespace = try bed[word]
      try namespace.sysctl("net.ipv4.ip_forward=1")
      try namespace.ip(
        batch: (0..<words.count - 1).compactMap { network in
          if network < place - 1 { return "route add 10.0.\(network).0/24 via 10.0.\(place - 1).1" }
          if network > place { return "route add 10.0.\(network).0/24 via 10.0.\(place).2" }
          return nil
        } + ["link show lo"])
    }
    return bed
  }
}
