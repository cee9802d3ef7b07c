# fish completion for fpctl

function __fpctl_interfaces
    string replace /sys/class/net/ '' /sys/class/net/*
end

complete -c fpctl -f
complete -c fpctl -l socket -x -a '(__fish_complete_path)' -d 'where fpd listens (default /run/fpd/fpd.sock)'
complete -c fpctl -l json -d 'answer in JSON, for programs'
complete -c fpctl -l help -d 'show this help'
complete -c fpctl -l version -d 'show the version'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a status -d 'how fpd is, and how each interface is accelerated'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a graph -d 'what the kernel does with packets, interface by interface'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a stats -d 'packets forwarded, dropped, and handed to the kernel and why'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a rules -d 'the rules of all firewalls: where each is decided, and its hits'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a why -d 'run the deployed program on a packet and tell what happens to it'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a shadow -d 'what fpd would have done, compared with what Linux did (fpd --shadow)'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a wait -d 'return when what is live corresponds to the kernel\'s configuration'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a config -d 'the effective configuration and where each value came from'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a monitor -d 'a line for each new generation, as it comes'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a state -d 'what fpd has read of the kernel\'s configuration'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a completion -d 'print the completion for bash, zsh or fish'
complete -c fpctl -n 'not __fish_seen_subcommand_from status graph stats rules why shadow wait config monitor state completion help' -a help -d 'show this, or the help of a command'
complete -c fpctl -n '__fish_seen_subcommand_from graph' -a '(__fpctl_interfaces)'
complete -c fpctl -n '__fish_seen_subcommand_from graph' -l format -x -a 'tree json dot svg' -d 'tree (default), json, dot or svg'
complete -c fpctl -n '__fish_seen_subcommand_from stats' -a '(__fpctl_interfaces)'
complete -c fpctl -n '__fish_seen_subcommand_from why' -l in -x -a '(__fpctl_interfaces)' -d 'where the packet arrives (required)'
complete -c fpctl -n '__fish_seen_subcommand_from why' -l src -x -d 'source address'
complete -c fpctl -n '__fish_seen_subcommand_from why' -l dst -x -d 'destination address'
complete -c fpctl -n '__fish_seen_subcommand_from why' -l proto -x -a 'tcp udp icmp' -d 'tcp, udp, icmp or a number'
complete -c fpctl -n '__fish_seen_subcommand_from why' -l sport -x -d 'source port'
complete -c fpctl -n '__fish_seen_subcommand_from why' -l dport -x -d 'destination port'
complete -c fpctl -n '__fish_seen_subcommand_from why' -l ttl -x -d 'time to live'
complete -c fpctl -n '__fish_seen_subcommand_from why' -l smac -x -d 'source MAC address'
complete -c fpctl -n '__fish_seen_subcommand_from why' -l dmac -x -d 'destination MAC address (default: the interface\'s)'
complete -c fpctl -n '__fish_seen_subcommand_from why' -l pcap -x -a '(__fish_complete_path)' -d 'take the packets of a capture instead'
complete -c fpctl -n '__fish_seen_subcommand_from wait' -l timeout -x -d 'give up after this long (default 10)'
complete -c fpctl -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'
complete -c fpctl -n '__fish_seen_subcommand_from help' -a 'status graph stats rules why shadow wait config monitor state completion help'
