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

  static func projectPath(_ path: String) -> String {
    tests.deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(path).path
  }

  /// The names of the files in a folder of the project, without those of folders in it.
  static func projectFiles(in folder: String) throws -> [String] {
    let root = tests.deletingLastPathComponent().deletingLastPathComponent()
    return try names(root.appendingPathComponent(folder))
  }

  /// The names of the files kept in a folder of Fixtures.
  static func files(in folder: String) throws -> [String] {
    try names(tests.appendingPathComponent("Fixtures").appendingPathComponent(folder))
  }

  private static func names(_ folder: URL) throws -> [String] {
    try FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: [.isRegularFileKey]
    ).filter { try $0.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true }
      .map(\.lastPathComponent).sorted()
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
