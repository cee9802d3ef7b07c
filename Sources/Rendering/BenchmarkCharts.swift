// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// The pictures that a benchmark's results are worth, from the JSON that it keeps.
public enum BenchmarkCharts {
  public struct Picture: Sendable {
    /// What it is about, fit for the name of a file.
    public let name: String
    public let title: String
    public let svg: String
  }

  public static func pictures(_ report: JSON) -> [Picture] {
    let notes = notes(report)
    let rows = (report["packets"]?.array ?? []).compactMap(Row.init)
    return rates(rows, notes) + growths(rows, notes)
      + bars(report, notes) + chains(report["chains"]?.array ?? [], notes)
      + reactions(report, notes)
  }

  /// The machine, and how often it was measured.
  private static func notes(_ report: JSON) -> [String] {
    let machine = report["machine"]
    let words = [
      machine?["cores"]?.int.map { "\($0) × " }, machine?["processor"]?.string,
      machine?["kernel"]?.string.map { ", Linux \($0)" },
    ].compactMap(\.self).joined()
    let quick = report["quick"]?.bool == true ? " A quick run: few rounds." : ""
    return ["\(words). Medians of all rounds; thin lines are the least and the most.\(quick)"]
  }

  // MARK: - Packets

  /// One way of forwarding in one setting.
  private struct Row {
    let setting, way: String
    let million, cost: Measured
    let timesLinux: Double?

    init?(_ json: JSON) {
      guard let setting = json["setting"]?.string, let way = json["way"]?.string,
        let million = Measured(json["million_per_second"]), let cost = Measured(json["nanoseconds"])
      else { return nil }
      (self.setting, self.way, self.million, self.cost) = (setting, way, million, cost)
      timesLinux = json["times_linux"]?["median"]?.double
    }

    var isOurs: Bool { way.hasPrefix("fpd") }

    /// `gateway, 100 rules of nftables`, `router, 50 routes`: what grows, how large it is here, and the rest of the
    /// name.
    var growth: (of: String, size: Double)? {
      guard
        let match = setting.wholeMatch(of: /(.*?)(\d+) (rules of .*|bytes|CPUs|routes|stations)/),
        let size = Double(match.2)
      else { return nil }
      return ("\(match.1)\(match.3)", size)
    }
  }

  private static func rates(_ rows: [Row], _ notes: [String]) -> [Picture] {
    let plain = rows.filter { $0.growth == nil }
    let groups = plain.map(\.setting).uniqued.map { setting in
      let here = plain.filter { $0.setting == setting }
      let best = here.filter(\.isOurs).compactMap(\.timesLinux).max()
      return BarChart.Group(
        setting, remark: best.map { "× \($0.text(1)) Linux" } ?? "",
        here.map {
          BarChart.Bar($0.way, $0.million.median, isMain: $0.isOurs, spread: $0.million.spread)
        })
    }
    guard !groups.isEmpty else { return [] }
    let title = "Packets that a CPU forwards"
    let chart = BarChart(title, unit: "million packets of 64 bytes a second", groups, notes: notes)
    return [Picture(name: "rates", title: title, svg: chart.svg)]
  }

  private static func growths(_ rows: [Row], _ notes: [String]) -> [Picture] {
    let growing = rows.compactMap { row in row.growth.map { (row: row, growth: $0) } }
    return growing.map(\.growth.of).uniqued.compactMap { of in
      let here = growing.filter { $0.growth.of == of }
      guard Set(here.map(\.growth.size)).count > 1 else { return nil }
      let series = here.map(\.row.way).uniqued.map { way in
        LineChart.Series(
          way, isMain: way.hasPrefix("fpd"),
          here.filter { $0.row.way == way }.map {
            .init($0.growth.size, $0.row.cost.median, spread: $0.row.cost.spread)
          })
      }
      let words = of.split { !$0.isLetter && !$0.isNumber && $0 != "-" }.map(String.init)
      let (what, isRules) = (words.last ?? of, words.contains("rules") && of.contains("rules of"))
      let title = "What a packet costs" + (isRules ? ", by rules of \(what)" : ": \(of)")
      let chart = LineChart(
        title, unit: "nanoseconds a packet, sending it included",
        growing: isRules ? "rules" : what, series, notes: notes)
      return Picture(
        name: isRules ? "rules-\(what)" : words.joined(separator: "-"), title: title,
        svg: chart.svg)
    }
  }

  // MARK: - Streams, pods, latency

  /// One number of each row of a list, where it stands in the row, and what the picture of them says.
  private struct Kind {
    let list: String
    let path: [String]
    let title, unit, name: String
  }

