// SPDX-License-Identifier: Apache-2.0

extension JSON {
  /// What is wrong with a text, and at which byte.
  public struct ParseError: Error, Equatable, CustomStringConvertible {
    public let offset: Int
    public let problem: String
    public var description: String { "not valid JSON at byte \(offset): \(problem)" }
  }

  /// Reads one JSON value; nesting deeper than 128 is refused rather than followed.
  public init(parsing text: some Sequence<UInt8>) throws(ParseError) {
    var parser = Parser(bytes: Array(text))
    self = try parser.document()
  }

  public init(parsing text: String) throws(ParseError) { try self.init(parsing: text.utf8) }

  private struct Parser {
    let bytes: [UInt8]
    var at = 0

    var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    func fail(_ problem: String) -> ParseError { ParseError(offset: at, problem: problem) }

    mutating func document() throws(ParseError) -> JSON {
      let value = try self.value(depth: 0)
      skipSpace()
      if at != bytes.count { throw fail("something follows the value") }
      return value
    }

    mutating func skipSpace() {
      while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
        at += 1
      }
    }

    mutating func take(_ byte: Character) -> Bool {
      guard peek == byte.asciiValue else { return false }
      at += 1
      return true
    }

    mutating func word(_ text: String, _ value: JSON) throws(ParseError) -> JSON {
      guard bytes[at...].starts(with: text.utf8) else { throw fail("unknown word") }
      at += text.utf8.count
      return value
    }

    mutating func value(depth: Int) throws(ParseError) -> JSON {
      if depth > 128 { throw fail("nested too deeply") }
      skipSpace()
      guard let first = peek else { throw fail("the text ends where a value should be") }
      switch first {
      case UInt8(ascii: "{"): return try object(depth)
      case UInt8(ascii: "["): return try array(depth)
      case UInt8(ascii: "\""): return .string(try string())
      case UInt8(ascii: "t"): return try word("true", .bool(true))
      case UInt8(ascii: "f"): return try word("false", .bool(false))
      case UInt8(ascii: "n"): return try word("null", .null)
      default: return try number()
      }
    }

    mutating func object(_ depth: Int) throws(ParseError) -> JSON {
      at += 1
      var object = Object()
      skipSpace()
      if take("}") { return .object(object) }
      while true {
        skipSpace()
        guard peek == UInt8(ascii: "\"") else { throw fail("expected a key in quotes") }
        let key = try string()
        skipSpace()
        guard take(":") else { throw fail("expected ':' after a key") }
        object.append(key, try value(depth: depth + 1))
        skipSpace()
        if take("}") { return .object(object) }
        guard take(",") else { throw fail("expected ',' or '}'") }
      }
    }

    mutating func array(_ depth: Int) throws(ParseError) -> JSON {
      at += 1
      var elements: [JSON] = []
      skipSpace()
      if take("]") { return .array(elements) }
      while true {
        elements.append(try value(depth: depth + 1))
        skipSpace()
        if take("]") { return .array(elements) }
        guard take(",") else { throw fail("expected ',' or ']'") }
      }
    }

    mutating func number() throws(ParseError) -> JSON {
      let start = at
      while let byte = peek, (0x30...0x39).contains(byte) || "+-.eE".utf8.contains(byte) { at += 1 }
      let text = String(decoding: bytes[start..<at], as: UTF8.self)
      if let value = Int64(text) { return .int(value) }
      if let value = Double(text), value.isFinite { return .double(value) }
      at = start
      throw fail("expected a value")
    }

    mutating func string() throws(ParseError) -> String {
      at += 1
      var out: [UInt8] = []
      while let byte = peek {
        at += 1
        switch byte {
        case UInt8(ascii: "\""): return String(decoding: out, as: UTF8.self)
        case UInt8(ascii: "\\"): try escape(into: &out)
        case 0..<0x20:
          at -= 1
          throw fail("a control character stands in a string")
        default: out.append(byte)
        }
      }
      throw fail("a string does not end")
    }

    mutating func escape(into out: inout [UInt8]) throws(ParseError) {
      guard let kind = peek else { throw fail("a string does not end") }
      at += 1
      switch kind {
      case UInt8(ascii: "n"): out.append(0x0a)
      case UInt8(ascii: "t"): out.append(0x09)
      case UInt8(ascii: "r"): out.append(0x0d)
      case UInt8(ascii: "b"): out.append(0x08)
      case UInt8(ascii: "f"): out.append(0x0c)
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(kind)
      case UInt8(ascii: "u"):
        var code = try hex4()
        if (0xd800..<0xdc00).contains(code), take("\\"), take("u") {
          let low = try hex4()
          guard (0xdc00..<0xe000).contains(low) else { throw fail("half a surrogate pair") }
          code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw fail("half a surrogate pair") }
        out.append(contentsOf: String(Character(scalar)).utf8)
      default: throw fail("unknown escape")
      }
    }

    mutating func hex4() throws(ParseError) -> UInt32 {
      guard at + 4 <= bytes.count,
        let code = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
      else { throw fail("expected four hexadecimal digits") }
      at += 4
      return code
    }
  }
}
