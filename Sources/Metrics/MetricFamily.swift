// SPDX-License-Identifier: Apache-2.0

/// Metrics of one name, as OpenMetrics 1.0 has them.
package struct MetricFamily: Equatable, Sendable {
  package enum Kind: String, Sendable {
    case counter, gauge, histogram, info, stateset
  }

  package struct Label: Equatable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
      (self.name, self.value) = (name, value)
    }
  }

  /// A number; counts are never rounded.
  package enum Value: Equatable, Sendable {
    case count(UInt64)
    case real(Double)

    package var text: String {
      switch self {
      case .count(let count): "\(count)"
      case .real(let number) where number.isNaN: "NaN"
      case .real(.infinity): "+Inf"
      case .real(-.infinity): "-Inf"
      case .real(let number): "\(number)"
      }
    }
  }

  package struct Sample: Equatable, Sendable {
    /// What the family's name is followed by: `_total`, `_bucket` and the like.
    package var suffix = ""
    package var labels: [Label] = []
    package var value: Value
  }

  package var name: String
  package var kind: Kind
  /// The end of the name, where that is a unit.
  package var unit: String?
  package var help: String
  package var samples: [Sample]

  private init(
    _ name: String, _ kind: Kind, _ unit: String?, _ help: String, _ samples: [Sample]
  ) {
    self.name = unit.map { "\(name)_\($0)" } ?? name
    (self.kind, self.unit, self.help, self.samples) = (kind, unit, help, samples)
  }

  /// What only grows. `unit` becomes the end of the name.
  package static func counter(
    _ name: String, unit: String? = nil, _ help: String, _ counts: [(labels: [Label], UInt64)]
  ) -> MetricFamily {
    MetricFamily(
      name, .counter, unit, help,
      counts.map { Sample(suffix: "_total", labels: $0.labels, value: .count($0.1)) })
  }

  package static func gauge(
    _ name: String, unit: String? = nil, _ help: String, _ values: [(labels: [Label], Value)]
  ) -> MetricFamily {
    MetricFamily(
      name, .gauge, unit, help, values.map { Sample(labels: $0.labels, value: $0.1) })
  }

  /// What is told by labels.
  package static func info(
    _ name: String, _ help: String, _ labels: [[Label]]
  ) -> MetricFamily {
    MetricFamily(
      name, .info, nil, help,
      labels.map { Sample(suffix: "_info", labels: $0, value: .count(1)) })
  }

  /// Which of `states` it is.
  package static func states(
    _ name: String, _ help: String, of states: [String], now: String
  ) -> MetricFamily {
    MetricFamily(
      name, .stateset, nil, help,
      states.map { Sample(labels: [Label(name, $0)], value: .count($0 == now ? 1 : 0)) })
  }

  package static func histogram(
    _ name: String, unit: String, _ help: String, _ histogram: Histogram
  ) -> MetricFamily {
    var samples = zip(Histogram.bounds + [.infinity], histogram.cumulated).map { bound, count in
      Sample(
        suffix: "_bucket", labels: [Label("le", Value.real(bound).text)], value: .count(count))
    }
    samples.append(Sample(suffix: "_count", value: .count(histogram.count)))
    samples.append(Sample(suffix: "_sum", value: .real(histogram.sum)))
    return MetricFamily(name, .histogram, unit, help, samples)
  }

  /// The lines that tell it.
  package var text: String {
    var out = "# TYPE \(name) \(kind.rawValue)\n"
    if let unit { out += "# UNIT \(name) \(unit)\n" }
    out += "# HELP \(name) \(Self.escaped(help))\n"
    for sample in samples {
      let labels = sample.labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }
      out += name + sample.suffix
      if !labels.isEmpty { out += "{\(labels.joined(separator: ","))}" }
      out += " \(sample.value.text)\n"
    }
    return out
  }

  private static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\"": out += "\\\""
      case "\n": out += "\\n"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}

/// How long something took, each time; counted by how long at most.
package struct Histogram: Equatable, Sendable {
  /// In seconds.
  package static let bounds = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]

  private var counts = [UInt64](repeating: 0, count: bounds.count + 1)
  package private(set) var sum = 0.0

  package init() {}

  package mutating func add(_ time: Duration) {
    let seconds = time / .seconds(1)
    let place = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
    counts[place] += 1
    sum += seconds
  }

  package var count: UInt64 { counts.reduce(0, +) }

  /// For each bound, and for no bound at all, how many took no longer.
  package var cumulated: [UInt64] {
    var sum: UInt64 = 0
    return counts.map { count in
      sum += count
      return sum
    }
  }
}
