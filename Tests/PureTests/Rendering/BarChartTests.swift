// SPDX-License-Identifier: Apache-2.0
import Foundation
import FoundationXML
import Rendering
import Testing

@Suite struct BarChartTests {
  private func chart(_ label: String = "Linux", _ values: [Double] = [1, 3]) -> BarChart {
    BarChart(
      "Speed", unit: "packets a second",
      [.init("Routing", remark: "× 3", values.map { .init(label, $0, isMain: $0 > 2) })],
      notes: ["how it was measured"])
  }

  @Test func barsAreAsLongAsTheirValues() throws {
    let lines = chart("Linux", [1, 2, 4]).text(.plain, width: 60).split(separator: "\n")
    let lengths = lines.map { $0.filter { $0 == "█" }.count }.filter { $0 > 0 }
    let first = try #require(lengths.first)
    #expect(lengths.count == 3 && lengths[1] / first == 2 && lengths[2] / first == 4)
    #expect(lines.allSatisfy { $0.count <= 60 })
  }

  @Test func coloursAreForTerminalsOnly() {
    #expect(!chart().text().contains("\u{1b}"))
    #expect(chart().text(Style(hasColour: true)).contains("\u{1b}[32m"))
  }

  @Test(arguments: [[0.0, 0], [.nan, .infinity], [-1, 2], []])
  func oddValuesAreDrawnAsNothing(_ values: [Double]) {
    #expect(XMLParser(data: Data(chart("x", values).svg.utf8)).parse())
    #expect(chart("x", values).text().contains("Routing"))
  }

  @Test func thePictureIsWellFormedXML() {
    let svg = chart("<&\">").svg
    #expect(XMLParser(data: Data(svg.utf8)).parse())
    #expect(svg.contains("Routing") && svg.contains("how it was measured"))
  }
}
