// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// What the LinuxFP paper (ICDCS 2024) measured, and what the benchmarks of this tree have: for each figure and table of
/// its evaluation how many times better than Linux, from the JSON that the benchmarks keep.
public struct PaperComparison: Sendable {
  public struct Row: Sendable {
    /// Of the paper.
    public let figure: String
    public let what: String
    public let paper: Double?
    public let ours: Double
    /// The shortest program by hand that does the same.
    public let limit: Double?
    /// What is compared.
    public let unit: String

    /// `nil` where it is the kernel that is compared, or more is not better: of XDP for TC.
    public var isAhead: Bool? {
      [PaperComparison.ofHooks, PaperComparison.left].contains(unit) ? nil : paper.map { ours > $0 }
    }
  }

  private static let left = "packets left by a tail call more"
  private static let ofHooks = "packets on XDP for one on TC"
  private let speed, reaction: JSON

  public init(speed: JSON, reaction: JSON) {
    (self.speed, self.reaction) = (speed, reaction)
  }

  public var rows: [Row] {
    throughput + pods + chain + latencies + podLatencies + reactions + hooks
  }

  // MARK: Packets a second

  private static let byHand = "by hand, kernel's table"

  /// What one of the lists has of a way in a setting.
  private func row(_ list: String, _ setting: String, _ way: String) -> JSON? {
    speed[list]?.array?.first { $0["setting"]?.string == setting && $0["way"]?.string == way }
  }

  /// How many packets for one of Linux's.
  private func times(_ setting: String, _ way: String) -> Double? {
    row("packets", setting, way)?["times_linux"]?["median"]?.double
  }

  private var settings: [String] {
    (speed["packets"]?.array ?? []).compactMap { $0["setting"]?.string }.uniqued
  }

  private var throughput: [Row] {
    let kinds: [(figure: String, paper: Double?, begins: [String])] = [
      ("Figure 5, router", 1.77, ["router, 50 prefixes", "router, on "]),
      ("Figure 6, packet sizes", 1.77, ["router, frames of "]),
      (
        "Figure 7, gateway", 2,
        ["gateway, 100 rules of iptables-legacy", "gateway, 100 rules, on "]
      ),
      ("Figure 8, number of rules", 2, ["gateway, "]),
      ("beyond, tables", nil, ["router, ", "bridge, ", "NAT", "out of a container", "mix: "]),
    ]
    var taken: Set<String> = []
    return kinds.flatMap { kind in
      settings.filter { setting in
        kind.begins.contains(where: setting.hasPrefix) && !taken.contains(setting)
      }.compactMap { setting -> Row? in
        guard let ours = times(setting, "fpd, xdp") ?? times(setting, "fpd, tc") else {
          return nil
        }
        taken.insert(setting)
        return Row(
          figure: kind.figure, what: setting, paper: kind.paper, ours: ours,
          limit: times(setting, Self.byHand) ?? times(setting, "by hand, look-up and redirect"),
          unit: "packets")
      }
    }
  }

  // MARK: Pods

  private func podRow(_ setting: String) -> JSON? { row("pods", setting, "fpd, tc") }

  /// The paper's are pods of Kubernetes.
  private var podSettings: [(setting: String, isOnOneNode: Bool, isInPaper: Bool)] {
    (speed["pods"]?.array ?? []).compactMap { $0["setting"]?.string }.uniqued.map {
      ($0, $0.contains("on one node"), $0.hasPrefix("pods of Kubernetes"))
    }
  }

  private var pods: [Row] {
    podSettings.compactMap { setting, isOnOneNode, isInPaper in
      guard let ours = podRow(setting)?["transactions_times_linux"]?["median"]?.double else {
        return nil
      }
      return Row(
        figure: isInPaper ? "Figure 9, pods" : "beyond, pods without rules", what: setting,
        paper: isInPaper ? isOnOneNode ? 1.2 : 1.16 : nil, ours: ours, limit: nil,
        unit: "transactions")
    }
  }

  private var podLatencies: [Row] {
    podSettings.filter { $0.isInPaper && $0.setting.hasSuffix(" 10 pairs") }
      .flatMap { setting, isOnOneNode, _ in
        let paper = isOnOneNode ? [9.68 / 7.92, 20.1 / 15.9] : [29.2 / 25.2, 34.7 / 30.9]
        return zip([("avg", "mean"), ("p99", "p99")], paper).compactMap { one, paper in
          podRow(setting)?["latency"]?["\(one.1)_times_linux"]?["median"]?.double.map {
            Row(
              figure: "Table V, pods' latency", what: "\(setting), \(one.0)", paper: paper,
              ours: 1 / $0, limit: nil, unit: "latency")
          }
        }
      }
  }

  // MARK: Latency

