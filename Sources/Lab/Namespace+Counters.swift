// SPDX-License-Identifier: Apache-2.0

extension Namespace {
  /// Those of the kernel's IP counters (`nstat`) that have these names, each summed over the protocols that
  /// have it.
  package func counters(_ wanted: Set<String>) throws -> [String: Int] {
    let lines = try inside {
      try ["snmp", "netstat"].map { try TextFile.read("/proc/thread-self/net/\($0)") }
    }.joined().split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    var values: [String: Int] = [:]
    // A line of names and one of numbers.
    for (names, numbers) in zip(lines, lines.dropFirst()) {
      guard names.first == numbers.first, names.count == numbers.count,
        names.dropFirst().first.flatMap({ Int($0) }) == nil
      else { continue }
      for (name, number) in zip(names, numbers).dropFirst() where wanted.contains(name) {
        values[name, default: 0] += Int(number) ?? 0
      }
    }
    return values
  }
}
