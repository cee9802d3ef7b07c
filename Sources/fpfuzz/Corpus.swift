// SPDX-License-Identifier: Apache-2.0
import Glibc
import Introspection

/// Blobs kept as text: one a line in hexadecimal, `#` starts a comment.
enum Corpus {
  struct Unreadable: Error, CustomStringConvertible { let description: String }

  /// All blobs of the `.hex` files in a directory, in the order of their names.
  static func read(_ directory: String) throws -> [(name: String, bytes: [UInt8])] {
    var blobs: [(name: String, bytes: [UInt8])] = []
    for file in try files(directory) {
      guard case .success(let text) = ProcFile.read("\(directory)/\(file)") else {
        throw Unreadable(description: "\(directory)/\(file) cannot be read")
      }
      var number = 0
      for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
        number += 1
        let digits = line.prefix { $0 != "#" }.filter { !$0.isWhitespace }
        if digits.isEmpty { continue }
        guard let bytes = [UInt8](hex: digits) else {
          throw Unreadable(description: "\(directory)/\(file):\(number): not hexadecimal")
        }
        blobs.append(("\(file):\(number)", bytes))
      }
    }
    return blobs
  }

  private static func files(_ directory: String) throws -> [String] {
    guard let stream = opendir(directory) else {
      throw Unreadable(
        description: "\(directory) cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasSuffix(".hex") { names.append(name) }
    }
    return names.sorted()
  }

  static func write(_ lines: [String], to path: String) throws {
    guard let stream = fopen(path, "we") else {
      throw Unreadable(
        description: "\(path) cannot be written: \(String(cString: strerror(errno)))")
    }
    defer { fclose(stream) }
    for line in lines { fputs(line + "\n", stream) }
  }
}

extension Array where Element == UInt8 {
  init?(hex: some StringProtocol) {
    self = []
    var high: UInt8?
    for character in hex {
      guard let digit = character.hexDigitValue.map(UInt8.init) else { return nil }
      if let first = high {
        append(first << 4 | digit)
        high = nil
      } else {
        high = digit
      }
    }
    if high != nil { return nil }
  }

  var hex: String {
    let digits = Array<Character>("0123456789abcdef")
    return String(flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}
