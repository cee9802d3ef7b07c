// SPDX-License-Identifier: Apache-2.0
import Control
import Foundation
import OrderedJSON
import Testing

/// What running a program came to.
struct Outcome: Equatable {
  var code: Int32
  var out: String
  var error: String
}

let repository = URL(filePath: #filePath).pathComponents.dropLast(4).joined(separator: "/")
  .replacing("//", with: "/")

/// The program that was built together with these tests.
let fpctl = Bundle.module.bundleURL.deletingLastPathComponent().appending(path: "fpctl").path

func run(
  _ program: String, _ words: [String], environment: [String: String] = [:]
) throws -> Outcome {
  let process = Process()
  process.executableURL = URL(filePath: program)
  process.arguments = words
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  let (out, error) = (Pipe(), Pipe())
  process.standardOutput = out
  process.standardError = error
  process.standardInput = FileHandle.nullDevice
  try process.run()
  // What is said on standard error fits into a pipe, so it may be read last.
  let outText = String(decoding: out.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  let errorText = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return Outcome(code: process.terminationStatus, out: outText, error: errorText)
}

/// Answers as fpd would, for as much as these tests ask.
private func serveGraph(_ request: Request, _ reply: Reply) {
  let graph: JSON = [
    "version": 1, "generation": 42,
    "interfaces": [
      "eth0": [
        "ifindex": 2, "hook": "xdp",
        "graph": ["router": ["conf": ["rp_filter": "strict"], "next_nf": nil]], "slow_path": [],
      ]
    ],
  ]
  switch request.command {
  case .graph:
    let name = request.arguments["interface"]?.string ?? "eth0"
    if name == "eth0" {
      reply.finish(graph)
    } else {
      reply.refuse(.unknownInterface(name, known: ["eth0", "br-lan"]))
    }
  case .status:
    reply.finish(StatusReport(state: .converged, generation: 42, interfaces: []).json)
  case .wait:
    let limit = request.arguments["timeout_ms"]?.int ?? -1
    if limit >= 1000 {
      reply.finish(["generation": 43])
    } else {
      reply.refuse(Refusal(.negative, "not live within \(limit) ms"))
    }
  case .config: reply.finish([["key": "log_level", "value": "info", "source": "default"]])
  case .monitor:
    for generation in 1...3 { reply.stream(["generation": .number(generation)]) }
    reply.refuse(Refusal(.internal, "the end"))
  case .stats: reply.refuse(Refusal(.usage, "no such counters"))
  case .rules: reply.finish(["tables": [], "asked": .object(request.arguments)])
  case .why: reply.finish(.object(request.arguments))
  case .shadow: reply.finish(["shadow": false])
  case .state: reply.finish(["links": [["name": "eth0", "up": true]], "conntrack": nil])
  }
}

@Suite struct FpctlTests {
  private let served: ServedSocket

  init() throws { served = try ServedSocket(serveGraph) }

  private func ask(_ words: String...) throws -> Outcome {
    try run(fpctl, ["--socket", served.path] + words)
  }

  @Test func showsAGraphInEachFormat() throws {
    let json = try ask("graph", "--json")
    #expect(json.code == 0 && json.error.isEmpty)
    #expect(try JSON(parsing: json.out)["generation"] == 42)
    #expect(try ask("--json", "graph") == json)
    #expect(try ask("graph", "--format", "json") == json)
    #expect(try ask("graph", "eth0", "--format=json") == json)
    #expect(try ask("graph").out.contains("└─ router  rp_filter=strict"))
    #expect(try ask("graph", "--format=tree") == ask("graph"))
    #expect(try ask("graph", "--format", "dot").out.hasPrefix("digraph fpd {"))
    #expect(try ask("graph", "--format", "svg").out.hasPrefix("<svg xmlns="))
  }

  @Test func anUnknownInterfaceIsANoWithTheNearestName() throws {
    let outcome = try ask("graph", "eht0")
    #expect(outcome.code == 1 && outcome.out.isEmpty)
    #expect(
      outcome.error
        == "fpctl: no interface \"eht0\" in fpd's network namespace; did you mean 'eth0'?\n")
  }

  @Test func showsStatusStateAndConfig() throws {
    #expect(try ask("status").out.hasPrefix("fpd \(Control.version)  converged  generation 42\n"))
    #expect(try ask("status", "--json").out.contains(#""state":"converged""#))
    #expect(try ask("state").out.contains("name eth0"))
    #expect(
      try ask("state", "--json").out
        == #"{"links":[{"name":"eth0","up":true}],"conntrack":null}"# + "\n")
    #expect(try ask("config").out == "KEY        VALUE  SOURCE\nlog_level  info   default\n")
  }

  @Test func asksForTheRulesOfATableAndAChain() throws {
    #expect(try ask("rules").out == "no firewall has a table\n")
    #expect(try ask("rules", "--json").out == #"{"tables":[],"asked":{}}"# + "\n")
    #expect(
      try ask("rules", "filter", "FORWARD", "--json").out
        == #"{"tables":[],"asked":{"table":"filter","chain":"FORWARD"}}"# + "\n")
  }

  @Test func waitsAsLongAsItIsTold() throws {
    #expect(
      try ask("wait") == Outcome(code: 0, out: "live as of the call, generation 43\n", error: ""))
    #expect(
      try ask("wait", "--timeout", "0.25")
        == Outcome(code: 1, out: "", error: "fpctl: not live within 250 ms\n"))
  }

  @Test func monitorsUntilFpdEndsIt() throws {
    let outcome = try ask("monitor")
    #expect(outcome.out == "generation 1\ngeneration 2\ngeneration 3\n")
    #expect(outcome.code == 1 && outcome.error == "fpctl: the end\n")
    #expect(try ask("monitor", "--json").out.split(separator: "\n").count == 3)
  }

  @Test func whySendsThePacket() throws {
    let words =
      "why --in eth0 --src 10.0.0.1 --dst 10.0.1.1 --proto tcp --sport 1024 --dport 80 --ttl 64 "
      + "--smac 02:00:00:00:00:01 --dmac 02:00:00:00:00:02 --json"
    let outcome = try run(
      fpctl, ["--socket", served.path] + words.split(separator: " ").map(String.init))
    #expect(
      outcome.out
        == #"{"in":"eth0","src":"10.0.0.1","dst":"10.0.1.1","proto":"tcp","sport":1024,"dport":80,"#
        + #""ttl":64,"smac":"02:00:00:00:00:01","dmac":"02:00:00:00:00:02"}"# + "\n")
  }

  @Test func whySendsTheFramesOfACapture() throws {
    let file = served.directory.path + "/two.pcap"
    let head: [UInt8] = [
      0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0,
    ]
    let packet: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0xde, 0xad, 0x01]
    try Data(head + packet + packet).write(to: URL(filePath: file))
    #expect(
      try ask("why", "--in", "eth0", "--pcap", file, "--json").out
        == #"{"in":"eth0","frames":["dead01","dead01"]}"# + "\n")
    try Data(head + packet.dropLast()).write(to: URL(filePath: file))
    let cut = try ask("why", "--in", "eth0", "--pcap", file)
    #expect(cut.code == 1 && cut.error.contains("ends within a packet"))
  }

  @Test(arguments: [
    ("", "no command given"), ("statsu", "did you mean 'stats' or 'status'?"),
    ("status now", "unexpected \"now\" after status"), ("graph --fromat svg", "'--format'"),
    ("graph --format png", "expected tree, json, dot, svg"),
    ("graph --json --format svg", "contradict"), ("wait --timeout soon", "expected seconds"),
    ("wait --timeout -1", "expected seconds"), ("wait --timeout nan", "expected seconds"),
    ("why", "needs --in"), ("why --in eth0 --src 10.0.0", "expected an IPv4"),
    ("why --in eth0 --dport 65536", "0 to 65535"), ("why --in eth0 --proto tpc", "'tcp'"),
    ("why --in eth0 --smac 0:0:0", "MAC address"),
    ("why --in eth0 --pcap x --ttl 1", "leave out --ttl"),
    ("help statsu", "did you mean"), ("completion tcsh", "only for bash"),
    ("completion", "for which shell"), ("stats", "no such counters"),
    ("rules filter FORWARD 3", "unexpected \"3\""),
    ("status --socket /x", "--socket is given twice"),
  ])
  func badUsageIsToldAndExitsWith2(_ line: String, _ text: String) throws {
    let outcome = try run(
      fpctl, ["--socket", served.path] + line.split(separator: " ").map(String.init))
    #expect(outcome.code == 2 && outcome.out.isEmpty)
    #expect(outcome.error.hasPrefix("fpctl: ") && outcome.error.contains(text), "\(outcome.error)")
  }

  @Test func aDaemonThatIsNotThereExitsWith3() throws {
    let outcome = try run(fpctl, ["status", "--socket", "/nowhere/fpd.sock"])
    #expect(outcome.code == 3 && outcome.error.contains("/nowhere/fpd.sock"))
    #expect(outcome.error.contains("sudo systemctl start fpd"))
  }

  @Test func aReaderThatHasSeenEnoughIsNoError() throws {
    let large = try ServedSocket { _, reply in
      reply.finish([["key": "x", "value": .string(String(repeating: "y\n", count: 500_000))]])
    }
    let script =
      "'\(fpctl)' --socket '\(large.path)' config --json | head -c 10; echo ${PIPESTATUS[0]}"
    let outcome = try run("/bin/bash", ["-c", script])
    #expect(outcome.out == "[{\"key\":\"x0\n" && outcome.error.isEmpty)
  }

  /// Without another event that would show it by a failing write.
  @Test(.timeLimit(.minutes(1))) func aMonitorEndsWithItsReader() throws {
    let held = Held()
    let served = try ServedSocket { _, reply in
      reply.stream(["generation": 1])
      held.replies.append(reply)
    }
    let script = "'\(fpctl)' --socket '\(served.path)' monitor | head -n 1; echo ${PIPESTATUS[0]}"
    let outcome = try run("/bin/bash", ["-c", script])
    #expect(outcome == Outcome(code: 0, out: "generation 1\n0\n", error: ""))
  }

  /// Touched by the serving thread alone.
  private final class Held: @unchecked Sendable { var replies: [Reply] = [] }

  @Test func anOutputThatIsFullIsAnError() throws {
    let outcome = try run("/bin/bash", ["-c", "'\(fpctl)' help > /dev/full"])
    #expect(outcome.code == 1 && outcome.error.contains("No space left on device"))
  }

  @Test func coloursNeedATerminal() throws {
    #expect(try !ask("graph").out.contains("\u{1b}"))
  }

  @Test func everyCommandHasHelp() throws {
    let overview = try run(fpctl, ["--help"])
    #expect(overview.code == 0)
    #expect(try run(fpctl, ["help"]) == overview)
    for command in Self.commands {
      #expect(overview.out.contains("\n  \(command) "))
      let help = try run(fpctl, [command, "--help"])
      #expect(help.code == 0 && help.out.hasPrefix("Usage: fpctl \(command)"))
      #expect(try run(fpctl, ["help", command]) == help)
      #expect(help.out.split(separator: "\n").allSatisfy { $0.count <= 90 })
    }
    #expect(try run(fpctl, ["--version"]).out == "fpctl \(Control.version)\n")
  }

  static let commands = Command.allCases.map(\.rawValue) + ["completion", "help", "top"]

  @Test(.enabled(if: geteuid() == 0, "needs root to become somebody else"))
  func strangersAreDeniedAndTheGroupMayRead() throws {
    let served = try ServedSocket(readers: "4321", serveGraph)
    chmod(served.directory.path, 0o755)
    func ask(groups: String) throws -> Outcome {
      try run(
        "/usr/bin/setpriv",
        ["--reuid=65534", "--regid=65534", groups, fpctl, "--socket", served.path, "status"])
    }
    #expect(try ask(groups: "--groups=4321").code == 0)
    let kept = try ask(groups: "--clear-groups")
    #expect(kept.code == 3 && kept.error.contains("permission denied"))
    chmod(served.path, 0o666)
    let denied = try ask(groups: "--clear-groups")
    #expect(denied.code == 1 && denied.error.contains("uid 65534"))
  }
}
