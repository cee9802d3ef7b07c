// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

/// Takes fpd through a walk: after each step the graph must get where it should by itself and in time,
/// and still be there when fpd has been made to look.
final class Walker {
  private let bed = Testbed()
  private let namespace: Namespace
  private let other: Namespace
  private let fpd: Fpd
  private let directory: TemporaryDirectory
  private let words: [(String, String)]
  private(set) var taken = 0

  init(ipv6: Namespace.IPv6) throws {
    namespace = try bed.add("walk", ipv6: ipv6)
    other = try bed.add("other", ipv6: ipv6)
    // A new namespace takes these from the machine's first one.
    try namespace.sysctl([
      "net.ipv4.ip_forward=0", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
      "net.ipv4.conf.all.send_redirects=1", "net.ipv4.conf.default.send_redirects=1",
    ])
    // On by default where the kernel has br_netfilter, absent elsewhere: steps turn it on.
    for name in ["iptables", "ip6tables", "arptables"] {
      _ = try namespace.attempt(["sysctl", "-q", "-w", "net.bridge.bridge-nf-call-\(name)=0"])
    }
    for number in 1...3 {
      try bed.cable(.init(other, "far\(number)"), .init(namespace, "p\(number)"))
    }
    directory = try TemporaryDirectory("programs")
    words = [
      ("$XDP", try ForeignProgram.xdpPass(in: directory)),
      ("$CLS", try ForeignProgram.classifier(in: directory)), ("$OTHER", other.name),
    ]
    fpd = try Fpd(in: namespace)
  }

  func take(_ walk: Walk) throws {
    for step in walk.steps {
      if let condition = step.provided, try !other.attempt(Command.split(condition)).succeeded {
        print("skipped, this kernel cannot do it: \(walk.name), \(step.name)")
        continue
      }
      for problem in try take(step) { Issue.record("\(walk.name), \(step.name): \(problem)") }
      taken += 1
    }
    try compareWithAFreshStart(walk)
  }

  private func take(_ step: Step) throws -> [String] {
    let expectations = try step.expected.map { try Expectation($0) }
    let wanted = try step.exactly.mapValues { try JSON(parsing: $0) }
    func problems(_ document: JSON) -> [String] {
      expectations.compactMap { $0.problem(in: document) }
        + wanted.sorted { $0.key < $1.key }.compactMap { Self.difference($0, $1, in: document) }
    }
    let before = try fpd.graph()
    if !step.changesNothing && problems(before).isEmpty {
      return ["what it expects was so before the commands: it proves nothing"]
    }
    let returned = try run(step.commands)

    var found: [String] = []
    if !step.changesNothing {
      let arrived = try eventually(within: step.patience - (.now - returned)) {
        found = problems(try fpd.graph())
        return found.isEmpty
      }
      if !arrived { found = found.map { "by itself within \(step.patience): \($0)" } }
    }
    try fpd.wait()
    let after = try fpd.graph()
    found += problems(after).map { "after wait: \($0)" }
    if step.changesNothing && before != after {
      found.append("the graph changed from \(before.text()) to \(after.text())")
    }
    return found + (try problemsOfFpctl(problems, after))
  }

  /// The real fpctl must print what the socket says.
  private func problemsOfFpctl(_ problems: (JSON) -> [String], _ document: JSON) throws -> [String]
  {
    let printed = try JSON(parsing: fpd.fpctl("graph --json").check().output)
    if printed["interfaces"] == document["interfaces"] { return [] }
    return ["fpctl graph --json prints \(printed.text()) for \(document.text())"]
      + problems(printed)
  }

  private func run(_ commands: [String]) throws -> Instant {
    var returned = Instant.now
    for command in commands {
      let command = words.reduce(command) { text, word in
        text.split(separator: word.0, omittingEmptySubsequences: false).joined(separator: word.1)
      }
      if command.hasPrefix("nft: ") {
        let script = command.dropFirst(5).split(separator: ";").joined(separator: "\n") + "\n"
        returned = try namespace.nft(script).returned
      } else if command.hasPrefix("far: ") {
        returned = try other.run(String(command.dropFirst(5))).returned
      } else {
        returned = try namespace.run(command).returned
      }
    }
    return returned
  }

  private static func difference(_ name: String, _ wanted: JSON, in document: JSON) -> String? {
    guard var found = document.at("interfaces.[\(name)]")?.object else {
      return "\(name) should be there"
    }
    found["ifindex"] = nil
    return JSON.object(found) == wanted
      ? nil : "\(name) should be \(wanted.text()), but is \(JSON.object(found).text())"
  }

  /// What fpd has arrived at step by step is what an fpd sees that starts only now.
  private func compareWithAFreshStart(_ walk: Walk) throws {
    let walked = try fpd.graph()
    #expect(try fpd.stop() == 0)
    let fresh = try Fpd(in: namespace)
    let started = try fresh.graph()
    if walked["interfaces"] != started["interfaces"] {
      Issue.record(
        "\(walk.name): a fresh fpd sees \(started.text()), the one that walked \(walked.text())")
    }
    #expect(try fresh.stop() == 0)
  }
}
