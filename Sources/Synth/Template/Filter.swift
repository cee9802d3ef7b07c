// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

extension Template {
  /// What can be done to a value behind a `|`.
  enum Filter: String, CaseIterable, Sendable {
    case hex
    case cString = "c_string"
    case identifier
    case upper
    case join
    case length
    case `default`

    var arguments: ClosedRange<Int> {
      switch self {
      case .hex, .join: 0...1
      case .default: 1...1
      case .cString, .identifier, .upper, .length: 0...0
      }
    }

    var argumentsShown: String {
      switch arguments {
      case 0...0: "no argument"
      case 1...1: "one argument"
      default: "at most one argument"
      }
    }

    /// The value filtered, or nil for a value of a type that this filter does not take.
    /// `default` is not among them: it is about values that are missing.
    func apply(to value: JSON, _ argument: JSON?) -> JSON? {
      switch (self, value, argument) {
      case (.hex, .int(let number), let width) where number >= 0:
        return hexadecimal(number, width)
      case (.cString, .string(let text), nil): return .string(cLiteral(text))
      case (.identifier, .string(let text), nil): return .string(cIdentifier(text))
      case (.upper, .string(let text), nil): return .string(upperCase(text))
      case (.join, .array(let elements), nil): return joined(elements, "")
      case (.join, .array(let elements), .string(let separator)?):
        return joined(elements, separator)
      case (.length, .array(let elements), nil): return .number(elements.count)
      case (.length, .object(let members), nil): return .number(members.members.count)
      case (.length, .string(let text), nil): return .number(text.utf8.count)
      default: return nil
      }
    }

    /// What `apply` takes.
    var expected: String {
      switch self {
      case .hex: "a whole number that is not negative, and as width a number from 1 to 16"
      case .cString, .identifier, .upper: "a string"
      case .join: "a list of strings and numbers, and as separator a string"
      case .length: "a list, an object or a string"
      case .default: "a variable"
      }
    }
  }
}

/// `0x` and the digits, with zeros in front up to the width.
private func hexadecimal(_ number: Int64, _ width: JSON?) -> JSON? {
  let digits = String(number, radix: 16)
  guard let width else { return .string("0x\(digits)") }
  guard let wanted = width.int, (1...16).contains(wanted) else { return nil }
  let zeros = String(repeating: "0", count: max(0, Int(wanted) - digits.count))
  return .string("0x\(zeros)\(digits)")
}

private func joined(_ elements: [JSON], _ separator: String) -> JSON? {
  var out = ""
  for (index, element) in elements.enumerated() {
    guard let text = element.written else { return nil }
    if index > 0 { out += separator }
    out += text
  }
  return .string(out)
}

/// ASCII only: what C takes for a letter.
private func upperCase(_ text: String) -> String {
  let bytes = text.utf8.map { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) ? $0 - 32 : $0 }
  return String(decoding: bytes, as: UTF8.self)
}

/// A string literal with the same bytes. Octal escapes end after three digits, hexadecimal ones
/// would swallow what follows; a second question mark could begin a trigraph.
private func cLiteral(_ text: String) -> String {
  var out = "\""
  var last: UInt8 = 0
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "\""): out += "\\\""
    case UInt8(ascii: "\\"): out += "\\\\"
    case UInt8(ascii: "\n"): out += "\\n"
    case UInt8(ascii: "\t"): out += "\\t"
    case UInt8(ascii: "\r"): out += "\\r"
    case UInt8(ascii: "?") where last == UInt8(ascii: "?"): out += "\\?"
    case 0x20..<0x7f: out.unicodeScalars.append(Unicode.Scalar(byte))
    default:
      let digits = String(byte, radix: 8)
      out += "\\" + String(repeating: "0", count: 3 - digits.count) + digits
    }
    last = byte
  }
  return out + "\""
}

/// An identifier of its own for every text: what C does not allow becomes `_x` and two hexadecimal
/// digits, and so does whatever could be mistaken for that, so that `eth0.1` and `eth0-1` never
/// meet. Keywords and leading underscores, which belong to the compiler, are not left as they are.
private func cIdentifier(_ text: String) -> String {
  let bytes = Array(text.utf8)
  if bytes.isEmpty { return "_x" }
  let isKeyword = cKeywords.contains(text)
  var out = ""
  for (index, byte) in bytes.enumerated() {
    let isPlain =
      if byte == UInt8(ascii: "_") {
        index > 0 && (index + 1 == bytes.count || bytes[index + 1] != UInt8(ascii: "x"))
      } else {
        byte.isNameStart || (byte.isDigit && index > 0)
      }
    if isPlain, !(isKeyword && index == 0) {
      out.unicodeScalars.append(Unicode.Scalar(byte))
    } else {
      out += byte < 16 ? "_x0" : "_x"
      out += String(byte, radix: 16)
    }
  }
  return out
}

/// Of C23 and the GNU dialect, those that do not begin with an underscore.
private let cKeywords: Set<String> = [
  "alignas", "alignof", "asm", "auto", "bool", "break", "case", "char", "const", "constexpr",
  "continue", "default", "do", "double", "else", "enum", "extern", "false", "float", "for", "goto",
  "if", "inline", "int", "long", "nullptr", "register", "restrict", "return", "short", "signed",
  "sizeof", "static", "static_assert", "struct", "switch", "thread_local", "true", "typedef",
  "typeof", "typeof_unqual", "union", "unsigned", "void", "volatile", "while",
]
