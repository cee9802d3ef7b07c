// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// A cable, the generator at one end and the sink at the other: what there is besides forwarding.
  private func base() throws -> Way {
    let bed = Testbed()
    let (from, to) = (try bed.add("from"), try bed.add("to"))
    try bed.cable(.init(from, "eth0", "10.0.1.2/24"), .init(to, "eth0", "10.0.1.1/24"))
    let sink = try LoadSink(in: to, device: "eth0")
    let traffic = try LoadTraffic(
      from: from.mac(of: "eth0"), "10.0.1.2", to: to.mac(of: "eth0"), "10.100.0.1"
    ) { spread(&$0) }
    return Way(
      name: "no hop: generator to sink", isBase: true,
      generator: try LoadGenerator(in: from, device: "eth0", traffic)
    ) {
      withExtendedLifetime(bed) { sink.count.frames }
    } set: {
      .kernel
    }
  }

  private func spread(_ traffic: inout LoadTraffic) {
    traffic.flows = flows
    traffic.destinations = prefixes
    traffic.step = 256
  }

  /// Two hosts and a router with 50 routes to the second, whose port can take redirected frames.
  private func routerBed() throws -> (Testbed, Namespace) {
    let bed = try Testbed.hostRouterHost()
    let router = try bed["router"]
    let right = try bed["right"].mac(of: "eth0")
    let left = try bed["left"].mac(of: "eth0")
    try router.ip(
      batch: [
        "neigh replace 10.0.2.2 lladdr \(right) dev p2 nud permanent",
        "neigh replace 10.0.1.2 lladdr \(left) dev p1 nud permanent",
      ] + (0..<prefixes).map { "route add 10.100.\($0).0/24 via 10.0.2.2" })
    try router.run("ethtool -K p1 gro on")
    return (bed, router)
  }

  func router() throws {
    let (bed, router) = try routerBed()
    let sink = try LoadSink(in: try bed["right"], device: "eth0")
    let traffic = try LoadTraffic(
      from: bed["left"].mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1"
    ) { spread(&$0) }
    let generator = try LoadGenerator(in: try bed["left"], device: "eth0", traffic)
    let out = try router.ifindex(of: "p2")
    let arrived = { sink.count.frames }
    try measure(
      "router, \(prefixes) prefixes, \(flows) flows",
      [
        try base(),
        Way(name: Self.linux, generator: generator, arrived: arrived) { .kernel },
        Way(name: "bare redirect", generator: generator, arrived: arrived) {
          .program(try LoadProgram("redirect", constant: out).attach(to: "p1", in: router))
        },
        Way(name: "by hand, bpf_fib_lookup", generator: generator, arrived: arrived) {
          .program(try LoadProgram("forward").attach(to: "p1", in: router))
        },
        Way(name: "by hand, kernel's table", generator: generator, arrived: arrived) {
          .program(try LoadProgram("trie").attach(to: "p1", in: router))
        },
        fpd(in: router, ["p1", "p2"], generator, arrived),
      ])
    bed.close()
  }

  static let linux = "Linux"
  /// Connections that ask at the same time, as the pods of a node do.
  static let sessions = 32

  private func fpd(
    in namespace: Namespace, _ interfaces: [String], _ generator: LoadGenerator,
    _ arrived: @escaping () throws -> Int
  ) -> Way {
    Way(name: "fpd, XDP", generator: generator, arrived: arrived) {
      .fpd(
        try Fpd(in: namespace, configuration: "defaults: {hook: xdp}\n", logLevel: "warning"),
        interfaces)
    }
  }

  /// Two hosts on a bridge; behind the second, as many stations as there are prefixes elsewhere.
  func bridge() throws {
    let bed = try Testbed.bridged(hosts: 2)
    let bridge = try bed["switch"]
    let first = MAC(number: 0x0100)
    try bridge.run("ethtool -K p1 gro on")
    try bridge.run(
      ["bridge", "-batch", "-"],
      input: (0..<prefixes).map {
        "fdb add \(MAC(number: 0x0100 + UInt32($0))) dev p2 master static\n"
      }.joined())
    let sender = try bed["h1"].mac(of: "eth0")
    try bridge.run("bridge fdb replace \(sender) dev p1 master static")
    let sink = try LoadSink(in: try bed["h2"], device: "eth0")
    let traffic = LoadTraffic(from: sender, "10.0.0.1", to: first, "10.0.0.2") {
      $0.flows = flows
      $0.destinationMACs = prefixes
    }
    let generator = try LoadGenerator(in: try bed["h1"], device: "eth0", traffic)
    let out = try bridge.ifindex(of: "p2")
    let arrived = { sink.count.frames }
    try measure(
      "bridge, \(prefixes) stations, \(flows) flows",
      [
        try base(),
        Way(name: Self.linux, generator: generator, arrived: arrived) { .kernel },
        Way(name: "bare redirect", generator: generator, arrived: arrived) {
          .program(try LoadProgram("redirect", constant: out).attach(to: "p1", in: bridge))
        },
        Way(name: "by hand, kernel's table", generator: generator, arrived: arrived) {
          .program(try LoadProgram("bridge").attach(to: "p1", in: bridge))
        },
        fpd(in: bridge, ["p1", "p2"], generator, arrived),
      ])
    bed.close()
  }

  /// What fpd costs for packets it leaves to the kernel: those for the router itself.
  func punting() throws {
    let (bed, router) = try routerBed()
    let socket = try DeafSocket(in: router, port: 9)
    let traffic = try LoadTraffic(
      from: bed["left"].mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.0.1.1"
    ) { $0.flows = flows }
    let generator = try LoadGenerator(in: try bed["left"], device: "eth0", traffic)
    try measure(
      "punt: UDP to the router itself",
      [
        Way(name: Self.linux, generator: generator, arrived: socket.dropped) { .kernel },
        fpd(in: router, ["p1", "p2"], generator, socket.dropped),
      ])
    bed.close()
  }

  /// TCP on the hook where GSO packets stay whole: through a router, and between two containers.
  func streams() throws {
    let routed = try Testbed.hostRouterHost()
    try streams(
      "through a router", in: routed["router"],
      LoadStream(
        from: routed["left"], to: routed["right"], "10.0.2.2", clientCPU: cpu, serverCPU: cpu))
    routed.close()
    let bridged = try Testbed.bridged(hosts: 2)
    try streams(
      "containers on a bridge", in: bridged["switch"],
      LoadStream(
        from: bridged["h1"], to: bridged["h2"], "10.0.0.2", clientCPU: cpu, serverCPU: cpu))
    bridged.close()
  }

  private func streams(_ setting: String, in namespace: Namespace, _ stream: LoadStream) throws {
    var rows = [Self.linux, "fpd, tc"].map {
      SpeedResults.StreamRow(setting: setting, way: $0)
    }
    for round in 1...rounds {
      for place in rows.indices where rows[place].absent == nil {
        Terminal.progress("TCP \(setting): \(rows[place].way) \(round)/\(rounds)")
        var daemon: Fpd?
        if place == 1 {
          let fpd = try Fpd(
            in: namespace, configuration: "defaults: {hook: tc}\n", logLevel: "warning")
          daemon = fpd
          if let reason = try Self.reasonNotAccelerated(fpd, ["p1", "p2"]) {
            rows[place].absent = "not accelerated: \(reason)"
            try fpd.stop()
            continue
          }
        }
        rows[place].gigabits.append(try stream.bulk(time).perBusySecond * 8 / 1e9)
        rows[place].transactions.append(
          try stream.requests(time, sessions: Self.sessions).perBusySecond / 1e3)
        if let daemon {
          rows[place].fastShares += try Self.fastShares(daemon, ["p1", "p2"])
          try daemon.stop()
        }
      }
    }
    results.streams += rows
  }
}
