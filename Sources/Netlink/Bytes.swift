// SPDX-License-Identifier: Apache-2.0

/// A view of bytes that somebody else owns; every read is checked against its end, in release builds
/// too. All parsers of kernel messages read through it, so a short or garbled message yields `nil`.
///
/// It must not outlive the buffer it looks at: parsers take it as an argument and keep values only.
public struct Bytes {
  public let start: UnsafeRawPointer?
  public let count: Int

  public init(_ start: UnsafeRawPointer?, count: Int) {
    self.start = start
    self.count = start == nil ? 0 : max(0, count)
  }

  public init(_ buffer: UnsafeRawBufferPointer) {
    self.init(buffer.baseAddress, count: buffer.count)
  }

  /// The `count` bytes from `offset`, or `nil` when they are not all there.
  public func slice(_ offset: Int, _ count: Int) -> Bytes? {
    guard let start, offset >= 0, count >= 0, offset <= self.count, count <= self.count - offset
    else { return offset == 0 && count == 0 ? self : nil }
    return Bytes(start + offset, count: count)
  }

  /// Everything from `offset` on, or `nil` when that lies past the end.
  public func dropping(_ offset: Int) -> Bytes? { slice(offset, count - offset) }

  /// An integer in the machine's byte order.
  @inline(__always)
  public func load<Integer: FixedWidthInteger & BitwiseCopyable>(
    _ offset: Int = 0, as type: Integer.Type = Integer.self
  ) -> Integer? {
    guard let start, offset >= 0, count >= MemoryLayout<Integer>.size,
      offset <= count - MemoryLayout<Integer>.size
    else { return nil }
    return (start + offset).loadUnaligned(as: Integer.self)
  }

  /// An integer in network byte order.
  @inline(__always)
  public func loadBig<Integer: FixedWidthInteger & BitwiseCopyable>(
    _ offset: Int = 0, as type: Integer.Type = Integer.self
  ) -> Integer? {
    load(offset, as: Integer.self).map(Integer.init(bigEndian:))
  }

  public subscript(offset: Int) -> UInt8? { load(offset, as: UInt8.self) }

  /// The bytes, copied.
  public var array: [UInt8] {
    guard let start else { return [] }
    return Array(UnsafeRawBufferPointer(start: start, count: count))
  }

  /// The text up to the first NUL or the end; bytes that are not UTF-8 become U+FFFD.
  public var string: String {
    guard let start else { return "" }
    let all = UnsafeRawBufferPointer(start: start, count: count)
    return String(decoding: all.prefix { $0 != 0 }, as: UTF8.self)
  }
}

extension Array where Element == UInt8 {
  /// Lends the bytes to `body`.
  public func withBytes<Result, Failure: Error>(
    _ body: (Bytes) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let result: Swift.Result<Result, Failure> = withUnsafeBytes { buffer in
      do throws(Failure) {
        return .success(try body(Bytes(buffer)))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}
