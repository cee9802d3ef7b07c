// SPDX-License-Identifier: Apache-2.0

extension Template {
  enum Token: Equatable {
    case name(String)
    case number(Int64)
    case string(String)
    case symbol(String)
    /// The end of the tag, and whether it takes the white space after it along.
    case close(trims: Bool)
  }

  /// Finds the tags of a source and cuts what is in them into tokens, with one token of foresight.
  struct Scanner {
    let template: String
    let bytes: [UInt8]
    /// Where the next token begins to be looked for.
    private(set) var at = 0
    /// The token ahead, and where it begins.
    private(set) var next = Token.close(trims: false)
    private(set) var nextOffset = 0
    /// Where the token before that ended.
    private(set) var lastEnd = 0
    /// What ends the tag: `%}` or `}}`.
    private(set) var closing = "}}"
    private var openOffset = 0
    /// The position of every 64th byte, so that finding another takes a few steps from there.
    private let marks: [Position]

    init(template: String, source: String) {
      self.template = template
      bytes = Array(source.utf8)
      var position = Position()
      var marks: [Position] = []
      for (offset, byte) in bytes.enumerated() {
        if offset % 64 == 0 { marks.append(position) }
        position.pass(byte)
      }
      self.marks = marks
    }

    private func byte(_ offset: Int) -> UInt8? { offset < bytes.count ? bytes[offset] : nil }

    func position(of offset: Int) -> Position {
      let mark = min(offset / 64, marks.count - 1)
      guard mark >= 0 else { return Position() }
      var position = marks[mark]
      for byte in bytes[(mark * 64)..<min(offset, bytes.count)] { position.pass(byte) }
      return position
    }

    func error(at offset: Int, _ problem: String) -> TemplateError {
      TemplateError(template, position(of: offset), problem)
    }

    /// The source from `start` to the last token taken, as a message quotes it.
    func shown(from start: Int) -> String {
      let text = String(decoding: bytes[start..<max(start, lastEnd)], as: UTF8.self)
      let line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
      return line.count > 60 ? "\(line.prefix(60))…" : line
    }

    func place(from start: Int) -> Place {
      Place(position: position(of: start), shown: shown(from: start))
    }

    // MARK: Between tags

    enum Opening { case value, block, comment }

    /// The first tag at or after `offset`.
    func opening(from offset: Int) -> (kind: Opening, offset: Int, trims: Bool)? {
      var at = offset
      while at + 1 < bytes.count {
        if bytes[at] == UInt8(ascii: "{") {
          let kind: Opening? =
            switch bytes[at + 1] {
            case UInt8(ascii: "{"): .value
            case UInt8(ascii: "%"): .block
            case UInt8(ascii: "#"): .comment
            default: nil
            }
          if let kind { return (kind, at, byte(at + 2) == UInt8(ascii: "-")) }
        }
        at += 1
      }
      return nil
    }

    /// Skips the comment that begins at `offset`; true where it ends in `-#}`.
    mutating func skipComment(at offset: Int) throws(TemplateError) -> Bool {
      var end = offset + 2
      while byte(end) != UInt8(ascii: "#") || byte(end + 1) != UInt8(ascii: "}") {
        end += 1
        if end >= bytes.count {
          throw error(at: offset, "the comment opened here is never closed; expected \"#}\"")
        }
      }
      at = end + 2
      return end > offset + 2 && bytes[end - 1] == UInt8(ascii: "-")
    }

    // MARK: Within a tag

    /// Enters the tag at `offset`; its first token is then ahead.
    mutating func enter(_ kind: Opening, at offset: Int, trims: Bool) throws(TemplateError) {
      closing = kind == .block ? "%}" : "}}"
      openOffset = offset
      at = offset + (trims ? 3 : 2)
      try advance()
    }

    /// Takes the token ahead. Behind the closing token nothing is read.
    mutating func advance() throws(TemplateError) {
      lastEnd = at
      while let byte = byte(at), byte == 0x20 || (0x09...0x0d).contains(byte) { at += 1 }
      nextOffset = at
      next = try token()
    }

    private mutating func token() throws(TemplateError) -> Token {
      guard let first = byte(at) else {
        let open = closing == "%}" ? "{%" : "{{"
        throw error(
          at: openOffset, "the \"\(open)\" opened here is never closed; expected \"\(closing)\"")
      }
      for (text, trims) in [(closing, false), ("-" + closing, true)]
      where bytes[at...].starts(with: text.utf8) {
        at += text.utf8.count
        return .close(trims: trims)
      }
      if first.isNameStart { return .name(word()) }
      if first.isDigit { return .number(try number()) }
      if first == UInt8(ascii: "\"") || first == UInt8(ascii: "'") { return .string(try string()) }
      for symbol in ["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ".", ",", "|", "-"]
      where bytes[at...].starts(with: symbol.utf8) {
        at += symbol.utf8.count
        return .symbol(symbol)
      }
      throw error(at: at, "\"\(character())\" means nothing in a tag; expected \"\(closing)\"")
    }

    /// The whole character that begins here.
    private func character() -> String {
      let end = bytes[(at + 1)...].firstIndex { $0 & 0xc0 != 0x80 } ?? bytes.count
      return String(decoding: bytes[at..<end], as: UTF8.self)
    }

    private mutating func word() -> String {
      let start = at
      while let byte = byte(at), byte.isNameStart || byte.isDigit { at += 1 }
      return String(decoding: bytes[start..<at], as: UTF8.self)
    }

    private mutating func number() throws(TemplateError) -> Int64 {
      let start = at
      let text = word()
      let value = text.hasPrefix("0x") ? Int64(text.dropFirst(2), radix: 16) : Int64(text)
      guard let value else {
        throw error(at: start, "\"\(text)\" is not a whole number of 64 bits, decimal or 0x…")
      }
      return value
    }

    private mutating func string() throws(TemplateError) -> String {
      let start = at
      let quote = bytes[at]
      var out: [UInt8] = []
      at += 1
      while let byte = byte(at), byte != UInt8(ascii: "\n") {
        at += 1
        if byte == quote { return String(decoding: out, as: UTF8.self) }
        guard byte == UInt8(ascii: "\\") else {
          out.append(byte)
          continue
        }
        switch self.byte(at) {
        case UInt8(ascii: "n"): out.append(0x0a)
        case UInt8(ascii: "t"): out.append(0x09)
        case .some(let escaped)
        where [UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "'")].contains(escaped):
          out.append(escaped)
        default:
          throw error(at: at - 1, "unknown escape; there is \\n, \\t, \\\\, \\\" and \\'")
        }
        at += 1
      }
      throw error(at: start, "the string that begins here does not end on its line")
    }
  }
}

extension Template.Position {
  /// Goes on behind a byte of the source. Only the first byte of a character makes a column.
  fileprivate mutating func pass(_ byte: UInt8) {
    if byte == UInt8(ascii: "\n") {
      line += 1
      column = 1
    } else if byte & 0xc0 != 0x80 {
      column += 1
    }
  }
}

extension UInt8 {
  var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
  var isNameStart: Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) || self == UInt8(ascii: "_")
  }
  /// White space within a line.
  var isBlank: Bool { self == 0x20 || self == 0x09 || self == 0x0d }
}
