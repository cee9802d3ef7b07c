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
    --socket) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --format) COMPREPLY=($(compgen -W "tree json dot svg" -- "$current")); return ;;
    --interval) return ;;
    --count) return ;;
    --sort) COMPREPLY=($(compgen -W "packets kernel name" -- "$current")); return ;;
    --in) COMPREPLY=($(compgen -W "$(_fpctl_interfaces)" -- "$current")); return ;;
    --src) return ;;
    --dst) return ;;
    --proto) COMPREPLY=($(compgen -W "tcp udp icmp" -- "$current")); return ;;
    --sport) return ;;
    --dport) return ;;
    --ttl) return ;;
    --smac) return ;;
    --dmac) return ;;
    --pcap) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --timeout) return ;;
  esac
  for ((index = 1; index < COMP_CWORD; index++)); do
    case ${COMP_WORDS[index]} in
      --socket|--format|--interval|--count|--sort|--in|--src|--dst|--proto|--sport|--dport|--ttl|--smac|--dmac|--pcap|--timeout) [ "${COMP_WORDS[index+1]}" = "=" ] && ((index++)); ((index++)) ;;
      -*|=) ;;
      *) command=${COMP_WORDS[index]}; break ;;
    esac
  done
  case $command in
    "") words="--socket --json --help --version"
      operands="status graph stats top rules why shadow wait config monitor state completion help" ;;
    status) words="--socket --json --help --version"; operands="" ;;
    graph) words="--format --socket --json --help --version"; operands="$(_fpctl_interfaces)" ;;
    stats) words="--socket --json --help --version"; operands="$(_fpctl_interfaces)" ;;
    top) words="--interval --count --sort --socket --json --help --version"; operands="$(_fpctl_interfaces)" ;;
    rules) words="--socket --json --help --version"; operands=" " ;;
    why) words="--in --src --dst --proto --sport --dport --ttl --smac --dmac --pcap --socket --json --help --version"; operands="" ;;
    shadow) words="--socket --json --help --version"; operands="" ;;
    wait) words="--timeout --socket --json --help --version"; operands="" ;;
    config) words="--socket --json --help --version"; operands="" ;;
    monitor) words="--socket --json --help --version"; operands="" ;;
    state) words="--socket --json --help --version"; operands="" ;;
    completion) words="--socket --json --help --version"; operands="bash zsh fish" ;;
    help) words="--socket --json --help --version"; operands="status graph stats top rules why shadow wait config monitor state completion help" ;;
    *) return ;;
  esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$operands" -- "$current")) ;;
  esac
}

complete -F _fpctl fpctl
