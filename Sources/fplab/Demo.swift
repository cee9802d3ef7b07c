// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON

/// `fplab demo`: plain commands in a router, and the graph fpd makes of each.
struct Demo {
  /// A command typed in the router, and the interface whose graph tells most about it.
  private struct Step {
    let about: String
    let command: String
    let look: String
    var quietly: [String] = []
    /// A sysctl without which the step makes no sense.
    var provided: String?
  }

  private static let steps = [
    Step(
      about: "The machine becomes a router", command: "sysctl -q -w net.ipv4.ip_forward=1",
      look: "p1"),
    Step(
      about: "An address, and with it a route", command: "ip addr add 10.0.1.1/24 dev p1",
      look: "p1"),
    Step(
      about: "Spoofed sources are refused", command: "sysctl -q -w net.ipv4.conf.all.rp_filter=1",
      look: "p1"),
    Step(about: "A bridge, the old way", command: "brctl addbr br0", look: "br0"),
    Step(
      about: "Bridged packets need not pass iptables",
      command: "sysctl -q -w net.bridge.bridge-nf-call-iptables=0"
        + " net.bridge.bridge-nf-call-ip6tables=0 net.bridge.bridge-nf-call-arptables=0",
      look: "br0", provided: "net.bridge.bridge-nf-call-iptables"),
    Step(about: "A port joins it", command: "brctl addif br0 p3", look: "p3"),
    Step(
      about: "Another joins, the new way", command: "ip link set p4 master br0", look: "p4",
      quietly: ["ip link set br0 up"]),
    Step(about: "Spanning tree goes on", command: "brctl stp br0 on", look: "p3"),
    Step(
      about: "The bridge is routed, too", command: "ip addr add 10.0.3.1/24 dev br0", look: "p3"),
    Step(
      about: "A rule with iptables (nft)",
      command: "iptables -A FORWARD -s 10.0.9.0/24 -j DROP", look: "p1"),
    Step(
      about: "A rule with iptables-legacy",
      command: "iptables-legacy -A FORWARD -p tcp --dport 23 -j DROP", look: "p1"),
    Step(
      about: "A set of addresses, and a rule that uses it",
      command: "iptables-legacy -A FORWARD -m set --match-set blocked src -j DROP", look: "p1",
      quietly: ["ipset create blocked hash:ip", "ipset add blocked 10.0.1.66"]),
    Step(
      about: "Traffic is shaped on the way out",
      command: "tc qdisc add dev p2 root tbf rate 50mbit burst 64kb latency 50ms", look: "p2"),
    Step(
      about: "A port is closed to forwarding",
      command: "sysctl -q -w net.ipv4.conf.p2.forwarding=0", look: "p2"),
    Step(about: "A port leaves the bridge", command: "ip link set p4 nomaster", look: "p4"),
  ]

  let bed: Testbed
  let router: Namespace
  let fpd: Fpd

  static func run() throws {
    let began = Instant.now
    let demo = try Demo()
    try demo.walk()
    try demo.finish(began)
  }

  private init() throws {
    bed = Testbed()
    router = try bed.add("router")
    for number in 1...4 {
      let host = try bed.add("h\(number)")
      try bed.cable(.init(host, "eth0", "10.0.\(number).2/24"), .init(router, "p\(number)"))
    }
    fpd = try Fpd(in: router, logLevel: "info")
  }

  private func walk() throws {
    Terminal.line(Terminal.bold("A router with four ports, p1 to p4, a host on each."))
    Terminal.line(
      "fpd runs in its namespace; everything below is typed there, nothing is told to fpd.")
    let reaction = try Reaction(fpd)
    let steps = try Self.steps.filter { step in
      try step.provided.map { try router.attempt(["sysctl", $0]).succeeded } ?? true
    }
    for (number, step) in steps.enumerated() {
      Terminal.line()
      Terminal.line(
        Terminal.bold("\(number + 1). \(step.about)") + Terminal.faint("  (\(step.look) below)"))
      for command in step.quietly {
        Terminal.line("   \(Terminal.green("#")) \(command)")
        try router.run(command)
      }
      // The change in question is the last one: what the others did must be in the graph by then.
      if !step.quietly.isEmpty { try fpd.wait() }
      Terminal.line("   \(Terminal.green("#")) \(step.command)")
      let time = try reaction.time(
        { try router.attempt(Command.split(step.command)) }, on: step.look, within: .seconds(1))
      Terminal.line("   " + Terminal.faint(Self.tell(time)))
      try show(["graph", step.look])
    }
  }

  private static func tell(_ time: Duration?) -> String {
    guard let time else { return "the graph stayed as it was" }
    let tenths = Int((time.milliseconds * 10).rounded())
    return time == .zero
      ? "new graph before the command had returned"
      : "new graph \(tenths / 10).\(tenths % 10) ms after the command returned"
  }

  private func show(_ arguments: [String]) throws {
    let text = try fpd.fpctl(arguments).check().output
    for line in text.split(separator: "\n") where !line.hasPrefix("generation ") {
      Terminal.line("   " + line)
    }
  }

  private func finish(_ began: Instant) throws {
    Terminal.line()
    Terminal.line(Terminal.bold("The whole graph at the end"))
    try show(["graph"])
    let svg = try fpd.fpctl(["graph", "--format", "svg"]).check().output
    let path = "fpd-demo-graph.svg"
    try TextFile.write(path, svg)
    let usage = try fpd.usage
    let status = try fpd.stop()
    bed.close()
    Terminal.line()
    Terminal.line(Terminal.bold("Done") + " in \(Int((Instant.now - began).milliseconds)) ms.")
    Terminal.line(
      "fpd used \(usage.resident / 1024) MB and \(Int(usage.cpu.milliseconds)) ms of a core, and ended"
        + " with status \(status); the lab is gone.")
    Terminal.line("The last graph as a picture: \(Terminal.cyan(path))")
  }
}
