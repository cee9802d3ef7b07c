// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// Trivial functions one after the other: in one function, as fpd's programs are made, called, and by tail calls.
  func chain() throws {
    let frame = [UInt8](repeating: 0, count: 64)
    let times = quick ? 200_000 : 1_000_000
    let kinds = [("one function", "inline"), ("calls", "calls"), ("tail calls", "tails")]
    for length in [1, 2, 4, 8, 16, 32] {
      let programs = try kinds.map {
        try LoadProgram("chain-\($0.1)", constant: UInt32(length))
      }
      var rows = kinds.map { SpeedResults.ChainRow(way: $0.0, length: length) }
      for _ in 0..<rounds {
        for (place, program) in programs.enumerated() {
          let run = try program.repeated(times, on: frame)
          guard run.answer == 1 else {
            throw LabError("the chain of \(length) \(kinds[place].0) answers \(run.answer)")
          }
          rows[place].nanoseconds.append(run.nanoseconds)
        }
      }
      results.chains += rows
    }
  }
}
