// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// A cable, the generator at one end and the sink at the other: what there is besides forwarding.
  func base(length: Int = 60) throws -> Way {
    let bed = Testbed()
    let (from, to) = (try bed.add("from"), try bed.add("to"))
    try bed.cable(.init(from, "eth0", "10.0.1.2/24"), .init(to, "eth0", "10.0.1.1/24"))
    let sink = try LoadSink(in: to, device: "eth0")
    let traffic = try LoadTraffic(
      from: from.mac(of: "eth0"), "10.0.1.2", to: to.mac(of: "eth0"), "10.100.0.1"
    ) {
      spread(&$0)
      $0.length = length
    }
    return way(
      "no hop: generator to sink", isBase: true,
      try LoadGenerator(in: from, device: "eth0", traffic),
      { withExtendedLifetime(bed) { sink.count.frames } }
    ) { .kernel }
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
  func generator(
    in bed: Testbed, to router: Namespace, length: Int = 60, sink: LoadSink? = nil
  ) throws -> LoadGenerator {
    let left = try bed["left"]
    let traffic = try LoadTraffic(
      from: left.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1"
    ) {
      spread(&$0)
      $0.length = length
    }
    return try LoadGenerator(in: left, device: "eth0", traffic, sink: sink)
  }

  func router() throws {
    let (bed, router) = try routerBed()
    try forwarding(
      "router, \(prefixes) prefixes, \(flows) flows", through: router,
      generator(in: bed, to: router), to: LoadSink(in: try bed["right"], device: "eth0"),
      beside: [.redirect, .helper, .routes], hooks: ["xdp", "tc"])
    bed.close()
  }

  func bridge() throws {
    try bridge("bridge, \(prefixes) stations, \(flows) flows", stations: prefixes, flows: flows) {
      try forwarding(
        $0, through: $1, $2, to: $3, beside: [.redirect, .stations], hooks: ["xdp", "tc"])
    }
  }

  /// Two hosts on a bridge, many stations behind the second.
  func bridge(
    _ setting: String, stations: Int, flows: Int,
    measure: (String, Namespace, LoadGenerator, LoadSink) throws -> Void
  ) throws {
    let bed = try Testbed.bridged(hosts: 2)
    let bridge = try bed["switch"]
    try bridge.run("ethtool -K p1 gro on")
    Terminal.progress(setting)
    let first: UInt32 = 0x10_0000
    try bridge.run(
      ["bridge", "-batch", "-"],
      input: (0..<stations).map {
        "fdb add \(MAC(number: first + UInt32($0))) dev p2 master static\n"
      }.joined(), timeout: .seconds(120))
    let sender = try bed["h1"].mac(of: "eth0")
    try bridge.run("bridge fdb replace \(sender) dev p1 master static")
    let traffic = LoadTraffic(from: sender, "10.0.0.1", to: MAC(number: first), "10.0.0.2") {
      $0.flows = flows
      $0.destinationMACs = stations
    }
    try measure(
      setting, bridge, LoadGenerator(in: try bed["h1"], device: "eth0", traffic),
      LoadSink(in: try bed["h2"], device: "eth0"))
    bed.close()
  }

  /// The shortest programs that forward.
  struct Yardstick {
    let name, program: String
    /// Sends everything out by p2, which it is told.
    var isDirect = false

    /// What XDP can do at most.
    static let redirect = Yardstick(name: "bare redirect", program: "redirect", isDirect: true)
    static let helper = Yardstick(name: "by hand, bpf_fib_lookup", program: "forward")
    static let routes = Yardstick(name: "by hand, kernel's table", program: "trie")
    static let stations = Yardstick(name: "by hand, kernel's table", program: "bridge")
    static let connections = Yardstick(
      name: "by hand, look-up and redirect", program: "conntrack", isDirect: true)

    func attach(in namespace: Namespace) throws -> LoadProgram {
      try LoadProgram(program, constant: isDirect ? namespace.ifindex(of: "p2") : nil)
        .attach(to: "p1", in: namespace)
    }
  }

  /// One forwarder: a cable alone, Linux, what can be done by hand, and fpd.
  func forwarding(
    _ setting: String, through namespace: Namespace, _ generator: LoadGenerator, to sink: LoadSink,
    arrived: (() throws -> Int)? = nil, beside yardsticks: [Yardstick] = [], hooks: [String],
    follows: Bool = false, interfaces: [String] = ["p1", "p2"], isShort: Bool = false
  ) throws {
    let arrived = arrived ?? { sink.count.frames }
    try measure(
      setting,
      [
        try base(length: generator.traffic.length), way(Self.linux, generator, arrived) { .kernel },
      ]
        + yardsticks.map { yardstick in
          way(yardstick.name, generator, arrived) {
            .program(try yardstick.attach(in: namespace))
          }
        }
        + hooks.map { fpd($0, in: namespace, interfaces, generator, arrived, follows: follows) },
      isShort: isShort)
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
    way(name ?? "fpd, \(hook)", generator, arrived) {
      try prepare()
      return .fpd(try Self.start(hook, in: namespace, follows: follows), interfaces)
    }
  }

  static func start(
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
        way("empty program, \(hook)", generator, socket.dropped) {
          .program(try LoadProgram("empty-\(hook)").attach(to: "p1", in: namespace))
        },
        fpd(hook, in: namespace, ["p1", "p2"], generator, socket.dropped),
      ]
    }
    try measure(
      setting,
      [way(Self.linux, generator, socket.dropped) { .kernel }] + hooks,
      isClose: true)
  }
}
