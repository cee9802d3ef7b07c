// SPDX-License-Identifier: Apache-2.0
import Foundation
import FoundationXML
import OrderedJSON
import Rendering
import Testing

@Suite struct BenchmarkChartTests {
  private static func measured(_ median: Double, _ low: Double, _ high: Double) -> JSON {
    ["median": .double(median), "min": .double(low), "max": .double(high)]
  }

  private static func packets(_ setting: String, _ way: String, _ cost: Double) -> JSON {
    [
      "setting": .string(setting), "way": .string(way),
      "million_per_second": measured(1000 / cost, 900 / cost, 1100 / cost),
      "nanoseconds": measured(cost, cost * 0.9, cost * 1.1),
      "times_linux": measured(1000 / cost, 900 / cost, 1100 / cost),
    ]
  }

  private static let report: JSON = [
    "machine": ["cores": 2, "processor": "A < B", "kernel": "6.12"],
    "packets": [
      packets("router", "Linux", 1000), packets("router", "fpd, xdp", 250),
      packets("gateway, 1 rules of nftables", "Linux", 1000),
      packets("gateway, 1 rules of nftables", "fpd, xdp", 300),
      packets("gateway, 10000 rules of nftables", "Linux", 40_000),
      packets("gateway, 10000 rules of nftables", "fpd, xdp", 310),
      packets("gateway, 10 rules of iptables-legacy", "Linux", 1100),
      packets("router, frames of 64 bytes", "fpd, xdp", 300),
      packets("router, frames of 1518 bytes", "fpd, xdp", 320),
    ],
    "streams": [
      [
        "setting": "through a router", "way": "fpd, tc",
        "gigabits_per_second": measured(30, 28, 31),
      ]
    ],
    "latencies": [
      [
        "setting": "router", "way": "Linux", "under_way": ["p99": measured(200, 180, 300)],
      ]
    ],
    "chains": [
      ["way": "calls", "length": 1, "nanoseconds": measured(9, 8, 10)],
      ["way": "calls", "length": 16, "nanoseconds": measured(30, 20, 40)],
    ],
    "reactions": [
      ["setting": "10 links", "change": "ip addr add", "times": measured(3.5, 3, 4)]
    ],
    "rules": [
      ["setting": "xdp, nft, 1 rules", "change": "added", "live": measured(30, 20, 40)],
      ["setting": "xdp, nft, 100 rules", "change": "added", "live": measured(50, 40, 60)],
      ["setting": "xdp, nft, 100 rules", "change": "deleted", "live": measured(50, 40, 60)],
    ],
  ]

  @Test func everyPartOfAReportHasAPicture() throws {
    let pictures = BenchmarkCharts.pictures(Self.report)
    // One size of rules alone is no line.
    #expect(
      pictures.map(\.name) == [
        "rates", "rules-nftables", "router-frames-of-bytes", "streams", "latency-p99", "chain",
        "graph", "rules",
      ])
    for picture in pictures { #expect(XMLParser(data: Data(picture.svg.utf8)).parse()) }
    let rates = try #require(pictures.first).svg
    #expect(rates.contains("A &lt; B") && rates.contains("× 4.0 Linux"))
    #expect(!rates.contains("10000 rules"))
    #expect(pictures[7].svg.contains("milliseconds, added"))
    let rules = pictures[1].svg
    #expect(pictures[5].svg.contains(">trivial functions<"))
    #expect(rules.contains(">10 k<") && rules.contains(">fpd, xdp<") && rules.contains(">100<"))
  }

  @Test(arguments: [[:], ["packets": [["setting": "x"], 3]], "text", nil] as [JSON])
  func whatIsNoReportHasNone(_ report: JSON) {
    #expect(BenchmarkCharts.pictures(report).isEmpty)
  }

  @Test func spreadsAreDrawn() {
    let plain = BarChart("a", unit: "b", [.init("c", remark: "", [.init("d", 2)])], notes: [])
    let spread = BarChart(
      "a", unit: "b", [.init("c", remark: "", [.init("d", 2, spread: 1...4)])], notes: [])
    #expect(!plain.svg.contains("<polyline") && spread.svg.contains("<polyline"))
    #expect(plain.text() == spread.text())
  }

  @Test(arguments: [
    [(1.0, 10.0), (100, 20)], [(0, 1), (-1, .nan), (.infinity, 3)], [(5, 5)], [],
    [(1e-3, 1e9), (1e7, 1e-9)],
  ])
  func linesStayInTheirFrame(_ values: [(Double, Double)]) throws {
    let points = values.map { LineChart.Point($0.0, $0.1, spread: 0...1e3) }
    let svg = LineChart(
      "t", unit: "u", growing: "g", [.init("s", isMain: true, points)], notes: ["n"]
    ).svg
    #expect(XMLParser(data: Data(svg.utf8)).parse())
    for match in svg.matches(of: /<circle cx="(-?\d+)" cy="(-?\d+)"/) {
      let (x, y) = (try #require(Int(match.1)), try #require(Int(match.2)))
      #expect((0...860).contains(x) && (0...520).contains(y))
    }
  }

  /// Ten times as much is as far everywhere.
  @Test func axesGoByPowersOfTen() throws {
    let svg = LineChart(
      "t", unit: "u", growing: "g", [.init("s", [.init(1, 1), .init(10, 10), .init(100, 100)])],
      notes: []
    ).svg
    let places = svg.matches(of: /<circle cx="(\d+)" cy="(\d+)"/).compactMap { match in
      Int(match.1).flatMap { x in Int(match.2).map { (x: x, y: $0) } }
    }
    try #require(places.count == 3)
    #expect(abs((places[1].x - places[0].x) - (places[2].x - places[1].x)) <= 1)
    #expect(abs((places[0].y - places[1].y) - (places[1].y - places[2].y)) <= 1)
    #expect(places[0].y > places[2].y)
  }
}
