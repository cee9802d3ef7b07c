// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON

/// How fpd's counters grow from packet to packet.
final class MatrixCounters {
  private let line: ControlLine
  private var last: [String: Int] = [:]

  init(_ fpd: Fpd) throws {
    line = try fpd.connect()
    last = try line.fates()
  }

  /// What the next packet is counted as.
  func next() throws -> [String: Int] {
    let before = last
    _ = try eventually(within: .milliseconds(300), every: .milliseconds(1)) {
      last = try line.fates()
      return last != before
    }
    return last.merging(before) { $0 - $1 }.filter { $0.value != 0 }
  }
}

extension ControlLine {
  /// How many packets there were, by what became of them, over all interfaces.
  func fates() throws -> [String: Int] {
    var sums: [String: Int] = [:]
    for interface in try ask("stats")["interfaces"]?.array ?? [] {
      for name in ["forwarded", "dropped"] {
        sums[name, default: 0] += Int(interface[name]?["packets"]?.int ?? 0)
      }
      for (reason, count) in interface["punted"]?.object?.members ?? [] {
        sums[reason, default: 0] += Int(count["packets"]?.int ?? 0)
      }
    }
    return sums
  }
}
