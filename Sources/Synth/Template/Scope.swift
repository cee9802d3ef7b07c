// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

extension Template {
  /// The variables at one point of a rendering.
  struct Scope {
    struct Turn {
      /// The names a loop gives, with their values.
      var variables: [(name: String, value: JSON)]
      var index: Int
      let count: Int

      /// What `loop` is within this loop.
      var loop: JSON {
        [
          "index": .number(index + 1), "index0": .number(index), "first": .bool(index == 0),
          "last": .bool(index == count - 1), "length": .number(count),
        ]
      }
    }

    private let globals: JSON.Object
    var turns: [Turn] = []

    init(_ globals: JSON.Object) { self.globals = globals }

    subscript(name: String) -> JSON? {
      if name == "loop", let turn = turns.last { return turn.loop }
      for turn in turns.reversed() {
        if let found = turn.variables.first(where: { $0.name == name }) { return found.value }
      }
      return globals[name]
    }

    /// Everything that can be named here, inner names first.
    var names: [String] {
      let inner = turns.reversed().flatMap { $0.variables.map(\.name) }
      return inner + (turns.isEmpty ? [] : ["loop"]) + globals.keys
    }
  }

  /// Finds the values of expressions.
  struct Evaluation {
    let template: String
    let scope: Scope
    let limits: Limits

    private func error(_ position: Position, _ problem: String) -> TemplateError {
      TemplateError(template, position, problem)
    }

    /// The value; something that is not there is an error.
    func value(of expression: Expression) throws(TemplateError) -> JSON {
      switch expression {
      case .literal(let value): return value
      case .list(let elements):
        var values: [JSON] = []
        for element in elements { values.append(try value(of: element)) }
        return .array(values)
      case .variable, .member, .element:
        if let value = try find(expression) { return value }
        throw try missing(expression)
      case .filtered(let operand, let filter, let arguments, let place, let position):
        return try filtered(operand, filter, arguments, place, position)
      case .not(let operand): return .bool(try !value(of: operand).holds)
      case .and(let left, let right):
        let holds = try value(of: left).holds
        return .bool(holds ? try value(of: right).holds : false)
      case .or(let left, let right):
        let holds = try value(of: left).holds
        return .bool(holds ? true : try value(of: right).holds)
      case .compared(let left, let comparison, let right, let position):
        return .bool(try compare(value(of: left), comparison, value(of: right), position))
      case .isDefined(let operand): return .bool(try find(operand) != nil)
      }
    }

    // MARK: Variables

    /// What a path leads to; nil where only its last step leads nowhere.
    private func find(_ expression: Expression) throws(TemplateError) -> JSON? {
      switch expression {
      case .variable(let name, _): return scope[name]
      case .member(let owner, let name, let place, let position):
        guard case .object(let object) = try value(of: owner) else {
          throw try mismatch(owner, place, "an object with a member \"\(name)\"", position)
        }
        return object[name]
      case .element(let owner, let key, let place, let position):
        switch (try value(of: owner), try value(of: key)) {
        case (.object(let object), .string(let name)): return object[name]
        case (.array(let elements), .int(let index)):
          // Not in one expression with `?:`, where nil would be JSON's null.
          guard elements.indices.contains(Int(index)) else { return nil }
          return elements[Int(index)]
        case (.object, let key):
          throw error(position, "expected a string as index of \(place.shown), found \(key.kind)")
        case (.array, let key):
          throw error(position, "expected a number as index of \(place.shown), found \(key.kind)")
        default: throw try mismatch(owner, place, "a list or an object", position)
        }
      default: return try value(of: expression)
      }
    }

    private func mismatch(
      _ owner: Expression, _ place: Place, _ expected: String, _ position: Position
    ) throws(TemplateError) -> TemplateError {
      error(position, "\(place.shown) is \(try value(of: owner).kind); expected \(expected)")
    }

