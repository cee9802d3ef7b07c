// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

extension Template {
  /// What stands between the braces of a tag.
  indirect enum Expression: Sendable {
    case literal(JSON)
    case list([Expression])
    case variable(String, Position)
    /// The place is that of the owner; the position that of the name.
    case member(Expression, String, Place, Position)
    case element(Expression, Expression, Place, Position)
    case filtered(Expression, Filter, [Expression], Place, Position)
    case not(Expression)
    case and(Expression, Expression)
    case or(Expression, Expression)
    case compared(Expression, Comparison, Expression, Position)
    case isDefined(Expression)

    /// Whether it names something that may turn out not to be there.
    var isPath: Bool {
      switch self {
      case .variable, .member, .element: true
      default: false
      }
    }
  }

  enum Comparison: String, CaseIterable, Sendable {
    case equal = "=="
    case unequal = "!="
    case atMost = "<="
    case atLeast = ">="
    case less = "<"
    case greater = ">"
    case isIn = "in"
  }
}

extension JSON {
  /// What a message calls a value of this type.
  var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a truth value"
    case .int, .double: "a number"
    case .string: "a string"
    case .array: "a list"
    case .object: "an object"
    }
  }

  /// What `if` makes of it: false, null, zero and everything empty do not hold.
  var holds: Bool {
    switch self {
    case .null: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .double(let value): value != 0
    case .string(let value): !value.isEmpty
    case .array(let elements): !elements.isEmpty
    case .object(let members): !members.isEmpty
    }
  }

  /// What `{{ }}` and `join` write for it; nil for what has no text of its own.
  var written: String? {
    switch self {
    case .string(let value): value
    case .int(let value): String(value)
    case .bool(let value): value ? "true" : "false"
    case .double(let value): value.isFinite ? String(value) : nil
    case .null, .array, .object: nil
    }
  }
}
