// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

extension Template {
  /// Walks through the nodes of a template and writes what they amount to.
  struct Renderer {
    private(set) var template: String
    private(set) var output = Output()
    private var scope: Scope
    private let limits: Limits
    private var steps = 0
    /// The last tag that was met: errors about sizes point to it.
    private var position = Position()

    init(template: String, scope: Scope, limits: Limits) {
      self.template = template
      self.scope = scope
      self.limits = limits
    }

    /// As deep as blocks and includes are nested, which the parser has limited.
    mutating func render(_ nodes: [Node]) throws(TemplateError) {
      for node in nodes {
        try step()
        switch node {
        case .text(let bytes): try append(bytes)
        case .lineEnd: try endLine()
        case .value(let expression, let place): try write(expression, place)
        case .condition(let condition): try render(condition)
        case .loop(let loop): try render(loop)
        case .include(let include): try render(include)
        }
      }
    }

    // MARK: Nodes

    private mutating func write(
      _ expression: Expression, _ place: Place
    ) throws(TemplateError) {
      position = place.position
      let value = try evaluate(expression)
      guard let text = value.written else {
        let advice =
          switch value {
          case .null: "give it one with \"default\""
          case .array: "use \"join\" or a \"for\""
          default: "write its members one by one"
          }
        throw error("\(place.shown) is \(value.kind), which has no text; \(advice)")
      }
      try append(text.utf8)
    }

    private mutating func render(_ condition: Condition) throws(TemplateError) {
      for branch in condition.branches where try evaluate(branch.test).holds {
        return try render(branch.nodes)
      }
      try render(condition.otherwise)
    }

    private mutating func render(_ loop: Loop) throws(TemplateError) {
      position = loop.place.position
      let turns = try turns(of: loop)
      if turns.isEmpty { return try render(loop.otherwise) }
      for (index, values) in turns.enumerated() {
        try step()
        let variables = zip(loop.names, values).map { (name: $0, value: $1) }
        scope.turns.append(Scope.Turn(variables: variables, index: index, count: turns.count))
        defer { scope.turns.removeLast() }
        try render(loop.nodes)
      }
    }

    /// The values that each turn gives to the loop's names.
    private func turns(of loop: Loop) throws(TemplateError) -> [[JSON]] {
      let value = try evaluate(loop.list)
      switch (value, loop.names.count) {
      case (.array(let elements), 1): return elements.map { [$0] }
      case (.object(let object), 2): return object.members.map { [.string($0.key), $0.value] }
      case (.array, _):
        throw error("\(loop.place.shown) is a list; expected an object for two names")
      case (.object, _):
        throw error("\(loop.place.shown) is an object; expected \"for key, value in …\"")
      default:
        throw error("\(loop.place.shown) is \(value.kind); expected a list or an object")
      }
    }

    private mutating func render(_ include: Include) throws(TemplateError) {
      let (outer, indentation) = (template, output.indentation)
      template = include.name
      position = include.position
      if let own = include.indentation {
        output.dropBlanks()
        output.indentation += own
      }
      defer {
        template = outer
        position = include.position
        output.indentation = indentation
      }
      do {
        try render(include.nodes)
      } catch {
        throw error.included(from: outer, include.position)
      }
    }

    // MARK: Expressions and limits

    private func evaluate(_ expression: Expression) throws(TemplateError) -> JSON {
      try Evaluation(template: template, scope: scope, limits: limits).value(of: expression)
    }

    private func error(_ problem: String) -> TemplateError {
      TemplateError(template, position, problem)
    }

    private mutating func step() throws(TemplateError) {
      steps += 1
      if steps > limits.steps { throw error("rendering takes more than \(limits.steps) steps") }
    }

    private mutating func append(
      _ text: some Collection<UInt8>
    ) throws(TemplateError) {
      output.append(text)
      try checkSize()
    }

    private mutating func endLine() throws(TemplateError) {
      output.endLine()
      try checkSize()
    }

    private func checkSize() throws(TemplateError) {
      if output.bytes.count > limits.outputBytes {
        throw error("the text becomes longer than \(limits.outputBytes) bytes")
      }
    }
  }

  /// The text so far, with an eye on the line at hand.
  struct Output {
    private(set) var bytes: [UInt8] = []
    /// What every line begins with that is not empty.
    var indentation: [UInt8] = []
    private var lineStart = 0

    mutating func append(_ text: some Collection<UInt8>) {
      let start = bytes.count
      guard !indentation.isEmpty else {
        bytes.append(contentsOf: text)
        let newline = bytes[start...].lastIndex(of: UInt8(ascii: "\n"))
        if let newline { lineStart = newline + 1 }
        return
      }
      for byte in text {
        if byte == UInt8(ascii: "\n") {
          bytes.append(byte)
          lineStart = bytes.count
        } else {
          if bytes.count == lineStart { bytes.append(contentsOf: indentation) }
          bytes.append(byte)
        }
      }
    }

    /// Ends a line on which there were tags: with nothing but blanks on it, it never was.
    mutating func endLine() {
      dropBlanks()
      if bytes.count > lineStart {
        bytes.append(UInt8(ascii: "\n"))
        lineStart = bytes.count
      }
    }

    /// Takes back the blanks at the end of the line.
    mutating func dropBlanks() {
      while bytes.count > lineStart, let last = bytes.last, last.isBlank { bytes.removeLast() }
    }
  }
}
