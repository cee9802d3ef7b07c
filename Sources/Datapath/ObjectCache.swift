// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Compiled objects by what they were compiled from. Each file carries its whole key and a checksum,
/// so that neither a colliding name nor a torn write can ever yield a wrong object; several daemons may
/// share a directory, since files only ever appear whole, by rename. What is loaded into the kernel is
/// only taken from a file that nobody but its own user, or root, can have written.
package struct ObjectCache: Sendable {
  private let directory: String
  private static let magic = Array("fpd-object-1\n".utf8)

  package init(directory: String) { self.directory = directory }

  package func load(_ key: [UInt8]) -> [UInt8]? {
    guard let file = readFile(path(key), onlyOurs: true) else { return nil }
    return Self.unpack(file, key)
  }

  /// Keeps an object; a directory that cannot be written only costs the next start a compilation.
  package func store(_ object: [UInt8], for key: [UInt8]) throws(DatapathError) {
    mkdir(directory, 0o755)
    let path = path(key)
    let scratch = "\(path).\(getpid())"
    unlink(scratch)  // left behind by one of the same number, or put there by somebody
    guard write(Self.pack(object, key), to: scratch) else {
      let answer = String(cString: strerror(errno))
      unlink(scratch)
      throw DatapathError("keeping a compiled object in \(directory)", answer)
    }
    if rename(scratch, path) != 0 {
      let answer = String(cString: strerror(errno))
      unlink(scratch)
      throw DatapathError("keeping a compiled object in \(directory)", answer)
    }
  }

  private func path(_ key: [UInt8]) -> String {
    "\(directory)/\(String(Self.checksum(key), radix: 16)).fpo"
  }

  package static func pack(_ object: [UInt8], _ key: [UInt8]) -> [UInt8] {
    var file = magic
    append(UInt64(key.count), to: &file)
    file += key
    append(UInt64(object.count), to: &file)
    file += object
    append(checksum(file), to: &file)
    return file
  }

  /// The object in a file made for `key`; `nil` for any other file.
  package static func unpack(_ file: [UInt8], _ key: [UInt8]) -> [UInt8]? {
    let header = magic.count + 8 + key.count + 8
    guard file.count >= header + 8, file.starts(with: magic) else { return nil }
    let body = file.dropLast(8)
    guard number(file, at: file.count - 8) == checksum(body),
      number(file, at: magic.count) == UInt64(key.count),
      file[(magic.count + 8)...].starts(with: key),
      number(file, at: header - 8) == UInt64(body.count - header)
    else { return nil }
    return Array(body[header...])
  }

  private static func append(_ number: UInt64, to file: inout [UInt8]) {
    withUnsafeBytes(of: number.littleEndian) { file.append(contentsOf: $0) }
  }

  private static func number(_ file: [UInt8], at offset: Int) -> UInt64 {
    file[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// FNV-1a: it names files and finds torn ones; what decides is the key itself.
  private static func checksum(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  private func write(_ bytes: [UInt8], to path: String) -> Bool {
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard file >= 0 else { return false }
    defer { close(file) }
    var written = 0
    while written < bytes.count {
      let count = bytes[written...].withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      written += count
    }
    return fsync(file) == 0
  }
}
