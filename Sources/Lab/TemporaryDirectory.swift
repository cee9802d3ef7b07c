// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A directory of the lab's own under /tmp, gone with everything in it when it is closed.
public final class TemporaryDirectory: Sendable {
  static let parent = "/tmp"
  public let path: String
  private let isLasting: Bool

  /// Makes the directory; a `lasting` one stays until the process exits, whoever holds it.
  public init(_ word: String = "dir", lasting: Bool = false) throws {
    path = "\(Self.parent)/\(try Leftovers.uniqueName(word))"
    isLasting = lasting
    if mkdir(path, 0o700) < 0 { throw LabError("making \(path)", code: errno) }
    if lasting { Leftovers.add(lasting: path) } else { Leftovers.add(directory: path) }
  }

  deinit { close() }

  public func close() {
    if isLasting { return }
    Leftovers.removeTree(path)
    Leftovers.forget(directory: path)
  }

  /// Writes a file in the directory; answers its path.
  @discardableResult public func write(_ name: String, _ text: String) throws -> String {
    let file = "\(path)/\(name)"
    try TextFile.write(file, text)
    return file
  }
}

/// Whole files at once; also those of /proc, which tell no size.
public enum TextFile {
  public static func read(_ path: String) throws -> String {
    let file = Descriptor(owning: open(path, O_RDONLY | O_CLOEXEC))
    if file.raw < 0 { throw LabError("opening \(path)", code: errno) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(file.raw, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw LabError("reading \(path)", code: errno) }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(contentsOf: chunk[..<count])
    }
  }

  public static func write(_ path: String, _ text: String) throws {
    try write(path, bytes: Array(text.utf8))
  }

  static func write(_ path: String, bytes: [UInt8]) throws {
    let file = Descriptor(owning: open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644))
    if file.raw < 0 { throw LabError("opening \(path) for writing", code: errno) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(file.raw, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw LabError("writing \(path)", code: errno) }
      rest = rest.dropFirst(count)
    }
  }
}
