// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Rendering

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

  /// Where the median of all that could have been measured lies, in 95 of 100 cases, whatever their distribution:
  /// between two of the values, by their ranks. `nil` for too few.
  var medianInterval: ClosedRange<Double>? {
    let reach = 0.98 * Double(count).squareRoot()
    let (first, last) = (
      Int((Double(count) / 2 - reach).rounded(.down)), Int((Double(count) / 2 + reach).rounded(.up))
    )
    return first < 1 || last >= count ? nil : sorted[first - 1]...sorted[last]
  }

  /// Standard deviation of the sample.
  var deviation: Double {
    guard count > 1 else { return 0 }
    let mean = sorted.reduce(0, +) / Double(count)
    let squares = sorted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (squares / Double(count - 1)).squareRoot()
  }

  /// Median, least and most.
  func texts(_ digits: Int) -> [String] {
    [median, sorted.first ?? .nan, sorted.last ?? .nan].map { $0.text(digits) }
  }

  /// Of ratios: the median, and where it lies in 95 of 100 cases.
  var textOfRatio: [String] {
    [
      median.text(2),
      medianInterval.map { "\($0.lowerBound.text(2)) to \($0.upperBound.text(2))" } ?? "–",
    ]
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
