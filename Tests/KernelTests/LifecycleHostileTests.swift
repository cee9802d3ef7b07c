// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Whatever comes over the control socket, fpd goes on serving the others.
  @Suite(.needsFpd) struct LifecycleHostileTests {
    private let namespace: Namespace
    private let fpd: Fpd

    init() throws {
      namespace = try Namespace("hostile")
      fpd = try Fpd(in: namespace)
    }

    private func servesOthers() throws {
      #expect(try fpd.status()["generation"]?.int != nil)
      #expect(fpd.process.isRunning)
    }

    @Test(arguments: [
      "nonsense", "{}", "[]", "null", "\"status\"", "{\"command\":7}", "{\"command\":\"\"}",
      "{\"command\":\"graph\",\"args\":[]}", "{\"command\":\"graph\",\"args\":{\"interface\":7}}",
      "{\"command\":\"wait\",\"args\":{\"timeout_ms\":-1}}",
      "{\"command\":\"wait\",\"args\":{\"timeout_ms\":\"x\"}}",
      "{\"command\":\"graph\",\"args\":{\"interface\":\"../../etc/passwd\"}}",
      "{\"command\":\"shutdown\"}",
      "\u{0}x\u{1}", "{\"command\":\"status\"", String(repeating: "[", count: 50_000),
    ])
    func nonsenseIsRefusedInWords(_ line: String) throws {
      let client = try fpd.connect()
      try client.send((line + "\n").utf8)
      let answer = try client.answer()
      #expect(answer["ok"]?.bool == false)
      #expect(answer["error"]?.string?.isEmpty == false)
      #expect(["usage", "negative"].contains(answer["kind"]?.string))
      try servesOthers()
    }

    @Test func lineWithoutEndIsNotKept() throws {
      let client = try fpd.connect()
      let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
      // fpd may answer and hang up at any point of this.
      for _ in 0..<64 where (try? client.send(chunk)) == nil { break }
      try servesOthers()
      #expect(try fpd.usage.resident < 40 * 1024)
    }

    @Test func clientsThatSayNothingKeepNobodyOut() throws {
      var silent: [ControlLine] = []
      // Whether fpd turns some away is its affair; root must get through.
      for _ in 0..<100 { if let client = try? fpd.connect() { silent.append(client) } }
      silent.removeLast(max(0, silent.count - 40))
      #expect(eventually { (try? fpd.status()) != nil })
      let descriptors = Self.descriptors(of: fpd)
      silent = []
      #expect(eventually { Self.descriptors(of: fpd) < descriptors })
      try servesOthers()
    }

    @Test func connectionsLeaveNoDescriptorBehind() throws {
      try servesOthers()
      let before = Self.descriptors(of: fpd)
      for round in 0..<300 {
        let client = try fpd.connect()
        switch round % 3 {
        case 0: try client.send("{\"command\":\"sta".utf8)
        case 1: try client.say("monitor")
        default: try client.say("graph")
        }
      }
      #expect(eventually { Self.descriptors(of: fpd) <= before })
    }

    private static func descriptors(of fpd: Fpd) -> Int {
      let listing = try? Command.run(["ls", "/proc/\(fpd.pid)/fd"]).check().output
      return listing?.split(separator: "\n").count ?? -1
    }

    /// A reader that never reads must not stop the stream of the others, nor fill fpd's memory.
    @Test func monitorThatNeverReadsHoldsNobodyUp() throws {
      let deaf = try fpd.connect()
      try deaf.say("monitor")
      let keen = try fpd.connect()
      try keen.say("monitor")
      let asker = try fpd.connect()
      for number in 0..<50 {
        try namespace.run("ip link add n\(number) type bridge")
      }
      let last = try eventually { try fpd.graph().at("interfaces.n49") != nil }
      #expect(last)
      let generation = try fpd.generation()
      var heard: Int64 = 0
      while heard < generation {
        heard = try keen.answer(within: .seconds(5)).at("result.generation")?.int ?? heard
      }
      #expect(try asker.ask("status")["generation"]?.int == generation)
      #expect(try fpd.usage.resident < 40 * 1024)
      _ = deaf
    }

    @Test func requestsInOnePieceAreAnsweredInOrder() throws {
      let client = try fpd.connect()
      try client.send(
        "{\"command\":\"status\"}\n{\"command\":\"nope\"}\n{\"command\":\"graph\"}\n".utf8)
      #expect(try client.answer().at("result.state") != nil)
      #expect(try client.answer()["ok"]?.bool == false)
      #expect(try client.answer().at("result.interfaces") != nil)
    }

    @Test func requestInManyPiecesIsAnswered() throws {
      let client = try fpd.connect()
      for byte in "{\"command\":\"status\"}\n".utf8 { try client.send([byte]) }
      #expect(try client.answer()["ok"]?.bool == true)
    }

    /// `wait` of one client must not make another wait.
    @Test func waitingClientHoldsNobodyUp() throws {
      fpd.process.signal(SIGSTOP)
      let waiting = try fpd.connect()
      try waiting.say("wait", JSON.Object([(key: "timeout_ms", value: 10_000)]))
      let asking = try fpd.connect()
      try asking.say("status")
      fpd.process.signal(SIGCONT)
      #expect(try asking.answer()["ok"]?.bool == true)
      #expect(try waiting.answer()["ok"]?.bool == true)
    }
  }
}
