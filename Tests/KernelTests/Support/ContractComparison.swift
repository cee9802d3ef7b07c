// SPDX-License-Identifier: Apache-2.0
import Lab

/// Holds what came of a case with fpd against what came of it without.
enum ContractComparison {
  static func problems(
    _ result: ContractResult, _ without: ContractResult, of fate: Fate
  ) -> [String] {
    var problems: [String] = []
    for place in Set(result.heard.keys).union(without.heard.keys).sorted() {
      let now = flows(result.heard[place] ?? [])
      let then = flows(without.heard[place] ?? [])
      if now.mapValues({ $0.map(normal) }) == then.mapValues({ $0.map(normal) }) { continue }
      problems.append(
        "\(place) sees\(listing(result.heard[place])) and without fpd\(listing(without.heard[place]))"
          + firstDifference(now, then))
    }
    if result.words != without.words {
      problems.append("it came to \(result.words) and without fpd to \(without.words)")
    }
    // What is left to the kernel, the kernel counts.
    switch fate {
    case .punted, .slow:
      if result.kernel != without.kernel {
        problems.append("the kernel counts \(result.kernel) and without fpd \(without.kernel)")
      }
    case .fast, .dropped, .counts, .grows, .growsWithout, .either: break
    }
    return problems
  }

  static func problems(counters: [String: Int], frames: Int, _ fate: Fate) -> [String] {
    let forwarded = counters["forwarded"] ?? 0
    let punted = counters.filter { $0.key != "forwarded" && $0.key != "dropped" }
    let right: Bool
    switch fate {
    case .fast: right = forwarded == frames && punted.isEmpty
    case .dropped: right = counters == ["dropped": frames]
    case .punted(let reasons):
      let sum = reasons.split(separator: "|").reduce(0) { $0 + (counters[String($1)] ?? 0) }
      // Interfaces that are not accelerated count nothing, and were looked at before.
      right =
        forwarded + (counters["dropped"] ?? 0) == 0
        && (sum >= frames && (frames > 0 || sum > 0) || counters.isEmpty)
    case .slow: right = forwarded + (counters["dropped"] ?? 0) == 0
    case .counts(let wanted): right = counters == wanted
    case .grows(let name): right = (counters[name] ?? 0) > 0
    case .growsWithout(let name, let other):
      right = (counters[name] ?? 0) > 0 && counters[other] == nil
    case .either: right = true
    }
    return right ? [] : ["of \(frames) frames: \(fate) was expected, fpd counts \(counters)"]
  }

  /// Frames of one flow in their order; between flows there is none.
  private static func flows(_ frames: [Frame]) -> [[UInt8]: [Frame]] {
    var flows = Dictionary(grouping: frames) { frame -> [UInt8] in
      guard let ip = frame.ipv4 else { return Array(frame.bytes.prefix(14)) }
      return Array(frame.bytes.prefix(14)) + [ip.number] + ip.source.bytes + ip.destination.bytes
    }
    // How often a host is asked for is a matter of time.
    for (key, frames) in flows where frames.first?.etherType == 0x0806 {
      flows[key] = frames.reduce(into: []) { list, frame in
        if !list.contains(where: { $0.bytes == frame.bytes }) { list.append(frame) }
      }
    }
    return flows
  }

  /// The bytes, but for what the kernel makes anew in each ICMP message of its own.
  private static func normal(_ frame: Frame) -> [UInt8] {
    guard let ip = frame.ipv4, ip.number == 1, ip.headerLength == 20, frame.tags.isEmpty,
      [0, 3, 5, 11, 12].contains(frame.bytes.dropFirst(34).first)
    else { return frame.bytes }
    var bytes = frame.bytes
    for place in [18, 19, 25] { bytes[place] = 0 }
    bytes[24] = ip.checksumIsRight ? 1 : 0
    return bytes
  }

  private static func listing(_ frames: [Frame]?) -> String {
    guard let frames, !frames.isEmpty else { return " nothing" }
    return frames.prefix(6).map { "\n      \($0)" }.joined()
      + (frames.count > 6 ? "\n      … \(frames.count) in all" : "")
  }

  private static func firstDifference(
    _ now: [[UInt8]: [Frame]], _ then: [[UInt8]: [Frame]]
  ) -> String {
    for (key, frames) in now {
      for (one, other) in zip(frames, then[key] ?? []) where normal(one) != normal(other) {
        let (left, right) = (normal(one), normal(other))
        let place = zip(left, right).enumerated().first { $1.0 != $1.1 }?.offset
        return "\n      first difference at byte \(place.map(String.init) ?? "of the end"): "
          + "\(left) and without fpd \(right)"
      }
    }
    return ""
  }
}
