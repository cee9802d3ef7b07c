// SPDX-License-Identifier: Apache-2.0

/// Which structures, functions and symbols of the kernel programs use: what `fpm/kernel/types.h` says
/// between its two markers.
package struct LayoutDeclarations: Equatable, Sendable {
  package struct Member: Equatable, Sendable {
    package var name: String
    /// Without `*` and dimensions: `u32`, `struct net`.
    package var type: String
    package var pointers = 0
    /// One for each dimension; 0 for an array whose length is not said.
    package var counts: [Int] = []
    /// The width of a bit-field.
    package var bits: Int?
    /// Where the kernel has it below the structure.
    package var path: [String]
    package var line: Int
  }

  package struct Enumerator: Equatable, Sendable {
    package var name: String
    package var type: String
  }

  package struct Structure: Equatable, Sendable {
    package var name: String
    /// The modules whose BTF may have it when the kernel's own has not; each tells the same.
    package var modules: [String] = []
    package var members: [Member] = []
    package var line: Int
  }

  package var structures: [Structure] = []
  package var functions: [String] = []
  /// Functions that only some programs need.
  package var optionalFunctions: [String] = []
  /// The module that has a function which the kernel's own BTF has not. All of one program are of one module.
  package var functionModules: [String: String] = [:]
  package var enumerators: [Enumerator] = []
  /// Variables that every processor has one of.
  package var perProcessor: [String] = []
  package var symbols: [String] = []

  package init(_ text: String) throws(DatapathError) {
    var parser = LayoutParser()
    try parser.read(text)
    self = parser.declarations
  }

  init() {}
}

/// Reads the declarations line by line.
private struct LayoutParser {
  var declarations = LayoutDeclarations()
  private var open: LayoutDeclarations.Structure?
  private var inside = false
  private var finished = false
  private var inComment = false
  private var number = 0

  init() {}

