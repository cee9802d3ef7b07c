// SPDX-License-Identifier: Apache-2.0
import Usage

extension Completion {
  static var zsh: String {
    let commands = Fpctl.commands.map { "    '\(quoted("\($0.name):\($0.summary)"))'\n" }.joined()
    let cases = Fpctl.commands.map { command in
      let operands = command.operands.enumerated().map { place, operand in
        "'\(place + 1)::\(operand.name.lowercased()):\(action(operand.completion))'"
      }
      let words = (command.options + Fpctl.globalOptions).map(spec) + operands
      return "      \(command.name)) _arguments \(words.joined(separator: " \\\n        ")) ;;\n"
    }.joined()
    return """
      #compdef fpctl
      # zsh completion for fpctl

      _fpctl_interfaces() {
        local -a devices
        devices=(/sys/class/net/*(N:t))
        compadd -a devices
      }

      _fpctl() {
        local context state state_descr line
        typeset -A opt_args
        local -a commands
        commands=(
      \(commands)  )
        _arguments -C \\
          \(Fpctl.globalOptions.map(spec).joined(separator: " \\\n    ")) \\
          '1:command:->command' '*::argument:->argument'
        case $state in
          command) _describe 'command' commands ;;
          argument)
            case $words[1] in
      \(cases)      esac ;;
        esac
      }

      # Sourced, it registers itself; found in fpath, it is called.
      if [[ ${funcstack[1]} = _fpctl ]]; then
        _fpctl "$@"
      else
        compdef _fpctl fpctl
      fi

      """
  }

  private static func spec(_ option: Option) -> String {
    let summary = option.summary.replacing("[", "\\[").replacing("]", "\\]").replacing(":", "\\:")
    let value = option.value.map { ":\($0.lowercased()):\(action(option.completion))" } ?? ""
    return "'\(quoted("\(option.name)\(option.value == nil ? "" : "=")[\(summary)]\(value)"))'"
  }

  private static func action(_ completion: Option.Completion) -> String {
    switch completion {
    case .nothing: " "
    case .interface: "_fpctl_interfaces"
    case .file: "_files"
    case .directory: "_directories"
    case .words(let words): "(\(words.joined(separator: " ")))"
    }
  }

  /// Text within single quotes.
  private static func quoted(_ text: String) -> String { text.replacing("'", "'\\''") }
}

extension String {
  /// Every occurrence of a character replaced.
  func replacing(_ old: Character, _ new: String) -> String {
    reduce(into: "") { $0 += $1 == old ? new : String($1) }
  }
}
