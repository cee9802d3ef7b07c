// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Rendering

extension Demo {
  /// The same frames over the same way, without fpd and with it.
  struct Comparison {
    let name: String
    var without: [Double] = []
    var with: [Double] = []

    /// In each round both are measured right after each other, so that what disturbs the machine
    /// disturbs both.
    var ratio: Double { Distribution(zip(with, without).map { $0 / $1 }).median }
  }

  /// The CPU that sends and so forwards: the last, which has the fewest interrupts.
  static let cpu = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) - 1
  private static let time = Duration.seconds(2)
  private static let rounds = 2

  func compareRouting() throws {
    title("How much faster? The same traffic without fpd and with it")
    say("Frames of 64 bytes for 50 networks behind host-b, as many as one CPU sends and forwards.")
    try type("for n in $(seq 0 49); do ip route add 10.100.$n.0/24 via 10.0.2.2; done")
    try compareThroughRouter("Routing")
  }

  /// From host-a to the 50 networks behind host-b.
  func compareThroughRouter(_ name: String) throws {
    let traffic = try LoadTraffic(
      from: hostA.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1"
    ) {
      $0.flows = 256
      $0.destinations = 50
      $0.step = 256
    }
    try compare(
      name, ["p1", "p2"], generator: LoadGenerator(in: hostA, device: "eth0", traffic),
      sink: LoadSink(in: hostB, device: "eth0"))
  }

  /// Measures in turn; fpd is left running.
  func compare(
    _ name: String, _ interfaces: [String], generator: LoadGenerator, sink: LoadSink
  ) throws {
    var comparison = Comparison(name: name)
    for round in 1...Self.rounds {
      try stopDaemon()
      comparison.without.append(try measure("without fpd", round, generator, sink))
      try startDaemon()
      try expectAccelerated(interfaces)
      comparison.with.append(try measure("with fpd   ", round, generator, sink))
    }
    Terminal.progress("")
    let forwarded = try counted("forwarded", on: interfaces.first ?? "")
    check(forwarded > 10_000, "\(name): fpd forwarded \(forwarded) packets only")
    let ratio = comparison.ratio
    check(ratio > 1, "\(name): \(ratio.text(2)) times as fast with fpd")
    say(Terminal.bold("\(name): \(ratio.text(2)) times as many packets with fpd."))
    speeds.append(comparison)
  }

  /// Millions of frames that arrive for a second of the CPU's time.
  private func measure(
    _ way: String, _ round: Int, _ generator: LoadGenerator, _ sink: LoadSink
  ) throws -> Double {
    Terminal.progress("   \(way) \(round)/\(Self.rounds) …")
    let measurement = try LoadMeasurement.take(
      [.init(generator, cpu: Self.cpu, arrived: { sink.count.frames })], time: Self.time)[0]
    Terminal.progress("")
    let million = 1000 / measurement.nanoseconds
    say(
      "\(way)  \(million.text(2)) million packets a second (\(measurement.nanoseconds.text(0)) ns each)"
    )
    check(
      measurement.delivered > 0.5,
      "\(way): only \(measurement.frames) of \(measurement.sent) arrived")
    return million
  }

  func stopDaemon() throws {
    let status = try fpd.stop()
    check(status == 0, "fpd ended with status \(status)")
  }

  /// A new fpd, which knows what the last has compiled.
  func startDaemon() throws {
    fpd = try Fpd(
      in: router, configuration: Self.configuration, logLevel: "info", reusing: fpd)
    reaction = try Reaction(fpd)
  }

  func showSpeeds() throws {
    let chart = BarChart(
      "With and without fpd", unit: "million packets a second of one CPU",
      speeds.map { speed in
        .init(
          speed.name, remark: "× \(speed.ratio.text(2))",
          [
            .init("Linux", Distribution(speed.without).median),
            .init("Linux with fpd", Distribution(speed.with).median, isMain: true),
          ])
      },
      notes: [
        "Frames of 64 bytes between two namespaces over veth; sending, forwarding and counting all on one"
          + " CPU, and all of it in the figure. fpd on XDP. Medians of \(Self.rounds) rounds of"
          + " \(Self.time.components.seconds) s.", Machine.line,
      ])
    Terminal.text(chart.text(Style(hasColour: Terminal.isTerminal)))
    try TextFile.write(Self.speedPicture, chart.svg)
  }
}
