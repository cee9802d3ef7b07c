// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Rendering

/// One way of doing something in one setting.
protocol SpeedRow {
  var setting: String { get }
  var way: String { get }
  /// The parts of what came in that the fast path finished.
  var fastShares: [Double] { get set }
  /// Why nothing was measured.
  var absent: String? { get set }
}

extension SpeedRow {
  /// What was measured, if it was.
  mutating func note<Value>(_ outcome: Speed.Outcome<Value>) -> Value? {
    switch outcome {
    case .measured(let value, let shares):
      fastShares += shares
      return value
    case .absent(let reason):
      absent = reason
      return nil
    }
  }

  /// The first cells of a line, and of one that nothing was measured for: all.
  fileprivate var names: [String] { [setting, absent.map { "\(way) (\($0))" } ?? way] }

  func line(_ cells: Int, _ measured: () -> [String]) -> [String] {
    names + (absent == nil ? measured() : Array(repeating: "–", count: cells))
  }
}

/// What the speed benchmark has found: tables to print, JSON and Markdown to keep.
struct SpeedResults {
  /// One way of forwarding in one setting, over all rounds.
  struct Row: SpeedRow {
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
    var absent: String?

    init(setting: String, way: String, isBase: Bool) {
      self.setting = setting
      self.way = way
      self.isBase = isBase
    }

    /// What several CPUs forward at the same time is counted together.
    mutating func take(_ measurements: [LoadMeasurement]) {
      nanoseconds.append(1 / measurements.reduce(0) { $0 + 1 / $1.nanoseconds })
      delivered += measurements.map(\.delivered)
      shares += measurements.map(\.share)
    }

    var cost: Distribution { Distribution(nanoseconds) }
    var million: Distribution { Distribution(nanoseconds.map { 1000 / $0 }) }
  }

  /// TCP through a router, one connection.
  struct StreamRow: SpeedRow {
    let setting: String
    let way: String
    var gigabits: [Double] = []
    /// Milliseconds of the CPU on which both ends and all between them are.
    var busyPerGigabyte: [Double] = []
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
  var latencies: [LatencyRow] = []
  var pods: [PodRow] = []
  var chains: [ChainRow] = []
  var swaps: [SwapRow] = []
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

  /// Linux in the same setting; for gateways with sets, Linux with sets.
  private func linux<Row: SpeedRow>(_ row: Row, _ rows: [Row]) -> Row? {
    let name = row.way.hasSuffix(", ipset") ? "Linux, ipset" : Speed.linux
    return rows.first { $0.setting == row.setting && $0.way == name }
  }

  /// How many times Linux's value of the same round.
  func times<Row: SpeedRow>(
    _ row: Row, _ rows: [Row], _ values: (Row) -> [Double]
  ) -> Distribution {
    Distribution(zip(linux(row, rows).map(values) ?? [], values(row)).map { $1 / $0 })
  }

  /// How many times as many packets as Linux in the same round.
  private func ratios(_ row: Row) -> Distribution? {
    row.isBase || row.absent != nil
      ? nil : times(row, rows) { $0.nanoseconds.map { 1 / $0 } }
  }

  private func netRatio(_ row: Row) -> Double? {
    guard let own = net(row), own > 0, let other = linux(row, rows).flatMap(net) else {
      return nil
    }
    return other / own
  }

  /// Nanoseconds by which a packet costs fpd more with rules than without them, in the same round.
  private func filterShare(_ row: Row) -> Distribution? {
    guard row.way == "fpd, xdp", row.absent == nil,
      let bare = withoutRules(row)
    else { return nil }
    return Distribution(zip(row.nanoseconds, bare.nanoseconds).map { $0 - $1 })
  }

  private func withoutRules(_ row: Row) -> Row? {
    rows.first { $0.setting == row.setting && $0.way == Speed.noRules && $0.absent == nil }
  }

  static func number(_ value: Double?) -> JSON {
    guard let value, value.isFinite else { return .null }
    return .double((value * 1000).rounded() / 1000)
  }

