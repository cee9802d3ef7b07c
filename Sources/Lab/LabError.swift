// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What the lab could not do: what was tried, on what, and what came back.
public struct LabError: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }

  /// A system call that failed with `code`.
  public init(_ what: String, code: Int32, hint: String = "") {
    let reason = String(cString: strerror(code))
    self.init("\(what): \(reason)\(hint.isEmpty ? "" : " (\(hint))")")
  }
}
