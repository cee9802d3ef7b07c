// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Rendering

/// Where the results of a benchmark are written.
enum Report {
  /// `name`.json, `name`.md and the pictures in it; some parts have files of their own, since they do not
  /// take the place of all.
  static func write(
    _ name: String, parts: [String], to directory: String, json: JSON, markdown: String
  ) throws {
    let place = "\(directory)/\(([name] + parts).joined(separator: "-"))"
    mkdir(directory, 0o755)
    try TextFile.write("\(place).json", json.text(pretty: true) + "\n")
    try write(markdown, json, to: place)
    Terminal.line()
    Terminal.line("Written to \(place).json and \(place).md")
  }

  /// Draws the pictures of kept results anew.
  static func draw(_ arguments: [String]) throws {
    guard arguments.count <= 1, arguments.first?.hasPrefix("-") != true else {
      throw LabError("usage: fplab charts [DIRECTORY]")
    }
    let directory = arguments.first ?? "docs/benchmarks"
    let names = Leftovers.entries(of: directory).filter { $0.hasSuffix(".json") }.sorted()
    if names.isEmpty { throw LabError("\(directory) has no results of a benchmark") }
    for name in names {
      let place = "\(directory)/\(name.dropLast(5))"
      let json = try JSON(parsing: TextFile.read("\(place).json"))
      try write(try TextFile.read("\(place).md"), json, to: place)
      Terminal.line("\(place).md")
    }
  }

  /// Compares kept results with the paper's: `paper.md` and its picture.
  static func paper(_ arguments: [String]) throws {
    guard arguments.count <= 1, arguments.first?.hasPrefix("-") != true else {
      throw LabError("usage: fplab paper [DIRECTORY]")
    }
    let directory = arguments.first ?? "docs/benchmarks"
    func kept(_ name: String) throws -> JSON {
      try JSON(parsing: TextFile.read("\(directory)/\(name).json"))
    }
    let speed = try kept("speed")
    let comparison = try PaperComparison(speed: speed, reaction: kept("reaction"))
    guard !comparison.rows.isEmpty else {
      throw LabError("\(directory) has no results that the paper has, too")
    }
    try TextFile.write("\(directory)/paper.svg", comparison.chart.svg)
    try TextFile.write(
      "\(directory)/paper.md",
      """
      # Beside the paper

      What LinuxFP's evaluation (Abranches et al., ICDCS 2024) found on its machines, with network cards and two
      hosts, and what fpd comes to on one machine, each against Linux in the same run: how many times as many packets
      or transactions, or as short a time. *Limit* is the shortest program by hand that asks the kernel's tables and
      checks nothing. Pods are those of Kubernetes, with the rules of kube-proxy and flanneld. Where the paper gives one ratio for a whole figure, it stands in each line of that figure. How
      it is measured: [speed.md](speed.md), [reaction.md](reaction.md). Made by `fplab paper` from their JSON.
      \(speed["quick"]?.bool == true ? "\nA quick run: few rounds.\n" : "")
      \(comparison.markdown)
      ![\(comparison.chart.title)](paper.svg)

      """)
    Terminal.text(comparison.chart.text())
    Terminal.line("Written to \(directory)/paper.md")
  }

  private static let heading = "## Pictures"

  /// The Markdown, with its pictures at the end.
  private static func write(_ markdown: String, _ json: JSON, to place: String) throws {
    var text = markdown
    if let old = text.firstRange(of: "\n\(heading)\n") { text.removeSubrange(old.lowerBound...) }
    let pictures = BenchmarkCharts.pictures(json)
    if !pictures.isEmpty { text += "\n\(heading)\n" }
    for picture in pictures {
      let file = "\(place)-\(picture.name).svg"
      try TextFile.write(file, picture.svg)
      let name = file.split(separator: "/").last.map(String.init) ?? file
      text += "\n![\(picture.title)](\(name))\n"
    }
    try TextFile.write("\(place).md", text)
  }
}
