// SPDX-License-Identifier: Apache-2.0

/// Why a program could not be made to run.
package struct DatapathError: Error, CustomStringConvertible {
  package let attempt: String
  package let answer: String
  /// The compiler's or the verifier's own words.
  package let log: String

  package init(_ attempt: String, _ answer: String, log: String = "") {
    self.attempt = attempt
    self.answer = answer
    self.log = log
  }

  package var description: String {
    let lines = log.split(separator: "\n").suffix(8).joined(separator: "\n")
    return "\(attempt): \(answer)" + (lines.isEmpty ? "" : "\n\(lines)")
  }
}
