// SPDX-License-Identifier: Apache-2.0
import Usage

extension Completion {
  /// Needs nothing but bash itself.
  static var bash: String {
    let values = allOptions.filter { $0.value != nil }
    let commands = Fpctl.commands.map { command in
      let words = (command.options + Fpctl.globalOptions).map(\.name).joined(separator: " ")
      let operands = command.operands.map { bashWords($0.completion) }.joined(separator: " ")
      return "    \(command.name)) words=\"\(words)\"; operands=\"\(operands)\" ;;\n"
    }.joined()
    return """
      # bash completion for fpctl

      _fpctl_interfaces() {
        local device
        for device in /sys/class/net/*; do
          [ -e "$device" ] && printf '%s ' "${device##*/}"
        done
      }

      _fpctl() {
        local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
        local command="" words operands index
        # bash cuts "--option=value" into three words.
        if [ "$current" = "=" ]; then
          current=""
        elif [ "$previous" = "=" ]; then
          previous=${COMP_WORDS[COMP_CWORD-2]}
        fi
        COMPREPLY=()
        case $previous in
      \(values.map(bashValue).joined())  esac
        for ((index = 1; index < COMP_CWORD; index++)); do
          case ${COMP_WORDS[index]} in
            \(values.map(\.name).joined(separator: "|"))) [ "${COMP_WORDS[index+1]}" = "=" ] && ((index++)); ((index++)) ;;
            -*|=) ;;
            *) command=${COMP_WORDS[index]}; break ;;
          esac
        done
        case $command in
          "") words="\(Fpctl.globalOptions.map(\.name).joined(separator: " "))"
            operands="\(Fpctl.commands.map { $0.name }.joined(separator: " "))" ;;
      \(commands)    *) return ;;
        esac
        case $current in
          -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
          *) COMPREPLY=($(compgen -W "$operands" -- "$current")) ;;
        esac
      }

      complete -F _fpctl fpctl

      """
  }

  private static func bashWords(_ completion: Option.Completion) -> String {
    switch completion {
    case .interface: "$(_fpctl_interfaces)"
    case .words(let words): words.joined(separator: " ")
    case .nothing, .file, .directory: ""
    }
  }

  private static func bashValue(_ option: Option) -> String {
    let generator =
      switch option.completion {
      case .nothing: ""
      case .file: "COMPREPLY=($(compgen -f -- \"$current\")); "
      case .directory: "COMPREPLY=($(compgen -d -- \"$current\")); "
      case .interface, .words:
        "COMPREPLY=($(compgen -W \"\(bashWords(option.completion))\" -- \"$current\")); "
      }
    return "    \(option.name)) \(generator)return ;;\n"
  }
}
