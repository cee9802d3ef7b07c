// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON

/// What the speed benchmark has found: tables to print, JSON and Markdown to keep.
struct SpeedResults {
  /// One way of forwarding in one setting, over all rounds.
  struct Row {
    let setting: String
    let way: String
    let isBase: Bool
    /// Nanoseconds of a CPU for a packet, one for each round.
    var nanoseconds: [Double] = []
    /// The parts of what was sent that arrived.
    var delivered: [Double] = []
    /// How much of the CPU was there for us.
    var shares: [Double] = []
    var fastShares: [Double] = []
    /// Why nothing was measured.
    var absent: String?

    init(setting: String, way: String, isBase: Bool) {
      self.setting = setting
      self.way = way
      self.isBase = isBase
    }

    mutating func take(_ measurement: LoadMeasurement) {
      nanoseconds.append(measurement.nanoseconds)
      delivered.append(measurement.delivered)
      shares.append(measurement.share)
    }

    var cost: Distribution { Distribution(nanoseconds) }
    var million: Distribution { Distribution(nanoseconds.map { 1000 / $0 }) }
  }

  /// TCP through a router, one connection.
  struct StreamRow {
    let setting: String
    let way: String
    var gigabits: [Double] = []
    var transactions: [Double] = []
    var fastShares: [Double] = []
    var absent: String?

    init(setting: String, way: String) {
      self.setting = setting
      self.way = way
    }
  }

  var rows: [Row] = []
  var streams: [StreamRow] = []
  var quick = false
  var seconds = 0.0
  var cpu = 0

  /// What generator, sink and one cable cost; nil where that was not measured.
  private func base(of row: Row) -> Double? {
    rows.first { $0.setting == row.setting && $0.isBase }?.cost.median
  }

  /// A packet's cost without what sending and counting it costs.
  private func net(_ row: Row) -> Double? {
    row.isBase || row.absent != nil ? nil : base(of: row).map { row.cost.median - $0 }
  }

  /// How many times as many packets as Linux in the same round.
  private func ratios(_ row: Row) -> Distribution? {
    guard !row.isBase, row.absent == nil,
      let linux = rows.first(where: { $0.setting == row.setting && $0.way == Speed.linux })
    else { return nil }
    return Distribution(zip(linux.nanoseconds, row.nanoseconds).map { $0 / $1 })
  }

  private func netRatio(_ row: Row) -> Double? {
    guard let own = net(row), own > 0,
      let linux = rows.first(where: { $0.setting == row.setting && $0.way == Speed.linux }),
      let other = net(linux)
    else { return nil }
    return other / own
  }

  /// Nanoseconds by which a packet costs fpd more with rules than without them, in the same round.
  private func filterShare(_ row: Row) -> Distribution? {
    guard row.way.hasPrefix("fpd"), row.way != Speed.noRules, row.absent == nil,
      let bare = withoutRules(row)
    else { return nil }
    return Distribution(zip(row.nanoseconds, bare.nanoseconds).map { $0 - $1 })
  }

  private func withoutRules(_ row: Row) -> Row? {
    rows.first { $0.setting == row.setting && $0.way == Speed.noRules && $0.absent == nil }
  }

  private static func number(_ value: Double?) -> JSON {
    guard let value, value.isFinite else { return .null }
    return .double((value * 1000).rounded() / 1000)
  }

  var json: JSON {
    [
      "version": 1, "quick": .bool(quick), "machine": Machine.json, "cpu": .number(cpu),
      "seconds_per_measurement": .double(seconds),
      "packets": .array(
        rows.map { row in
          [
            "setting": .string(row.setting), "way": .string(row.way),
            "not_measured": row.absent.map(JSON.string) ?? .null,
            "million_per_second": row.million.json, "nanoseconds": row.cost.json,
            "nanoseconds_net": Self.number(net(row)),
            "nanoseconds_of_filter": filterShare(row).map(\.json) ?? .null,
            "times_linux": ratios(row).map(\.json) ?? .null,
            "times_linux_net": Self.number(netRatio(row)),
            "delivered_min": Self.number(row.delivered.min()),
            "cpu_share_min": Self.number(row.shares.min()),
            "fast_share_min": Self.number(row.fastShares.min()),
          ]
        }),
      "streams": .array(
        streams.map { row in
          [
            "setting": .string(row.setting), "way": .string(row.way),
            "not_measured": row.absent.map(JSON.string) ?? .null,
            "gigabits_per_second": Distribution(row.gigabits).json,
            "gigabits_times_linux": Self.number(times(row, \.gigabits)),
            "thousand_transactions_per_second": Distribution(row.transactions).json,
            "transactions_times_linux": Self.number(times(row, \.transactions)),
            "fast_share_min": Self.number(row.fastShares.min()),
          ]
        }),
    ]
  }

