// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON

/// Where the results of a benchmark are written.
enum Report {
  /// `name`.json and `name`.md; one part alone has files of its own, since it does not take the place of all.
  static func write(
    _ name: String, parts: [String], to directory: String, json: JSON, markdown: String
  ) throws {
    let place = "\(directory)/\(parts.count == 1 ? "\(name)-\(parts[0])" : name)"
    mkdir(directory, 0o755)
    try TextFile.write("\(place).json", json.text(pretty: true) + "\n")
    try TextFile.write("\(place).md", markdown)
    Terminal.line()
    Terminal.line("Written to \(place).json and \(place).md")
  }
}