  /// A ratio, and where it lies in 95 of 100 cases.
  static func json(_ ratio: Distribution) -> JSON {
    let interval = ratio.medianInterval
    return [
      "median": number(ratio.median), "low": number(interval?.lowerBound),
      "high": number(interval?.upperBound),
    ]
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
            "gigabits_times_linux": Self.json(times(row, streams, \.gigabits)),
            "cpu_milliseconds_per_gigabyte": Distribution(row.busyPerGigabyte).json,
            "cpu_times_linux": Self.json(times(row, streams, \.busyPerGigabyte)),
            "thousand_transactions_per_second": Distribution(row.transactions).json,
            "transactions_times_linux": Self.json(times(row, streams, \.transactions)),
            "fast_share_min": Self.number(row.fastShares.min()),
          ]
        }), "latencies": latencyJSON, "pods": podJSON, "chains": chainJSON, "swaps": swapJSON,
    ]
  }

  private var packetTable: Table {
    Table(
      [
        "setting", "way", "n", "Mpps", "min", "max", "ns/packet", "without sending", "× Linux",
        "net ×", "arrived", "fast",
      ],
      rows.map { row in
        row.line(10) {
          ["\(row.million.count)"] + row.million.texts(3) + [
            row.cost.median.text(0), (net(row) ?? .nan).text(0),
            (ratios(row)?.median ?? .nan).text(2), (netRatio(row) ?? .nan).text(2),
            percent(row.delivered.min()), percent(row.fastShares.min()),
          ]
        }
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
        ] + share.texts(0) + [share.deviation.text(0)]
      })
  }

  func percent(_ share: Double?) -> String {
    share.map { ($0 * 100).text(1) + " %" } ?? "–"
  }

  private var streamTable: Table {
    Table(
      [
        "TCP", "way", "n", "Gbit/s", "min", "max", "× Linux", "95 %", "CPU, ms/GB", "min", "max",
        "× Linux", "95 %",
      ], streams.map { line($0, [(\.gigabits, 2), (\.busyPerGigabyte, 0)]) })
  }

  private var transactionTable: Table {
    Table(
      ["TCP", "way", "n", "k transactions/s", "min", "max", "× Linux", "95 %", "fast"],
      streams.map { line($0, [(\.transactions, 2)]) + [percent($0.fastShares.min())] })
  }

  private func line(
    _ row: StreamRow, _ fields: [(KeyPath<StreamRow, [Double]>, digits: Int)]
  ) -> [String] {
    row.line(1 + fields.count * 5) {
      ["\(row.gigabits.count)"]
        + fields.flatMap { field, digits in
          Distribution(row[keyPath: field]).texts(digits)
            + times(row, streams) { $0[keyPath: field] }.textOfRatio
        }
    }
  }

  private var leastShare: Double { rows.flatMap(\.shares).min() ?? .nan }

  func printTables() {
    let all =
      [packetTable, filterTable, streamTable, transactionTable] + latencyTables
      + [podTable, chainTable, swapTable]
    for table in all where !table.rows.isEmpty {
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

    Through a router, to the router itself, between containers on one bridge, and masqueraded: as much as
    goes on one connection, with GSO, and single bytes there and back on \(Speed.sessions) connections. For
    the first the sender and what is between are on one CPU and the receiver on another, and the time is that
    of the clock. For what a gigabyte costs, and for the second, everything is on one CPU, and only its time for
    them counts. *No hop* is a cable from one end to the other: nothing that
    forwards can be faster in transactions than that. Linux and fpd have a bed each and take turns many times
    a second; *× Linux* is the median of the ratios of each pair, and *95 %* where that median lies in 95 of
    100 cases.

    \(streamTable.markdown)
    \(transactionTable.markdown)
    ## How long packets take

    The machine in the middle has CPU number \(cpu) for itself (its port's packets are treated by a thread of the
    kernel's, threaded NAPI); the generator sends from another one and writes down when each packet leaves, the sink
    when it comes. First with \(Speed.underWay) packets under way, of which each that arrives has another one sent,
    as sessions of netperf do; then with as many a second for each way, half of what Linux bears in the same round.
    The last table is what RFC 2544 asks for, the highest rate at which nothing is lost, with a thousandth allowed and
    the best of three attempts at each rate, because others take the CPU away at times. *Jitter* is what lies between
    the hundredth part of the quickest and that of the slowest.

    \(latencyTables.map(\.markdown).joined(separator: "\n"))
    ## Pods

    Pairs of pods, each with 4 connections, a byte there and a byte back: on one node by its bridge, and across two
    nodes by bridge, routes and VXLAN, as flannel sets them up; fpd on both nodes, on TC. *Of Kubernetes* have the
    rules of kube-proxy and flanneld, which the bridge is told to ask (`bridge-nf-call-iptables`); the others have none.
    Everything is on one CPU, and its time for a transaction counts; latencies are of the clock, in microseconds.

    \(podTable.markdown)
    ## Functions and tail calls

    What a chain of trivial functions costs, each of which looks at a byte of the packet: in one function, called, and
    as programs with tail calls. fpd's programs are one function, and one tail call comes before it.

    \(chainTable.markdown)
    ## Swaps

    Packets at full rate through a router whose programs are exchanged all the time, because a bridge comes and goes:
    what was lost, came behind a later one of its flow, or came twice.

    \(swapTable.markdown)
    """
  }
}
