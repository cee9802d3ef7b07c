// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// Where the generator's flows come from: bench/generator.bpf.c.
  private static let (firstPort, ports) = (0x4000, 0x4000)
  /// Connections that are all used have all ports at so many addresses, together a million.
  private static let addresses = 61

  private static let million = 1_000_000

  /// A router that translates the generator's flows, each of which is a connection of the kernel's: few, and a
  /// million. All are used, as far as the machine lets a namespace have so many; the rest are other namespaces', in the
  /// one table that the kernel has.
  func nat() throws {
    try nat(flows, addresses: 1, rules: [])
    let stateful = [
      "-P FORWARD DROP", "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
      "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-A FORWARD -i p1 -j ACCEPT",
    ]
    try nat(flows, addresses: 1, rules: stateful)
    try containerEgress()
    guard !quick else { return }
    let limit = try TextFile.read("/proc/sys/net/netfilter/nf_conntrack_max")
    let room = (Int(limit.split(separator: "\n").first ?? "") ?? 0) * 95 / 100
    // An odd number: each address meets each port.
    let addresses = min(Self.addresses, (room / Self.ports - 1) | 1)
    let used = addresses * Self.ports
    try nat(used, addresses: addresses, rules: [], others: (Self.million - used + used / 2) / used)
  }

  private func nat(
    _ connections: Int, addresses: Int, rules: [String], others: Int = 0
  ) throws {
    let (bed, router) = try routerBed()
    for number in 0..<others {
      let other = try bed.add("other\(number)")
      try other.run("iptables-legacy -t nat -A POSTROUTING -o lo -j MASQUERADE")
      try enter(connections, from: "10.0.1.2", addresses, in: other)
    }
    try router.run("iptables-legacy -t nat -A POSTROUTING -o p2 -j MASQUERADE")
    for rule in rules { try router.run("iptables-legacy \(rule)") }
    try enter(connections, from: "10.0.1.2", addresses, in: router)
    let left = try bed["left"]
    let traffic = try LoadTraffic(
      from: left.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1"
    ) {
      spread(&$0)
      $0.flows = connections
      $0.sources = addresses
    }
    let generator = try LoadGenerator(in: left, device: "eth0", traffic)
    try forwarding(
      "NAT\(rules.isEmpty ? "" : " and stateful rules"), \(connections) connections"
        + (others > 0 ? " of \(connections * (others + 1)) in the table" : ""), through: router,
      generator, to: LoadSink(in: try bed["right"], device: "eth0"), beside: [.connections],
      hooks: ["xdp", "tc"], follows: true, isShort: true)
    bed.close()
  }

  /// Has the kernel follow the generator's flows, which are masqueraded.
  private func enter(
    _ connections: Int, from first: IPv4Address, _ addresses: Int, in router: Namespace
  ) throws {
    let list = try TemporaryDirectory("entries")
    try list.write(
      "entries",
      (0..<connections).map { flow in
        let source = IPv4Address(first.value + UInt32(flow % addresses))
        return "-I -p udp -s \(source) -d 10.100.\(flow % prefixes).1 "
          + "--sport \(Self.firstPort + flow % Self.ports) --dport 9 "
          + "-n 10.77.0.\(1 + flow % addresses) -t 36000 -u SEEN_REPLY,ASSURED\n"
      }.joined())
    Terminal.progress("NAT: \(connections) connections")
    try router.run(["conntrack", "-R", "\(list.path)/entries"])
  }

  /// What a container sends goes through a bridge, Docker's rules and masquerading.
  private func containerEgress() throws {
    let bed = try Testbed.bridged(hosts: 1)
    let (host, container) = (try bed["switch"], try bed["h1"])
    let world = try bed.add("world")
    try bed.cable(.init(host, "wan", "10.0.2.1/24"), .init(world, "eth0", "10.0.2.2/24"))
    let (near, far) = (try container.mac(of: "eth0"), try world.mac(of: "eth0"))
    try host.ip(
      batch: [
        "addr add 10.0.0.254/24 dev br0",
        "neigh replace 10.0.0.1 lladdr \(near) dev br0 nud permanent",
        "neigh replace 10.0.2.2 lladdr \(far) dev wan nud permanent",
      ] + (0..<prefixes).map { "route add 10.100.\($0).0/24 via 10.0.2.2" })
    try host.run("bridge fdb replace \(near) dev p1 master static")
    try host.run("ethtool -K p1 gro on")
    try host.sysctl("net.ipv4.ip_forward=1")
    try host.run(
      ["iptables-legacy-restore"],
      input: """
        *nat
        :DOCKER - [0:0]
        -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
        -A POSTROUTING -s 10.0.0.0/24 ! -o br0 -j MASQUERADE
        -A DOCKER -i br0 -j RETURN
        COMMIT
        *filter
        :FORWARD DROP [0:0]
        :DOCKER - [0:0]
        :DOCKER-ISOLATION-STAGE-1 - [0:0]
        :DOCKER-ISOLATION-STAGE-2 - [0:0]
        :DOCKER-USER - [0:0]
        -A FORWARD -j DOCKER-USER
        -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        -A FORWARD -o br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A FORWARD -o br0 -j DOCKER
        -A FORWARD -i br0 ! -o br0 -j ACCEPT
        -A FORWARD -i br0 -o br0 -j ACCEPT
        -A DOCKER-ISOLATION-STAGE-1 -i br0 ! -o br0 -j DOCKER-ISOLATION-STAGE-2
        -A DOCKER-ISOLATION-STAGE-1 -j RETURN
        -A DOCKER-ISOLATION-STAGE-2 -o br0 -j DROP
        -A DOCKER-ISOLATION-STAGE-2 -j RETURN
        -A DOCKER-USER -j RETURN
        COMMIT

        """)
    try enter(flows, from: "10.0.0.1", 1, in: host)
    let traffic = try LoadTraffic(from: near, "10.0.0.1", to: host.mac(of: "br0"), "10.100.0.1") {
      spread(&$0)
    }
    let generator = try LoadGenerator(in: container, device: "eth0", traffic)
    try forwarding(
      "out of a container, by a bridge, Docker's rules and NAT, \(flows) connections",
      through: host, generator, to: LoadSink(in: world, device: "eth0"), hooks: ["tc"],
      follows: true, interfaces: ["p1", "wan"], isShort: true)
    bed.close()
  }
}
