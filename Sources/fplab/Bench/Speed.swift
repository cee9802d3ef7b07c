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

  var rounds: Int { quick ? 2 : 7 }
  var time: Duration { quick ? .milliseconds(400) : .milliseconds(1500) }
  /// Where ways differ by a few hundredths, many short rounds tell more than few long ones.
  var closeRounds: Int { quick ? 3 : 21 }
  var closeTime: Duration { quick ? .milliseconds(400) : .milliseconds(600) }
  /// Of TCP, where Linux and fpd take turns without anything being started between.
  var streamRounds: Int { quick ? 4 : 50 }
  let streamTime = Duration.milliseconds(120)
  let flows = 256
  let prefixes = 50
  /// The CPU that sends and so forwards: the last, which has the fewest interrupts.
  let cpu = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) - 1

  static func run(_ arguments: [String]) throws {
    let options = try BenchOptions<Part>(arguments)
    try Speed(options).run(options)
  }

  private init(_ options: BenchOptions<Part>) {
    (quick, directory) = (options.quick, options.directory)
    results.quick = quick
    results.seconds = time.milliseconds / 1000
    results.cpu = cpu
  }

  private enum Part: String, CaseIterable {
    case router, bridge, gateway, nat, punt, tcp, cores, sizes, scale, latency, pods, chain, mix,
      swaps
  }

  private func run(_ options: BenchOptions<Part>) throws {
    _ = Machine.json  // before this benchmark is what keeps the machine busy
    for part in options.parts {
      switch part {
      case .router: try router()
      case .gateway: try gateway()
      case .bridge: try bridge()
      case .nat: try nat()
      case .punt: try punting()
      case .tcp: try streams()
      case .cores: try cores()
      case .sizes: try sizes()
      case .scale: try scale()
      case .latency: try latency()
      case .pods: try pods()
      case .chain: try chain()
      case .mix: try mix()
      case .swaps: try swaps()
      }
    }
    Terminal.progress("")
    results.printTables()
    try Report.write(
      "speed", parts: options.named.map(\.rawValue), to: directory, json: results.json,
      markdown: results.markdown)
  }

  // MARK: Rounds

  /// What forwards: put in place for one measurement, and gone when the result is forgotten.
  struct Way {
    let name: String
    /// Frames that go straight from the generator to a sink: what every other way contains as well.
    var isBase = false
    /// What sends at the same time, each on a CPU of its own.
    let lines: [LoadMeasurement.Line]
    let set: () throws -> Forwarder
  }

  /// One generator, on the CPU that is measured.
  func way(
    _ name: String, isBase: Bool = false, _ generator: LoadGenerator,
    _ arrived: @escaping () throws -> Int, set: @escaping () throws -> Forwarder
  ) -> Way {
    Way(
      name: name, isBase: isBase, lines: [.init(generator, cpu: cpu, arrived: arrived)], set: set)
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
        let outcome = try with(way.set) { try LoadMeasurement.take(way.lines, time: time) }
        if let measured = rows[place].note(outcome) { rows[place].take(measured) }
      }
    }
    results.rows += rows
  }

  /// What was measured while something forwarded, and what fpd's counters say of it; or why it was not.
  enum Outcome<Value> {
    case measured(Value, fastShares: [Double])
    case absent(String)
  }

  /// Measures while something forwards, unless that is an fpd that does not accelerate its interfaces.
  func with<Value>(
    _ set: () throws -> Forwarder, measure: () throws -> Value
  ) throws -> Outcome<Value> {
    let forwarder = try set()
    guard case .fpd(let fpd, let interfaces) = forwarder else {
      return .measured(try withExtendedLifetime(forwarder, measure), fastShares: [])
    }
    let outcome: Outcome<Value> =
      if let reason = try Self.absence([fpd], interfaces) {
        .absent(reason)
      } else {
        .measured(try measure(), fastShares: try Self.fastShares(fpd, interfaces))
      }
    try fpd.stop()
    return outcome
  }

  /// The places of so many ways in a round: none is always measured after the same other one.
  static func order(of ways: Int, in round: Int) -> [Int] {
    let turned = (0..<ways).map { ($0 + round / 2) % ways }
    return round % 2 == 0 ? turned : turned.reversed()
  }

  private static func interfaces(_ fpd: Fpd, _ names: [String]) throws -> [JSON] {
    try (fpd.status()["interfaces"]?.array ?? []).filter {
      names.contains($0["name"]?.string ?? "")
    }
  }

  /// What is to be told in place of measurements; nil when all interfaces are accelerated, with programs of their own:
  /// while those are being compiled, the general one is slower, and the compiler keeps a CPU busy.
  static func absence(_ fpds: [Fpd], _ names: [String]) throws -> String? {
    for fpd in fpds {
      if let reason = try reasonNotAccelerated(fpd, names) { return "not accelerated: \(reason)" }
    }
    return nil
  }

  private static func reasonNotAccelerated(_ fpd: Fpd, _ names: [String]) throws -> String? {
    try fpd.wait()
    var reason: String?
    _ = try eventually(within: .seconds(10), every: .milliseconds(50)) {
      let found = try interfaces(fpd, names)
      let slow = found.first { $0["accelerated"]?.bool != true || $0["program"]?.string != "own" }
      reason =
        found.count < names.count
        ? "fpd does not list them" : slow.map { $0["reason"]?.string ?? "no program of its own" }
      return reason == nil
    }
    return reason
  }

  /// The parts of what came in by interfaces that fpd's own counters say were finished by the fast path.
  static func fastShares(_ fpd: Fpd, _ names: [String]) throws -> [Double] {
    try (fpd.stats()["interfaces"]?.array ?? []).compactMap { counters in
      guard names.contains(counters["name"]?.string ?? "") else { return nil }
      func packets(_ json: JSON?) -> Double { Double(json?["packets"]?.int ?? 0) }
      let fast = packets(counters["forwarded"]) + packets(counters["dropped"])
      let all = (counters["punted"]?.object?.members ?? []).reduce(fast) {
        $0 + packets($1.value)
      }
      return all < few ? nil : fast / all
    }
  }

  /// So many packets tell nothing.
  private static let few = 100.0
}
