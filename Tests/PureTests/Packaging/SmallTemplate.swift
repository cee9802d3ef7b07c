// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// As much of Jinja as the template of the role needs, as Ansible renders it; everything else is an error.
struct SmallTemplate {
  struct Problem: Error { let line: String }

  private let lines: [Substring]

  init(_ text: String) {
    lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
  }

  func rendered(_ values: [String: JSON]) throws -> String {
    var rest = lines[...]
    let text = try Self.section(&rest, values, isLive: true)
    if let line = rest.first { throw Problem(line: String(line)) }
    return text
  }

  /// Up to the end of what `if` or `for` began.
  private static func section(
    _ rest: inout ArraySlice<Substring>, _ values: [String: JSON], isLive: Bool
  ) throws -> String {
    let loop = /\{% for ([a-z]+), ([a-z]+) in ([a-z_]+).items\(\) %\}/
    var text = ""
    while let line = rest.popFirst() {
      if line == "{% endif %}" || line == "{% endfor %}" { return text }
      if let found = line.wholeMatch(of: /\{% if ([a-z_]+) %\}/) {
        let says = try isLive && isTrue(value(String(found.1), values))
        text += try section(&rest, values, isLive: says)
      } else if let found = line.wholeMatch(of: loop) {
        let members = isLive ? try value(String(found.3), values).object?.members ?? [] : []
        let start = rest
        _ = try section(&rest, values, isLive: false)
        for (key, member) in members {
          var again = start
          let more = [String(found.1): JSON.string(key), String(found.2): member]
          text += try section(&again, values.merging(more) { $1 }, isLive: true)
        }
      } else if line.contains("{%") {
        throw Problem(line: String(line))
      } else if isLive {
        text += try filled(line, values) + "\n"
      }
    }
    return text
  }

  private static func filled(_ line: Substring, _ values: [String: JSON]) throws -> String {
    let pattern = /\{\{ ([a-z_.]+)(?: \| bool)?( \| to_json)? \}\}/
    var text = ""
    var end = line.startIndex
    for match in line.matches(of: pattern) {
      let found = try value(String(match.1), values)
      text += line[end..<match.range.lowerBound]
      text += match.2 == nil ? found.string ?? found.text() : found.text()
      end = match.range.upperBound
    }
    text += line[end...]
    if text.contains("{{") || text.contains("}}") { throw Problem(line: String(line)) }
    return text
  }

  private static func value(_ path: String, _ values: [String: JSON]) throws -> JSON {
    let names = path.split(separator: ".").map(String.init)
    var found = names.first.flatMap { values[$0] }
    for name in names.dropFirst() { found = found?[name] }
    guard let found else { throw Problem(line: path) }
    return found
  }

  private static func isTrue(_ value: JSON) -> Bool {
    switch value {
    case .null, .bool(false), .string(""), .int(0), .array([]): false
    case .object(let object): !object.isEmpty
    default: true
    }
  }
}
