// SPDX-License-Identifier: Apache-2.0
import Netlink

extension Bytes {
  /// FNV-1a over the bytes: how configuration that is not understood is told from another.
  func fingerprint(from seed: UInt64 = 0xcbf2_9ce4_8422_2325) -> UInt64 {
    guard let start else { return seed }
    var hash = seed
    for byte in UnsafeRawBufferPointer(start: start, count: count) {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
    }
    return hash
  }

  /// An unsigned number of up to 16 bytes in network order; the whole view is the number.
  var bigNumber: UInt128? {
    guard let start, count <= 16 else { return nil }
    var number: UInt128 = 0
    for byte in UnsafeRawBufferPointer(start: start, count: count) {
      number = number << 8 | UInt128(byte)
    }
    return number
  }

  /// An IPv6 address at an offset.
  func address6(_ offset: Int) -> UInt128? { loadBig(offset, as: UInt128.self) }

  /// An interface name at `offset` under the mask of 16 bytes at `maskOffset`, as xtables compares:
  /// `nil` inside when the mask is empty, `nil` outside when the mask is of no known shape.
  func interface(_ offset: Int, mask maskOffset: Int, negated: Bool) -> InterfaceMatch?? {
    guard let mask = slice(maskOffset, 16), let low = mask.load(0, as: UInt64.self),
      let high = mask.load(8, as: UInt64.self)
    else {
      return .none
    }
    if low == 0 && high == 0 { return .some(nil) }
    let ones = UInt128(high.littleEndian) << 64 | UInt128(low.littleEndian)
    let length = (~ones).trailingZeroBitCount / 8
    // Whole bytes of ones from the start, nothing after.
    guard length > 0, length >= 16 || ones == (UInt128(1) << (UInt128(length) * 8)) - 1 else {
      return .none
    }
    // iptables leaves the `+` of a wildcard in the name, behind the mask; a mask over the NUL asks
    // for the whole name.
    guard let compared = slice(offset, min(length, 16)) else { return .none }
    let text = compared.string
    switch text.utf8.count {
    case compared.count: return .some(InterfaceMatch(text, wildcard: true, negated: negated))
    case compared.count - 1: return .some(InterfaceMatch(text, negated: negated))
    default: return .none
    }
  }
}

/// Lets the kernel's enumerations stand in `switch` over attribute types.
@inline(__always)
func ~= <E: RawRepresentable>(pattern: E, value: Int) -> Bool where E.RawValue == UInt32 {
  Int(pattern.rawValue) == value
}
