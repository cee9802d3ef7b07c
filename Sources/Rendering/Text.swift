// SPDX-License-Identifier: Apache-2.0

extension Double {
  /// With so many digits after the point.
  package func text(_ digits: Int = 1) -> String {
    guard isFinite else { return "–" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = Int((magnitude * scale).rounded())
    let sign = self < 0 && whole > 0 ? "-" : ""
    if digits == 0 { return "\(sign)\(whole)" }
    let fraction = String(whole % Int(scale))
    return "\(sign)\(whole / Int(scale))."
      + String(repeating: "0", count: digits - fraction.count) + fraction
  }
}

extension Sequence where Element: Hashable {
  /// Each once, in the order in which they come.
  package var uniqued: [Element] {
    var seen: Set<Element> = []
    return filter { seen.insert($0).inserted }
  }
}
