// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Usage

/// What a peer must be to give a command.
public enum Privilege: Sendable, Equatable {
  /// Looks, and changes nothing: root and members of the configured group.
  case read
  /// Changes what fpd does: root alone.
  case administer
}

/// What fpctl may ask of fpd.
public enum Command: String, Sendable, CaseIterable {
  case status, graph, stats, rules, why, wait, config, monitor, state, shadow

  /// Exhaustive on purpose: a new command does not compile before someone has decided who may give it.
  public var privilege: Privilege {
    switch self {
    case .status, .graph, .stats, .rules, .why, .wait, .config, .monitor, .state, .shadow: .read
    }
  }
}

/// One line from a client: the command and its arguments.
public struct Request: Sendable, Equatable {
  public let command: Command
  public let arguments: JSON.Object

  public init(_ command: Command, _ arguments: JSON.Object = JSON.Object()) {
    self.command = command
    self.arguments = arguments
  }

  public init(parsing line: some Sequence<UInt8>) throws(Refusal) {
    let value: JSON
    do { value = try JSON(parsing: line) } catch {
      throw Refusal(.usage, "the request is \(error)")
    }
    guard let object = value.object else {
      throw Refusal(.usage, "a request is an object: {\"command\":\"status\"}")
    }
    guard let name = object["command"]?.string else {
      throw Refusal(.usage, "the request has no \"command\" (a string)")
    }
    guard let command = Command(rawValue: name) else {
      let close = suggestion(for: name, among: Command.allCases.map(\.rawValue))
      throw Refusal(.usage, "unknown command \"\(name)\"\(close)")
    }
    switch object["args"] {
    case nil, .null: arguments = JSON.Object()
    case .object(let given): arguments = given
    default: throw Refusal(.usage, "\"args\" must be an object")
    }
    self.command = command
  }

  public var json: JSON {
    arguments.isEmpty
      ? ["command": .string(command.rawValue)]
      : ["command": .string(command.rawValue), "args": .object(arguments)]
  }

  /// An argument that must be text where it is given at all.
  public func text(_ name: String) throws(Refusal) -> String? {
    guard let value = arguments[name], !value.isNull else { return nil }
    guard let text = value.string else { throw Refusal(.usage, "\"\(name)\" must be a string") }
    return text
  }

  /// An argument that must be a whole number within `range` where it is given at all.
  public func number(_ name: String, in range: ClosedRange<Int64>) throws(Refusal) -> Int64? {
    guard let value = arguments[name], !value.isNull else { return nil }
    guard let number = value.int, range.contains(number) else {
      let limits = "\(range.lowerBound) to \(range.upperBound)"
      throw Refusal(.usage, "\"\(name)\" must be a whole number from \(limits)")
    }
    return number
  }
}

/// The answer no, and why.
public struct Refusal: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Kind: String, Sendable {
    /// The request makes no sense as it stands.
    case usage
    /// The peer may not do this.
    case denied
    /// Something in fpd failed.
    case `internal`
    /// The question was understood and the answer is no.
    case negative
  }

  public let kind: Kind
  public let description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  /// The answer to a question about an interface that fpd does not see.
  public static func unknownInterface(_ name: String, known: [String]) -> Refusal {
    let close = suggestion(for: name, among: known)
    return Refusal(.negative, "no interface \"\(name)\" in fpd's network namespace\(close)")
  }
}

/// One line from fpd: a result, or a refusal.
public enum Answer: Sendable, Equatable {
  case result(JSON)
  case refused(Refusal)

  public var json: JSON {
    switch self {
    case .result(let value): ["ok": true, "result": value]
    case .refused(let refusal):
      [
        "ok": false, "error": .string(refusal.description),
        "kind": .string(refusal.kind.rawValue),
      ]
    }
  }

  /// Reads what fpd sent; nil when it is no answer.
  public init?(_ json: JSON) {
    switch json["ok"]?.bool {
    case true?: self = .result(json["result"] ?? .null)
    case false?:
      let kind = json["kind"]?.string.flatMap(Refusal.Kind.init(rawValue:)) ?? .internal
      self = .refused(Refusal(kind, json["error"]?.string ?? "fpd gave no reason"))
    case nil: return nil
    }
  }
}
