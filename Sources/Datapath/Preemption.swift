// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Whether one packet's program may be interrupted by another packet's on the same processor.
package enum Preemption {
  /// Kernels for real time have had no lock around the handling of packets since 6.18.
  package static var isPossible: Bool {
    var about = utsname()
    guard uname(&about) == 0 else { return false }
    return isPossible(release: text(about.release), version: text(about.version))
  }

  /// `uname -r` and `uname -v`.
  package static func isPossible(release: String, version: String) -> Bool {
    guard version.contains("PREEMPT_RT") else { return false }
    let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
    return numbers.count < 2 || (numbers[0], numbers[1]) >= (6, 18)
  }

  private static func text<Bytes>(_ bytes: Bytes) -> String {
    withUnsafeBytes(of: bytes) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
