// SPDX-License-Identifier: Apache-2.0
import CNetlink

/// One netlink message as it came: header fields and what follows the header.
public struct Message {
  public let type: UInt16
  public let flags: UInt16
  public let sequence: UInt32
  public let port: UInt32
  public let payload: Bytes
}

/// The messages in one datagram, in order; ends at the first that does not fit.
public struct Messages: Sequence, IteratorProtocol {
  private var rest: Bytes

  public init(_ datagram: Bytes) { rest = datagram }

  public mutating func next() -> Message? {
    guard let length = rest.load(0, as: UInt32.self), length >= 16,
      let type = rest.load(4, as: UInt16.self), let flags = rest.load(6, as: UInt16.self),
      let sequence = rest.load(8, as: UInt32.self), let port = rest.load(12, as: UInt32.self),
      let payload = rest.slice(16, Int(length) - 16)
    else {
      rest = Bytes(nil, count: 0)
      return nil
    }
    rest = rest.dropping((Int(length) + 3) & ~3) ?? Bytes(nil, count: 0)
    return Message(type: type, flags: flags, sequence: sequence, port: port, payload: payload)
  }
}

/// A request under construction.
public struct Request {
  public private(set) var bytes: [UInt8]

  public init(type: UInt16, flags: Int32 = 0) {
    bytes = Array(repeating: 0, count: 16)  // length, sequence and port are filled in when sent
    put(type, at: 4)
    put(UInt16(truncatingIfNeeded: flags), at: 6)
  }

  /// A request to one of netfilter's subsystems, with its `nfgenmsg` header.
  public init(
    subsystem: Int32, message: Int32, family: UInt8 = 0, resource: UInt16 = 0, flags: Int32 = 0
  ) {
    self.init(type: UInt16(truncatingIfNeeded: subsystem << 8 | message), flags: flags)
    bytes.append(family)
    bytes.append(UInt8(NFNETLINK_V0))
    withUnsafeBytes(of: resource.bigEndian) { bytes.append(contentsOf: $0) }
  }

  /// Appends a fixed header, as the kernel's structure lays it out.
  public mutating func append<Header: BitwiseCopyable>(_ header: Header) {
    withUnsafeBytes(of: header) { bytes.append(contentsOf: $0) }
    pad()
  }

  /// Appends a header of `count` zeros.
  public mutating func append(zeros count: Int) {
    bytes.append(contentsOf: repeatElement(0, count: count))
    pad()
  }

  public mutating func attribute(_ type: Int, bytes payload: [UInt8]) {
    append16(UInt16(4 + payload.count), UInt16(truncatingIfNeeded: type))
    bytes.append(contentsOf: payload)
    pad()
  }

  public mutating func attribute<Integer: FixedWidthInteger & BitwiseCopyable>(
    _ type: Int, _ value: Integer
  ) {
    attribute(type, bytes: withUnsafeBytes(of: value) { Array($0) })
  }

  /// A string with the NUL the kernel expects.
  public mutating func attribute(_ type: Int, _ text: String) {
    attribute(type, bytes: Array(text.utf8) + [0])
  }

  public mutating func nest(_ type: Int, _ body: (inout Request) -> Void) {
    let start = bytes.count
    append16(0, UInt16(truncatingIfNeeded: type) | 0x8000)  // NLA_F_NESTED
    body(&self)
    put(UInt16(bytes.count - start), at: start)
  }

  private mutating func append16(_ first: UInt16, _ second: UInt16) {
    withUnsafeBytes(of: first) { bytes.append(contentsOf: $0) }
    withUnsafeBytes(of: second) { bytes.append(contentsOf: $0) }
  }

  private mutating func pad() {
    while bytes.count & 3 != 0 { bytes.append(0) }
  }

  private mutating func put<Integer: FixedWidthInteger & BitwiseCopyable>(
    _ value: Integer, at offset: Int
  ) {
    withUnsafeBytes(of: value) {
      bytes.replaceSubrange(offset..<offset + MemoryLayout<Integer>.size, with: $0)
    }
  }

  /// Fills in what is known only when the request is sent.
  mutating func seal(sequence: UInt32, flags: Int32) {
    put(UInt32(bytes.count), at: 0)
    put(
      (bytes.withBytes { $0.load(6, as: UInt16.self) } ?? 0) | UInt16(truncatingIfNeeded: flags),
      at: 6)
    put(sequence, at: 8)
  }
}
