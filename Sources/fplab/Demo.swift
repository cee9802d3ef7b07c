// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Rendering

/// `fplab demo`: two hosts and a router that is configured with plain commands; how much faster it is with
/// fpd, what stays with the kernel, and what a killed fpd leaves behind: nothing that anybody notices.
final class Demo {
  static let graphPicture = "fpd-demo-graph.svg"
  static let speedPicture = "fpd-demo-speed.svg"
  /// veth stands for a wire here, so that XDP is what is shown; `auto` would take TC.
  static let configuration = "defaults: {hook: xdp}\n"

  let bed = Testbed()
  let hostA: Namespace
  let hostB: Namespace
  let router: Namespace
  var fpd: Fpd
  var reaction: Reaction
  /// What did not work, told at the end.
  var failures: [String] = []
  var speeds: [Comparison] = []
  private var steps = 0

  static func run() throws {
    let began = Instant.now
    let demo = try Demo()
    try demo.becomeRouter()
    try demo.compareRouting()
    try demo.explain()
    try demo.leaveToTheKernel()
    try demo.becomeBridge()
    try demo.killTheDaemon()
    try demo.becomeGateway()
    try demo.finish(began)
  }

  private init() throws {
    _ = Machine.line  // before this demo is what keeps the machine busy
    hostA = try bed.add("host-a")
    router = try bed.add("router")
    hostB = try bed.add("host-b")
    fpd = try Fpd(in: router, configuration: Self.configuration, logLevel: "info")
    reaction = try Reaction(fpd)
    try cable(hostA, "10.0.1.2/24", 1)
    try cable(hostB, "10.0.2.2/24", 2)
    try hostA.run("ip route add default via 10.0.1.1")
    try hostB.run("ip route add default via 10.0.2.1")
    Terminal.line(Terminal.bold("host-a eth0 ─── p1 router p2 ─── eth0 host-b"))
    Terminal.line(
      "Three network namespaces. fpd runs in the router's; what is typed below is typed there, and")
    Terminal.line("nothing of it is told to fpd.")
  }

  /// A host's eth0 to port `number` of the router.
  func cable(_ host: Namespace, _ address: String, _ number: Int) throws {
    try bed.cable(.init(host, "eth0", address), .init(router, "p\(number)"))
    // A veth takes frames from XDP only where the other end has NAPI; network cards always have.
    try host.run("ethtool -K eth0 gro on")
    try router.run("ethtool -K p\(number) gro on")
  }

  // MARK: - Telling

  func title(_ text: String, look: String? = nil) {
    steps += 1
    Terminal.line()
    Terminal.line(
      Terminal.bold("\(steps). \(text)") + Terminal.faint(look.map { "  (\($0) below)" } ?? ""))
  }

  func say(_ text: String) { Terminal.line("   " + text) }

  func check(_ holds: Bool, _ complaint: String) {
    if holds { return }
    failures.append(complaint)
    say(Terminal.red("✗ \(complaint)"))
  }

  // MARK: - Typing

  /// Shows a command and runs it as a shell would.
  @discardableResult func type(_ command: String, in namespace: Namespace? = nil) throws
    -> Completed
  {
    say("\(Terminal.green("#")) \(command)")
    return try Self.run(command, in: namespace ?? router).check()
  }

  private static func run(_ command: String, in namespace: Namespace) throws -> Completed {
    let isPlain = !command.contains { ";|*$".contains($0) }
    return try namespace.attempt(isPlain ? Command.split(command) : ["sh", "-c", command])
  }

  /// Types commands, the last of which changes the graph of `look`, and shows that graph.
  func change(_ about: String, _ commands: [String], look: String) throws {
    title(about, look: look)
    for command in commands.dropLast() { try type(command) }
    if commands.count > 1 { try fpd.wait() }
    let last = commands.last ?? ""
    say("\(Terminal.green("#")) \(last)")
    let time = try reaction.time(
      { try Self.run(last, in: router) }, on: look, within: .seconds(1))
    say(Terminal.faint(Self.tell(time)))
    check(time != nil, "`\(last)` did not change the graph of \(look)")
    try show(["graph", look])
  }

  private static func tell(_ time: Duration?) -> String {
    guard let time else { return "the graph stayed as it was" }
    return time == .zero
      ? "new graph before the command had returned"
      : "new graph \(time.milliseconds.text(1)) ms after the command returned"
  }

  /// Runs fpctl and shows what it says, as typed or without the command.
  @discardableResult func show(_ arguments: [String], typed: Bool = false) throws -> String {
    if typed { say("\(Terminal.green("#")) fpctl \(Command.line(arguments))") }
    let text = try fpd.fpctl(arguments).check().output
    for line in text.split(separator: "\n") where !line.hasPrefix("generation ") {
      say(String(line))
    }
    return text
  }

  // MARK: - Asking

  /// Waits until interfaces are accelerated, and complains where they are not.
  func expectAccelerated(_ names: [String]) throws {
    if let absence = try Speed.absence([fpd], names) {
      check(false, "\(names.joined(separator: ", ")) \(absence)")
    }
  }

  /// How many packets an interface's program left to the kernel for a reason, or forwarded.
  func counted(_ path: String, on interface: String) throws -> Int {
    let stats = try fpd.connect().ask(
      "stats", .init([(key: "interface", value: .string(interface))]))
    return Int(stats.at("interfaces.0.\(path).packets")?.int ?? 0)
  }

  // MARK: - The end

  private func finish(_ began: Instant) throws {
    try TextFile.write(
      Self.graphPicture, try fpd.fpctl(["graph", "--format", "svg"]).check().output)
    let usage = try fpd.usage
    let status = try fpd.stop()
    check(status == 0, "fpd ended with status \(status)")
    let left = try router.run("ip -d link show").output.contains("prog/xdp")
    check(!left, "a program of fpd's stayed on an interface")
    bed.close()
    Terminal.line()
    try showSpeeds()
    Terminal.line()
    Terminal.line(
      "fpd used \(usage.resident / 1024) MB and \(Int(usage.cpu.milliseconds)) ms of a core since its"
        + " restart, and left nothing behind; the lab is gone.")
    Terminal.line(
      "As pictures: \(Terminal.cyan(Self.speedPicture)), \(Terminal.cyan(Self.graphPicture))")
    let seconds = ((Instant.now - began).milliseconds / 1000).text(0)
    guard failures.isEmpty else {
      throw LabError(
        "after \(seconds) s, \(failures.count) thing(s) did not work:\n  "
          + failures.joined(separator: "\n  "))
    }
    Terminal.line(Terminal.bold("Everything worked") + ", in \(seconds) s.")
  }
}
