// SPDX-License-Identifier: Apache-2.0
import Lab

/// What a benchmark is told: `[--quick] [--only PART]... [--output DIRECTORY]`.
struct BenchOptions<Part: RawRepresentable & CaseIterable> where Part.RawValue == String {
  var quick = false
  var directory = "docs/benchmarks"
  /// Those that were named.
  var named: [Part] = []

  /// All of them where none is named.
  var parts: [Part] { named.isEmpty ? Array(Part.allCases) : named }

  init(_ arguments: [String]) throws {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      switch argument {
      case "--quick": quick = true
      case "--only":
        guard let name = rest.popFirst(), let part = Part(rawValue: name) else {
          throw LabError("--only wants one of \(Part.allCases.map(\.rawValue))")
        }
        named.append(part)
      case "--output":
        guard let path = rest.popFirst() else { throw LabError("--output wants a directory") }
        directory = path
      default:
        throw LabError("unknown argument '\(argument)' (--quick, --only PART, --output DIRECTORY)")
      }
    }
  }
}
