// SPDX-License-Identifier: Apache-2.0

/// One option of a command, described once: the parser, the help and the completions all read it.
public struct Option: Sendable {
  /// What a shell offers as the option's value.
  public enum Completion: Sendable, Equatable {
    case nothing, interface, file, directory
    case words([String])
  }

  public let name: String
  /// What the help calls the value; nil where the option takes none.
  public let value: String?
  public let summary: String
  public let completion: Completion

  public init(
    _ name: String, value: String? = nil, completion: Completion = .nothing, _ summary: String
  ) {
    self.name = name
    self.value = value
    self.completion = completion
    self.summary = summary
  }

  public static let help = Option("--help", "show this help")

  /// The option as the help shows it: `--timeout SECONDS`.
  public var shown: String { value.map { "\(name) \($0)" } ?? name }
}

/// What was typed wrongly, and what would be right.
public struct UsageError: Error, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// A command line taken apart: `--name value` and `--name=value` mean the same, `--` ends the options.
public struct Arguments: Equatable, Sendable {
  private var values: [String: String] = [:]
  private var flags: Set<String> = []
  public private(set) var operands: [String] = []

  public subscript(option: String) -> String? { values[option] }
  public func has(_ option: String) -> Bool { flags.contains(option) || values[option] != nil }

  /// `stopAtOperand` leaves the first word that is no option, and all after it, as operands.
  public init(
    _ words: some Sequence<String>, options: [Option], stopAtOperand: Bool = false
  ) throws(UsageError) {
    var rest = Array(words)[...]
    while let word = rest.popFirst() {
      if word == "--" { break }
      if word == "-h" {
        try take("--help", options, &rest)
      } else if word.hasPrefix("-"), word != "-" {
        try take(word, options, &rest)
      } else {
        operands.append(word)
        if stopAtOperand { break }
      }
    }
    operands.append(contentsOf: rest)
  }

  private mutating func take(
    _ word: String, _ options: [Option], _ rest: inout ArraySlice<String>
  ) throws(UsageError) {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts.first ?? "")
    guard let option = options.first(where: { $0.name == name }) else {
      let close = suggestion(for: name, among: options.map(\.name))
      throw UsageError("unknown option \(name)\(close)")
    }
    guard let value = option.value else {
      if parts.count > 1 { throw UsageError("\(name) takes no value") }
      flags.insert(name)
      return
    }
    if values[name] != nil { throw UsageError("\(name) is given twice") }
    if parts.count > 1 {
      values[name] = String(parts[1])
    } else if let next = rest.first, !next.hasPrefix("--") {
      values[name] = next
      rest.removeFirst()
    }
    if values[name]?.isEmpty ?? true { throw UsageError("\(name) needs a value: \(name) \(value)") }
  }
}

/// Two columns as help texts have them: what is typed, and what it does.
public func columns(_ rows: [(String, String)]) -> String {
  let width = rows.map(\.0.count).max() ?? 0
  return rows.map { left, right in
    "  \(left)\(String(repeating: " ", count: width - left.count))  \(right)\n"
  }.joined()
}
