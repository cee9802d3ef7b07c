// SPDX-License-Identifier: Apache-2.0
import Control
import Foundation
import OrderedJSON
import Testing

@Suite struct ControlServerTests {
  @Test func answersARequest() throws {
    let bench = try SocketBench()
    let client = try bench.connect()
    client.send(line: #"{"command":"graph","args":{"interface":"eth0"}}"#)
    #expect(bench.line(client) == #"{"ok":true,"result":"done"}"#)
    #expect(bench.asked == [Request(.graph, JSON.Object([("interface", "eth0")]))])
  }

  @Test func answersSeveralRequestsInTheirOrder() throws {
    let bench = try SocketBench()
    bench.handler = { request, reply in reply.finish(.string(request.command.rawValue)) }
    let client = try bench.connect()
    let names = (0..<100).map { ["status", "config", "stats"][$0 % 3] }
    client.send(Array(names.map { #"{"command":"\#($0)"}"# + "\n" }.joined().utf8))
    for name in names { #expect(bench.line(client) == #"{"ok":true,"result":"\#(name)"}"#) }
  }

  @Test func putsTogetherARequestThatComesByteByByte() throws {
    let bench = try SocketBench()
    let client = try bench.connect()
    for byte in #"{"command":"status"}"#.utf8 {
      client.send([byte])
      bench.turn()
    }
    #expect(bench.asked.isEmpty)
    client.send([10])
    #expect(bench.line(client) == #"{"ok":true,"result":"done"}"#)
  }

  @Test func answersAClientThatHasFinishedSending() throws {
    let bench = try SocketBench()
    let client = try bench.connect()
    client.send(Array(#"{"command":"status"}"#.utf8))
    client.endOfRequests()
    #expect(bench.line(client) == #"{"ok":true,"result":"done"}"#)
    #expect(bench.serve { bench.server.clientCount == 0 })
    #expect(client.nextLine() == nil && client.hasEnded)
  }

  @Test(arguments: [
    ("hello", "usage", "not valid JSON"), ("[]", "usage", "a request is an object"),
    ("{}", "usage", "no \\\"command\\\""), (#"{"command":7}"#, "usage", "no \\\"command\\\""),
    (#"{"command":"statsu"}"#, "usage", "did you mean 'stats' or 'status'?"),
    (#"{"command":"status","args":[1]}"#, "usage", "must be an object"),
    (#"{"command":"sta\u0000tus"}"#, "usage", "unknown command"),
    ("\u{1}\u{2}\u{ff}", "usage", "not valid JSON"),
  ])
  func refusesWhatIsNoRequestAndGoesOn(_ line: String, _ kind: String, _ text: String) throws {
    let bench = try SocketBench()
    let client = try bench.connect()
    client.send(line: line)
    let answer = try #require(bench.line(client))
    #expect(answer.contains(#""ok":false"#) && answer.contains(#""kind":"\#(kind)""#))
    #expect(answer.contains(text), "\(answer)")
    client.send(line: #"{"command":"status"}"#)
    #expect(bench.line(client) == #"{"ok":true,"result":"done"}"#)
  }

  @Test func ignoresEmptyLines() throws {
    let bench = try SocketBench()
    let client = try bench.connect()
    client.send(Array("\n\r\n  \n{\"command\":\"status\"}\r\n".utf8))
    #expect(bench.line(client) == #"{"ok":true,"result":"done"}"#)
    #expect(bench.asked.count == 1)
  }

  @Test func aDeferredAnswerComesWhenItIsGiven() throws {
    let bench = try SocketBench()
    bench.deferAnswers()
    let client = try bench.connect()
    client.send(line: #"{"command":"wait"}"#)
    client.send(line: #"{"command":"status"}"#)
    #expect(bench.serve { bench.open.count == 1 })
    bench.turn()
    #expect(client.nextLine() == nil && bench.asked.count == 1, "the second waits its turn")

    bench.open[0].finish(["generation": 7])
    #expect(client.nextLine() == #"{"ok":true,"result":{"generation":7}}"#)
    #expect(!bench.open[0].isOpen)
    #expect(bench.serve { bench.asked.count == 2 }, "the second is begun without more input")
    bench.open[0].finish("twice")
    bench.open[1].refuse(Refusal(.negative, "no"))
    #expect(bench.line(client) == #"{"ok":false,"error":"no","kind":"negative"}"#)
  }

  @Test func streamsUntilTheClientGoes() throws {
    let bench = try SocketBench()
    bench.deferAnswers()
    let client = try bench.connect()
    client.send(line: #"{"command":"monitor"}"#)
    #expect(bench.serve { bench.open.count == 1 })
    var isTold = false
    bench.open[0].whenClosed { isTold = true }
    for generation in 1...3 {
      #expect(bench.open[0].stream(["generation": .number(generation)]))
      #expect(client.nextLine() == #"{"ok":true,"result":{"generation":\#(generation)}}"#)
    }
    client.hangUp()
    #expect(bench.serve { !bench.open[0].isOpen })
    #expect(isTold && bench.server.clientCount == 0)
    #expect(!bench.open[0].stream("more"))
  }

  @Test func streamsToAClientThatHasFinishedSending() throws {
    let bench = try SocketBench()
    bench.deferAnswers()
    let client = try bench.connect()
    client.send(line: #"{"command":"monitor"}"#)
    client.endOfRequests()
    #expect(bench.serve { bench.open.count == 1 })
    bench.turn()
    #expect(bench.open[0].stream("one"))
    #expect(client.nextLine() == #"{"ok":true,"result":"one"}"#)
  }

  @Test func aDroppedReplyIsAnsweredAsAnInternalError() throws {
    let bench = try SocketBench()
    bench.handler = { _, _ in }
    let client = try bench.connect()
    client.send(line: #"{"command":"status"}"#)
    #expect(bench.line(client)?.contains(#""kind":"internal""#) == true)
  }

  @Test func sendsAnAnswerLargerThanTheSocketHolds() throws {
    let bench = try SocketBench()
    let text = String(repeating: "x", count: 3_000_000)
    bench.handler = { _, reply in reply.finish(.string(text)) }
    let client = try bench.connect()
    client.send(line: #"{"command":"graph"}"#)
    #expect(bench.line(client) == #"{"ok":true,"result":"\#(text)"}"#)
  }

  @Test func isQuietWhenThereIsNothingToDo() throws {
    let bench = try SocketBench()
    bench.deferAnswers()
    let client = try bench.connect()
    client.send(line: #"{"command":"wait"}"#)
    #expect(bench.serve { bench.open.count == 1 })
    client.endOfRequests()
    bench.turn()
    bench.turn()
    var entry = pollfd(fd: bench.server.descriptor, events: Int16(POLLIN), revents: 0)
    #expect(poll(&entry, 1, 0) == 0, "an event loop would spin")
  }
}
