// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

/// A packet that a rule about a set may mean.
struct Probe: Sendable, CustomStringConvertible {
  let destination: IPv4Address
  var transport = Transport.udp(from: 40_000, to: 7)
  var source: IPv4Address = "10.0.1.2"

  static func to(_ destination: IPv4Address) -> Probe { Probe(destination: destination) }
  static func udp(_ destination: IPv4Address, _ port: UInt16) -> Probe {
    Probe(destination: destination, transport: .udp(from: 40_000, to: port))
  }
  static func tcp(_ destination: IPv4Address, _ port: UInt16) -> Probe {
    Probe(destination: destination, transport: .tcp(.init(from: 40_000, to: port, .syn)))
  }
  static func icmp(_ destination: IPv4Address) -> Probe {
    Probe(destination: destination, transport: .echo())
  }

  var description: String { "\(destination) \(transport)" }
}

/// A router with rules that ask ipsets and an fpd, between two hosts.
final class SetLine {
  let bed: Testbed
  let router: Namespace
  let fpd: Fpd
  private let tool: IPTables
  private let mouth: Tap
  private let ear: Tap
  private let header: (from: MAC, to: MAC)

  /// No rule drops what comes from there.
  private static let marker: IPv4Address = "203.0.113.99"

  init(_ tool: IPTables, hook: String) throws {
    self.tool = tool
    bed = try Testbed.hostRouterHost()
    router = try bed["router"]
    header = (try bed["left"].mac(of: "eth0"), try router.mac(of: "p1"))
    for word in ["left", "right"] { try bed[word].run("ethtool -K eth0 gro on") }
    mouth = try Tap("eth0", in: bed["left"])
    ear = try Tap("eth0", in: bed["right"])
    try router.ip(batch: [
      "neigh replace 10.0.1.2 lladdr \(header.from) dev p1 nud permanent",
      "neigh replace 10.0.2.2 lladdr \(bed["right"].mac(of: "eth0")) dev p2 nud permanent",
      "route add default via 10.0.2.2",
    ])
    try FastLine.quieten(router)
    fpd = try Fpd(in: router, configuration: FastLine.configuration(hook))
  }

  /// Runs ipset's own language.
  func ipset(_ lines: String...) throws { try ipset(lines) }

  func ipset(_ lines: [String]) throws { try router.ipset(restore: lines) }

  /// Lets go of a set that no rule names any more, which the kernel does some time after the rule.
  func destroy(_ set: String) throws {
    #expect(
      try eventually { try router.attempt(["ipset", "destroy", set]).succeeded }, "\(set)")
  }

  /// Replaces the rules: what meets one of the matches is dropped. fpd has not followed yet.
  func rules(_ matches: [String]) throws {
    let rules = ["-s \(Self.marker) -j ACCEPT"] + matches.map { "\($0) -j DROP" }
    try router.restore(
      tool, "*filter\n" + rules.map { "-A FORWARD \($0)\n" }.joined() + "COMMIT\n")
  }

  func follow() throws {
    try fpd.wait()
    let seen = try fpd.interface("p1")
    #expect(seen["accelerated"] == true, "\(seen.text())")
  }

  // MARK: Packets

  /// The fast path alone drops the first and forwards the second. Those that it `leaves` are dropped by the
  /// kernel or not, for one of the reasons.
  func expect(
    drops: [Probe] = [], forwards: [Probe] = [],
    leaves left: (dropped: [Probe], passed: [Probe]) = ([], []),
    because reasons: Set<String> = ["rule-unknown"], _ note: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let before = try fpd.stats("p1")
    let probes = drops + left.dropped + forwards + left.passed
    let passed = try passing(probes)
    let after = try fpd.stats("p1")
    for (number, probe) in probes.enumerated() {
      let isExpected = number >= drops.count + left.dropped.count
      if passed.contains(number) == isExpected { continue }
      Issue.record(
        "\(note): \(probe) \(isExpected ? "did not pass" : "passed")",
        sourceLocation: sourceLocation)
    }
    let punted = after.punted(since: before)
    // One that is forwarded says that no more come.
    let counts = [
      after.dropped - before.dropped, after.forwarded - before.forwarded - 1,
      punted.values.reduce(0, +),
    ]
    #expect(
      counts
        == [drops.count, forwards.count, left.dropped.count + left.passed.count].map(Int64.init),
      "\(note): punted \(punted)", sourceLocation: sourceLocation)
    #expect(
      reasons.isSuperset(of: punted.keys), "\(note): \(punted)", sourceLocation: sourceLocation)
  }

  /// The numbers of those that reach the other side, whoever sees to it.
  func passing(_ probes: [Probe]) throws -> Set<Int> {
    _ = try ear.take()
    for (number, probe) in probes.enumerated() { try send(probe, UInt16(number)) }
    try send(Probe(destination: "192.0.2.1", source: Self.marker), .max)
    var passed: Set<Int> = []
    let deadline = Instant.now + .seconds(5)
    while true {
      guard Tap.wait(for: [ear], by: deadline) else {
        throw LabError("the router forwards nothing")
      }
      for frame in try ear.take() {
        guard let ipv4 = frame.ipv4 else { continue }
        if ipv4.identification == .max { return passed }
        passed.insert(Int(ipv4.identification))
      }
    }
  }

  private func send(_ probe: Probe, _ number: UInt16) throws {
    try mouth.send(
      Packet(
        from: header.from, to: header.to,
        .ipv4(
          IPv4(from: probe.source, to: probe.destination, probe.transport) {
            $0.identification = number
          })
      ).bytes)
  }

  // MARK: What fpctl says

  /// Of the rules about sets: where each is decided, and why.
  func places() throws -> [(text: String, place: String, causes: [String])] {
    let answer = try JSON(parsing: fpd.fpctl("rules filter FORWARD --json").check().output)
    return (answer.at("tables.0.chains.0.rules")?.array ?? []).dropFirst().map { rule in
      (
        rule["text"]?.string ?? "", rule["where"]?.string ?? "",
        (rule["causes"]?.array ?? []).compactMap(\.string)
      )
    }
  }

  func why(_ options: String) throws -> JSON {
    try JSON(
      parsing: fpd.fpctl("why --in p1 --src 10.0.1.2 --smac \(header.from) \(options) --json")
        .check().output)
  }
}

extension Namespace {
  /// Runs ipset's own language.
  func ipset(restore lines: [String]) throws {
    try run(["ipset", "restore"], input: lines.joined(separator: "\n") + "\n")
  }
}
