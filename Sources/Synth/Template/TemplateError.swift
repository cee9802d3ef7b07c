// SPDX-License-Identifier: Apache-2.0
import Usage

/// What is wrong with a template or with what it was given, and where:
/// `router.c.tmpl:12:8: no variable "rp_fliter"; did you mean "rp_filter"?`
package struct TemplateError: Error, Equatable, CustomStringConvertible {
  package let template: String
  package let line: Int
  package let column: Int
  package let problem: String
  /// The includes that led there, innermost first, as `template:line:column`.
  package private(set) var includedFrom: [String] = []

  init(_ template: String, _ position: Template.Position, _ problem: String) {
    self.template = template
    line = position.line
    column = position.column
    self.problem = problem
  }

  package var description: String {
    let trail = includedFrom.map { "; included from \($0)" }.joined()
    return "\(template):\(line):\(column): \(problem)\(trail)"
  }

  func included(from template: String, _ position: Template.Position) -> TemplateError {
    var error = self
    error.includedFrom.append("\(template):\(position)")
    return error
  }
}

/// "; did you mean "this"?", or, where nothing is close and the choice is small, what there is.
func alternatives(to word: String, among names: [String]) -> String {
  let close = nearest(to: word, among: names).map { "\"\($0)\"" }
  if !close.isEmpty { return "; did you mean \(close.joined(separator: " or "))?" }
  guard !names.isEmpty, names.count <= 12 else { return "" }
  return "; there is \(names.map { "\"\($0)\"" }.joined(separator: ", "))"
}
