// SPDX-License-Identifier: Apache-2.0
import Usage

enum Completion: Subcommand {
  static let name = "completion"
  static let summary = "print the completion for bash, zsh or fish"
  static let story = """
    Prints what makes a shell complete fpctl's commands, options and interface names;
    packages install it already. To try it: source <(fpctl completion bash)
    """
  static let shells = ["bash", "zsh", "fish"]
  static let operands = [Operand(name: "SHELL", completion: .words(shells))]

  static func run(_ call: Call) throws {
    guard let shell = call.arguments.operands.first else {
      throw UsageError("for which shell? \(shells.joined(separator: ", "))")
    }
    switch shell {
    case "bash": try Output.write(bash)
    case "zsh": try Output.write(zsh)
    case "fish": try Output.write(fish)
    default:
      let close = suggestion(for: shell, among: shells)
      throw UsageError("no completion for \"\(shell)\", only for bash, zsh and fish\(close)")
    }
  }

  /// Every option once: options of the same name mean the same in every command.
  static var allOptions: [Option] {
    var seen: Set<String> = []
    return (Fpctl.globalOptions + Fpctl.commands.flatMap { $0.options })
      .filter { seen.insert($0.name).inserted }
  }
}
