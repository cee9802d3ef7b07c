// SPDX-License-Identifier: Apache-2.0
import Foundation
import Netlink
import Testing

/// What a kernel answered, recorded with `fpfuzz --record`: one blob a line in hexadecimal.
enum RecordedBlobs {
  static var directory: String {
    get throws {
      let resources = try #require(Bundle.module.resourcePath)
      return "\(resources)/Fixtures/fuzz"
    }
  }

  /// The blobs of one file, each with the comment behind it.
  static func of(_ name: String) throws -> [(bytes: [UInt8], comment: String)] {
    let text = try String(contentsOfFile: "\(try directory)/\(name).hex", encoding: .utf8)
    return try text.split(separator: "\n").map { line in
      let parts = line.split(separator: "#", maxSplits: 1)
      let digits = try #require(parts.first).filter { !$0.isWhitespace }
      let bytes = stride(from: 0, to: digits.count, by: 2).compactMap { offset in
        UInt8(
          digits.dropFirst(offset).prefix(2), radix: 16)
      }
      #expect(bytes.count * 2 == digits.count)
      return (bytes, parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : "")
    }
  }

  /// The payloads of the netlink messages in a file.
  static func payloads(_ name: String) throws -> [[UInt8]] {
    try of(name).map { Array($0.bytes.dropFirst(16)) }
  }
}
