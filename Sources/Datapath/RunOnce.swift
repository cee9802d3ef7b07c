// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// What a program would do with one frame, and why.
package struct Explanation: Hashable, Sendable {
  package enum Verdict: UInt32, Sendable {
    case punt = 0
    case forward = 1
    case drop = 2
  }

  package var verdict: Verdict
  /// The number of the reason for a punt, an index into the counters.
  package var reason: UInt32
  /// The interface the frame would leave by; 0 when it would not.
  package var egress: Int32
  /// Which of the compiled rules decided, if any did.
  package var rule: Int?
  /// The frame as the program leaves it.
  package var frame: [UInt8]
}

extension Attachment {
  private static var magic: UInt64 { 0x666c_7079_686d_7770 }
  private static var metadataSize: Int { 32 }
  /// What a program may add in front, and some room.
  private static var growth: Int { 512 }

  /// Runs the program in the slot on a frame that arrives here; it is neither counted nor sent.
  package func explain(_ frame: [UInt8]) throws(DatapathError) -> Explanation {
    guard let program else {
      throw DatapathError("asking the program of interface \(interface)", "there is none yet")
    }
    return try explain(frame, by: program)
  }

  package func explain(
    _ frame: [UInt8], by program: Program
  ) throws(DatapathError) -> Explanation {
    guard frame.count >= 14 else {
      throw DatapathError("explaining a frame", "it has \(frame.count) bytes, too few for Ethernet")
    }
    return hook.isXDP ? try explainXDP(frame, program) : try explainTC(frame, program)
  }

  private func explainXDP(
    _ frame: [UInt8], _ program: Program
  ) throws(DatapathError) -> Explanation {
    var given = [UInt8](repeating: 0, count: Self.metadataSize) + frame
    given.withUnsafeMutableBytes { $0.storeBytes(of: Self.magic, as: UInt64.self) }
    var answer = [UInt8](repeating: 0, count: given.count + Self.growth)
    var size = UInt32(answer.count)
    var metadata: UInt32 = 0
    let code = fpd_xdp_run(
      program.descriptor, UInt32(interface), given, UInt32(given.count), UInt32(Self.metadataSize),
      &answer, &size, &metadata)
    try check(code)
    guard Int(metadata) == Self.metadataSize, Int(size) >= Self.metadataSize else {
      throw Self.noAnswer(program)
    }
    let words = answer.withUnsafeBytes { raw in
      (2..<6).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self) }
    }
    return try explanation(
      words[0], words[1], words[2], words[3], Array(answer[Self.metadataSize..<Int(size)]),
      program)
  }

  private func explainTC(
    _ frame: [UInt8], _ program: Program
  ) throws(DatapathError) -> Explanation {
    var cb = [
      UInt32(truncatingIfNeeded: Self.magic), UInt32(truncatingIfNeeded: Self.magic >> 32),
      UInt32.max, 0, 0,
    ]
    var answer = [UInt8](repeating: 0, count: frame.count + Self.growth)
    var size = UInt32(answer.count)
    let code = fpd_tc_run(
      program.descriptor, UInt32(interface), frame, UInt32(frame.count), &answer, &size, &cb)
    try check(code)
    if cb[2] == .max { throw Self.noAnswer(program) }
    return try explanation(
      cb[2] >> 16, cb[2] & 0xffff, cb[3], cb[4], Array(answer[..<Int(size)]), program)
  }

  private func check(_ code: Int64) throws(DatapathError) {
    if code < 0 {
      throw DatapathError(
        "running the program of interface \(interface) on a frame",
        words(Int32(truncatingIfNeeded: code)))
    }
  }

  private static func noAnswer(_ program: Program) -> DatapathError {
    DatapathError("explaining a frame", "\(program.name) left no explanation")
  }

  private func explanation(
    _ verdict: UInt32, _ reason: UInt32, _ egress: UInt32, _ rule: UInt32, _ frame: [UInt8],
    _ program: Program
  ) throws(DatapathError) -> Explanation {
    guard let verdict = Explanation.Verdict(rawValue: verdict) else {
      throw Self.noAnswer(program)
    }
    return Explanation(
      verdict: verdict, reason: reason, egress: Int32(truncatingIfNeeded: egress),
      rule: rule == 0 ? nil : Int(rule) - 1, frame: frame)
  }
}
