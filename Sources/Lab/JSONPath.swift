// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

extension JSON {
  /// The value at a path like `interfaces.p1.graph.bridge.conf.STP_enabled`; a part in square brackets
  /// may hold dots: `interfaces.[eth0.10].hook`. Numbers index arrays.
  public func at(_ path: String) -> JSON? {
    var value: JSON? = self
    for part in Self.parts(of: path) {
      if case .array(let elements)? = value, let index = Int(part) {
        value = elements.indices.contains(index) ? elements[index] : nil
      } else {
        value = value?[part]
      }
    }
    return value
  }

  private static func parts(of path: String) -> [String] {
    var parts: [String] = [""]
    var bracketed = false
    for character in path {
      switch character {
      case "[": bracketed = true
      case "]": bracketed = false
      case "." where !bracketed: parts.append("")
      default: parts[parts.count - 1].append(character)
      }
    }
    return parts
  }
}

/// Something a JSON document should show, written as one would say it:
///
///     interfaces.p1.graph.bridge.conf.STP_enabled == true
///     interfaces.p1.hook != "xdp"
///     interfaces.p1.graph nodes bridge filter router     (exactly these keys, in this order)
///     interfaces.p1.slow_path has ipv6-not-modelled      (an element, or an element's reason)
///     interfaces.p1.slow_path lacks forwarding-off
///     interfaces.p9 absent
///     interfaces.p9 present
public struct Expectation: Sendable, CustomStringConvertible {
  public let description: String
  private let path: String
  private let test: Test

  private enum Test: Sendable {
    case equal(JSON), notEqual(JSON)
    case nodes([String])
    case has(String), lacks(String)
    case absent, present
  }

  public init(_ text: String) throws {
    description = text
    let words = text.split(separator: " ", maxSplits: 2).map(String.init)
    guard words.count >= 2 else { throw LabError("'\(text)' is not an expectation") }
    path = words[0]
    let rest = words.count > 2 ? words[2] : ""
    switch words[1] {
    case "==": test = .equal(try Self.value(rest))
    case "!=": test = .notEqual(try Self.value(rest))
    case "nodes": test = .nodes(rest.split(separator: " ").map(String.init))
    case "has" where !rest.isEmpty: test = .has(rest)
    case "lacks" where !rest.isEmpty: test = .lacks(rest)
    case "absent" where rest.isEmpty: test = .absent
    case "present" where rest.isEmpty: test = .present
    default: throw LabError("'\(text)' is not an expectation: unknown word '\(words[1])'")
    }
  }

  private static func value(_ text: String) throws -> JSON {
    do { return try JSON(parsing: text) } catch {
      throw LabError("'\(text)' is not a JSON value: \(error)")
    }
  }

  /// What is wrong with a document; nil when it is as expected.
  public func problem(in document: JSON) -> String? {
    let found = document.at(path)
    let shown = found.map { $0.text() } ?? "nothing"
    switch test {
    case .equal(let value): return found == value ? nil : "\(description), but it is \(shown)"
    case .notEqual(let value):
      guard let found else { return "\(description), but there is nothing" }
      return found != value ? nil : "\(description), but it is"
    case .nodes(let keys):
      let seen = found?.object?.keys
      return seen == keys ? nil : "\(description), but there is \(seen.map { "\($0)" } ?? shown)"
    case .has(let name):
      return Self.contains(found, name) ? nil : "\(description), but it is \(shown)"
    case .lacks(let name):
      if found == nil { return "\(description), but there is nothing to look in" }
      return Self.contains(found, name) ? "\(description), but it is \(shown)" : nil
    case .absent: return found == nil ? nil : "\(description), but it is \(shown)"
    case .present: return found == nil ? "\(description), but it is not there" : nil
    }
  }

  private static func contains(_ list: JSON?, _ name: String) -> Bool {
    list?.array?.contains { $0.string == name || $0["reason"]?.string == name } ?? false
  }
}
