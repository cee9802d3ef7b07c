// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Rendering

extension SpeedResults {
  /// One measurement of how long things took, in microseconds, and how many there were.
  struct Latency {
    let perSecond, mean, median, p99, p999, deviation, jitter: Double

    init(perSecond: Double, _ delays: LoadDelays) {
      self.perSecond = perSecond
      mean = delays.mean
      median = delays.quantile(0.5)
      p99 = delays.quantile(0.99)
      p999 = delays.quantile(0.999)
      deviation = delays.deviation
      jitter = delays.jitter
    }

    static let fields: [(name: String, key: String, path: KeyPath<Latency, Double> & Sendable)] = [
      ("avg", "mean", \.mean), ("p50", "median", \.median), ("p99", "p99", \.p99),
      ("p99.9", "p999", \.p999), ("std dev", "standard_deviation", \.deviation),
      ("jitter", "jitter", \.jitter),
    ]
  }

  /// A machine in the middle that has a CPU of its own.
  struct LatencyRow: SpeedRow {
    let setting, way: String
    /// With as many packets under way as there may be, at the same rate for all ways.
    var full: [Latency] = []
    var common: [Latency] = []
    /// The highest rates without loss.
    var highest: [Double] = []
    var fastShares: [Double] = []
    var absent: String?

    init(setting: String, way: String) { (self.setting, self.way) = (setting, way) }
  }

  /// Pods that ask each other.
  struct PodRow: SpeedRow {
    let setting, way: String
    /// Thousands for each second of the CPU.
    var transactions: [Double] = []
    var latencies: [Latency] = []
    var fastShares: [Double] = []
    var absent: String?

    init(setting: String, way: String) { (self.setting, self.way) = (setting, way) }
  }

  /// Trivial functions one after the other.
  struct ChainRow {
    let way: String
    let length: Int
    var nanoseconds: [Double] = []
  }

  /// Programs that are exchanged while packets come.
  struct SwapRow {
    let hook: String
    var swaps = 0
    var tally: LoadSink.Tally?
    var fastShares: [Double] = []
    var absent: String?

    init(hook: String) { self.hook = hook }
  }

  // MARK: JSON

  private static func json(
    _ measured: [Latency], _ ratio: (@escaping (Latency) -> Double) -> Distribution
  ) -> JSON {
    var members: [(String, JSON)] = [
      ("per_second", Distribution(measured.map(\.perSecond)).json)
    ]
    for field in Latency.fields {
      members.append((field.key, Distribution(measured.map { $0[keyPath: field.path] }).json))
      members.append(("\(field.key)_times_linux", json(ratio { $0[keyPath: field.path] })))
    }
    return .object(.init(members))
  }

  var latencyJSON: JSON {
    .array(
      latencies.map { row in
        [
          "setting": .string(row.setting), "way": .string(row.way),
          "not_measured": row.absent.map(JSON.string) ?? .null,
          "highest_per_second": Distribution(row.highest).json,
          "highest_times_linux": Self.json(times(row, latencies, \.highest)),
          "under_way": Self.json(row.full) { field in times(row, latencies) { $0.full.map(field) }
          },
          "full_times_linux": Self.json(times(row, latencies) { $0.full.map(\.perSecond) }),
          "same_rate": Self.json(row.common) { field in
            times(row, latencies) { $0.common.map(field) }
          },
          "fast_share_min": Self.number(row.fastShares.min()),
        ]
      })
  }

  var podJSON: JSON {
    .array(
      pods.map { row in
        [
          "setting": .string(row.setting), "way": .string(row.way),
          "not_measured": row.absent.map(JSON.string) ?? .null,
          "thousand_transactions_per_second": Distribution(row.transactions).json,
          "transactions_times_linux": Self.json(times(row, pods, \.transactions)),
          "latency": Self.json(row.latencies) { field in
            times(row, pods) { $0.latencies.map(field) }
          },
          "fast_share_min": Self.number(row.fastShares.min()),
        ]
      })
  }

  var chainJSON: JSON {
    .array(
      chains.map { row in
        [
          "way": .string(row.way), "length": .number(row.length),
          "nanoseconds": Distribution(row.nanoseconds).json,
        ]
      })
  }

