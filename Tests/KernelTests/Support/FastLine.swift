// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

/// A router or a bridge with fpd on it, between a load generator and a sink.
final class FastLine {
  enum Kind: Sendable { case router, bridge }

  private(set) var hook: String
  let line: Kernel.LoadTests.Line
  private(set) var fpd: Fpd

  var middle: Namespace { line.middle }

  /// All of p1's traffic is accelerated when this returns. The load goes to so many destinations of a
  /// router: 10.100.0.1, 10.100.1.1 and so on, one frame each in turn.
  init(
    _ kind: Kind, hook: String, tracking frames: Int, destinations: Int = 10,
    isFast: Bool = true, begin: @escaping Beginning = Fpd.begin
  ) throws {
    self.begin = begin
    self.hook = hook
    line = try Self.network(kind, tracking: frames, destinations: destinations)
    fpd = try begin(line.middle, Self.configuration(hook), nil)
    try fpd.wait()
    if isFast { try expectAccelerated() }
  }

  /// Starts fpd in a namespace with a configuration, after another.
  typealias Beginning = (Namespace, String, Fpd?) throws -> Fpd
  private let begin: Beginning

  /// Hosts with a router or a bridge between.
  static func network(
    _ kind: Kind, tracking frames: Int, destinations: Int = 10
  ) throws -> Kernel.LoadTests.Line {
    let line: Kernel.LoadTests.Line
    switch kind {
    case .router:
      line = try .router(tracking: frames, destinations: destinations)
      // br_netfilter's hooks come with a namespace's first bridge, and stay.
      try line.middle.run("ip link add br9 type bridge")
      try line.middle.run("ip link del br9")
    case .bridge:
      line = try .bridge(tracking: frames)
      let mac = try line.bed["h1"].mac(of: "eth0")
      try line.middle.run("bridge fdb replace \(mac) dev p1 master static")
    }
    try quieten(line.middle)
    return line
  }

  static func configuration(_ hook: String) -> String { "defaults:\n  hook: \(hook)\n" }

  /// A namespace begins with what the machine has; here the lab says what holds.
  static func quieten(_ namespace: Namespace) throws {
    try namespace.sysctl(
      ["net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0"]
        + namespace.devices().map { "net.ipv4.conf.\($0).rp_filter=0" })
    for table in ["iptables", "ip6tables", "arptables"] {
      // There only with br_netfilter.
      _ = try namespace.attempt(["sysctl", "-q", "-w", "net.bridge.bridge-nf-call-\(table)=0"])
    }
  }

  /// A successor with the same socket and state, and the same configuration unless another hook is said.
  func restart(hook next: String? = nil) throws {
    hook = next ?? hook
    fpd = try begin(middle, Self.configuration(hook), fpd)
    try fpd.wait()
  }

  func expectAccelerated(_ device: String = "p1") throws {
    let seen = try fpd.interface(device)
    #expect(seen["accelerated"] == true && seen["hook"]?.string == hook, "\(seen.text())")
  }

  func slot(_ device: String = "p1") throws -> LiveProgram {
    try LiveProgram(of: device, hook, by: fpd)
  }

  /// As fast as it goes, without filling a queue.
  func start(frames: Int, time: Duration = .seconds(90)) throws -> LoadGenerator.Run {
    line.sink.reset()
    return try line.generator.start(
      .init(frames: frames, time: time, window: 192),
      cpu: sysconf(Int32(_SC_NPROCESSORS_ONLN)) - 1)
  }

  func finish(_ run: LoadGenerator.Run) throws -> LoadSink.Tally {
    run.stop()
    let sent = try run.finish()
    line.sink.settle()
    return try line.sink.tally(sent: sent.frames)
  }

  /// Waits until so many more frames are on their way.
  func more(_ frames: Int, of run: LoadGenerator.Run) {
    let goal = run.sent + frames
    #expect(eventually(within: .seconds(60)) { run.sent >= goal || run.hasEnded })
    #expect(!run.hasEnded)
  }
}

extension Namespace {
  /// The devices of this namespace but the loopback.
  func devices() throws -> [String] {
    try run("ip -o -br link").output.split(separator: "\n").compactMap { line in
      line.split(separator: " ").first.map { String($0.prefix { $0 != "@" }) }
    }.filter { $0 != "lo" }
  }
}

extension Fpd {
  /// Nothing is wrong, and nothing is left to do once what the kernel did by itself has been heard of.
  func expectConverged() throws {
    let isConverged = try eventually { try status()["state"] == "converged" }
    let answer = try status().text()
    #expect(isConverged, "\(answer)")
  }

  static func begin(_ namespace: Namespace, _ configuration: String, after last: Fpd?) throws -> Fpd
  {
    try Fpd(in: namespace, configuration: configuration, reusing: last)
  }

  /// What `status` says of an interface.
  func interface(_ name: String) throws -> JSON {
    let all = try status()["interfaces"]?.array ?? []
    return try #require(all.first { $0["name"]?.string == name }, "status has no \(name)")
  }

  /// What `stats` says of an interface.
  func stats(_ name: String) throws -> FastCounters {
    let answer = try connect().ask("stats", JSON.Object([(key: "interface", value: .string(name))]))
    let counters = try #require(answer.at("interfaces.0"), "stats has no \(name)")
    var punted: [String: Int64] = [:]
    for (reason, count) in counters["punted"]?.object?.members ?? [] {
      punted[reason] = count["packets"]?.int ?? 0
    }
    return FastCounters(
      forwarded: counters.at("forwarded.packets")?.int ?? 0,
      dropped: counters.at("dropped.packets")?.int ?? 0, punted: punted)
  }
}

/// Packets, as fpd has counted them.
struct FastCounters: Equatable {
  var forwarded: Int64
  var dropped: Int64
  var punted: [String: Int64]

  /// What has been punted since an earlier count.
  func punted(since before: FastCounters) -> [String: Int64] {
    punted.reduce(into: [:]) { sum, entry in
      let more = entry.value - (before.punted[entry.key] ?? 0)
      if more != 0 { sum[entry.key] = more }
    }
  }
}
