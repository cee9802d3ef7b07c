// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON

/// `fplab bench speed`: how many packets a CPU forwards with and without fpd, and how far the fast path is
/// from what XDP can do at most.
final class Speed {
  let quick: Bool
  let directory: String
  var results = SpeedResults()

  var rounds: Int { quick ? 3 : 9 }
  var time: Duration { quick ? .milliseconds(400) : .seconds(2) }
  /// Where ways differ by a few hundredths, many short rounds tell more than few long ones.
  var closeRounds: Int { quick ? 5 : 31 }
  var closeTime: Duration { quick ? .milliseconds(400) : .milliseconds(600) }
  let flows = 256
  let prefixes = 50
  /// The CPU that sends and so forwards: the last, which has the fewest interrupts.
  let cpu = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) - 1

  static func run(_ arguments: [String]) throws {
    var quick = false
    var directory = "docs/benchmarks"
    var parts = Part.allCases
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      switch argument {
      case "--quick": quick = true
      case "--only":
        guard let name = rest.popFirst(), let part = Part(rawValue: name) else {
          throw LabError("--only wants one of \(Part.allCases.map(\.rawValue))")
        }
        parts = [part]
      case "--output":
        guard let path = rest.popFirst() else { throw LabError("--output wants a directory") }
        directory = path
      default:
        throw LabError("unknown argument '\(argument)' (--quick, --only PART, --output DIRECTORY)")
      }
    }
    try Speed(quick: quick, directory: directory).run(parts)
  }

  private init(quick: Bool, directory: String) {
    self.quick = quick
    self.directory = directory
    results.quick = quick
    results.seconds = time.milliseconds / 1000
    results.cpu = cpu
  }

  private enum Part: String, CaseIterable { case router, bridge, gateway, nat, punt, tcp }

  private func run(_ parts: [Part]) throws {
    _ = Machine.json  // before this benchmark is what keeps the machine busy
    for part in parts {
      switch part {
      case .router: try router()
      case .gateway: try gateway()
      case .bridge: try bridge()
      case .nat:
        try nat()
        try masqueradedStreams()
      case .punt: try punting()
      case .tcp: try streams()
      }
    }
    Terminal.progress("")
    results.printTables()
    try Report.write(
      "speed", parts: parts.map(\.rawValue), to: directory, json: results.json,
      markdown: results.markdown)
  }

  // MARK: Rounds

  /// What forwards: put in place for one measurement, and gone when the result is forgotten.
  struct Way {
    let name: String
    /// Frames that go straight from the generator to a sink: what every other way contains as well.
    var isBase = false
    let generator: LoadGenerator
    let arrived: () throws -> Int
    let set: () throws -> Forwarder
  }

  /// What holds a way in place.
  enum Forwarder {
    case kernel
    case program(LoadProgram)
    case fpd(Fpd, [String])
  }

  /// Measures each way in turn, again and again, so that what disturbs the machine disturbs all of them.
  func measure(
    _ setting: String, _ ways: [Way], isClose: Bool = false, isShort: Bool = false
  ) throws {
    var (rounds, time) = isClose ? (closeRounds, closeTime) : (rounds, time)
    if isShort { (rounds, time) = (min(rounds, 5), closeTime) }
    var rows = ways.map { SpeedResults.Row(setting: setting, way: $0.name, isBase: $0.isBase) }
    for round in 1...rounds {
      for (place, way) in ways.enumerated() where rows[place].absent == nil {
        Terminal.progress("\(setting): \(way.name) \(round)/\(rounds)")
        let forwarder = try way.set()
        if case .fpd(let fpd, let interfaces) = forwarder,
          let reason = try Self.reasonNotAccelerated(fpd, interfaces)
        {
          rows[place].absent = "not accelerated: \(reason)"
          try fpd.stop()
          continue
        }
        let measurement = try LoadMeasurement.take(
          way.generator, cpu: cpu, time: time, arrived: way.arrived)
        rows[place].take(measurement)
        if case .fpd(let fpd, let interfaces) = forwarder {
          rows[place].fastShares += try Self.fastShares(fpd, interfaces)
          try fpd.stop()
        }
        withExtendedLifetime(forwarder) {}
      }
    }
    results.rows += rows
  }

  private static func interfaces(_ fpd: Fpd, _ names: [String]) throws -> [JSON] {
    try (fpd.status()["interfaces"]?.array ?? []).filter {
      names.contains($0["name"]?.string ?? "")
    }
  }

  /// Why one of the interfaces is not accelerated; nil when all are.
  static func reasonNotAccelerated(_ fpd: Fpd, _ names: [String]) throws -> String? {
    try fpd.wait()
    var reason: String?
    _ = try eventually(within: .seconds(3), every: .milliseconds(50)) {
      let found = try interfaces(fpd, names)
      let slow = found.first { $0["accelerated"]?.bool != true }
      reason =
        found.count < names.count
        ? "fpd does not list them" : slow.map { $0["reason"]?.string ?? "fpd tells no reason" }
      return reason == nil
    }
    return reason
  }

  /// What fpd says of the packets it has forwarded itself.
  static func fastShares(_ fpd: Fpd, _ names: [String]) throws -> [Double] {
    try interfaces(fpd, names).compactMap { $0["fast_share"]?.double }
  }
}
