// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON

extension Bench {
  /// A change, and which modules are to run on an interface when it has been followed.
  private struct Step {
    let name: String
    let command: String
    let interface: String
    /// Nil: the interface is left to the kernel.
    let modules: [String]?
  }

  /// The changes of the paper's table VI and their opposites, in a round: a router with a bridge.
  private static let steps = [
    Step(
      name: "ip addr add", command: "ip addr add 10.0.8.1/24 dev br0", interface: "v2a",
      modules: ["bridge", "router"]),
    Step(
      name: "brctl addif", command: "ip link set v3a master br0", interface: "v3a",
      modules: ["bridge", "router"]),
    Step(name: "ip link down", command: "ip link set v3a down", interface: "v3a", modules: nil),
    Step(
      name: "ip link up", command: "ip link set v3a up", interface: "v3a",
      modules: ["bridge", "router"]),
    Step(
      name: "brctl delif", command: "ip link set v3a nomaster", interface: "v3a",
      modules: ["router"]),
    Step(
      name: "ip addr del", command: "ip addr del 10.0.8.1/24 dev br0", interface: "v2a",
      modules: ["bridge"]),
    Step(
      name: "brctl addbr", command: "ip link add br1 type bridge", interface: "br1", modules: nil),
    Step(name: "brctl delbr", command: "ip link del br1", interface: "br1", modules: nil),
  ]

  /// How soon programs follow: from a command's return to the program that does what it says.
  func programs() throws {
    for hook in ["xdp", "tc"] {
      let namespace = try router("programs", pairs: 4)
      try namespace.ip(batch: ["link set v2a master br0"])
      for pair in 0..<4 { try namespace.run("ethtool -K v\(pair)b gro on") }
      try firstPrograms(hook, namespace)
      try nextPrograms(hook, namespace)
      try namespace.run(["ip", "link", "del", "group", "7"])
      namespace.close()
    }
  }

  private static func start(
    _ hook: String, _ namespace: Namespace, _ cache: TemporaryDirectory
  ) throws -> Fpd {
    let fpd = try Fpd(
      in: namespace, configuration: "defaults: {hook: \(hook)}\n", logLevel: "warning",
      cache: cache.path)
    let reader = try fpd.connect()
    // Until the general programs, too, are compiled: a daemon that has been there for a second.
    _ = try eventually(within: .seconds(5)) {
      try fpd.wait()
      let children = try TextFile.read("/proc/\(fpd.pid)/task/\(fpd.pid)/children")
      return try children.isEmpty
        && !interfaces(reader).contains {
          $0["program"]?.string == "general"
        }
    }
    return fpd
  }

  /// Each change is the first that a new fpd without a cache sees.
  private func firstPrograms(_ hook: String, _ namespace: Namespace) throws {
    var times = Times()
    for round in 1...(quick ? 1 : max(3, repetitions / 5)) {
      for step in Self.steps {
        Terminal.progress("\(hook), first: \(step.name) \(round)")
        let cache = try TemporaryDirectory("objects")
        let fpd = try Self.start(hook, namespace, cache)
        try times.take(step, fpd)
        try fpd.stop()
      }
    }
    results.programs += times.rows("\(hook), shape seen for the first time", Self.steps)
  }

  private func nextPrograms(_ hook: String, _ namespace: Namespace) throws {
    var times = Times()
    let cache = try TemporaryDirectory("objects")
    let fpd = try Self.start(hook, namespace, cache)
    var first = Times()  // only fills the cache
    for step in Self.steps { try first.take(step, fpd) }
    for round in 1...repetitions {
      for step in Self.steps {
        Terminal.progress("\(hook), again: \(step.name) \(round)")
        try times.take(step, fpd)
      }
    }
    try fpd.stop()
    results.programs += times.rows("\(hook), shape cached", Self.steps)
  }

  private struct Times {
    var live: [String: [Double]] = [:]
    var own: [String: [Double]] = [:]
    var missed: [String: Int] = [:]

    mutating func take(_ step: Step, _ fpd: Fpd) throws {
      let reader = try fpd.connect()
      try fpd.wait()
      let returned = try fpd.namespace.attempt(Command.split(step.command)).check().returned
      let times = try follow(step, reader, from: returned)
      if let time = times.live {
        live[step.name, default: []].append(time.milliseconds)
      } else {
        missed[step.name, default: 0] += 1
      }
      if let time = times.own { own[step.name, default: []].append(time.milliseconds) }
    }

    func rows(_ setting: String, _ steps: [Step]) -> [Results.Programs] {
      steps.map {
        .init(
          setting: setting, change: $0.name, live: Distribution(live[$0.name] ?? []),
          own: Distribution(own[$0.name] ?? []), missed: missed[$0.name] ?? 0)
      }
    }
  }

  /// When the modules were live, and when the interface had its own program.
  private static func follow(
    _ step: Step, _ reader: ControlLine, from returned: Instant
  ) throws -> (live: Duration?, own: Duration?) {
    var live: Duration?
    while Instant.now < returned + .seconds(2) {
      let interfaces = try interfaces(reader)
      let now = Instant.now - returned
      let found = interfaces.first { $0["name"]?.string == step.interface }
      if step.interface == "br1" {
        if (found != nil) == step.command.contains("add") { return (now, nil) }
        continue
      }
      let runs = found?["accelerated"]?.bool == true
      guard let modules = step.modules else {
        if !runs { return (now, nil) }
        continue
      }
      guard runs, found?["modules"]?.array?.compactMap(\.string) == modules else { continue }
      live = live ?? now
      if found?["program"]?.string == "own" { return (live, now) }
    }
    return (live, nil)
  }

  private static func interfaces(_ reader: ControlLine) throws -> [JSON] {
    try reader.say("status")
    return try reader.answer()["result"]?["interfaces"]?.array ?? []
  }
}
