// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// A text with holes, parsed once and filled as often as one likes: what Synth makes C programs with.
/// docs/templates.md describes the syntax.
///
/// Pure: the same source, includes and variables always give the same text or the same error.
/// Nothing missing is ever rendered as nothing.
package struct Template: Sendable {
  package let name: String
  let body: Block
  let limits: Limits

  /// Parses `source`; `include` answers the source of a template that is named in an `include`, or
  /// nil where there is none. Refuses what is not well formed, here or in anything included.
  package init(
    _ source: String, name: String, limits: Limits = Limits(),
    include: (String) -> String? = { _ in nil }
  ) throws(TemplateError) {
    var library = Library(limits: limits)
    self.name = name
    self.limits = limits
    body = try library.parse(source, name: name, include)
  }

  /// Fills the template with the members of an object. Refuses a variable that is not defined, a
  /// value of the wrong type, and what goes beyond a limit.
  package func render(with variables: JSON) throws(TemplateError) -> String {
    guard let members = variables.object else {
      throw TemplateError(
        name, Position(),
        "expected an object whose members are the variables, found \(variables.kind)")
    }
    var renderer = Renderer(template: name, scope: Scope(members), limits: limits)
    try renderer.render(body.nodes)
    return String(decoding: renderer.output.bytes, as: UTF8.self)
  }
}

extension Template {
  /// How far a template may go. Garbage ends at one of them with an error that names it.
  package struct Limits: Sendable, Equatable {
    /// Bytes of one template's source.
    package var sourceBytes = 1 << 20
    /// Blocks and includes within each other, and likewise parentheses within each other.
    package var nesting = 32
    /// Templates in a chain of includes, the first one counted.
    package var includeDepth = 16
    /// Operators, member accesses, indexes and filters in one tag.
    package var operators = 256
    /// Bytes of the rendered text, and of any string on the way to it.
    package var outputBytes = 4 << 20
    /// Pieces of text, tags and turns of a loop that one rendering takes.
    package var steps = 1_000_000

    package init() {}
  }

  /// Where something stands; a column is a character, a tab is one.
  package struct Position: Equatable, Sendable, CustomStringConvertible {
    package var line = 1
    package var column = 1
    package var description: String { "\(line):\(column)" }
  }

  /// A piece of source that messages can point to and quote.
  struct Place: Sendable {
    let position: Position
    let shown: String
  }

  /// A parsed template or part of one.
  struct Block: Sendable {
    var nodes: [Node] = []
    /// Blocks and includes within each other, at most.
    var height = 0
  }

  indirect enum Node: Sendable {
    case text([UInt8])
    /// The end of a line on which there was a tag.
    case lineEnd
    case value(Expression, Place)
    case condition(Condition)
    case loop(Loop)
    case include(Include)
  }

  struct Condition: Sendable {
    struct Branch: Sendable {
      let test: Expression
      let nodes: [Node]
    }
    var branches: [Branch] = []
    var otherwise: [Node] = []
  }

  struct Loop: Sendable {
    /// One name for the elements of a list, two for the keys and values of an object.
    let names: [String]
    let list: Expression
    let place: Place
    var nodes: [Node] = []
    var otherwise: [Node] = []
  }

  struct Include: Sendable {
    let name: String
    let nodes: [Node]
    let position: Position
    /// What stands before an include that has its line for itself: it indents every line included.
    let indentation: [UInt8]?
  }
}
