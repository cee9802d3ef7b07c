// SPDX-License-Identifier: Apache-2.0

/// One netlink attribute: its type, without the flag bits, and its payload.
public struct Attribute {
  public let type: Int
  public let payload: Bytes

  public var u8: UInt8? { payload.load() }
  public var u16: UInt16? { payload.load() }
  public var u32: UInt32? { payload.load() }
  public var u64: UInt64? { payload.load() }
  public var i32: Int32? { payload.load() }
  public var big16: UInt16? { payload.loadBig() }
  public var big32: UInt32? { payload.loadBig() }
  public var big64: UInt64? { payload.loadBig() }
  public var string: String { payload.string }
  /// The attributes nested in this one.
  public var nested: Attributes { Attributes(payload) }
}

/// The attributes in a stretch of bytes, in order. The walk ends at the first that does not fit:
/// libmnl's walk trusts its caller to have validated every nesting level, this one trusts nothing.
public struct Attributes: Sequence, IteratorProtocol {
  private var rest: Bytes

  public init(_ bytes: Bytes) { rest = bytes }

  /// The attributes that follow a fixed header of `size` bytes; none when the header is cut short.
  public init(_ bytes: Bytes, after size: Int) {
    rest = bytes.dropping((size + 3) & ~3) ?? Bytes(nil, count: 0)
  }

  public mutating func next() -> Attribute? {
    guard let length = rest.load(0, as: UInt16.self), let type = rest.load(2, as: UInt16.self),
      length >= 4, let payload = rest.slice(4, Int(length) - 4)
    else {
      rest = Bytes(nil, count: 0)
      return nil
    }
    rest = rest.dropping((Int(length) + 3) & ~3) ?? Bytes(nil, count: 0)
    return Attribute(type: Int(type & 0x3fff), payload: payload)  // NLA_TYPE_MASK
  }

  /// The first attribute of a type. For one or two look-ups; otherwise switch in a loop.
  public func first(_ type: Int) -> Attribute? { first { $0.type == type } }
}
