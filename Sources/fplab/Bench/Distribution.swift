// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON

/// Repeated measurements of one thing, in milliseconds.
struct Distribution {
  let sorted: [Double]

  init(_ values: [Double]) { sorted = values.sorted() }

  var count: Int { sorted.count }
  var median: Double { quantile(0.5) }

  /// The smallest value that at least this share of all does not exceed.
  func quantile(_ share: Double) -> Double {
    guard !sorted.isEmpty else { return .nan }
    let rank = Int((share * Double(sorted.count)).rounded(.up))
    return sorted[min(sorted.count, max(1, rank)) - 1]
  }

  /// Standard deviation of the sample.
  var deviation: Double {
    guard count > 1 else { return 0 }
    let mean = sorted.reduce(0, +) / Double(count)
    let squares = sorted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (squares / Double(count - 1)).squareRoot()
  }

  var json: JSON {
    func rounded(_ value: Double) -> JSON {
      value.isFinite ? .double((value * 1000).rounded() / 1000) : .null
    }
    return [
      "n": .number(count), "median": rounded(median), "p95": rounded(quantile(0.95)),
      "min": rounded(sorted.first ?? .nan), "max": rounded(sorted.last ?? .nan),
      "standard_deviation": rounded(deviation),
    ]
  }
}

extension Double {
  /// With so many digits after the point.
  func text(_ digits: Int = 1) -> String {
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
