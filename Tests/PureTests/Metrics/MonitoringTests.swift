// SPDX-License-Identifier: Apache-2.0
import Foundation
import OrderedJSON
import Testing

/// The dashboard and the alert rules, against the metrics there are.
@Suite struct MonitoringTests {
  private static let dashboard = "packaging/monitoring/grafana-dashboard.json"
  private static let alerts = "packaging/monitoring/prometheus-alerts.yaml"

  /// Names of metrics in a query: words that begin with `fpd_`, and are no label's.
  private func metrics(in query: String) -> Set<String> {
    let words = query.matches(of: /[A-Za-z_:][A-Za-z0-9_:]*/).map { String($0.0) }
    return Set(words.filter { $0.hasPrefix("fpd_") })
  }

  private func queries(_ json: JSON) -> [String] {
    switch json {
    case .array(let values): values.flatMap(queries)
    case .object(let object):
      object.members.flatMap { key, value in
        ["expr", "query", "definition"].contains(key)
          ? value.string.map { [$0] } ?? queries(value) : queries(value)
      }
    default: []
    }
  }

  @Test func theDashboardAsksOnlyForWhatThereIs() throws {
    let board = try JSON(parsing: Golden.projectFile(Self.dashboard))
    let panels = board["panels"]?.array ?? []
    let titles = panels.compactMap { $0["title"]?.string }
    for title in [
      "State", "Fast share", "Packets by outcome", "Why packets stay with the kernel",
      "Reaction time",
    ] {
      #expect(titles.contains(title))
    }
    #expect(Set(panels.compactMap { $0["id"]?.int }).count == panels.count)
    #expect(panels.allSatisfy { !($0["targets"]?.array ?? []).isEmpty })
    let used = queries(board).map(metrics).reduce(Set<String>()) { $0.union($1) }
    #expect(used.count > 15)
    #expect(used.subtracting(MeasurementsTests.sampleNames) == [])
  }

  @Test func everyMetricIsOnTheDashboardOrMeantForOthers() throws {
    let board = try JSON(parsing: Golden.projectFile(Self.dashboard))
    let used = queries(board).map(metrics).reduce(Set<String>()) { $0.union($1) }
    // What panels show in another way.
    let elsewhere: Set = [
      "fpd_problems", "fpd_interface_accelerated", "fpd_shadow_mode",
      "fpd_shadow_decided_packets_total", "fpd_shadow_agreed_packets_total",
      "fpd_shadow_unseen_packets_total",
    ]
    #expect(MeasurementsTests.sampleNames.subtracting(used) == elsewhere)
  }

  @Test func theAlertsAskOnlyForWhatThereIs() throws {
    let text = try Golden.projectFile(Self.alerts)
    let lines = text.split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("#") }
    let used = lines.map { metrics(in: String($0)) }.reduce(Set<String>()) { $0.union($1) }
    #expect(used.subtracting(MeasurementsTests.sampleNames) == [])
    let names = text.matches(of: /- alert: (\w+)/).map { String($0.1) }
    #expect(
      names == ["FpdDegraded", "FpdAbsent", "FpdFastShareCollapsed", "FpdShadowMismatch"])
    // What is recorded is what is used.
    let recorded = Set(text.matches(of: /record: (\S+)/).map { String($0.1) })
    #expect(Set(text.matches(of: /instance:[a-z0-9_:]+/).map { String($0.0) }) == recorded)
  }

  /// Every metric is told of, and nothing that is none.
  @Test func theDocumentsNameEveryMetric() throws {
    let document = try Golden.projectFile("docs/operations.md")
    let section = try #require(
      document.components(separatedBy: "\n## ").first { $0.hasPrefix("Metrics\n") })
    // A histogram is named as such.
    let told = Set(
      metrics(in: section).subtracting(["fpd_reaction_seconds"])
        + ["_bucket", "_count", "_sum"].map { "fpd_reaction_seconds" + $0 })
    #expect(section.contains("`fpd_reaction_seconds` (histogram)"))
    #expect(told == MeasurementsTests.sampleNames)
  }
}
