// SPDX-License-Identifier: Apache-2.0
import CYAML

/// A YAML document with the place of everything in it, for errors that point at it.
struct YAMLNode {
  enum Content {
    /// `isNull` for what YAML reads as nothing: an empty value, `~`, `null`.
    case scalar(String, isNull: Bool)
    case sequence
    case mapping([(key: YAMLNode, value: YAMLNode)])
  }

  let place: Place
  let content: Content

  /// What an error calls it.
  var shown: String {
    switch content {
    case .scalar(_, isNull: true): "nothing"
    case .scalar(let text, _): "\"\(abridged(text))\""
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}

/// At most 60 characters of a text, and no control characters.
func abridged(_ text: String) -> String {
  let plain = text.unicodeScalars.prefix(61).map {
    $0.properties.generalCategory == .control ? "?" : String($0)
  }
  return plain.count > 60 ? plain.prefix(60).joined() + "…" : plain.joined()
}

/// Reads one YAML document. Anchors and aliases are refused: no configuration of fpd needs them, and a
/// few lines of them can stand for gigabytes.
struct YAMLParser: ~Copyable {
  struct Failure: Error {
    let place: Place?
    let text: String
  }

  /// Deeper than any valid configuration.
  private static let deepest = 16

  private let text: [UInt8]
  /// Allocated, because libyaml keeps pointers to the parser and to its input.
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let input: UnsafeMutableBufferPointer<UInt8>
  private var event = yaml_event_t()

  private init(_ text: [UInt8]) {
    self.text = text
    parser = .allocate(capacity: 1)
    parser.initialize(to: yaml_parser_t())
    input = .allocate(capacity: max(1, text.count))
    _ = input.initialize(from: text)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
    input.deallocate()
  }

  /// The document's root; nil where the text holds none.
  static func parse(_ text: [UInt8]) throws(Failure) -> YAMLNode? {
    var reader = YAMLParser(text)
    return try reader.document()
  }

  private mutating func document() throws(Failure) -> YAMLNode? {
    guard yaml_parser_initialize(parser) == 1 else {
      throw Failure(place: nil, text: "not enough memory to read it")
    }
    defer { yaml_event_delete(&event) }
    yaml_parser_set_input_string(parser, input.baseAddress, text.count)
    try advance()  // stream start
    try advance()
    if event.type == YAML_STREAM_END_EVENT { return nil }
    try advance()
    let root = try node(depth: 0)
    try advance()  // document end
    try advance()
    if event.type != YAML_STREAM_END_EVENT {
      throw failure("a second document starts here; a configuration is one document")
    }
    return root
  }

  private mutating func advance() throws(Failure) {
    yaml_event_delete(&event)
    if yaml_parser_parse(parser, &event) == 0 { throw syntaxError() }
  }

  private var place: Place {
    Place(line: event.start_mark.line + 1, column: event.start_mark.column + 1)
  }

  private func failure(_ text: String) -> Failure { Failure(place: place, text: text) }

  private mutating func node(depth: Int) throws(Failure) -> YAMLNode {
    let place = place
    if depth > Self.deepest { throw failure("nested deeper than any configuration") }
    switch event.type {
    case YAML_ALIAS_EVENT:
      throw failure(
        "an alias; aliases are not supported, and a name that begins with * must be in quotes: \"*\""
      )
    case YAML_SCALAR_EVENT:
      try refuse(anchor: event.data.scalar.anchor, tag: event.data.scalar.tag)
      return YAMLNode(place: place, content: scalar())
    case YAML_SEQUENCE_START_EVENT:
      try refuse(
        anchor: event.data.sequence_start.anchor, tag: event.data.sequence_start.tag)
      try advance()
      while event.type != YAML_SEQUENCE_END_EVENT {
        _ = try node(depth: depth + 1)
        try advance()
      }
      return YAMLNode(place: place, content: .sequence)
    case YAML_MAPPING_START_EVENT:
      try refuse(anchor: event.data.mapping_start.anchor, tag: event.data.mapping_start.tag)
      return YAMLNode(place: place, content: .mapping(try members(depth)))
    default:
      throw failure("nothing here that a configuration could hold")
    }
  }

  private mutating func members(
    _ depth: Int
  ) throws(Failure) -> [(key: YAMLNode, value: YAMLNode)] {
    var members: [(key: YAMLNode, value: YAMLNode)] = []
    try advance()
    while event.type != YAML_MAPPING_END_EVENT {
      let key = try node(depth: depth + 1)
      try advance()
      members.append((key, try node(depth: depth + 1)))
      try advance()
    }
    return members
  }

  private func scalar() -> YAMLNode.Content {
    let scalar = event.data.scalar
    let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
    let text = String(decoding: bytes, as: UTF8.self)
    let isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
    return .scalar(text, isNull: isPlain && ["", "~", "null", "Null", "NULL"].contains(text))
  }

  private func refuse(
    anchor: UnsafeMutablePointer<yaml_char_t>?, tag: UnsafeMutablePointer<yaml_char_t>?
  ) throws(Failure) {
    if anchor != nil { throw failure("an anchor (&); anchors are not supported") }
    if tag != nil { throw failure("a tag (!); tags are not supported, write the plain value") }
  }

  /// libyaml's words, with a hint where they are known to puzzle.
  private func syntaxError() -> Failure {
    let problem = parser.pointee.problem.map { String(cString: $0) } ?? "it cannot be read"
    let context = parser.pointee.context.map { String(cString: $0) } ?? ""
    switch parser.pointee.error {
    case YAML_MEMORY_ERROR: return Failure(place: nil, text: "not enough memory to read it")
    case YAML_READER_ERROR:
      return Failure(
        place: place(ofByte: parser.pointee.problem_offset),
        text: "not YAML: \(problem); is this a text file in UTF-8?")
    default: break
    }
    let mark = parser.pointee.problem_mark
    let place = Place(line: mark.line + 1, column: mark.column + 1)
    if isTab(at: place) {
      return Failure(place: place, text: "not YAML: a tab; indent with spaces")
    }
    let hint =
      context.contains("alias")
      ? "; a name that begins with * must be in quotes: \"*\"" : ""
    let during = context.isEmpty ? "" : " (\(context))"
    return Failure(place: place, text: "not YAML: \(problem)\(during)\(hint)")
  }

  private func place(ofByte offset: Int) -> Place {
    let before = text.prefix(max(0, offset))
    let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let lines = before.count { $0 == UInt8(ascii: "\n") }
    let column = String(decoding: before[start...], as: UTF8.self).unicodeScalars.count
    return Place(line: lines + 1, column: column + 1)
  }

  private func isTab(at place: Place) -> Bool {
    let lines = text.split(
      separator: UInt8(ascii: "\n"), maxSplits: place.line, omittingEmptySubsequences: false)
    guard lines.indices.contains(place.line - 1) else { return false }
    let line = Array(String(decoding: lines[place.line - 1], as: UTF8.self).unicodeScalars)
    return line.indices.contains(place.column - 1) && line[place.column - 1] == "\t"
  }
}
