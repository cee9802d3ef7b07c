// SPDX-License-Identifier: Apache-2.0
import Netlink

/// Up to 16 bytes as nftables holds them in a register, kept without an allocation: a ruleset has
/// tens of thousands of them.
package struct RegisterValue: Equatable, Hashable, Sendable {
  /// The bytes as one number in network order.
  private var high: UInt64 = 0
  private var low: UInt64 = 0
  package private(set) var count: UInt8 = 0

  /// Fails for more bytes than a value can have.
  package init?(_ bytes: Bytes) {
    guard bytes.count <= 16, let number = bytes.bigNumber else { return nil }
    self.init(number, count: UInt8(bytes.count))
  }

  package init(_ number: UInt128, count: UInt8) {
    self.count = min(count, 16)
    high = UInt64(truncatingIfNeeded: number >> 64)
    low = UInt64(truncatingIfNeeded: number)
  }

  /// As many ones as `count` bytes have bits.
  package init(onesOf count: UInt8) {
    self.init(count >= 16 ? .max : (UInt128(1) << (UInt128(count) * 8)) - 1, count: count)
  }

  /// The bytes as one number in network order.
  package var number: UInt128 { UInt128(high) << 64 | UInt128(low) }
  package var isZero: Bool { high == 0 && low == 0 }

  package var bytes: [UInt8] { (0..<count).map { self[$0] } }

  /// One of the bytes; 0 past the end.
  package subscript(index: UInt8) -> UInt8 {
    guard index < count else { return 0 }
    return UInt8(truncatingIfNeeded: number >> (UInt128(count - 1 - index) * 8))
  }

  /// Four bytes as a number in the machine's order.
  var host32: UInt32? { count == 4 ? UInt32(bigEndian: UInt32(truncatingIfNeeded: low)) : nil }

  /// The text up to the first NUL and whether one is there; `nil` when anything follows the NUL.
  var text: (String, terminated: Bool)? {
    let all = bytes
    let text = all.prefix { $0 != 0 }
    guard all.dropFirst(text.count).allSatisfy({ $0 == 0 }) else { return nil }
    return (String(decoding: text, as: UTF8.self), text.count < all.count)
  }
}