  mutating func read(_ text: String) throws(DatapathError) {
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      number += 1
      try take(line)
    }
    if let open { throw failure("struct \(open.name) is not closed") }
    if !finished { throw failure("there is no /* layout: begin */ with its /* layout: end */") }
  }

  private func failure(_ words: String) -> DatapathError {
    DatapathError("reading kernel/types.h", "line \(number): \(words)")
  }

  private mutating func take(_ line: Substring) throws(DatapathError) {
    var code = ""
    var notes: [String: String] = [:]
    for piece in pieces(of: line) {
      switch piece {
      case .code(let text): code += text
      case .comment(let text):
        guard let (key, value) = Self.note(text) else { continue }
        if key == "layout" {
          inside = value == "begin"
          finished = value == "end"
        } else {
          notes[key] = value
        }
      }
    }
    guard inside else { return }
    if let name = notes["percpu"] { declarations.perProcessor.append(try identifier(name)) }
    if let name = notes["kfunc"] { declarations.functions.append(try identifier(name)) }
    if let words = notes[Self.optional].map(Self.words), let name = words.first {
      declarations.optionalFunctions.append(try identifier(name))
      if words.count == 3, words[1] == "in" {
        declarations.functionModules[name] = try identifier(words[2])
      } else if words.count > 1 {
        throw failure("expected `FUNCTION in MODULE`, found `\(words.joined(separator: " "))`")
      }
    }
    for (key, names) in notes where key.hasPrefix(Self.enumeration) {
      let type = try identifier(String(key.dropFirst(Self.enumeration.count)))
      for name in Self.words(names) {
        declarations.enumerators.append(.init(name: try identifier(name), type: type))
      }
    }
    if let name = notes["ksym"] { declarations.symbols.append(try identifier(name)) }
    try take(words: Self.words(code), notes)
  }

  private enum Piece {
    case code(String)
    case comment(String)
  }

  private mutating func pieces(of line: Substring) -> [Piece] {
    var pieces: [Piece] = []
    var text = ""
    var rest = line[...]
    while let first = rest.first {
      if rest.hasPrefix(inComment ? "*/" : "/*") {
        pieces.append(inComment ? .comment(text) : .code(text))
        text = ""
        inComment.toggle()
        rest = rest.dropFirst(2)
      } else {
        text.append(first)
        rest = rest.dropFirst()
      }
    }
    pieces.append(inComment ? .comment(text) : .code(text))
    return pieces
  }

  private static let optional = "kfunc if there"
  private static let enumeration = "enum "

  /// `key: value` of a comment that tells this program something.
  private static func note(_ comment: String) -> (String, String)? {
    let halves = comment.split(separator: ":", maxSplits: 1)
    guard halves.count == 2 else { return nil }
    let key = words(String(halves[0])).joined(separator: " ")
    let known = ["layout", "path", "module", "kfunc", optional, "ksym", "percpu"]
    guard known.contains(key) || key.hasPrefix(enumeration) else { return nil }
    return (key, String(halves[1].drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()))
  }

  /// Identifiers and numbers whole, everything else a character at a time.
  private static func words(_ code: String) -> [String] {
    var words: [String] = []
    var word = ""
    for character in code {
      if character.isASCII, character.isLetter || character.isNumber || character == "_" {
        word.append(character)
        continue
      }
      if !word.isEmpty { words.append(word) }
      word = ""
      if !character.isWhitespace { words.append(String(character)) }
    }
    return word.isEmpty ? words : words + [word]
  }

  private mutating func take(
    words: [String], _ notes: [String: String]
  ) throws(DatapathError) {
    if words.isEmpty { return }
    guard var structure = open else {
      guard words.count == 3, words[0] == "struct", words[2] == "{" else {
        throw failure("expected `struct NAME {`, found `\(words.joined(separator: " "))`")
      }
      let name = try identifier(words[1])
      if declarations.structures.contains(where: { $0.name == name }) {
        throw failure("struct \(name) is declared twice")
      }
      let modules = try Self.words(notes["module"] ?? "").map { word throws(DatapathError) in
        try identifier(word)
      }
      open = .init(name: name, modules: modules, line: number)
      return
    }
    if words == ["}", ";"] {
      declarations.structures.append(structure)
      open = nil
      return
    }
    let member = try member(words, notes["path"])
    if structure.members.contains(where: { $0.name == member.name }) {
      throw failure("struct \(structure.name) has \(member.name) twice")
    }
    structure.members.append(member)
    open = structure
  }

  private func member(
    _ words: [String], _ path: String?
  ) throws(DatapathError) -> LayoutDeclarations.Member {
    let unreadable = failure("this is no member: `\(words.joined(separator: " "))`")
    guard words.last == ";" else { throw unreadable }
    var rest = words.dropLast()[...]
    var bits: Int?
    if let colon = rest.firstIndex(of: ":") {
      guard colon == rest.endIndex - 2, let width = Int(rest[colon + 1]), (1...64).contains(width)
      else { throw unreadable }
      bits = width
      rest = rest[..<colon]
    }
    var counts: [Int] = []
    while rest.last == "]" {
      rest = rest.dropLast()
      var count = 0
      if let last = rest.last, last != "[" {
        guard let said = Self.count(last) else { throw unreadable }
        count = said
        rest = rest.dropLast()
      }
      guard rest.last == "[" else { throw unreadable }
      rest = rest.dropLast()
      counts.insert(count, at: 0)
    }
    guard let name = rest.popLast(), Self.isIdentifier(name) else { throw unreadable }
    let pointers = rest.reversed().prefix { $0 == "*" }.count
    let type = rest.dropLast(pointers).filter { $0 != "const" && $0 != "volatile" }
    guard !type.isEmpty, type.allSatisfy(Self.isIdentifier), bits == nil || counts.isEmpty else {
      throw unreadable
    }
    let places = (path ?? name).split(separator: ".").map(String.init)
    guard !places.isEmpty, places.allSatisfy(Self.isIdentifier) else {
      throw failure("this is no path: `\(path ?? "")`")
    }
    return .init(
      name: name, type: type.joined(separator: " "), pointers: pointers, counts: counts, bits: bits,
      path: places, line: number)
  }

  private static func count(_ word: String) -> Int? {
    let number = word.hasPrefix("0x") ? Int(word.dropFirst(2), radix: 16) : Int(word)
    guard let number, (0...1 << 24).contains(number) else { return nil }
    return number
  }

  private static func isIdentifier(_ word: String) -> Bool {
    guard let first = word.first, !first.isNumber else { return false }
    return word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
  }

  private func identifier(_ word: String) throws(DatapathError) -> String {
    if Self.isIdentifier(word) { return word }
    throw failure("this is no name: `\(word)`")
  }
}