  private static let kinds = [
    Kind(
      list: "streams", path: ["gigabits_per_second"], title: "TCP streams",
      unit: "Gbit/s of one connection", name: "streams"),
    Kind(
      list: "streams", path: ["cpu_milliseconds_per_gigabyte"], title: "What TCP streams cost",
      unit: "milliseconds of a CPU for a gigabyte", name: "costs"),
    Kind(
      list: "streams", path: ["thousand_transactions_per_second"], title: "TCP transactions",
      unit: "thousand a second, a byte there and a byte back", name: "transactions"),
    Kind(
      list: "latencies", path: ["under_way", "mean"],
      title: "How long packets take, with 128 under way", unit: "microseconds, average",
      name: "latency"),
    Kind(
      list: "latencies", path: ["under_way", "p99"],
      title: "How long the slowest packets take, with 128 under way",
      unit: "microseconds, 99 of 100 take less", name: "latency-p99"),
    Kind(
      list: "latencies", path: ["highest_per_second"], title: "The highest rate without loss",
      unit: "packets a second", name: "highest"),
    Kind(
      list: "pods", path: ["thousand_transactions_per_second"], title: "Pods that ask each other",
      unit: "thousand transactions a second", name: "pods"),
  ]

  private static func bars(_ report: JSON, _ notes: [String]) -> [Picture] {
    kinds.compactMap { kind in
      let measured = (report[kind.list]?.array ?? []).compactMap { row in
        row["setting"]?.string.flatMap { setting in
          row["way"]?.string.flatMap { way in
            Measured(kind.path.reduce(row as JSON?) { $0?[$1] }).map { (setting, way, $0) }
          }
        }
      }
      guard !measured.isEmpty else { return nil }
      let groups = measured.map(\.0).uniqued.map { setting in
        BarChart.Group(
          setting, remark: "",
          measured.filter { $0.0 == setting }.map {
            .init($0.1, $0.2.median, isMain: $0.1.hasPrefix("fpd"), spread: $0.2.spread)
          })
      }
      let chart = BarChart(kind.title, unit: kind.unit, groups, notes: notes)
      return Picture(name: kind.name, title: kind.title, svg: chart.svg)
    }
  }

  private static func chains(_ rows: [JSON], _ notes: [String]) -> [Picture] {
    let points = rows.compactMap { row in
      row["way"]?.string.flatMap { way in
        row["length"]?.int.flatMap { length in
          Measured(row["nanoseconds"]).map { (way: way, length: Double(length), cost: $0) }
        }
      }
    }
    guard !points.isEmpty else { return [] }
    let series = points.map(\.way).uniqued.map { way in
      LineChart.Series(
        way, isMain: way == "one function",
        points.filter { $0.way == way }.map {
          .init($0.length, $0.cost.median, spread: $0.cost.spread)
        })
    }
    let title = "Functions one after the other"
    let chart = LineChart(
      title, unit: "nanoseconds a packet", growing: "trivial functions", series, notes: notes)
    return [Picture(name: "chain", title: title, svg: chart.svg)]
  }

  // MARK: - Reactions

  private static func reactions(_ report: JSON, _ notes: [String]) -> [Picture] {
    let kinds = [
      ("reactions", "times", "From a change to the new graph", "graph"),
      ("programs", "live", "From a change to packets that are treated by it", "programs"),
      ("rules", "live", "From a change of rules to packets that are judged by it", "rules"),
    ]
    return kinds.compactMap { key, times, title, name in
      let rows = (report[key]?.array ?? []).compactMap { row in
        row["setting"]?.string.flatMap { setting in
          row["change"]?.string.flatMap { change in
            Measured(row[times]).map { (setting, change, $0) }
          }
        }
      }
      guard let first = rows.first else { return nil }
      // One kind of change, by what grows.
      let growing = rows.filter { $0.1 == first.1 }.compactMap { row in
        row.0.wholeMatch(of: /(.*), (\d+) rules/).flatMap { match in
          Double(match.2).map { (of: String(match.1), size: $0, times: row.2) }
        }
      }
      if growing.count == rows.filter({ $0.1 == first.1 }).count {
        let series = growing.map(\.of).uniqued.map { of in
          LineChart.Series(
            of,
            growing.filter { $0.of == of }.map {
              .init($0.size, $0.times.median, spread: $0.times.spread)
            })
        }
        let chart = LineChart(
          title, unit: "milliseconds, \(first.1)", growing: "rules", series, notes: notes)
        return Picture(name: name, title: title, svg: chart.svg)
      }
      let groups = rows.map(\.0).uniqued.map { setting in
        BarChart.Group(
          setting, remark: "",
          rows.filter { $0.0 == setting }.map {
            .init($0.1, $0.2.median, isMain: true, spread: $0.2.spread)
          })
      }
      return Picture(
        name: name, title: title,
        svg: BarChart(title, unit: "milliseconds", groups, notes: notes).svg)
    }
  }

  // MARK: - Values

  private struct Measured {
    let median: Double
    let spread: ClosedRange<Double>?

    init?(_ json: JSON?) {
      guard let median = json?["median"]?.double, median.isFinite else { return nil }
      self.median = median
      guard let low = json?["min"]?.double, let high = json?["max"]?.double, low <= high else {
        spread = nil
        return
      }
      spread = low...high
    }
  }
}
