// SPDX-License-Identifier: Apache-2.0
import Glibc

/// An Ethernet address.
public struct MAC: Hashable, Sendable, CustomStringConvertible {
  public let bytes: [UInt8]

  public static let broadcast = MAC(bytes: Array(repeating: 0xff, count: 6))
  public static let zero = MAC(bytes: Array(repeating: 0, count: 6))

  init(bytes: [UInt8]) { self.bytes = bytes }

  /// Reads `02:00:00:00:00:01`; nil for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let bytes = parts.compactMap { $0.count <= 2 ? UInt8($0, radix: 16) : nil }
    guard parts.count == 6, bytes.count == 6 else { return nil }
    self.bytes = bytes
  }

  /// A locally administered address with `number` in its last four bytes.
  public init(number: UInt32) { bytes = [0x02, 0] + number.bigEndianBytes }

  public var description: String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }
}

/// An IPv4 address.
public struct IPv4Address: Hashable, Sendable, CustomStringConvertible {
  public let value: UInt32

  public init(_ value: UInt32) { self.value = value }

  /// Reads dotted decimal; nil for anything else.
  public init?(_ text: String) {
    var address = in_addr()
    guard inet_pton(AF_INET, text, &address) == 1 else { return nil }
    value = UInt32(bigEndian: address.s_addr)
  }

  public var bytes: [UInt8] { value.bigEndianBytes }
  public var description: String { bytes.map(String.init).joined(separator: ".") }
}

/// An IPv6 address.
public struct IPv6Address: Hashable, Sendable, CustomStringConvertible {
  public let bytes: [UInt8]

  init(bytes: [UInt8]) { self.bytes = bytes }

  /// Reads the usual notation; nil for anything else.
  public init?(_ text: String) {
    var address = in6_addr()
    guard inet_pton(AF_INET6, text, &address) == 1 else { return nil }
    bytes = withUnsafeBytes(of: &address) { Array($0) }
  }

  public var description: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    return bytes.withUnsafeBytes { raw in
      guard raw.count == 16,
        inet_ntop(AF_INET6, raw.baseAddress, &text, socklen_t(INET6_ADDRSTRLEN)) != nil
      else { return "?" }
      return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }
}

extension FixedWidthInteger {
  /// In the order of the network.
  var bigEndianBytes: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
}

// Literals are for what a test writes down: a wrong one is a mistake in the test, seen as 0.0.0.0.
extension IPv4Address: ExpressibleByStringLiteral {
  public init(stringLiteral text: String) { self = IPv4Address(text) ?? IPv4Address(0) }
}
extension IPv6Address: ExpressibleByStringLiteral {
  public init(stringLiteral text: String) {
    self = IPv6Address(text) ?? IPv6Address(bytes: Array(repeating: 0, count: 16))
  }
}
extension MAC: ExpressibleByStringLiteral {
  public init(stringLiteral text: String) { self = MAC(text) ?? .zero }
}
