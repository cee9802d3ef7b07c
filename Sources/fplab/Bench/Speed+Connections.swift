// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// Where the generator's flows come from: bench/generator.bpf.c.
  private static let (firstPort, ports) = (0x4000, 0x4000)
  /// Connections that are all used have all ports at so many addresses, together a million.
  private static let addresses = 61

  /// A router that translates the generator's flows, each of which is a connection of the kernel's: few, and a
  /// million that are all used, or as many as the machine allows.
  func nat() throws {
    try nat(flows, addresses: 1, rules: [])
    let stateful = [
      "-P FORWARD DROP", "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
      "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-A FORWARD -i p1 -j ACCEPT",
    ]
    try nat(flows, addresses: 1, rules: stateful)
    guard !quick else { return }
    let limit = try TextFile.read("/proc/sys/net/netfilter/nf_conntrack_max")
    let room = (Int(limit.split(separator: "\n").first ?? "") ?? 0) * 95 / 100
    // An odd number: each address meets each port.
    let addresses = min(Self.addresses, (room / Self.ports - 1) | 1)
    try nat(addresses * Self.ports, addresses: addresses, rules: [])
  }

  private func nat(_ connections: Int, addresses: Int, rules: [String]) throws {
    let (bed, router) = try routerBed()
    try router.run("iptables-legacy -t nat -A POSTROUTING -o p2 -j MASQUERADE")
    for rule in rules { try router.run("iptables-legacy \(rule)") }
    let list = try TemporaryDirectory("entries")
    try list.write(
      "entries",
      (0..<connections).map { flow in
        "-I -p udp -s 10.0.1.\(2 + flow % addresses) -d 10.100.\(flow % prefixes).1 "
          + "--sport \(Self.firstPort + flow % Self.ports) --dport 9 "
          + "-n 10.77.0.\(1 + flow % addresses) -t 36000 -u SEEN_REPLY,ASSURED\n"
      }.joined())
    Terminal.progress("NAT: \(connections) connections")
    try router.run(["conntrack", "-R", "\(list.path)/entries"])
    let left = try bed["left"]
    let traffic = try LoadTraffic(
      from: left.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1"
    ) {
      $0.flows = connections
      $0.sources = addresses
      $0.destinations = prefixes
      $0.step = 256
    }
    let generator = try LoadGenerator(in: left, device: "eth0", traffic)
    let sink = try LoadSink(in: try bed["right"], device: "eth0")
    let arrived = { sink.count.frames }
    let out = try router.ifindex(of: "p2")
    try measure(
      "NAT\(rules.isEmpty ? "" : " and stateful rules"), \(connections) connections",
      [
        try base(), Way(name: Self.linux, generator: generator, arrived: arrived) { .kernel },
        Way(name: "by hand, look-up and redirect", generator: generator, arrived: arrived) {
          .program(try LoadProgram("conntrack", constant: out).attach(to: "p1", in: router))
        }, fpd("xdp", in: router, ["p1", "p2"], generator, arrived, follows: true),
        fpd(
          "tc", in: router, ["p1", "p2"], generator, arrived, name: "fpd, tc", follows: true),
      ], isShort: true)
    bed.close()
  }

  /// TCP out of a container that is masqueraded, on the hook where GSO packets stay whole.
  func masqueradedStreams() throws {
    let bed = try Testbed.hostRouterHost()
    let router = try bed["router"]
    try router.run("iptables-legacy -t nat -A POSTROUTING -o p2 -j MASQUERADE")
    try streams(
      "masqueraded, out of a container", in: router, from: bed["left"], to: bed["right"],
      "10.0.2.2", follows: true)
    bed.close()
  }
}
