// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// A cable, the generator at one end and the sink at the other: what there is besides forwarding.
  func base() throws -> Way {
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

  func spread(_ traffic: inout LoadTraffic) {
    traffic.flows = flows
    traffic.destinations = prefixes
    traffic.step = 256
  }

  /// Two hosts and a router with 50 routes to the second, whose port can take redirected frames.
  func routerBed() throws -> (Testbed, Namespace) {
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

  /// From the first host to all that is routed to the second.
  func generator(in bed: Testbed, to router: Namespace) throws -> LoadGenerator {
    let left = try bed["left"]
    let traffic = try LoadTraffic(
      from: left.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1"
    ) { spread(&$0) }
    return try LoadGenerator(in: left, device: "eth0", traffic)
  }

  func router() throws {
    let (bed, router) = try routerBed()
    try forwarding(
      "router, \(prefixes) prefixes, \(flows) flows", through: router,
      generator(in: bed, to: router),
      to: LoadSink(in: try bed["right"], device: "eth0"),
      byHand: [("bpf_fib_lookup", "forward"), ("kernel's table", "trie")])
    bed.close()
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
    let traffic = LoadTraffic(from: sender, "10.0.0.1", to: first, "10.0.0.2") {
      $0.flows = flows
      $0.destinationMACs = prefixes
    }
    try forwarding(
      "bridge, \(prefixes) stations, \(flows) flows", through: bridge,
      LoadGenerator(in: try bed["h1"], device: "eth0", traffic),
      to: LoadSink(in: try bed["h2"], device: "eth0"),
      byHand: [("kernel's table", "bridge")])
    bed.close()
  }

  /// One forwarder with ports p1 and p2: Linux, what XDP can do at most, and fpd.
  private func forwarding(
    _ setting: String, through namespace: Namespace, _ generator: LoadGenerator,
    to sink: LoadSink, byHand: [(name: String, program: String)]
  ) throws {
    let out = try namespace.ifindex(of: "p2")
    let arrived = { sink.count.frames }
    var ways = [
      try base(),
      Way(name: Self.linux, generator: generator, arrived: arrived) { .kernel },
      Way(name: "bare redirect", generator: generator, arrived: arrived) {
        .program(try LoadProgram("redirect", constant: out).attach(to: "p1", in: namespace))
      },
    ]
    ways += byHand.map { one in
      Way(name: "by hand, \(one.name)", generator: generator, arrived: arrived) {
        .program(try LoadProgram(one.program).attach(to: "p1", in: namespace))
      }
    }
    try measure(setting, ways + [fpd("xdp", in: namespace, ["p1", "p2"], generator, arrived)])
  }

  static let linux = "Linux"
  /// Connections that ask at the same time, as the pods of a node do.
  static let sessions = 32

  /// fpd, after rules that were there for other ways have been taken out.
  static let noRules = "fpd, without the rules"

  func fpd(
    _ hook: String, in namespace: Namespace, _ interfaces: [String], _ generator: LoadGenerator,
    _ arrived: @escaping () throws -> Int, name: String? = nil, follows: Bool = false,
    after prepare: @escaping () throws -> Void = {}
  ) -> Way {
    Way(name: name ?? "fpd, \(hook)", generator: generator, arrived: arrived) {
      try prepare()
      return .fpd(try Self.start(hook, in: namespace, follows: follows), interfaces)
    }
  }

  private static func start(
    _ hook: String, in namespace: Namespace, follows: Bool = false
  ) throws -> Fpd {
    try Fpd(
      in: namespace,
      configuration: "defaults: {hook: \(hook)}\nconnections: \(follows ? "follow" : "off")\n",
      logLevel: "warning")
  }

  /// What fpd costs for packets it leaves to the kernel: those for the machine itself, which has its
  /// address on an interface, or on a bridge.
  func punting() throws {
    let (bed, router) = try routerBed()
    try punting(
      "punt: UDP to the router itself", router, from: bed["left"], "10.0.1.2",
      to: router.mac(of: "p1"), "10.0.1.1")
    bed.close()
    let bridged = try Testbed.bridged(hosts: 2)
    let bridge = try bridged["switch"]
    try bridge.ip(batch: ["addr add 10.0.0.254/24 dev br0"])
    try bridge.run("ethtool -K p1 gro on")
    let host = try bridged["h1"]
    try bridge.run("bridge fdb replace \(host.mac(of: "eth0")) dev p1 master static")
    try punting(
      "punt: UDP to the bridge itself", bridge, from: host, "10.0.0.1", to: bridge.mac(of: "br0"),
      "10.0.0.254")
    bridged.close()
  }

  private func punting(
    _ setting: String, _ namespace: Namespace, from sender: Namespace, _ source: IPv4Address,
    to mac: MAC, _ destination: IPv4Address
  ) throws {
    let socket = try DeafSocket(in: namespace, port: 9)
    let traffic = try LoadTraffic(from: sender.mac(of: "eth0"), source, to: mac, destination) {
      $0.flows = flows
    }
    let generator = try LoadGenerator(in: sender, device: "eth0", traffic)
    let hooks = ["xdp", "tc"].flatMap { hook in
      [
        Way(name: "empty program, \(hook)", generator: generator, arrived: socket.dropped) {
          .program(try LoadProgram("empty-\(hook)").attach(to: "p1", in: namespace))
        },
        fpd(hook, in: namespace, ["p1", "p2"], generator, socket.dropped),
      ]
    }
    try measure(
      setting,
      [Way(name: Self.linux, generator: generator, arrived: socket.dropped) { .kernel }] + hooks,
      isClose: true)
  }

  /// TCP on the hook where GSO packets stay whole: through a router, between two containers, and to the
  /// router itself, which fpd looks at and hands on.
  func streams() throws {
    let routed = try Testbed.hostRouterHost()
    try streams(
      "through a router", in: routed["router"], from: routed["left"], to: routed["right"],
      "10.0.2.2")
    try streams(
      "to the router itself", in: routed["router"], from: routed["left"], to: routed["router"],
      "10.0.1.1")
    routed.close()
    let bridged = try Testbed.bridged(hosts: 2)
    try streams(
      "containers on a bridge", in: bridged["switch"], from: bridged["h1"], to: bridged["h2"],
      "10.0.0.2")
    bridged.close()
  }

  func streams(
    _ setting: String, in namespace: Namespace, from client: Namespace, to server: Namespace,
    _ address: IPv4Address, follows: Bool = false
  ) throws {
    let bed = Testbed()
    let (near, far) = (try bed.add("near"), try bed.add("far"))
    try bed.cable(.init(near, "eth0", "10.0.1.2/24"), .init(far, "eth0", "10.0.1.1/24"))
    func stream(_ from: Namespace, _ to: Namespace, _ address: IPv4Address) -> LoadStream {
      LoadStream(from: from, to: to, address, clientCPU: cpu, serverCPU: cpu)
    }
    let straight = stream(near, far, "10.0.1.1")
    let through = stream(client, server, address)
    var rows = ["no hop: a cable", Self.linux, "fpd, tc"].map {
      SpeedResults.StreamRow(setting: setting, way: $0)
    }
    for round in 1...closeRounds {
      // None is always measured after the same other one.
      for turn in rows.indices {
        let place = (turn + round) % rows.count
        guard rows[place].absent == nil else { continue }
        Terminal.progress("TCP \(setting): \(rows[place].way) \(round)/\(closeRounds)")
        var daemon: Fpd?
        if place == 2 {
          let fpd = try Self.start("tc", in: namespace, follows: follows)
          daemon = fpd
          if let reason = try Self.reasonNotAccelerated(fpd, ["p1", "p2"]) {
            rows[place].absent = "not accelerated: \(reason)"
            try fpd.stop()
            continue
          }
        }
        let stream = place == 0 ? straight : through
        // The receiver has a CPU of its own, as far as there is one: with both ends on one, what is
        // measured is how often they take turns.
        var apart = stream
        apart.serverCPU = max(0, cpu - 1)
        // What was before, and the starting of fpd, has left its mark on caches and on what TCP remembers.
        _ = try apart.bulk(closeTime / 4)
        rows[place].gigabits.append(try apart.bulk(closeTime).perSecond * 8 / 1e9)
        rows[place].transactions.append(
          try stream.requests(closeTime, sessions: Self.sessions).perBusySecond / 1e3)
        if let daemon {
          rows[place].fastShares += try Self.fastShares(daemon, ["p1", "p2"])
          try daemon.stop()
        }
      }
    }
    results.streams += rows
    bed.close()
  }
}
