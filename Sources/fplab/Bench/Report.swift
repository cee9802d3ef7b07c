// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Rendering

/// Where the results of a benchmark are written.
enum Report {
  /// `name`.json, `name`.md and the pictures in it; one part alone has files of its own, since it does not take the place of all.
  static func write(
    _ name: String, parts: [String], to directory: String, json: JSON, markdown: String
  ) throws {
    let place = "\(directory)/\(parts.count == 1 ? "\(name)-\(parts[0])" : name)"
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
