// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

/// What `GET /metrics` answered, by series: `fpd_forwarded_packets_total{interface="p1"}`.
struct MetricsPage {
  let series: [String: Double]
  /// Of families, by their names.
  let kinds: [String: String]

  /// Asks fpd, which must answer well.
  init(of fpd: Fpd, at address: String) throws {
    let answer = try fpd.namespace.http(address)
    #expect(answer.status == 200)
    let type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    #expect(answer.headers["content-type"] == type)
    #expect(answer.body.hasSuffix("\n# EOF\n"))
    var (series, kinds) = ([String: Double](), [String: String]())
    for line in answer.body.split(separator: "\n") {
      let words = line.split(separator: " ")
      if line.hasPrefix("# TYPE "), words.count == 4 { kinds[String(words[2])] = String(words[3]) }
      if line.hasPrefix("#") { continue }
      let space = try #require(line.lastIndex(of: " "))
      let number: Double = try #require(Double(line[line.index(after: space)...]))
      series[String(line[..<space])] = number
    }
    (self.series, self.kinds) = (series, kinds)
  }

  subscript(_ name: String) -> Double? { series[name] }

  /// Counters, which must never be less.
  var counters: [String: Double] {
    series.filter { entry in
      kinds.contains { $0.value == "counter" && entry.key.hasPrefix($0.key + "_total") }
    }
  }

  /// What `fpctl stats --json` would say if it was made of this.
  func traffic(of interface: String) -> [String: Double] {
    var traffic: [String: Double] = [:]
    for (key, value) in series where key.contains("{interface=\"\(interface)\"") {
      for unit in ["packets", "bytes"] {
        for outcome in ["forwarded", "dropped"] where key.hasPrefix("fpd_\(outcome)_\(unit)_total{")
        {
          traffic["\(outcome) \(unit)"] = value
        }
        if key.hasPrefix("fpd_punted_\(unit)_total{"),
          let reason = key.firstMatch(of: /reason="([^"]*)"/)?.1
        {
          traffic["\(reason) \(unit)"] = value
        }
      }
    }
    return traffic
  }

  /// The same of `fpctl stats`.
  static func traffic(_ interface: JSON) -> [String: Double] {
    var traffic: [String: Double] = [:]
    func add(_ name: String, _ counts: JSON?) {
      for unit in ["packets", "bytes"] {
        traffic["\(name) \(unit)"] = counts?[unit]?.int.map { Double($0) }
      }
    }
    add("forwarded", interface["forwarded"])
    add("dropped", interface["dropped"])
    for (reason, counts) in interface["punted"]?.object?.members ?? [] { add(reason, counts) }
    return traffic
  }
}
