// SPDX-License-Identifier: Apache-2.0
import Lab

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
