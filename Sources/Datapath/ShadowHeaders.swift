// SPDX-License-Identifier: Apache-2.0

/// A frame as shadow mode compares it: Ethernet without a tag, the IPv4 header, the tag, the length.
package struct ShadowHeaders: Equatable, Sendable {
  /// 34 bytes: Ethernet and IPv4, or the first bytes of whatever it is.
  package var bytes = [UInt8](repeating: 0, count: size)
  package var tag: UInt16?
  /// In bytes, without the tag.
  package var length = 0

  private static let size = 34

  package init() {}

  /// `headers` as fpm/live/note.h has them.
  init(_ headers: some BitwiseCopyable, tag: UInt32, length: UInt32) {
    bytes = withUnsafeBytes(of: headers) { Array($0.prefix(Self.size)) }
    self.tag = tag >> 16 == 0 ? nil : UInt16(truncatingIfNeeded: tag)
    self.length = Int(length)
  }

  /// Of a frame as it came.
  package init(frame: [UInt8], length: Int) {
    var rest = frame[...]
    self.length = length
    if frame.count >= 18, frame[12] == 0x81, frame[13] == 0 {
      tag = UInt16(frame[14]) << 8 | UInt16(frame[15])
      rest = frame[..<12] + frame[16...]
    }
    let known = Array(rest.prefix(Self.size))
    bytes = known + [UInt8](repeating: 0, count: Self.size - known.count)
  }

  private func number(_ place: Int) -> Int { Int(bytes[place]) << 8 | Int(bytes[place + 1]) }
  private var isIPv4: Bool { number(12) == 0x0800 }

  /// Each thing that may be different, by its name.
  package var fields: [(name: String, value: String)] {
    var fields = [
      ("destination MAC", Self.mac(bytes[0..<6])), ("source MAC", Self.mac(bytes[6..<12])),
      ("VLAN tag", tag.map { "\($0 & 0xfff) priority \($0 >> 13)" } ?? "none"),
      ("length", "\(length)"),
    ]
    guard isIPv4 else {
      return fields + [
        ("protocol", Self.hexadecimal(bytes[12..<14])), ("payload", Self.hexadecimal(bytes[14...])),
      ]
    }
    fields += [
      ("TTL", "\(bytes[22])"), ("TOS", Self.hexadecimal(bytes[15..<16])),
      ("source", Self.address(bytes[26..<30])), ("destination", Self.address(bytes[30..<34])),
      ("id", "\(number(18))"), ("total length", "\(number(16))"),
      ("fragment", Self.hexadecimal(bytes[20..<22])), ("protocol", "\(bytes[23])"),
      ("version and header length", Self.hexadecimal(bytes[14..<15])),
      ("header checksum", Self.hexadecimal(bytes[24..<26])),
    ]
    return fields
  }

  /// What the other has different, as it has it.
  package func differences(in other: ShadowHeaders) -> [String] {
    let theirs = other.fields
    return zip(fields, theirs).filter { $0.value != $1.value || $0.name != $1.name }
      .map { "\($1.name) \($1.value)" }
  }

  /// From whom to whom.
  package var summary: String {
    let addresses = "\(Self.mac(bytes[6..<12])) > \(Self.mac(bytes[0..<6]))"
    let vlan = tag.map { ", VLAN \($0 & 0xfff)" } ?? ""
    guard isIPv4 else {
      return "\(addresses)\(vlan), protocol \(Self.hexadecimal(bytes[12..<14])), \(length) bytes"
    }
    return
      "\(addresses)\(vlan), \(Self.address(bytes[26..<30])) > \(Self.address(bytes[30..<34])), "
      + "\(Self.transport(bytes[23])), TTL \(bytes[22]), id \(number(18)), \(length) bytes"
  }

  private static func transport(_ number: UInt8) -> String {
    switch number {
    case 1: "ICMP"
    case 6: "TCP"
    case 17: "UDP"
    default: "protocol \(number)"
    }
  }

  private static func mac(_ bytes: ArraySlice<UInt8>) -> String {
    bytes.map(digits).joined(separator: ":")
  }

  private static func address(_ bytes: ArraySlice<UInt8>) -> String {
    bytes.map { "\($0)" }.joined(separator: ".")
  }

  private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> String {
    "0x" + bytes.map(digits).joined()
  }

  private static func digits(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }
}
