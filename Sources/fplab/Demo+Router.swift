// SPDX-License-Identifier: Apache-2.0
import Lab

/// A router: its graph, what becomes of single packets, and what the kernel keeps.
extension Demo {
  func becomeRouter() throws {
    try change(
      "A machine with addresses becomes a router",
      [
        "ip addr add 10.0.1.1/24 dev p1", "ip addr add 10.0.2.1/24 dev p2",
        "sysctl -q -w net.ipv4.ip_forward=1",
      ], look: "p1")
    try change(
      "Spoofed sources are refused", ["sysctl -q -w net.ipv4.conf.all.rp_filter=1"], look: "p1")
    title("Packets pass, and fpd forwards them")
    try expectAccelerated(["p1", "p2"])
    try ping(from: hostA, "10.0.2.2")
    try show(["status"], typed: true)
  }

  func ping(from host: Namespace, _ address: IPv4Address) throws {
    let ttl = try host.ping(address)
    check(ttl != nil, "\(address) does not answer")
    if let ttl { say("A ping to \(address) is answered, TTL \(ttl).") }
  }

  func explain() throws {
    title("What fpd did, and what it would do with a packet")
    try show(["stats", "p1"], typed: true)
    let questions = [
      ("10.100.7.1", "64", "forward"), ("10.100.7.1", "1", "ttl-expired"),
      ("203.0.113.1", "64", "no-route"), ("10.0.1.1", "64", "local-delivery"),
    ]
    for (destination, ttl, expected) in questions {
      let answer = try show(
        ["why", "--in", "p1", "--src", "10.0.1.2", "--dst", destination, "--ttl", ttl], typed: true)
      check(answer.contains(expected), "fpctl why \(destination) does not say \(expected)")
    }
  }

  func leaveToTheKernel() throws {
    try letCapture()
    try letShape()
  }

  /// A capture must show the traffic as if there were no fast path.
  private func letCapture() throws {
    title("What must stay with the kernel stays there: a capture", look: "p1")
    let command = "tcpdump -n -q -i p1 udp"
    say("\(Terminal.green("#")) \(command) &")
    let capture = try router.start(Command.split(command))
    try capture.waitForOutput("listening on")
    try fpd.wait()
    try show(["graph", "p1"])
    try send(1000)
    let seen = eventually { capture.output.contains("10.100.") }
    check(seen, "tcpdump did not see packets")
    say("tcpdump sees them: " + Terminal.faint(Self.line(of: capture.output, with: "10.100.")))
    capture.stop()
    say("tcpdump ends, and the fast path is back:")
    try expectAccelerated(["p1"])
    try showStatus(of: ["p1"])
  }

  private func letShape() throws {
    try change(
      "What must stay with the kernel stays there: traffic that is shaped",
      ["tc qdisc add dev p2 root tbf rate 50mbit burst 256kb latency 50ms"], look: "p2")
    let before = try counted("punted.egress-qdisc", on: "p1")
    try send(1000)
    let punted = try counted("punted.egress-qdisc", on: "p1") - before
    check(punted >= 1000, "\(punted) of 1000 packets were left to the kernel for its tbf")
    let queue = try type("tc -s qdisc show dev p2").output
    say(Terminal.faint(Self.line(of: queue, with: "Sent")))
    say("fpd left \(punted) packets to the kernel because of egress-qdisc.")
    try type("tc qdisc del dev p2 root")
    try fpd.wait()
  }

  /// Frames at a modest rate, all of which must arrive.
  private func send(_ frames: Int) throws {
    let sink = try LoadSink(in: hostB, device: "eth0", tracking: frames)
    let traffic = try LoadTraffic(
      from: hostA.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1")
    let generator = try LoadGenerator(in: hostA, device: "eth0", traffic, sink: sink)
    let sent = try generator.send(
      .init(frames: frames, time: .seconds(5), rate: 20_000, window: 128), cpu: Self.cpu)
    sink.settle()
    let tally = try sink.tally(sent: sent.frames)
    check(tally.lost == 0 && tally.damaged == 0, "on the kernel's way: \(tally)")
    say("\(tally.arrived) of \(tally.sent) packets arrive.")
  }

  func showStatus(of interfaces: [String]) throws {
    let lines = try fpd.fpctl("status").check().output.split(separator: "\n")
    let names = ["INTERFACE"] + interfaces
    for line in lines where names.contains(where: { line.hasPrefix("\($0) ") }) {
      say(String(line))
    }
  }

  static func line(of text: String, with word: String) -> String {
    let line = text.split(separator: "\n").first { $0.contains(word) } ?? ""
    return String(line.drop { $0 == " " })
  }
}
