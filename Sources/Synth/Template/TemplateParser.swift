// SPDX-License-Identifier: Apache-2.0

extension Template {
  /// The templates that one template leads to, each parsed once.
  struct Library {
    let limits: Limits
    private var parsed: [String: Block] = [:]
    private var chain: [String] = []

    init(limits: Limits) { self.limits = limits }

    mutating func parse(
      _ source: String, name: String, _ include: (String) -> String?
    ) throws(TemplateError) -> Block {
      guard source.utf8.count <= limits.sourceBytes else {
        throw TemplateError(
          name, Position(), "the source is longer than \(limits.sourceBytes) bytes")
      }
      chain.append(name)
      defer { chain.removeLast() }
      var parser = TemplateParser(Scanner(template: name, source: source), limits)
      return try parser.parse { (name, error) throws(TemplateError) in
        try included(name, include, error)
      }
    }

    /// A template that another one includes; `error` makes one that points to the include.
    private mutating func included(
      _ name: String, _ include: (String) -> String?, _ error: (String) -> TemplateError
    ) throws(TemplateError) -> Block {
      if let start = chain.firstIndex(of: name) {
        let cycle = (chain[start...] + [name]).joined(separator: " → ")
        throw error("templates include each other without end: \(cycle)")
      }
      if let block = parsed[name] { return block }
      guard chain.count < limits.includeDepth else {
        throw error("includes are nested more than \(limits.includeDepth) deep")
      }
      guard let source = include(name) else { throw error("no template \"\(name)\"") }
      let block = try parse(source, name: name, include)
      parsed[name] = block
      return block
    }
  }

  /// Cuts a source into text and tags and builds blocks of them. Open blocks are kept on a stack of
  /// its own, so that a source cannot make it recurse.
  struct TemplateParser {
    typealias Resolve = (String, (String) -> TemplateError) throws(TemplateError) -> Block

    private enum Construct {
      /// The test is nil behind `else`.
      case condition(Condition, test: Expression?)
      case loop(Loop, isInElse: Bool)
    }

    private struct OpenBlock {
      let tag: String
      let offset: Int
      var construct: Construct
      /// What came before the block.
      let outer: [Node]
    }

    static let tags = ["if", "elif", "else", "endif", "for", "endfor", "include"]

    private var scanner: Scanner
    private let limits: Limits
    private var nodes: [Node] = []
    private var open: [OpenBlock] = []
    private var height = 0
    /// Whether there has been a tag on the line at hand.
    private var lineHasTag = false

    init(_ scanner: Scanner, _ limits: Limits) {
      self.scanner = scanner
      self.limits = limits
    }

    mutating func parse(_ resolve: Resolve) throws(TemplateError) -> Block {
      var start = 0
      var trims = false
      while let tag = scanner.opening(from: start) {
        addText(start..<tag.offset, trimsStart: trims, trimsEnd: tag.trims)
        lineHasTag = true
        switch tag.kind {
        case .comment: trims = try scanner.skipComment(at: tag.offset)
        case .value, .block:
          try scanner.enter(tag.kind, at: tag.offset, trims: tag.trims)
          if tag.kind == .value { try addValue() } else { try addTag(tag.offset, resolve) }
          guard case .close(let trimming) = scanner.next else {
            throw ExpressionParser(scanner, limits).unexpected("\"\(scanner.closing)\"")
          }
          trims = trimming
        }
        start = scanner.at
      }
      addText(start..<scanner.bytes.count, trimsStart: trims, trimsEnd: false)
      if let last = open.last {
        throw scanner.error(
          at: last.offset,
          "the \"\(last.tag)\" opened here is never closed; expected \"end\(last.tag)\"")
      }
      return Block(nodes: nodes, height: height)
    }

    // MARK: Text

    private mutating func addText(_ range: Range<Int>, trimsStart: Bool, trimsEnd: Bool) {
      var text = scanner.bytes[range]
      if trimsStart { text = text.drop { $0.isBlank || $0 == UInt8(ascii: "\n") } }
      while trimsEnd, let last = text.last, last.isBlank || last == UInt8(ascii: "\n") {
        text.removeLast()
      }
      if lineHasTag, let end = text.firstIndex(of: UInt8(ascii: "\n")) {
        if end > text.startIndex { nodes.append(.text(Array(text[..<end]))) }
        nodes.append(.lineEnd)
        text = text[(end + 1)...]
        lineHasTag = false
      } else if text.contains(UInt8(ascii: "\n")) {
        lineHasTag = false
      }
      if !text.isEmpty { nodes.append(.text(Array(text))) }
    }

    /// What stands before the tag, if the tag has its line for itself.
    private func indentation(_ offset: Int) -> [UInt8]? {
      let before = scanner.bytes[..<offset].reversed().prefix { $0 != UInt8(ascii: "\n") }
      let after = scanner.bytes[scanner.at...].prefix { $0 != UInt8(ascii: "\n") }
      guard before.allSatisfy(\.isBlank), after.allSatisfy(\.isBlank) else { return nil }
      return before.reversed()
    }

    // MARK: Tags

    private mutating func addValue() throws(TemplateError) {
      let start = scanner.nextOffset
      let value = try expression()
      nodes.append(.value(value, scanner.place(from: start)))
    }

