// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A pcap file that does not grow for ever: when it is full it takes the place of an older one, and a new
/// one is begun.
package final class CaptureFile {
  package let path: String
  /// How many frames have been written since it was opened, and those in files that were dropped since.
  package private(set) var frames = 0
  private let largest: Int
  private let snapLength: Int
  private var descriptor: Int32 = -1
  private var size = 0

  package var olderPath: String { "\(path).1" }

  /// Nothing is made before the first frame comes. A file that is there is kept as the older one.
  package init(path: String, largest: Int = 10 << 20, snapLength: Int = 260) {
    self.path = path
    self.largest = largest
    self.snapLength = snapLength
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Adds a frame; `length` is what it measured, `time` when it came, in nanoseconds since 1970.
  package func write(
    _ frame: [UInt8], length: Int, time: UInt64
  ) throws(DatapathError) {
    let kept = frame.prefix(snapLength)
    if descriptor < 0 || size + 16 + kept.count > largest { try begin() }
    try append(
      Self.words([
        UInt32(truncatingIfNeeded: time / 1_000_000_000),
        UInt32(truncatingIfNeeded: time / 1000 % 1_000_000),
        UInt32(kept.count), UInt32(clamping: max(length, kept.count)),
      ]) + kept)
    frames += 1
  }

  private func begin() throws(DatapathError) {
    if descriptor >= 0 { close(descriptor) }
    rename(path, olderPath)
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    if descriptor < 0 {
      throw DatapathError("making \(path)", String(cString: strerror(errno)))
    }
    size = 0
    // In the machine's byte order, microseconds, version 2.4, frames of Ethernet.
    try append(
      Self.words([0xa1b2_c3d4, 4 << 16 | 2, 0, 0, UInt32(snapLength), 1]))
  }

  private func append(_ bytes: [UInt8]) throws(DatapathError) {
    let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    guard count == bytes.count else {
      let answer = count < 0 ? String(cString: strerror(errno)) : "no room for all of a frame"
      // What is there so far stays readable.
      ftruncate(descriptor, off_t(size))
      lseek(descriptor, off_t(size), SEEK_SET)
      throw DatapathError("writing \(path)", answer)
    }
    size += count
  }

  private static func words(_ values: [UInt32]) -> [UInt8] {
    values.flatMap { value in withUnsafeBytes(of: value) { Array($0) } }
  }
}
