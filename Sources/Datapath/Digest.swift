// SPDX-License-Identifier: Apache-2.0

/// 128 bits of FNV-1a: tells texts apart that nobody has an interest in confusing.
struct Digest: Hashable, Sendable, CustomStringConvertible {
  private var high: UInt64 = 0x6c62_272e_07bb_0142
  private var low: UInt64 = 0x62b8_2175_6295_c58d

  init() {}

  init(of bytes: some Sequence<UInt8>) { add(bytes) }

  mutating func add(_ bytes: some Sequence<UInt8>) {
    // The prime is 2^88 + 0x13b.
    for byte in bytes {
      low ^= UInt64(byte)
      let product = low.multipliedFullWidth(by: 0x13b)
      high = high &* 0x13b &+ product.high &+ low << 24
      low = product.low
    }
  }

  var description: String { Self.hexadecimal(high) + Self.hexadecimal(low) }

  private static func hexadecimal(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
