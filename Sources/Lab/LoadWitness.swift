// SPDX-License-Identifier: Apache-2.0
import CLoad

/// Tells of each of the generator's frames by its number to which of several hosts it came, and how.
package final class LoadWitness: @unchecked Sendable {
  /// What became of a frame.
  package struct Outcome: Hashable, Sendable, CustomStringConvertible {
    package let code: UInt8

    package init(code: UInt8) { self.code = code }

    package static let nothing = Outcome(code: 0)

    /// It came to a host; to another station than usual, in pieces.
    package static func host(_ number: Int, other: Bool = false, inPieces: Bool = false) -> Outcome
    {
      Outcome(
        code: UInt8(
          1 + 4 * number + (other ? Int(LOAD_OTHER_STATION) : 0)
            + (inPieces ? Int(LOAD_IN_PIECES) : 0)))
    }

    package var description: String {
      guard code > 0 else { return "nothing" }
      let how = (code - 1) % 4
      return "host \((code - 1) / 4)"
        + (how & UInt8(LOAD_OTHER_STATION) > 0 ? ", other station" : "")
        + (how & UInt8(LOAD_IN_PIECES) > 0 ? ", in pieces" : "")
    }
  }

  package let capacity: Int
  private let programs: [LoadProgram]
  private let outcomes: UnsafeMutableBufferPointer<UInt8>
  private let arrivals: UnsafeMutablePointer<load_arrivals>

  /// One on the device of each host, in that order, telling so many frames apart.
  package init(
    on hosts: [(namespace: Namespace, device: String)], tracking frames: Int, port: UInt16 = 9
  ) throws {
    capacity = frames
    var programs: [LoadProgram] = []
    for (number, host) in hosts.enumerated() {
      let program = try LoadProgram("witness") { program in
        try program.set(
          constant: load_witness(
            port: UInt32(port), host: UInt32(Outcome.host(number).code), frames: UInt64(frames)))
        guard let first = programs.first else {
          return try program.set(entries: frames / LOAD_WORD_FRAMES + 1, of: "outcomes")
        }
        for map in ["arrivals", "outcomes"] { try program.share(map, of: first) }
      }
      programs.append(try program.attach(to: host.device, in: host.namespace))
    }
    guard let first = programs.first,
      let arrivals = try first.values(of: "arrivals", as: load_arrivals.self).baseAddress
    else { throw LabError("witnesses without a host") }
    self.programs = programs
    self.arrivals = arrivals
    outcomes = try first.values(of: "outcomes", as: UInt8.self)
  }

  /// A generator whose window is bounded by what comes to any of the hosts.
  package func generator(
    in namespace: Namespace, device: String, _ traffic: LoadTraffic
  ) throws -> LoadGenerator {
    try LoadGenerator(in: namespace, device: device, traffic, arrivals: programs[0])
  }

  /// What became of the frame of that number, which must be less than the capacity.
  package func outcome(of number: Int) -> Outcome { Outcome(code: outcomes[number]) }

  /// Frames that came, those that came twice, and those that nobody sent.
  package var count: (frames: Int, duplicated: Int, beyond: Int) {
    let now = arrivals.pointee
    return (Int(now.frames), Int(now.duplicated), Int(now.beyond))
  }

  /// Waits until no more frames come.
  package func settle(within limit: Duration = .seconds(5)) {
    var before = -1
    _ = eventually(within: limit, every: .milliseconds(20)) {
      defer { before = count.frames }
      return count.frames == before
    }
  }
}
