// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

extension Template {
  /// Words that cannot be names of variables.
  static let keywords = [
    "and", "or", "not", "in", "is", "true", "false", "null", "if", "elif", "else", "endif", "for",
    "endfor", "include",
  ]

  /// Reads the expressions of one tag. From weak to strong: or, and, not, comparison, filter and
  /// member access.
  struct ExpressionParser {
    var scanner: Scanner
    let limits: Limits
    private var operators = 0
    private var depth = 0

    init(_ scanner: Scanner, _ limits: Limits) {
      self.scanner = scanner
      self.limits = limits
    }

    // MARK: Tokens

    mutating func take(_ token: Token) throws(TemplateError) -> Bool {
      guard scanner.next == token else { return false }
      try scanner.advance()
      return true
    }

    mutating func expect(_ token: Token, after: String) throws(TemplateError) {
      if try !take(token) { throw unexpected("\(token.shown(scanner.closing)) after \(after)") }
    }

    /// A name that the template's author chose.
    mutating func newName(_ what: String) throws(TemplateError) -> String {
      guard case .name(let name) = scanner.next, !keywords.contains(name), name != "loop" else {
        throw unexpected("a name for \(what)")
      }
      try scanner.advance()
      return name
    }

    /// An error that says what should stand where the token ahead is.
    func unexpected(_ expected: String) -> TemplateError {
      let found = scanner.next.shown(scanner.closing)
      return scanner.error(at: scanner.nextOffset, "expected \(expected), found \(found)")
    }

    private mutating func count() throws(TemplateError) {
      operators += 1
      if operators > limits.operators {
        throw scanner.error(
          at: scanner.nextOffset, "more than \(limits.operators) operators in one tag")
      }
    }

    // MARK: Grammar

    /// An expression; the strongest operators are in `postfix`.
    mutating func expression() throws(TemplateError) -> Expression {
      depth += 1
      defer { depth -= 1 }
      if depth > limits.nesting {
        throw scanner.error(
          at: scanner.nextOffset, "parentheses are nested more than \(limits.nesting) deep")
      }
      var left = try conjunction()
      while try take(.name("or")) {
        try count()
        left = .or(left, try conjunction())
      }
      return left
    }

    private mutating func conjunction() throws(TemplateError) -> Expression {
      var left = try negation()
      while try take(.name("and")) {
        try count()
        left = .and(left, try negation())
      }
      return left
    }

    private mutating func negation() throws(TemplateError) -> Expression {
      var negations = 0
      while try take(.name("not")) {
        try count()
        negations += 1
      }
      var operand = try comparison()
      for _ in 0..<negations { operand = .not(operand) }
      return operand
    }

    private mutating func comparison() throws(TemplateError) -> Expression {
      let start = scanner.nextOffset
      let left = try postfix()
      let place = scanner.place(from: start)
      if try take(.name("is")) { return try definedness(of: left, place, at: start) }
      let position = scanner.position(of: scanner.nextOffset)
      var isNegated = false
      if try take(.name("not")) {
        guard scanner.next == .name("in") else { throw unexpected("\"in\" after \"not\"") }
        isNegated = true
      }
      guard let comparison = scanner.next.comparison else { return left }
      try count()
      try scanner.advance()
      let right = try postfix()
      if scanner.next.comparison != nil {
        throw scanner.error(
          at: scanner.nextOffset, "comparisons do not chain; combine them with \"and\"")
      }
      let result = Expression.compared(left, comparison, right, position)
      return isNegated ? .not(result) : result
    }

    private mutating func definedness(
      of operand: Expression, _ place: Place, at start: Int
    ) throws(TemplateError) -> Expression {
      try count()
      let isNegated = try take(.name("not"))
      try expect(.name("defined"), after: isNegated ? "\"is not\"" : "\"is\"")
      guard operand.isPath else {
        throw scanner.error(
          at: start, "expected a variable before \"is defined\", found \(place.shown)")
      }
      return isNegated ? .not(.isDefined(operand)) : .isDefined(operand)
    }

