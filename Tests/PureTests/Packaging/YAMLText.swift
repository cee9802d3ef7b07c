// SPDX-License-Identifier: Apache-2.0
import CYAML
import Foundation
import OrderedJSON

/// YAML as Kubernetes and Ansible read it, any number of documents in a text. fpd's own reader is for its
/// configuration, and knows neither lists nor a second document.
enum YAMLText {
  struct Problem: Error, CustomStringConvertible { let description: String }

  static func documents(_ text: String) throws -> [JSON] {
    let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    parser.initialize(to: yaml_parser_t())
    defer { parser.deallocate() }
    guard yaml_parser_initialize(parser) == 1 else { throw Problem(description: "no memory") }
    defer { yaml_parser_delete(parser) }
    return try Array(text.utf8).withUnsafeBufferPointer { input in
      yaml_parser_set_input_string(parser, input.baseAddress, input.count)
      var documents: [JSON] = []
      while let next = try document(parser) { documents.append(next) }
      return documents
    }
  }

  /// The only document of a file of the tree.
  static func file(_ path: String) throws -> JSON {
    let found = try documents(String(contentsOfFile: "\(repository)/\(path)", encoding: .utf8))
    guard found.count == 1, let only = found.first else {
      throw Problem(description: "\(path): \(found.count) documents")
    }
    return only
  }

  /// Every YAML file below a directory of the tree.
  static func files(below directory: String) -> [String] {
    let all = FileManager.default.enumerator(atPath: "\(repository)/\(directory)")
    return (all?.compactMap { $0 as? String } ?? [])
      .filter { $0.hasSuffix(".yaml") || $0.hasSuffix(".yml") }.sorted()
      .map { "\(directory)/\($0)" }
  }

  private static func document(_ parser: UnsafeMutablePointer<yaml_parser_t>) throws -> JSON? {
    let document = UnsafeMutablePointer<yaml_document_t>.allocate(capacity: 1)
    document.initialize(to: yaml_document_t())
    defer { document.deallocate() }
    guard yaml_parser_load(parser, document) == 1 else {
      let words = parser.pointee.problem.map { String(cString: $0) } ?? "it cannot be read"
      throw Problem(description: "line \(parser.pointee.problem_mark.line + 1): \(words)")
    }
    defer { yaml_document_delete(document) }
    return try yaml_document_get_root_node(document).map { try value($0.pointee, document) }
  }

  private static func value(
    _ node: yaml_node_t, _ document: UnsafeMutablePointer<yaml_document_t>
  ) throws -> JSON {
    func child(_ number: Int32) throws -> JSON {
      guard let found = yaml_document_get_node(document, number) else {
        throw Problem(description: "no node \(number)")
      }
      return try value(found.pointee, document)
    }
    switch node.type {
    case YAML_SCALAR_NODE: return scalar(node)
    case YAML_SEQUENCE_NODE:
      let items = node.data.sequence.items
      return .array(
        try UnsafeBufferPointer(start: items.start, count: items.top - items.start).map(child))
    case YAML_MAPPING_NODE:
      let pairs = node.data.mapping.pairs
      var object = JSON.Object()
      for pair in UnsafeBufferPointer(start: pairs.start, count: pairs.top - pairs.start) {
        guard let key = try child(pair.key).string, object[key] == nil else {
          throw Problem(description: "line \(node.start_mark.line + 1): a key twice, or no text")
        }
        object.append(key, try child(pair.value))
      }
      return .object(object)
    default: throw Problem(description: "line \(node.start_mark.line + 1): nothing")
    }
  }

  /// What is not in quotes may be something else than text, as in YAML 1.1.
  private static func scalar(_ node: yaml_node_t) -> JSON {
    let bytes = UnsafeBufferPointer(start: node.data.scalar.value, count: node.data.scalar.length)
    let text = String(decoding: bytes, as: UTF8.self)
    guard node.data.scalar.style == YAML_PLAIN_SCALAR_STYLE else { return .string(text) }
    switch text.lowercased() {
    case "", "~", "null": return .null
    case "true", "yes", "on": return true
    case "false", "no", "off": return false
    default: return Int64(text).map(JSON.int) ?? .string(text)
    }
  }
}
