// SPDX-License-Identifier: Apache-2.0
import Datapath
import Topology

/// The counters of the last seconds, for telling which share of packets the fast path finishes itself.
struct Samples {
  static let interval = Duration.seconds(1)
  private static let kept = 6
  /// As many are looked at in one interval: where there are more, they take turns, and the seconds become
  /// more.
  private static let atOnce = 100
  private var next = 0

  private struct Sample {
    var finished: UInt64
    var all: UInt64
  }

  private var taken: [Int32: [Sample]] = [:]

  /// Which of so many interfaces to look at now.
  mutating func turn(of count: Int) -> Range<Int> {
    let start = next < count ? next : 0
    let end = min(count, start + Self.atOnce)
    next = end
    return start..<end
  }

  mutating func add(_ counters: [Counter], of interface: Int32) {
    let finished = counters.prefix(Reason.firstCounter).reduce(0) { $0 &+ $1.packets }
    let all = counters.reduce(0) { $0 &+ $1.packets }
    var samples = taken[interface] ?? []
    // Counters that went back belong to a new attachment.
    if let last = samples.last, last.all > all { samples = [] }
    samples.append(Sample(finished: finished, all: all))
    taken[interface] = samples.suffix(Self.kept)
  }

  mutating func keepOnly(_ interfaces: Set<Int32>) {
    for interface in taken.keys where !interfaces.contains(interface) { taken[interface] = nil }
  }

  /// `nil` without traffic.
  func share(of interface: Int32) -> Double? {
    guard let samples = taken[interface], let first = samples.first, let last = samples.last,
      last.all > first.all
    else { return nil }
    return Double(last.finished - first.finished) / Double(last.all - first.all)
  }
}
