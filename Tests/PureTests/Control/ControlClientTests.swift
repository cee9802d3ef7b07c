// SPDX-License-Identifier: Apache-2.0
import Control
import Foundation
import OrderedJSON
import Testing

@Suite struct ControlClientTests {
  @Test func asksAndIsAnswered() throws {
    let served = try ServedSocket { request, reply in reply.finish(request.json) }
    var client = try ControlClient(path: served.path)
    let request = Request(.graph, JSON.Object([("interface", "eth0")]))
    #expect(try client.ask(request) == request.json)
    #expect(try client.ask(Request(.status)) == ["command": "status"])
  }

  @Test func aRefusalIsThrown() throws {
    let served = try ServedSocket { _, reply in
      reply.refuse(.unknownInterface("eht0", known: ["eth0", "wlan1", "br-lan"]))
    }
    var client = try ControlClient(path: served.path)
    do {
      _ = try client.ask(Request(.graph))
      Issue.record("no refusal")
    } catch {
      #expect(error == .refused(.unknownInterface("eht0", known: ["eth0", "wlan1", "br-lan"])))
      #expect(error.description.contains("did you mean 'eth0'?"))
    }
  }

  @Test func followsAStreamUntilItHasEnough() throws {
    let served = try ServedSocket { _, reply in
      for number in 1...5 { reply.stream(.number(number)) }
      reply.finish("end")
    }
    var client = try ControlClient(path: served.path)
    var seen: [JSON] = []
    try client.follow(Request(.monitor)) {
      seen.append($0)
      return seen.count < 3
    }
    #expect(seen == [1, 2, 3])
  }

  @Test func saysHowToStartADaemonThatIsNotThere() throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    let path = directory.path + "/fpd.sock"
    do {
      _ = try ControlClient(path: path)
      Issue.record("connected to nothing")
    } catch {
      #expect(error.description.contains(path))
      #expect(error.description.contains("sudo systemctl start fpd"))
    }
  }

  @Test func givesUpOnADaemonThatDoesNotAnswer() throws {
    let held = Held()
    let served = try ServedSocket { _, reply in held.replies.append(reply) }
    var client = try ControlClient(path: served.path)
    do {
      _ = try client.ask(Request(.wait), timeoutMilliseconds: 50)
      Issue.record("answered")
    } catch {
      #expect(error.description.contains("did not answer in time"))
    }
  }

  /// Touched by the serving thread alone.
  private final class Held: @unchecked Sendable { var replies: [Reply] = [] }
}

@Suite struct StatusReportTests {
  private static let report = StatusReport(
    version: "1.2.3", state: .degraded, generation: 42,
    interfaces: [
      InterfaceStatus(
        name: "eth1", index: 7, hook: .xdpGeneric, accelerated: true,
        modules: ["bridge", "router"], program: .general, fastShare: 0.25),
      InterfaceStatus(
        name: "tun0", index: 9, hook: .none, accelerated: false, modules: [],
        reason: "no-redirect-target"),
    ],
    problems: [.init(what: "iptables-legacy", detail: "cannot be read")])

  @Test func isWrittenAsTheContractSays() {
    #expect(
      Self.report.json.text()
        == #"{"version":"1.2.3","state":"degraded","generation":42,"interfaces":["#
        + #"{"name":"eth1","ifindex":7,"hook":"xdp-generic","accelerated":true,"#
        + #""modules":["bridge","router"],"program":"general","reason":null,"fast_share":0.25},"#
        + #"{"name":"tun0","ifindex":9,"hook":"none","accelerated":false,"modules":[],"program":null,"#
        + #""reason":"no-redirect-target","fast_share":null}],"#
        + #""problems":[{"what":"iptables-legacy","detail":"cannot be read"}]}"#)
  }

  @Test func isReadBackAsItWas() throws {
    #expect(StatusReport(try JSON(parsing: Self.report.json.text())) == Self.report)
  }

  @Test(arguments: [
    "null", "{}", #"{"version":"1","state":"fine","generation":1,"interfaces":[]}"#,
    #"{"version":"1","state":"converged","generation":1,"interfaces":[{"name":"x"}]}"#,
  ])
  func isNotReadFromSomethingElse(_ text: String) throws {
    #expect(StatusReport(try JSON(parsing: text)) == nil)
  }
}