  var swapJSON: JSON {
    .array(
      swaps.map { row in
        [
          "hook": .string(row.hook), "not_measured": row.absent.map(JSON.string) ?? .null,
          "swaps": .number(row.swaps), "sent": row.tally.map { .number($0.sent) } ?? .null,
          "lost": row.tally.map { .number($0.lost) } ?? .null,
          "reordered": row.tally.map { .number($0.reordered) } ?? .null,
          "duplicated": row.tally.map { .number($0.duplicated) } ?? .null,
          "fast_share_min": Self.number(row.fastShares.min()),
        ]
      })
  }

  // MARK: Tables

  private static let fieldNames = Latency.fields.map(\.name)

  /// The medians of all rounds, then how they compare with Linux.
  private func line(
    _ measured: [Latency], _ ratio: (@escaping (Latency) -> Double) -> Distribution
  ) -> [String] {
    Latency.fields.map { field in
      Distribution(measured.map { $0[keyPath: field.path] }).median.text(1)
    } + [ratio(\.mean), ratio(\.p99)].map { $0.median.text(2) }
  }

  private func latencyTable(
    _ head: String, _ field: KeyPath<LatencyRow, [Latency]>
  ) -> Table {
    Table(
      [head, "way", "n", "Mpps"] + Self.fieldNames + ["avg × Linux", "p99 × Linux"],
      latencies.map { row in
        row.line(10) {
          let measured = row[keyPath: field]
          return [
            "\(measured.count)", Distribution(measured.map { $0.perSecond / 1e6 }).median.text(3),
          ] + line(measured) { of in times(row, latencies) { $0[keyPath: field].map(of) } }
        }
      })
  }

  var latencyTables: [Table] {
    [
      latencyTable("\(Speed.underWay) under way, µs", \.full),
      latencyTable("same rate, µs", \.common),
      Table(
        ["highest rate", "way", "n", "Mpps", "min", "max", "× Linux", "fast"],
        latencies.map { row in
          row.line(6) {
            let all = Distribution(row.highest.map { $0 / 1e6 })
            return ["\(all.count)"] + all.texts(3) + [
              times(row, latencies, \.highest).median.text(2), percent(row.fastShares.min()),
            ]
          }
        }),
    ]
  }

  var podTable: Table {
    Table(
      ["pods", "way", "n", "k transactions/s", "min", "max", "× Linux", "95 %"] + Self.fieldNames
        + ["avg × Linux", "p99 × Linux", "fast"],
      pods.map { row in
        row.line(15) {
          let all = Distribution(row.transactions)
          return ["\(all.count)"] + all.texts(1)
            + times(row, pods, \.transactions).textOfRatio
            + line(row.latencies) { of in times(row, pods) { $0.latencies.map(of) } }
            + [percent(row.fastShares.min())]
        }
      })
  }

  var swapTable: Table {
    Table(
      ["hook", "swaps", "sent", "lost", "reordered", "duplicated", "fast"],
      swaps.map { row in
        guard let tally = row.tally else {
          return ["\(row.hook) (\(row.absent ?? "not measured"))"] + Array(repeating: "–", count: 6)
        }
        return [row.hook, "\(row.swaps)"]
          + [tally.sent, tally.lost, tally.reordered, tally.duplicated].map { "\($0)" }
          + [percent(row.fastShares.min())]
      })
  }

  /// One line for each length, with what each further function costs.
  var chainTable: Table {
    let (ways, lengths) = (chains.map(\.way).uniqued, chains.map(\.length).uniqued)
    func cost(_ way: String, _ length: Int) -> Double {
      Distribution(chains.first { $0.way == way && $0.length == length }?.nanoseconds ?? []).median
    }
    return Table(
      ["functions"] + ways.map { "\($0), ns" } + ways.map { "\($0), ns for each further" },
      lengths.map { length in
        ["\(length)"] + ways.map { cost($0, length).text(1) }
          + ways.map { way in
            length == lengths[0]
              ? "–"
              : ((cost(way, length) - cost(way, lengths[0])) / Double(length - lengths[0])).text(2)
          }
      })
  }
}
