// SPDX-License-Identifier: Apache-2.0
import Control
import Datapath
import Introspection
import OrderedJSON
import Topology

extension Daemon {
  /// What the fast path has done with packets.
  func stats(_ request: Request) throws(Refusal) -> JSON {
    let name = try request.text("interface")
    if let name { try requireInterface(name) }
    let interfaces = tracker.graph.interfaces.filter { name == nil || $0.name == name }
    return ["interfaces": .array(interfaces.map(stats))]
  }

  private func stats(of interface: InterfaceGraph) -> JSON {
    let counters = pilot?.counters(of: interface.index) ?? []
    func count(_ place: Int) -> JSON {
      let counter = counters.indices.contains(place) ? counters[place] : Counter()
      return ["packets": .number(counter.packets), "bytes": .number(counter.bytes)]
    }
    var punted = JSON.Object()
    for place in counters.indices where counters[place].packets > 0 {
      if let reason = Reason(counter: place) { punted.append(reason.rawValue, count(place)) }
    }
    let decided = counters.shadow
    if decided.forwarded.packets + decided.dropped.packets > 0 {
      punted.append(
        Reason.shadow.rawValue,
        [
          "packets": .number(decided.forwarded.packets + decided.dropped.packets),
          "bytes": .number(decided.forwarded.bytes + decided.dropped.bytes),
        ])
    }
    return [
      "name": .string(interface.name), "forwarded": count(0), "dropped": count(1),
      "punted": .object(punted),
    ]
  }

  /// Runs the deployed program on packets and tells what becomes of them.
  func why(_ request: Request) throws(Refusal) -> JSON {
    guard let name = try request.text("in") else {
      throw Refusal(.usage, "why needs \"in\": the interface where the packet arrives")
    }
    try requireInterface(name)
    guard let interface = tracker.graph[name] else {
      throw .unknownInterface(name, known: tracker.graph.interfaces.map(\.name))
    }
    let frames = try PacketDescription(request, arrivingAt: hardwareAddress(of: interface)).frames
    var answers: [JSON] = []
    for frame in frames { answers.append(try why(frame, on: interface)) }
    guard let first = answers.first else {
      throw Refusal(.usage, "there are no packets to ask for")
    }
    return answers.count == 1 ? first : ["packets": .array(answers)]
  }

  private func hardwareAddress(of interface: InterfaceGraph) -> [UInt8] {
    let link = tracker.state.links.first { $0.index == interface.index }
    // What a bridge routes is addressed to the bridge.
    let upper = tracker.state.links.first {
      $0.index == link?.master && link?.slaveKind == "bridge"
    }
    return upper?.address ?? link?.address ?? []
  }

  private func why(_ frame: [UInt8], on interface: InterfaceGraph) throws(Refusal) -> JSON {
    var answer = JSON.Object()
    answer.append("interface", .string(interface.name))
    let explanation: Explanation?
    do { explanation = try pilot?.explain(frame, on: interface.index) } catch {
      throw Refusal(.internal, error.description)
    }
    guard let explanation else {
      let reason = status(of: interface).reason.flatMap(Reason.init(rawValue:))
      answer.append("verdict", "slow-path")
      answer.append("reason", reason.map { .string($0.rawValue) } ?? .null)
      answer.append(
        "explanation", .string(reason?.meaning ?? "the interface is not accelerated"))
      return .object(answer)
    }
    switch explanation.verdict {
    case .forward:
      let egress = tracker.state.links.first { $0.index == explanation.egress }?.name
      answer.append("verdict", "forward")
      answer.append("egress", egress.map { .string($0) } ?? .null)
      answer.append("frame", .string(hexadecimal(explanation.frame)))
    case .drop: answer.append("verdict", "drop")
    case .punt:
      let reason = Reason(counter: Int(explanation.reason))
      answer.append("verdict", "punt")
      answer.append("reason", reason.map { .string($0.rawValue) } ?? .null)
      answer.append("step", reason.map { .string($0.step) } ?? .null)
      answer.append("explanation", reason.map { .string($0.meaning) } ?? .null)
    }
    if let rule = explanation.rule.flatMap(rulebook.rule) { answer.append("rule", .string(rule)) }
    return .object(answer)
  }
}
