// SPDX-License-Identifier: Apache-2.0
import Datapath
import Glibc
import OrderedJSON
import Topology

extension Daemon {
  func nameOf(_ interface: Int32) -> String {
    tracker.state.links.first { $0.index == interface }?.name ?? "interface \(interface)"
  }

  /// What shadow mode has found.
  func shadowReport() -> JSON {
    guard let shadow else { return ["shadow": false] }
    shadow.gather(nameOf)
    let tallies = shadow.tallies
    var sum = ShadowTally()
    for tally in tallies.values { sum = sum + tally }
    let interfaces = tracker.graph.interfaces.map { ($0, counters(of: $0) ?? []) }
    func total(_ count: ([Counter]) -> UInt64) -> UInt64 {
      interfaces.reduce(0) { $0 &+ count($1.1) }
    }
    let (forwarded, dropped) = (total(\.shadow.forwarded.packets), total(\.shadow.dropped.packets))
    // Interfaces that are gone are in neither sum.
    let known = interfaces.reduce(ShadowTally()) { $0 + (tallies[$1.0.index] ?? ShadowTally()) }
    let seen = known.agreed &+ known.differing &+ known.unseen &+ UInt64(shadow.waiting)
    let decided = forwarded &+ dropped
    var answer = JSON.Object()
    answer.append("shadow", true)
    answer.append("since", .string(Self.date(shadow.since)))
    answer.append(
      "decided",
      [
        "forwarded": .number(forwarded), "dropped": .number(dropped), "left": .number(total(left)),
      ])
    answer.append(
      "compared",
      [
        "agreed": .number(sum.agreed), "differing": .number(sum.differing),
        "waiting": .number(shadow.waiting), "unseen": .number(sum.unseen),
        "uncompared": .number(decided > seen ? decided - seen : 0),
      ])
    answer.append(
      "interfaces", .array(interfaces.map { entry($0.0, $0.1, tallies[$0.0.index]) }))
    answer.append("differences", .array((shadow.first + shadow.last).map(describe)))
    answer.append(
      "pcap",
      [
        "path": .string(shadow.capture.path), "older": .string(shadow.capture.olderPath),
        "frames": .number(shadow.capture.frames),
        "problem": shadow.captureProblem.map(JSON.string) ?? .null,
      ])
    return .object(answer)
  }

  private func left(_ counters: [Counter]) -> UInt64 {
    counters.indices.reduce(0) {
      Reason(counter: $1) == nil ? $0 : $0 &+ counters[$1].packets
    }
  }

  private func entry(
    _ interface: InterfaceGraph, _ counters: [Counter], _ tally: ShadowTally?
  ) -> JSON {
    let decided = counters.shadow
    var differences = JSON.Object()
    for kind in ShadowDifference.Kind.allCases {
      guard let count = tally?.differences[kind], count > 0 else { continue }
      differences.append(kind.rawValue, .number(count))
    }
    return [
      "name": .string(interface.name), "ifindex": .number(interface.index),
      "hook": .string(status(of: interface).hook.rawValue),
      "forwarded": .number(decided.forwarded.packets), "dropped": .number(decided.dropped.packets),
      "left": .number(left(counters)), "unnoted": .number(decided.unnoted.packets),
      "agreed": .number(tally?.agreed ?? 0), "mixed": .number(tally?.mixed ?? 0),
      "unseen": .number(tally?.unseen ?? 0),
      "differences": .object(differences),
    ]
  }

  private func describe(_ incident: ShadowIncident) -> JSON {
    [
      "time": .string(Self.date(incident.time)), "interface": .string(incident.interface),
      "kind": .string(incident.kind.rawValue), "packet": .string(incident.packet),
      "fpd": .string(incident.decided), "linux": .string(incident.done),
    ]
  }

  /// As RFC 3339 has it, in UTC, with milliseconds.
  private static func date(_ time: UInt64) -> String {
    var seconds = time_t(time / 1_000_000_000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    var text = [CChar](repeating: 0, count: 32)
    strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
    let fraction = String(1000 + time / 1_000_000 % 1000).dropFirst()
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      + ".\(fraction)Z"
  }
}
