// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// Comparison with files kept in the tree; `FPD_UPDATE_GOLDEN=1` writes them anew.
enum Golden {
  private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

  /// The text of a file of the project.
  static func projectFile(_ path: String) throws -> String {
    let root = tests.deletingLastPathComponent().deletingLastPathComponent()
    return try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  static func expect(
    _ text: String, equals name: String, at location: SourceLocation = #_sourceLocation
  ) throws {
    let file = tests.appendingPathComponent("Fixtures").appendingPathComponent(name)
    if ProcessInfo.processInfo.environment["FPD_UPDATE_GOLDEN"] != nil {
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    let kept = try String(contentsOf: file, encoding: .utf8)
    #expect(text == kept, "\(name) differs", sourceLocation: location)
  }
}
