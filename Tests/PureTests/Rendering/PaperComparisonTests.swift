// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Rendering
import Testing

@Suite struct PaperComparisonTests {
  private static func packets(_ setting: String, _ way: String, _ times: Double) -> JSON {
    [
      "setting": .string(setting), "way": .string(way),
      "times_linux": ["median": .double(times)], "nanoseconds": ["median": 300],
    ]
  }

  private static func times(_ value: Double) -> JSON { ["median": .double(value)] }

  private static let router = "router, 50 prefixes, 256 flows"

  private static let speed: JSON = [
    "packets": [
      packets(router, "Linux", 1), packets(router, "by hand, kernel's table", 3.5),
      packets(router, "fpd, xdp", 3), packets(router, "fpd, tc", 1.5),
      packets("router, frames of 64 bytes", "fpd, xdp", 1.5),
      packets("gateway, 100 rules of iptables-legacy", "fpd, xdp", 5),
      packets("gateway, 10 rules of nftables", "fpd, xdp", 4),
      packets("router, 50 routes", "fpd, xdp", 2.5),
    ],
    "latencies": [
      [
        "setting": "router, 50 prefixes", "way": "fpd, xdp",
        "under_way": ["mean_times_linux": times(0.25), "p99_times_linux": times(0.8)],
      ]
    ],
    "pods": [
      [
        "setting": "pods of Kubernetes on one node, 10 pairs", "way": "fpd, tc",
        "transactions_times_linux": times(1.25), "latency": ["mean_times_linux": times(0.5)],
      ]
    ],
    "chains": [
      ["way": "one function", "length": 1, "nanoseconds": times(10)],
      ["way": "one function", "length": 11, "nanoseconds": times(20)],
      ["way": "tail calls", "length": 1, "nanoseconds": times(10)],
      ["way": "tail calls", "length": 11, "nanoseconds": times(60)],
    ],
  ]

  private static let reaction: JSON = [
    "programs": [
      [
        "setting": "xdp, shape seen for the first time", "change": "ip addr add",
        "live": ["median": 20],
      ]
    ]
  ]

  private static let rows = PaperComparison(speed: speed, reaction: reaction).rows

  private static func row(_ figure: String, _ what: String = "") throws -> PaperComparison.Row {
    try #require(
      rows.first { $0.figure.hasPrefix(figure) && (what.isEmpty || $0.what.contains(what)) })
  }

  @Test func eachFigureStandsBesideOurs() throws {
    let router = try Self.row("Figure 5")
    #expect(router.ours == 3 && router.limit == 3.5 && router.isAhead == true)
    #expect(try Self.row("Figure 6").isAhead == false)
    #expect(try Self.row("Figure 7").ours == 5)
    #expect(try Self.row("Figure 8").what == "gateway, 10 rules of nftables")
    #expect(try Self.row("Figure 9").isAhead == true)
    #expect(try Self.row("beyond").isAhead == nil)
    let hooks = try Self.row("Table VII", "router")
    #expect(hooks.ours == 2 && hooks.isAhead == nil)
    // 300 ns, and 4 more for a tail call than for a function.
    #expect((try Self.row("Figure 10").ours - 300 / 304.0).magnitude < 1e-9)
  }

  @Test func shorterTimesAreBetter() throws {
    #expect(try Self.row("Table III", "avg").ours == 4)
    #expect(try Self.row("Table III", "p99").isAhead == false)
    #expect(try Self.row("Table V", "avg").ours == 2)
    #expect(try Self.row("Table VI", "602 ms, here 20.0 ms").ours == 30.1)
  }

  @Test func whereOursIsBehindItIsSaid() {
    let text = PaperComparison(speed: Self.speed, reaction: Self.reaction).markdown
    #expect(
      text.contains(
        "| Figure 6, packet sizes | router, frames of 64 bytes | packets | 1.77 | 1.50 | – | **no** |"
      ))
    #expect(text.split(separator: "\n").count == Self.rows.count + 2)
  }

  @Test(arguments: [[:], nil, "text", ["packets": [3, ["setting": 4]]]] as [JSON])
  func whatIsNoReportCompares(_ report: JSON) {
    #expect(PaperComparison(speed: report, reaction: report).rows.isEmpty)
  }
}
