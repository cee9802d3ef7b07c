// SPDX-License-Identifier: Apache-2.0
import Lab

/// How long packets take, and how many may come in a second before some are lost: with a CPU of its own for the machine
/// in the middle, which another CPU sends to.
extension Speed {
  /// Packets under way at the same time where as many come as go, as netperf's sessions in the paper.
  static let underWay = 128
  /// What RFC 2544 allows to be lost is nothing; on a machine that others use too, a thousandth.
  private static let mayBeLost = 0.001
  private var attempts: Int { quick ? 2 : 3 }
  private var searchSteps: Int { quick ? 5 : 7 }

  private var latencyRounds: Int { quick ? 1 : 5 }
  private var latencyTime: Duration { quick ? .milliseconds(300) : .milliseconds(500) }

  /// What is late in sending looks as if it had been late on the way.
  private static let nice = -20

  /// One way of forwarding, and what has to be done for it.
  private typealias Middle = (name: String, set: () throws -> Forwarder)

  func latency() throws {
    try latency("router, \(prefixes) prefixes") { router in
      [
        (Self.linux, { .kernel }),
        (
          "by hand, kernel's table",
          { .program(try LoadProgram("trie").attach(to: "p1", in: router)) }
        ), Self.fpd("fpd, xdp", in: router),
      ]
    }
    try latency("gateway, 100 addresses") { router in
      func linux(_ name: String, _ rules: Blacklist) -> Middle {
        (
          name,
          {
            try rules.load(100, router)
            return .kernel
          }
        )
      }
      return [
        linux(Self.linux, Self.iptables), Self.fpd("fpd, xdp", in: router),
        linux("Linux, ipset", Self.ipset), Self.fpd("fpd, xdp, ipset", in: router),
      ]
    }
  }

  private static func fpd(_ name: String, in router: Namespace) -> Middle {
    (name, { .fpd(try start("xdp", in: router), ["p1", "p2"]) })
  }

  private func latency(_ setting: String, _ ways: (Namespace) throws -> [Middle]) throws {
    let (bed, router) = try routerBed()
    defer { bed.close() }
    let ways = try ways(router)
    var rows = ways.map { SpeedResults.LatencyRow(setting: setting, way: $0.name) }
    defer { results.latencies += rows }
    guard cpu > 0 else {
      for place in rows.indices { rows[place].absent = "there is one CPU" }
      return
    }
    do {
      try router.takePackets(of: "p1", on: cpu)
    } catch {
      for place in rows.indices { rows[place].absent = "no threads for devices: \(error)" }
      return
    }
    let sink = try LoadSink(in: try bed["right"], device: "eth0", timed: true)
    let generator = try generator(in: bed, to: router, sink: sink)
    let line = LoadMeasurement.Line(generator, cpu: cpu - 1, nice: Self.nice, to: sink)
    func measure(rate: Double? = nil, window: Int? = nil) throws -> SpeedResults.Latency {
      let all = try LoadMeasurement.take(
        [line], time: latencyTime, rate: rate.map { Int($0) }, window: window)
      guard let delays = all[0].delays, delays.count > 0 else {
        throw LabError("\(setting): nothing arrives")
      }
      return .init(perSecond: all[0].perSecond, delays)
    }
    func trial(rate: Double) throws -> (perSecond: Double, lost: Double) {
      sink.reset()
      let sent = try generator.send(
        .init(time: latencyTime / 2, rate: Int(rate)), cpu: cpu - 1, nice: Self.nice)
      sink.settle()
      let lost = max(0, sent.frames - sink.count.frames)
      return (sent.perSecond, Double(lost) / Double(max(1, sent.frames)))
    }
    for round in 1...latencyRounds {
      // What the first way, Linux, bears: half of it is what all get at the same rate.
      var common = 0.0
      for (place, way) in ways.enumerated() where rows[place].absent == nil {
        Terminal.progress("latency, \(setting): \(way.name) \(round)/\(latencyRounds)")
        let outcome = try with(way.set) {
          let full = try measure(window: Self.underWay)
          if place == 0 { common = full.perSecond / 2 }
          return (full, try measure(rate: common), try highest(near: full.perSecond, trial))
        }
        if let (full, same, highest) = rows[place].note(outcome) {
          rows[place].full.append(full)
          rows[place].common.append(same)
          rows[place].highest.append(highest)
        }
      }
    }
  }

  /// The highest rate at which hardly anything is lost, by halving.
  private func highest(
    near guess: Double, _ trial: (_ rate: Double) throws -> (perSecond: Double, lost: Double)
  ) throws -> Double {
    var (best, low, high) = (0.0, 0.0, guess * 1.6)
    for step in 0..<searchSteps {
      let rate = step == 0 ? guess * 0.8 : (low + high) / 2
      var passed: Double?
      for _ in 0..<attempts where passed == nil {
        let result = try trial(rate)
        if result.lost < Self.mayBeLost { passed = result.perSecond }
      }
      if let passed {
        low = rate
        best = max(best, passed)
      } else {
        high = rate
      }
    }
    return best
  }
}
