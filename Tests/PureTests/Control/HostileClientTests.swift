// SPDX-License-Identifier: Apache-2.0
import Control
import Foundation
import OrderedJSON
import Testing

@Suite struct HostileClientTests {
  @Test func aRequestWithoutEndIsRefusedAndTheClientLeft() throws {
    let bench = try SocketBench()
    let client = try bench.connect()
    let flood = [UInt8](repeating: UInt8(ascii: "["), count: 1 << 14)
    #expect(bench.serve { client.send(flood) == nil })
    #expect(client.nextLine()?.contains("at most 65536 bytes") == true)
    #expect(bench.server.clientCount == 0 && bench.asked.isEmpty)
  }

  @Test func aRequestOfTheGreatestLengthIsServed() throws {
    let bench = try SocketBench()
    let client = try bench.connect()
    let head = #"{"command":"status","args":{"x":""#
    let line = head + String(repeating: "y", count: 65536 - head.utf8.count - 3) + #""}}"#
    var rest = Array((line + "\n").utf8)[...]
    #expect(
      bench.serve {
        rest = rest.dropFirst(client.send(rest) ?? 0)
        return rest.isEmpty
      })
    #expect(bench.line(client) == #"{"ok":true,"result":"done"}"#)
  }

  @Test func aMonitorThatNeverReadsIsDropped() throws {
    let bench = try SocketBench()
    bench.deferAnswers()
    let client = try bench.connect()
    client.send(line: #"{"command":"monitor"}"#)
    #expect(bench.serve { bench.open.count == 1 })
    let line = JSON.string(String(repeating: "z", count: 10_000))
    var sent = 0
    while bench.open[0].stream(line), sent < 10_000 { sent += 1 }
    #expect(sent * 10_000 < 4 << 20, "the backlog has a limit")
    bench.turn()
    #expect(bench.server.clientCount == 0)
  }

  @Test func aClientThatAsksWithoutReadingGetsNoFurtherAnswersPrepared() throws {
    let bench = try SocketBench()
    let large = JSON.string(String(repeating: "x", count: 1_000_000))
    bench.handler = { _, reply in reply.finish(large) }
    let client = try bench.connect()
    for _ in 0..<50 { client.send(line: #"{"command":"graph"}"#) }
    for _ in 0..<100 { bench.turn() }
    #expect(bench.asked.count == 1)
  }

  @Test func allTogetherMayNotLeaveMoreUnreadThanTheLimit() throws {
    var limits = ControlServer.Limits()
    limits.totalBacklog = 4_000_000
    let bench = try SocketBench(limits: limits)
    let large = JSON.string(String(repeating: "x", count: 1_000_000))
    bench.handler = { _, reply in reply.finish(large) }
    let clients = try (0..<10).map { _ in try bench.connect() }
    for client in clients { client.send(line: #"{"command":"graph"}"#) }
    #expect(bench.serve { bench.asked.count == 10 })
    bench.turn()
    #expect((1...5).contains(bench.server.clientCount))
  }

  @Test func idleClientsMakeRoomForNewOnes() throws {
    var limits = ControlServer.Limits()
    limits.connections = 4
    let bench = try SocketBench(limits: limits)
    let idle = try (0..<20).map { _ in try bench.connect() }
    bench.turn()
    #expect(bench.server.clientCount == 4)
    let client = try bench.connect()
    client.send(line: #"{"command":"status"}"#)
    #expect(bench.line(client) == #"{"ok":true,"result":"done"}"#)
    #expect(idle[0].nextLine() == nil && idle[0].hasEnded)
  }

  @Test func busyClientsAreNotPushedOut() throws {
    var limits = ControlServer.Limits()
    limits.connections = 4
    let bench = try SocketBench(limits: limits)
    bench.deferAnswers()
    let busy = try (0..<4).map { _ in try bench.connect() }
    for client in busy { client.send(line: #"{"command":"wait"}"#) }
    #expect(bench.serve { bench.open.count == 4 })
    let late = try bench.connect()
    #expect(bench.line(late)?.contains("already serves 4 clients") == true)
    #expect(bench.open.allSatisfy { $0.isOpen })
  }

  @Test func readersCannotLockRootOut() {
    let reader = Seat(isIdle: false, isRoot: false)
    let root = Seat(isIdle: false, isRoot: true)
    let idle = Seat(isIdle: true, isRoot: true)
    #expect(Seat.displaced([root, reader, reader], newcomerIsRoot: true) == 1)
    #expect(Seat.displaced([root, reader, reader], newcomerIsRoot: false) == nil)
    #expect(Seat.displaced([root, root], newcomerIsRoot: true) == nil)
    #expect(Seat.displaced([reader, idle], newcomerIsRoot: false) == 1)
  }

  @Test func clientsThatVanishAtAnyPointLeaveNothingBehind() throws {
    let bench = try SocketBench()
    bench.handler = { [unowned bench] request, reply in
      if request.command == .wait { bench.open.append(reply) } else { reply.finish("x") }
    }
    for round in 0..<200 {
      let client = try bench.connect()
      if round % 4 > 0 { client.send(Array(#"{"command":"#.utf8)) }
      if round % 4 > 1 { client.send(Array(#""wait"}"#.utf8)) }
      if round % 4 > 2 { client.send([10]) }
      if round % 2 == 0 { bench.turn() }
      client.hangUp()
      bench.turn()
    }
    #expect(bench.serve { bench.server.clientCount == 0 })
    #expect(bench.open.allSatisfy { !$0.isOpen })
  }

  @Test func randomBytesNeverStopTheServer() throws {
    let bench = try SocketBench()
    var random = SystemRandomNumberGenerator()
    let alphabet = Array("{}[]\",:\\ \n\ncommandstatus0-e\u{0}\u{7f}".utf8) + [0xff, 0xc3]
    for _ in 0..<100 {
      let client = try bench.connect()
      client.send(
        (0..<Int.random(in: 1...2000, using: &random)).map { _ in
          alphabet.randomElement(using: &random) ?? 0
        })
      for _ in 0..<5 { bench.turn() }
    }
    let client = try bench.connect()
    client.send(line: #"{"command":"status"}"#)
    #expect(bench.line(client) == #"{"ok":true,"result":"done"}"#)
  }
}