  private var latencies: [Row] {
    let kinds: [(figure: String, setting: String, ours: String, limit: String?, paper: [Double])] =
      [
        (
          "Table III, router's latency", "router, 50 prefixes", "fpd, xdp", Self.byHand,
          [327 / 152.0, 512 / 279.0, 109 / 77.0]
        ),
        (
          "Table IV, gateway's latency", "gateway, 100 addresses", "fpd, xdp", nil,
          [389 / 213.0, 512 / 318.0, 41 / 44.0]
        ),
        (
          "Table IV, with an ipset", "gateway, 100 addresses", "fpd, xdp, ipset", nil,
          [331 / 161.0, 437 / 275.0, 49 / 40.0]
        ),
      ]
    let fields = [("avg", "mean"), ("p99", "p99"), ("std dev", "standard_deviation")]
    return kinds.flatMap { kind in
      func times(_ way: String, _ key: String) -> Double? {
        row("latencies", kind.setting, way)?["under_way"]?["\(key)_times_linux"]?["median"]?.double
          .map { 1 / $0 }
      }
      return zip(fields, kind.paper).compactMap { field, paper in
        times(kind.ours, field.1).map { ours in
          Row(
            figure: kind.figure, what: "\(kind.setting), \(field.0)", paper: paper, ours: ours,
            limit: kind.limit.flatMap { times($0, field.1) }, unit: "latency")
        }
      }
    }
  }

  // MARK: Calls

  /// What is left of the packets a second when a tail call more is made for each.
  private var chain: [Row] {
    let tails = (speed["chains"]?.array ?? []).filter { $0["way"]?.string == "tail calls" }
    let plain = (speed["chains"]?.array ?? []).filter { $0["way"]?.string == "one function" }
    func cost(_ rows: [JSON]) -> Double? {
      guard let first = rows.first, let last = rows.last,
        let low = first["nanoseconds"]?["median"]?.double,
        let high = last["nanoseconds"]?["median"]?.double,
        let from = first["length"]?.int, let to = last["length"]?.int, to > from
      else { return nil }
      return (high - low) / Double(to - from)
    }
    let router = settings.first { $0.hasPrefix("router, 50 prefixes") }.flatMap {
      row("packets", $0, "fpd, xdp")?["nanoseconds"]?["median"]?.double
    }
    guard let tail = cost(tails), let step = cost(plain), let router else { return [] }
    return [
      Row(
        figure: "Figure 10, tail calls", what: "router", paper: 0.99,
        ours: router / (router + tail - step), limit: nil, unit: Self.left)
    ]
  }

  // MARK: Reactions

  private var reactions: [Row] {
    func live(_ list: String, _ setting: String, _ change: String) -> Double? {
      reaction[list]?.array?.first {
        $0["setting"]?.string == setting && $0["change"]?.string == change
      }?["live"]?["median"]?.double
    }
    let fresh = "xdp, shape seen for the first time"
    let kinds: [(String, Double, Double?)] = [
      ("ip addr add", 602, live("programs", fresh, "ip addr add")),
      ("brctl addbr", 539, live("programs", fresh, "brctl addbr")),
      ("brctl addif", 493, live("programs", fresh, "brctl addif")),
      ("a rule more", 1028, live("rules", "xdp, iptables-legacy, 100 rules", "a rule added")),
    ]
    // Linux has no programs to follow: what is compared is how much sooner ours are there.
    return kinds.compactMap { name, paper, ours in
      ours.map {
        Row(
          figure: "Table VI, reaction", what: "\(name): \(Int(paper)) ms, here \($0.text(1)) ms",
          paper: 1, ours: paper / $0, limit: nil, unit: "times sooner")
      }
    }
  }

  /// XDP for one of TC.
  private var hooks: [Row] {
    let kinds = [
      ("bridge", "bridge, 50 stations", 1_914_978 / 889_735.0),
      ("router", "router, 50 prefixes", 1_768_221 / 850_209.0),
      ("filter", "gateway, 100 rules of iptables-legacy", 1_183_252 / 680_065.0),
    ]
    return kinds.compactMap { name, begins, paper in
      guard let setting = settings.first(where: { $0.hasPrefix(begins) }),
        let xdp = times(setting, "fpd, xdp"), let tc = times(setting, "fpd, tc")
      else { return nil }
      return Row(
        figure: "Table VII, XDP against TC", what: name, paper: paper, ours: xdp / tc, limit: nil,
        unit: Self.ofHooks)
    }
  }

  // MARK: Text

  private static func text(_ value: Double?) -> String { (value ?? .nan).text(2) }

  public var markdown: String {
    var lines = [
      "| in the paper | what | compared | the paper | here | limit | ahead |",
      "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += rows.map { row in
      let ahead = row.isAhead.map { $0 ? "yes" : "**no**" } ?? "–"
      return "| \(row.figure) | \(row.what) | \(row.unit) | \(Self.text(row.paper)) | "
        + "\(Self.text(row.ours)) | \(Self.text(row.limit)) | \(ahead) |"
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// What the paper has numbers for, ours beside it.
  public var chart: BarChart {
    let known = rows.filter { $0.paper != nil && $0.figure != "Table VI, reaction" }
    let figures = known.map(\.figure).uniqued
    return BarChart(
      "Beside the paper", unit: "times as good as Linux",
      figures.compactMap { figure in
        guard let row = known.first(where: { $0.figure == figure }), let paper = row.paper else {
          return nil
        }
        let limit = row.limit.map { [BarChart.Bar("by hand", $0)] } ?? []
        return BarChart.Group(
          "\(figure): \(row.what)", remark: "",
          [.init("the paper", paper), .init("fpd", row.ours, isMain: true)] + limit)
      }, notes: ["Each against Linux on its own machine, in the same run."])
  }
}
