// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Files that tcpdump and Wireshark read: classic pcap with nanoseconds, Ethernet.
public enum PcapFile {
  private static let nanosecondMagic: UInt32 = 0xa1b2_3c4d
  private static let microsecondMagic: UInt32 = 0xa1b2_c3d4

  public static func write(_ frames: [Frame], to path: String) throws {
    var bytes: [UInt8] = []
    func put(_ value: UInt32) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }
    put(nanosecondMagic)
    put(4 << 16 | 2)  // version 2.4
    for value: UInt32 in [0, 0, 1 << 18, 1] { put(value) }
    for frame in frames {
      put(UInt32(truncatingIfNeeded: frame.time / 1_000_000_000))
      put(UInt32(frame.time % 1_000_000_000))
      put(UInt32(frame.bytes.count))
      put(UInt32(frame.bytes.count))
      bytes += frame.bytes
    }
    try TextFile.write(path, bytes: bytes)
  }

  public static func read(_ path: String) throws -> [Frame] {
    let file = Descriptor(owning: open(path, O_RDONLY | O_CLOEXEC))
    if file.raw < 0 { throw LabError("opening \(path)", code: errno) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(file.raw, &chunk, chunk.count)
      if count < 0 { throw LabError("reading \(path)", code: errno) }
      if count == 0 { break }
      bytes += chunk[..<count]
    }
    return try parse(bytes, path)
  }

  private static func parse(_ bytes: [UInt8], _ path: String) throws -> [Frame] {
    func little(_ offset: Int) -> UInt32? {
      guard offset + 4 <= bytes.count else { return nil }
      return (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
    }
    guard let magic = little(0), bytes.count >= 24 else {
      throw LabError("\(path) is too short for a pcap file")
    }
    let big = [nanosecondMagic.byteSwapped, microsecondMagic.byteSwapped].contains(magic)
    func word(_ offset: Int) -> UInt32? { little(offset).map { big ? $0.byteSwapped : $0 } }
    guard [nanosecondMagic, microsecondMagic].contains(big ? magic.byteSwapped : magic) else {
      throw LabError("\(path) is not a pcap file (pcapng is not read)")
    }
    let unit: UInt64 = word(0) == nanosecondMagic ? 1 : 1000
    var frames: [Frame] = []
    var offset = 24
    while offset < bytes.count {
      guard let seconds = word(offset), let fraction = word(offset + 4),
        let length = word(offset + 8).map(Int.init), offset + 16 + length <= bytes.count
      else { throw LabError("\(path) ends inside frame \(frames.count + 1)") }
      frames.append(
        Frame(
          Array(bytes[offset + 16..<offset + 16 + length]),
          time: UInt64(seconds) * 1_000_000_000 + UInt64(fraction) * unit))
      offset += 16 + length
    }
    return frames
  }
}