  private var packetTable: Table {
    Table(
      [
        "setting", "way", "n", "Mpps", "min", "max", "ns/packet", "without sending", "× Linux",
        "net ×", "arrived", "fast",
      ],
      rows.map { row in
        let rate = row.million
        if let absent = row.absent {
          return [row.setting, "\(row.way) (\(absent))"] + Array(repeating: "–", count: 10)
        }
        return [
          row.setting, row.way, "\(rate.count)", rate.median.text(3),
          (rate.sorted.first ?? .nan).text(3), (rate.sorted.last ?? .nan).text(3),
          row.cost.median.text(0), (net(row) ?? .nan).text(0),
          (ratios(row)?.median ?? .nan).text(2), (netRatio(row) ?? .nan).text(2),
          percent(row.delivered.min()), percent(row.fastShares.min()),
        ]
      })
  }

  /// What rules cost: one line for each setting.
  private var filterTable: Table {
    Table(
      [
        "rules", "n", "fpd, ns/packet", "without the rules", "filter's share, ns", "min", "max",
        "std dev",
      ],
      rows.compactMap { row in
        guard let share = filterShare(row), let bare = withoutRules(row) else { return nil }
        return [
          row.setting, "\(share.count)", row.cost.median.text(0), bare.cost.median.text(0),
          share.median.text(0), (share.sorted.first ?? .nan).text(0),
          (share.sorted.last ?? .nan).text(0), share.deviation.text(0),
        ]
      })
  }

  private func percent(_ share: Double?) -> String {
    share.map { ($0 * 100).text(1) + " %" } ?? "–"
  }

  private var streamTable: Table {
    Table(
      [
        "TCP", "way", "n", "Gbit/s", "min", "max", "× Linux", "k transactions/s", "min",
        "max", "× Linux", "fast",
      ],
      streams.map { row in
        if let absent = row.absent {
          return [row.setting, "\(row.way) (\(absent))"] + Array(repeating: "–", count: 10)
        }
        let measured = [(row.gigabits, \StreamRow.gigabits), (row.transactions, \.transactions)]
        return [row.setting, row.way, "\(row.gigabits.count)"]
          + measured.flatMap { values, field in
            let all = Distribution(values)
            return [
              all.median.text(2), (all.sorted.first ?? .nan).text(2),
              (all.sorted.last ?? .nan).text(2), times(row, field).text(2),
            ]
          } + [percent(row.fastShares.min())]
      })
  }

  /// How many times Linux's result of the same round.
  private func times(_ row: StreamRow, _ field: KeyPath<StreamRow, [Double]>) -> Double {
    let linux =
      streams.first { $0.setting == row.setting && $0.way == Speed.linux }?[keyPath: field] ?? []
    return Distribution(zip(row[keyPath: field], linux).map { $0 / $1 }).median
  }

  private var leastShare: Double { rows.flatMap(\.shares).min() ?? .nan }

  func printTables() {
    for table in [packetTable, filterTable, streamTable] where !table.rows.isEmpty {
      Terminal.line()
      Terminal.text(table.plain)
    }
    guard leastShare.isFinite else { return }
    Terminal.line()
    Terminal.line("The CPU that forwards was ours for at least \(percent(leastShare)) of the time.")
  }

  var markdown: String {
    """
    # How many packets a CPU forwards

    Frames of 64 bytes (60 and the checksum that hardware appends), made by an XDP program that the
    kernel runs on live frames, sent, forwarded and counted on one CPU (number \(cpu)). Each way is
    measured for \(seconds.text(1)) s and then the next, again and again; the table shows medians, and
    the least and the most of all rounds; where ways differ little (what is punted, TCP) in more and shorter
    rounds. Made by `fplab bench speed`\(quick ? " (quick: few rounds)" : "").

    Machine: \(Machine.line)

    \(packetTable.markdown)
    - *Mpps* is packets that arrived for each second of the CPU's time that went into them (the sending
      thread and the kernel's softirq thread), so that what else ran meanwhile does not count. The CPU
      was there for at least \(percent(leastShare)) of the time.
    - *ns/packet* is the same the other way round, and contains making a frame, one cable and counting
      the frame; *without sending* is less the row that has nothing else (the first). That leaves the
      router or bridge with its own cable.
    - *× Linux* compares whole packets in the same round, *net ×* what is left without sending.
    - *bare redirect* looks at no packet; *by hand* are the shortest programs that forward, and check
      nothing else: [bench](../../bench).
    - *empty program* does nothing on the hook: what fpd costs on top of it is fpd's own.
    - *arrived* is the least part of what was sent that arrived; *fast* what fpd says it forwarded itself.

    ## What rules cost

    A gateway with rules that no packet meets, on XDP; its filter's share is what a packet costs fpd more than
    on the same router without the rules, in the same round: the proof that the rules are still those, and
    the judgement by them. The share is the median of the rounds' differences, with the least and the most.

    \(filterTable.markdown)
    ## TCP

    Through a router, to the router itself and between containers on one bridge: as much as goes on one
    connection, with GSO,
    and single bytes there and back on \(Speed.sessions) connections. For the first the sender and what is
    between are on one CPU and the receiver on another, and the time is that of the clock. For the second
    everything is on one CPU, and only its time for them counts. *No hop* is a cable from one end to the
    other: nothing that forwards can be faster in transactions than that.

    \(streamTable.markdown)
    """
  }
}
