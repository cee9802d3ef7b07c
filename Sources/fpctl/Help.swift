// SPDX-License-Identifier: Apache-2.0
import Usage

enum Help: Subcommand {
  static let name = "help"
  static let summary = "show this, or the help of a command"
  static let story = "Shows what fpctl can do, or what one of its commands does."
  static var operands: [Operand] {
    [Operand(name: "COMMAND", completion: .words(Fpctl.commands.map { $0.name }))]
  }

  static func run(_ call: Call) throws {
    guard let name = call.arguments.operands.first else { return try Output.write(overview) }
    guard let command = Fpctl.command(name) else {
      let close = suggestion(for: name, among: Fpctl.commands.map { $0.name })
      throw UsageError("unknown command \"\(name)\"\(close)")
    }
    try Output.write(text(command))
  }

  static var overview: String {
    """
    Usage: fpctl [--socket PATH] COMMAND [--json] ...

    Asks fpd what it sees and does.

    Commands:
    \(columns(Fpctl.commands.map { ($0.name, $0.summary) }))
    Options:
    \(columns(Fpctl.globalOptions.map { ($0.shown, $0.summary) }))
    Exits with 0 when done, 1 when the answer is no, 2 when it was called wrongly and 3
    when fpd cannot be reached. Each command has --help; see also fpctl(8) and fpd(8).

    """
  }

  static func text(_ command: any Subcommand.Type) -> String {
    let operands = command.operands.map { " [\($0.name)]" }.joined()
    let options = command.options + Fpctl.globalOptions.filter { $0.name != "--version" }
    return """
      Usage: fpctl \(command.name)\(operands) [OPTION]...

      \(command.story)

      \(columns(options.map { ($0.shown, $0.summary) }))
      """
  }
}