    private mutating func postfix() throws(TemplateError) -> Expression {
      let start = scanner.nextOffset
      var operand = try primary()
      while true {
        let place = scanner.place(from: start)
        if try take(.symbol(".")) {
          try count()
          let position = scanner.position(of: scanner.nextOffset)
          guard case .name(let name) = scanner.next else {
            throw unexpected("the name of a member after \".\"")
          }
          try scanner.advance()
          operand = .member(operand, name, place, position)
        } else if try take(.symbol("[")) {
          try count()
          let position = scanner.position(of: scanner.nextOffset)
          let index = try expression()
          try expect(.symbol("]"), after: "the index")
          operand = .element(operand, index, place, position)
        } else if try take(.symbol("|")) {
          try count()
          operand = try filter(of: operand, place)
        } else {
          return operand
        }
      }
    }

    private mutating func filter(
      of operand: Expression, _ place: Place
    ) throws(TemplateError) -> Expression {
      let offset = scanner.nextOffset
      guard case .name(let name) = scanner.next else {
        throw unexpected("the name of a filter after \"|\"")
      }
      guard let filter = Filter(rawValue: name) else {
        let known = alternatives(to: name, among: Filter.allCases.map(\.rawValue))
        throw scanner.error(at: offset, "no filter \"\(name)\"\(known)")
      }
      try scanner.advance()
      let hasArguments = try take(.symbol("("))
      let arguments = hasArguments ? try list(until: ")") : []
      guard filter.arguments.contains(arguments.count) else {
        throw scanner.error(
          at: offset, "\"\(name)\" takes \(filter.argumentsShown), found \(arguments.count)")
      }
      if filter == .default, !operand.isPath {
        throw scanner.error(
          at: offset, "expected a variable right before \"default\", found \(place.shown)")
      }
      return .filtered(operand, filter, arguments, place, scanner.position(of: offset))
    }

    /// Expressions between commas, up to the closing symbol.
    private mutating func list(until closing: String) throws(TemplateError) -> [Expression] {
      var elements: [Expression] = []
      if try take(.symbol(closing)) { return elements }
      repeat { elements.append(try expression()) } while try take(.symbol(","))
      try expect(.symbol(closing), after: "the list")
      return elements
    }

    private mutating func primary() throws(TemplateError) -> Expression {
      let token = scanner.next
      let offset = scanner.nextOffset
      switch token {
      case .number(let value):
        try scanner.advance()
        return .literal(.int(value))
      case .string(let value):
        try scanner.advance()
        return .literal(.string(value))
      case .symbol("-"):
        try scanner.advance()
        guard case .number(let value) = scanner.next else {
          throw unexpected("a number after \"-\"")
        }
        try scanner.advance()
        return .literal(.int(-value))
      case .symbol("("):
        try scanner.advance()
        let inner = try expression()
        try expect(.symbol(")"), after: "the expression in parentheses")
        return inner
      case .symbol("["):
        try scanner.advance()
        return .list(try list(until: "]"))
      case .name(let name):
        return try named(name, at: offset)
      default:
        throw unexpected("an expression")
      }
    }

    private mutating func named(
      _ name: String, at offset: Int
    ) throws(TemplateError) -> Expression {
      let literal: JSON? =
        switch name {
        case "true": true
        case "false": false
        case "null": .null
        default: nil
        }
      if literal == nil, keywords.contains(name) { throw unexpected("an expression") }
      try scanner.advance()
      if let literal { return .literal(literal) }
      return .variable(name, scanner.position(of: offset))
    }
  }
}

extension Template.Token {
  func shown(_ closing: String) -> String {
    switch self {
    case .name(let text), .symbol(let text): "\"\(text)\""
    case .number(let value): "the number \(value)"
    case .string(let text): "the string '\(text.prefix(40))'"
    case .close: "\"\(closing)\""
    }
  }

  var comparison: Template.Comparison? {
    switch self {
    case .symbol(let text), .name(let text): Template.Comparison(rawValue: text)
    default: nil
    }
  }
}