    private mutating func addTag(
      _ offset: Int, _ resolve: Resolve
    ) throws(TemplateError) {
      let nameOffset = scanner.nextOffset
      guard case .name(let tag) = scanner.next else {
        let tags = Self.tags.joined(separator: ", ")
        throw ExpressionParser(scanner, limits).unexpected("a tag (\(tags))")
      }
      try scanner.advance()
      switch tag {
      case "if": try begin("if", offset, .condition(Condition(), test: try expression()))
      case "for": try begin("for", offset, .loop(try loopHead(), isInElse: false))
      case "elif": try switchBranch("elif", nameOffset, test: try expression())
      case "else":
        if scanner.next == .name("if") {
          throw scanner.error(
            at: nameOffset, "\"else if\" is no tag; did you mean \"elif\"?")
        }
        try switchBranch("else", nameOffset, test: nil)
      case "endif", "endfor": try end(tag, nameOffset)
      case "include": try addInclude(offset, resolve)
      default:
        let known = alternatives(to: tag, among: Self.tags)
        throw scanner.error(at: nameOffset, "no tag \"\(tag)\"\(known)")
      }
    }

    private mutating func expression() throws(TemplateError) -> Expression {
      var parser = ExpressionParser(scanner, limits)
      let expression = try parser.expression()
      scanner = parser.scanner
      return expression
    }

    private mutating func loopHead() throws(TemplateError) -> Loop {
      var parser = ExpressionParser(scanner, limits)
      var names = [try parser.newName("the elements")]
      if try parser.take(.symbol(",")) { names.append(try parser.newName("the values")) }
      try parser.expect(.name("in"), after: "\"for \(names.joined(separator: ", "))\"")
      let start = parser.scanner.nextOffset
      let list = try parser.expression()
      scanner = parser.scanner
      return Loop(names: names, list: list, place: scanner.place(from: start))
    }

    // MARK: Blocks

    private mutating func begin(
      _ tag: String, _ offset: Int, _ construct: Construct
    ) throws(TemplateError) {
      open.append(OpenBlock(tag: tag, offset: offset, construct: construct, outer: nodes))
      nodes = []
      try reach(open.count, at: offset)
    }

    /// Notes how deep it goes, and refuses to go too deep.
    private mutating func reach(_ depth: Int, at offset: Int) throws(TemplateError) {
      height = max(height, depth)
      if depth > limits.nesting {
        throw scanner.error(
          at: offset, "blocks and includes are nested more than \(limits.nesting) deep")
      }
    }

    /// `elif` and `else`: what came so far belongs to the branch before.
    private mutating func switchBranch(
      _ tag: String, _ offset: Int, test: Expression?
    ) throws(TemplateError) {
      guard var block = open.popLast() else {
        throw scanner.error(at: offset, "\"\(tag)\" stands outside of any \"if\"")
      }
      let opened = "the \"\(block.tag)\" opened at \(scanner.position(of: block.offset))"
      switch block.construct {
      case .condition(var condition, let before?):
        condition.branches.append(Condition.Branch(test: before, nodes: nodes))
        block.construct = .condition(condition, test: test)
      case .loop(var loop, isInElse: false) where tag == "else":
        loop.nodes = nodes
        block.construct = .loop(loop, isInElse: true)
      case .loop where tag == "elif":
        throw scanner.error(at: offset, "\"elif\" does not belong to \(opened)")
      default:
        throw scanner.error(
          at: offset, "\"\(tag)\" behind the \"else\" of \(opened); expected \"end\(block.tag)\"")
      }
      open.append(block)
      nodes = []
    }

    private mutating func end(_ tag: String, _ offset: Int) throws(TemplateError) {
      guard let block = open.popLast() else {
        throw scanner.error(at: offset, "\"\(tag)\" closes nothing: no block is open")
      }
      guard tag == "end\(block.tag)" else {
        let opened = "the \"\(block.tag)\" opened at \(scanner.position(of: block.offset))"
        throw scanner.error(
          at: offset, "expected \"end\(block.tag)\" for \(opened), found \"\(tag)\"")
      }
      let body = nodes
      nodes = block.outer
      switch block.construct {
      case .condition(var condition, let test):
        if let test {
          condition.branches.append(Condition.Branch(test: test, nodes: body))
        } else {
          condition.otherwise = body
        }
        nodes.append(.condition(condition))
      case .loop(var loop, let isInElse):
        if isInElse { loop.otherwise = body } else { loop.nodes = body }
        nodes.append(.loop(loop))
      }
    }

    private mutating func addInclude(
      _ offset: Int, _ resolve: Resolve
    ) throws(TemplateError) {
      let place = scanner.nextOffset
      guard case .string(let name) = scanner.next else {
        throw ExpressionParser(scanner, limits).unexpected(
          "the name of a template in quotes after \"include\"")
      }
      try scanner.advance()
      guard case .close = scanner.next else { return }
      let here = scanner
      let block: Block
      do {
        block = try resolve(name) { here.error(at: place, $0) }
      } catch {
        if error.template == scanner.template { throw error }
        throw error.included(from: scanner.template, scanner.position(of: offset))
      }
      try reach(open.count + 1 + block.height, at: offset)
      nodes.append(
        .include(
          Include(
            name: name, nodes: block.nodes, position: scanner.position(of: offset),
            indentation: indentation(offset))))
    }
  }
}
