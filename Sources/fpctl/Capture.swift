// SPDX-License-Identifier: Apache-2.0
import Glibc

enum Address {
  static func isValid(_ text: String) -> Bool {
    var room = [UInt8](repeating: 0, count: 16)
    return inet_pton(AF_INET, text, &room) == 1 || inet_pton(AF_INET6, text, &room) == 1
  }
}

/// Reads the frames of a classic pcap file, as `tcpdump -w` writes it.
enum Capture {
  /// What fits into one request to fpd, as hexadecimal digits.
  private static let room = 60_000
  private static let ethernet = 1

  static func frames(_ file: String) throws(Failure) -> [String] {
    let bytes = try read(file)
    func fail(_ text: String) -> Failure { Failure(text: "--pcap \(file): \(text)") }
    func word(_ at: Int, _ isBig: Bool) -> Int {
      let four = bytes[at..<at + 4]
      return (isBig ? Array(four) : four.reversed()).reduce(0) { $0 << 8 | Int($1) }
    }
    guard bytes.count >= 24 else { throw fail("too short for a capture") }
    // Written in the byte order of whoever captured, in micro- or nanoseconds.
    let magics = [0xa1b2_c3d4, 0xa1b2_3c4d]
    let isBig = magics.contains(word(0, true))
    guard isBig || magics.contains(word(0, false)) else {
      throw fail(
        word(0, true) == 0x0a0d_0d0a
          ? "this is pcapng; convert it with: tcpdump -r \(file) -w new.pcap"
          : "this is no pcap file")
    }
    guard word(20, isBig) & 0xffff == ethernet else { throw fail("its frames are not Ethernet") }
    var frames: [String] = []
    var at = 24
    var digits = 0
    while at < bytes.count {
      guard at + 16 <= bytes.count else { throw fail("it ends within a packet") }
      let size = word(at + 8, isBig)
      guard size <= bytes.count - at - 16 else { throw fail("it ends within a packet") }
      frames.append(hexadecimal(bytes[at + 16..<at + 16 + size]))
      digits += 2 * size + 3
      if digits > room {
        throw fail("more than fits into one question; cut it with: tcpdump -c 10 -r \(file) -w ...")
      }
      at += 16 + size
    }
    if frames.isEmpty { throw fail("there is no packet in it") }
    return frames
  }

  private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  private static func read(_ file: String) throws(Failure) -> [UInt8] {
    let descriptor = open(file, O_RDONLY | O_CLOEXEC)
    func fail() -> Failure { Failure(text: "--pcap \(file): \(String(cString: strerror(errno)))") }
    if descriptor < 0 { throw fail() }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    // Twice what can be sent is enough to see that it is too much.
    while bytes.count < 2 * room {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0 { throw fail() }
      if count == 0 { break }
      bytes.append(contentsOf: chunk.prefix(count))
    }
    return bytes
  }
}