    /// Why `find` found nothing.
    private func missing(_ expression: Expression) throws(TemplateError) -> TemplateError {
      switch expression {
      case .variable("loop", let position):
        return error(position, "no variable \"loop\"; it is there within a \"for\"")
      case .variable(let name, let position):
        let known = alternatives(to: name, among: scope.names)
        return error(position, "no variable \"\(name)\"\(known)")
      case .member(let owner, let name, let place, let position):
        return error(position, noMember(name, place, try value(of: owner)))
      case .element(let owner, let key, let place, let position):
        switch (try value(of: owner), try value(of: key)) {
        case (.array(let elements), let index):
          return error(
            position,
            "no element [\(index.written ?? "")] in \(place.shown), which has \(elements.count)")
        case (let object, let name):
          return error(position, noMember(name.string ?? "", place, object))
        }
      default: return error(Position(), "nothing is missing")
      }
    }

    private func noMember(_ name: String, _ place: Place, _ owner: JSON) -> String {
      let known = alternatives(to: name, among: owner.object?.keys ?? [])
      return "no member \"\(name)\" in \(place.shown)\(known)"
    }

    // MARK: Operators

    private func filtered(
      _ operand: Expression, _ filter: Filter, _ arguments: [Expression], _ place: Place,
      _ position: Position
    ) throws(TemplateError) -> JSON {
      if filter == .default {
        if let value = try find(operand), !value.isNull { return value }
        return try arguments.first.map { (other) throws(TemplateError) in try value(of: other) }
          ?? .null
      }
      let input = try value(of: operand)
      var argument: JSON?
      if let first = arguments.first { argument = try value(of: first) }
      guard let output = filter.apply(to: input, argument) else {
        throw error(
          position,
          "\"\(filter.rawValue)\" expects \(filter.expected); \(place.shown) is \(shown(input))")
      }
      if let text = output.string, text.utf8.count > limits.outputBytes {
        throw error(position, "a string longer than \(limits.outputBytes) bytes")
      }
      return output
    }

    private func shown(_ value: JSON) -> String {
      if case .int(let number) = value { String(number) } else { value.kind }
    }

    private func compare(
      _ left: JSON, _ comparison: Comparison, _ right: JSON, _ position: Position
    ) throws(TemplateError) -> Bool {
      switch comparison {
      case .equal: return equal(left, right)
      case .unequal: return !equal(left, right)
      case .isIn: return try contains(right, left, position)
      case .less: return try isLess(left, right, comparison, position)
      case .greater: return try isLess(right, left, comparison, position)
      case .atMost: return try !isLess(right, left, comparison, position)
      case .atLeast: return try !isLess(left, right, comparison, position)
      }
    }

    /// Values of different types are different, but a number is a number.
    private func equal(_ left: JSON, _ right: JSON) -> Bool {
      switch (left, right) {
      case (.int(let whole), .double(let other)), (.double(let other), .int(let whole)):
        Double(whole) == other
      default: left == right
      }
    }

    private func isLess(
      _ left: JSON, _ right: JSON, _ comparison: Comparison, _ position: Position
    ) throws(TemplateError) -> Bool {
      if case (.int(let left), .int(let right)) = (left, right) { return left < right }
      if let left = left.double, let right = right.double { return left < right }
      if let left = left.string, let right = right.string {
        return left.utf8.lexicographicallyPrecedes(right.utf8)
      }
      throw error(
        position,
        "\"\(comparison.rawValue)\" expects two numbers or two strings, found \(left.kind)"
          + " and \(right.kind)")
    }

    private func contains(
      _ container: JSON, _ item: JSON, _ position: Position
    ) throws(TemplateError) -> Bool {
      switch (container, item) {
      case (.array(let elements), _): return elements.contains { equal($0, item) }
      case (.object(let object), .string(let key)): return object[key] != nil
      case (.string(let text), .string(let part)): return part.isEmpty || text.contains(part)
      case (.object, _), (.string, _):
        throw error(
          position, "\"in\" expects a string before \(container.kind), found \(item.kind)")
      default:
        throw error(
          position,
          "\"in\" expects a list, an object or a string behind it, found \(container.kind)")
      }
    }
  }
}
