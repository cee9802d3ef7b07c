// SPDX-License-Identifier: Apache-2.0
import Usage

extension Completion {
  static var fish: String {
    let names = Fpctl.commands.map { $0.name }.joined(separator: " ")
    var out = """
      # fish completion for fpctl

      function __fpctl_interfaces
          string replace /sys/class/net/ '' /sys/class/net/*
      end

      complete -c fpctl -f

      """
    for option in Fpctl.globalOptions { out += line(option, condition: nil) }
    for command in Fpctl.commands {
      let condition = "not __fish_seen_subcommand_from \(names)"
      out +=
        "complete -c fpctl -n '\(condition)' -a \(command.name) -d '\(quoted(command.summary))'\n"
    }
    for command in Fpctl.commands {
      let condition = "__fish_seen_subcommand_from \(command.name)"
      for operand in command.operands {
        guard let words = words(operand.completion) else { continue }
        out += "complete -c fpctl -n '\(condition)' -a '\(words)'\n"
      }
      for option in command.options { out += line(option, condition: condition) }
    }
    return out
  }

  private static func line(_ option: Option, condition: String?) -> String {
    var out = "complete -c fpctl"
    if let condition { out += " -n '\(condition)'" }
    out += " -l \(option.name.dropFirst(2))"
    if option.value != nil {
      out += " -x"
      if let words = words(option.completion) { out += " -a '\(words)'" }
    }
    return out + " -d '\(quoted(option.summary))'\n"
  }

  private static func words(_ completion: Option.Completion) -> String? {
    switch completion {
    case .nothing: nil
    case .interface: "(__fpctl_interfaces)"
    case .file: "(__fish_complete_path)"
    case .directory: "(__fish_complete_directories)"
    case .words(let words): words.joined(separator: " ")
    }
  }

  private static func quoted(_ text: String) -> String {
    text.replacing("\\", "\\\\").replacing("'", "\\'")
  }
}
