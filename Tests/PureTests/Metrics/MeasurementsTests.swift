// SPDX-License-Identifier: Apache-2.0
import Foundation
import Metrics
import Testing

/// What metrics look like, and what they may not contain.
@Suite struct MeasurementsTests {
  /// One of everything.
  static var full: Measurements {
    var all = Measurements()
    all.version = "1.2.3"
    all.started = 1_763_921_909.25
    all.state = "degraded"
    all.states = ["converged", "converging", "degraded"]
    all.generation = 7
    all.problems = ["data-path", "metrics", "data-path"]
    var traffic = Measurements.Traffic()
    traffic.forwarded = .init(packets: 18_446_744_073_709_551_615, bytes: 9_007_199_254_740_993)
    traffic.dropped = .init(packets: 3, bytes: 180)
    traffic.punted = [
      .init("ttl-expired", .init(packets: 1, bytes: 60)),
      .init("neighbour", .init(packets: 2, bytes: 120)),
    ]
    traffic.wouldForward = 5
    traffic.wouldDrop = 6
    var fast = Measurements.Interface()
    fast.name = "eth0"
    fast.hook = "xdp"
    fast.modules = ["router", "filter"]
    fast.program = "own"
    fast.accelerated = true
    fast.traffic = traffic
    var slow = Measurements.Interface()
    slow.name = "lo"
    slow.reason = "loopback"
    all.interfaces = [fast, slow]
    for milliseconds in [4, 5, 60, 60, 2_000, 60_000] {
      all.reaction.add(.milliseconds(milliseconds))
    }
    (all.ownSwaps, all.generalSwaps, all.failedSwaps) = (11, 12, 13)
    (all.compilations, all.failedCompilations, all.cacheHits) = (14, 15, 16)
    var shadow = Measurements.Shadow()
    (shadow.agreed, shadow.unseen) = (17, 18)
    shadow.mismatched = [.init("other-device", 0), .init("vanished", 19)]
    all.shadow = shadow
    return all
  }

  /// Every name that may stand in a query.
  static var sampleNames: Set<String> {
    Set(full.families.flatMap { family in family.samples.map { family.name + $0.suffix } })
  }

  @Test func everythingIsTold() throws {
    try Golden.expect(Self.full.text, equals: "metrics/full.txt")
  }

  @Test func anFpdWithoutAnythingTellsNothingOfInterfacesAndShadow() throws {
    var bare = Measurements()
    bare.states = ["converged"]
    let samples = bare.text.split(separator: "\n").filter { !$0.hasPrefix("#") }
    #expect(!samples.contains { $0.contains("interface") || $0.hasPrefix("fpd_shadow_a") })
    #expect(bare.text.hasSuffix("\n# EOF\n"))
  }

  @Test func whatIsNamedOddlyStaysOneLabel() {
    var odd = Measurements()
    var interface = Measurements.Interface()
    interface.name = "a\"b\\c\nd}é"
    odd.interfaces = [interface]
    let line = odd.text.split(separator: "\n").first { $0.hasPrefix("fpd_interface_accelerated{") }
    #expect(line == #"fpd_interface_accelerated{interface="a\"b\\c\nd}é"} 0"#)
  }

  /// The rules of OpenMetrics that a reader stumbles over.
  @Test func theTextIsOpenMetrics() throws {
    let lines = Self.full.text.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.suffix(2) == ["# EOF", ""])
    #expect(lines.filter { $0 == "# EOF" }.count == 1)
    var (family, kind, seen) = ("", "", Set<String>())
    var samples = Set<Substring>()
    for line in lines.dropLast(2) {
      let words = line.split(separator: " ", maxSplits: 3).map(String.init)
      if words[0] == "#" {
        if words[1] == "TYPE" {
          (family, kind) = (words[2], words[3])
          #expect(seen.insert(family).inserted && family.hasPrefix("fpd_"), "\(family)")
        }
        #expect(words[2] == family)
        if words[1] == "UNIT" { #expect(family.hasSuffix("_" + words[3])) }
        continue
      }
      let name = String(line.prefix { $0 != "{" && $0 != " " })
      let suffixes =
        switch kind {
        case "counter": ["_total"]
        case "info": ["_info"]
        case "histogram": ["_bucket", "_count", "_sum"]
        default: [""]
        }
      #expect(suffixes.contains { name == family + $0 }, "\(line)")
      let series = line[..<(line.lastIndex(of: " ") ?? line.startIndex)]
      #expect(samples.insert(series).inserted, "\(series) twice")
      #expect(Double(line.split(separator: " ").last ?? "") != nil, "\(line)")
    }
  }

  @Test func bucketsNeverGoBackAndEndWithAll() {
    var histogram = Histogram()
    #expect(histogram.cumulated.allSatisfy { $0 == 0 } && histogram.count == 0)
    for _ in 0..<1000 { histogram.add(.microseconds(.random(in: 0...20_000_000))) }
    let counts = histogram.cumulated
    #expect(zip(counts, counts.dropFirst()).allSatisfy { $0 <= $1 })
    #expect(counts.count == Histogram.bounds.count + 1 && counts.last == 1000)
    #expect(histogram.sum > 0 && histogram.sum < 20_000)
  }

  @Test func numbersOfAnyKindCanBeRead() {
    typealias Value = MetricFamily.Value
    #expect(Value.count(.max).text == "18446744073709551615")
    #expect(Value.real(.infinity).text == "+Inf" && Value.real(-.infinity).text == "-Inf")
    #expect(Value.real(.nan).text == "NaN" && Value.real(0.25).text == "0.25")
  }
}
