// SPDX-License-Identifier: Apache-2.0
import Control
import OrderedJSON
import Rendering
import Usage

/// One command of fpctl: what the help, the parser and the completions need to know, and the doing.
protocol Subcommand {
  static var name: String { get }
  static var summary: String { get }
  /// A paragraph for `fpctl NAME --help`.
  static var story: String { get }
  static var operands: [Operand] { get }
  static var options: [Option] { get }
  static func run(_ call: Call) throws
}

extension Subcommand {
  static var operands: [Operand] { [] }
  static var options: [Option] { [] }
}

/// A word that may follow the command.
struct Operand {
  let name: String
  let completion: Option.Completion

  static let interface = Operand(name: "INTERFACE", completion: .interface)
}

/// One invocation: what was typed, and whom to ask.
struct Call {
  let arguments: Arguments
  let socket: String
  let isJSON: Bool

  var interface: JSON.Object {
    var object = JSON.Object()
    object["interface"] = arguments.operands.first.map(JSON.string)
    return object
  }

  func ask(
    _ command: Command, _ arguments: JSON.Object = JSON.Object(),
    timeoutMilliseconds: Int64 = 30_000
  ) throws(ControlError) -> JSON {
    var client = try ControlClient(path: socket)
    return try client.ask(
      Request(command, arguments), timeoutMilliseconds: timeoutMilliseconds)
  }

  /// Prints an answer: as it came with --json, else as `render` shows it to people.
  func show(_ answer: JSON, _ render: (JSON, Style) -> String) throws {
    if isJSON {
      try Output.write(answer.text(pretty: Output.isTerminal) + "\n")
    } else {
      try Output.write(render(answer, Output.style))
    }
  }
}
