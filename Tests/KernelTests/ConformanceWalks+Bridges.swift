// SPDX-License-Identifier: Apache-2.0

/// What is typed, and what the graph shows. p1, p2 and p3 are veths whose other ends are elsewhere and up.
enum ConformanceWalks {}

extension ConformanceWalks {
  private static let port = #""STP_enabled":false,"VLAN_enabled":false,"ageing_time":300"#

  static let bridge = Walk(
    "a bridge comes and goes",
    [
      Step(
        "brctl addbr", ["brctl addbr br0"],
        ["interfaces.br0.graph nodes bridge", "interfaces.br0.slow_path has link-down"],
        exactly: [
          "br0": #"{"hook":"none","graph":{"bridge":{"conf":{"bridge":"br0",\#(port),"ports":[]},"#
            + #""next_nf":null}},"slow_path":[{"reason":"bridge-device","scope":"interface"},"#
            + #"{"reason":"link-down","scope":"interface"}]}"#
        ]),
      // The kernel says nothing of what is set while it is down.
      Step(
        "settings of a bridge that is down",
        ["ip link set br0 type bridge group_fwd_mask 8 ageing_time 20000"],
        [
          "interfaces.br0.graph.bridge.conf.group_fwd_mask == 8",
          "interfaces.br0.graph.bridge.conf.ageing_time == 200",
        ], patience: .seconds(4)),
      Step(
        "settings of a bridge that is down, undone",
        ["ip link set br0 type bridge group_fwd_mask 0 ageing_time 30000"],
        ["interfaces.br0.graph.bridge.conf.ageing_time == 300"], patience: .seconds(4)),
      Step(
        "brctl addif", ["brctl addif br0 p1"],
        [
          "interfaces.p1.graph nodes bridge", #"interfaces.p1.graph.bridge.conf.bridge == "br0""#,
          #"interfaces.p1.graph.bridge.conf.port_state == "disabled""#,
          "interfaces.p1.slow_path has port-not-forwarding",
          #"interfaces.br0.graph.bridge.conf.ports == ["p1"]"#,
        ]),
      Step(
        "bridge up", ["ip link set br0 up"],
        exactly: [
          "p1": #"{"hook":"tc","graph":{"bridge":{"conf":{"bridge":"br0",\#(port),"#
            + #""port_state":"forwarding","learning":true},"next_nf":null}},"slow_path":[]}"#
        ], patience: Step.linkwatch),
      Step(
        "ip link set master", ["ip link set p2 master br0"],
        [
          #"interfaces.p2.graph.bridge.conf.port_state == "forwarding""#,
          #"interfaces.p2.hook == "tc""#, #"interfaces.br0.graph.bridge.conf.ports == ["p1","p2"]"#,
        ]),
      Step(
        "brctl stp on", ["brctl stp br0 on"],
        [
          "interfaces.p1.graph.bridge.conf.STP_enabled == true",
          "interfaces.p2.graph.bridge.conf.STP_enabled == true",
        ]),
      Step(
        "brctl stp off", ["brctl stp br0 off"],
        [
          "interfaces.p1.graph.bridge.conf.STP_enabled == false",
          #"interfaces.p1.graph.bridge.conf.port_state == "forwarding""#,
        ]),
      Step(
        "stp_state by ip", ["ip link set br0 type bridge stp_state 1"],
        ["interfaces.br0.graph.bridge.conf.STP_enabled == true"]),
      Step(
        "a port leaves and joins a bridge with STP",
        ["ip link set p2 nomaster", "ip link set p2 master br0"],
        [
          #"interfaces.p2.graph.bridge.conf.port_state == "listening""#,
          "interfaces.p2.slow_path has port-not-forwarding",
        ]),
      Step(
        "stp_state 0 by ip", ["ip link set br0 type bridge stp_state 0"],
        [
          "interfaces.p2.graph.bridge.conf.STP_enabled == false",
          // The kernel lets a port that was listening go on doing so until its timer ends.
          #"interfaces.p2.graph.bridge.conf.port_state == "listening""#,
        ]),
      Step(
        "a port leaves and joins a bridge without",
        ["ip link set p2 nomaster", "ip link set p2 master br0"],
        ["interfaces.p2.slow_path lacks port-not-forwarding"]),
      Step(
        "brctl setageing", ["brctl setageing br0 60"],
        ["interfaces.p1.graph.bridge.conf.ageing_time == 60"]),
      Step(
        "ageing_time by ip", ["ip link set br0 type bridge ageing_time 30000"],
        ["interfaces.p1.graph.bridge.conf.ageing_time == 300"]),
      Step(
        "group_fwd_mask", ["ip link set br0 type bridge group_fwd_mask 0x4000"],
        ["interfaces.p1.graph.bridge.conf.group_fwd_mask == 16384"]),
      Step(
        "group_fwd_mask off", ["ip link set br0 type bridge group_fwd_mask 0"],
        ["interfaces.p1.graph.bridge.conf.group_fwd_mask absent"]),
      Step(
        "VLAN filtering", ["ip link set br0 type bridge vlan_filtering 1"],
        [
          "interfaces.p1.graph.bridge.conf.VLAN_enabled == true",
          "interfaces.p1.graph.bridge.conf.pvid == 1",
          #"interfaces.p1.graph.bridge.conf.vlans == ["1"]"#,
        ], provided: Step.vlanFiltering),
      Step(
        "bridge vlan add", ["bridge vlan add dev p1 vid 10-20"],
        [#"interfaces.p1.graph.bridge.conf.vlans == ["1","10-20"]"#],
        provided: Step.vlanFiltering),
      Step(
        "bridge vlan pvid", ["bridge vlan add dev p1 vid 30 pvid untagged"],
        ["interfaces.p1.graph.bridge.conf.pvid == 30"], provided: Step.vlanFiltering),
      Step(
        "VLAN filtering off", ["ip link set br0 type bridge vlan_filtering 0"],
        ["interfaces.p1.graph.bridge.conf.VLAN_enabled == false"], provided: Step.vlanFiltering),
      Step(
        "an FDB entry is nothing new", ["bridge fdb add 02:00:00:00:00:99 dev p1 master static"],
        changesNothing: true),
      Step(
        "an address on a bridge that does not forward", ["ip addr add 10.1.0.1/24 dev br0"],
        changesNothing: true),
      Step(
        "the bridge is routed", ["sysctl -q -w net.ipv4.ip_forward=1"],
        [
          "interfaces.p1.graph nodes bridge router",
          #"interfaces.p1.graph.bridge.next_nf == "router""#,
          #"interfaces.p1.graph.router.conf.device == "br0""#,
          "interfaces.br0.graph nodes bridge router", "interfaces.p3.graph nodes router bridge",
          #"interfaces.p3.graph.router.next_nf == "bridge""#,
          #"interfaces.p3.graph.bridge.conf.bridges == ["br0"]"#, #"interfaces.p3.hook == "tc""#,
        ]),
      Step(
        "a second routed bridge",
        ["ip link add br1 type bridge", "ip link set br1 up", "ip addr add 10.2.0.1/24 dev br1"],
        [
          #"interfaces.p1.graph.router.next_nf == "bridge""#,
          #"interfaces.p3.graph.bridge.conf.bridges == ["br0","br1"]"#,
        ]),
      Step(
        "the second goes", ["ip link del br1"],
        ["interfaces.br1 absent", "interfaces.p1.graph.router.next_nf == null"]),
      Step(
        "the address goes", ["ip addr del 10.1.0.1/24 dev br0"],
        [
          "interfaces.p1.graph nodes bridge", "interfaces.p3.graph nodes",
          "interfaces.p3.slow_path has no-routes",
        ]),
      Step(
        "bridge down", ["ip link set br0 down"],
        [#"interfaces.p1.graph.bridge.conf.port_state == "disabled""#]),
      Step(
        "brctl delif", ["brctl delif br0 p1"],
        ["interfaces.p1.graph nodes", #"interfaces.br0.graph.bridge.conf.ports == ["p2"]"#]),
      Step("nomaster", ["ip link set p2 nomaster"], ["interfaces.p2.graph nodes"]),
      Step("brctl delbr", ["brctl delbr br0"], ["interfaces.br0 absent", "interfaces.p1 present"]),
    ])

  private static func flag(_ name: String, _ value: String = "on") -> Step {
    Step(
      "\(name) \(value)", ["bridge link set dev p1 \(name) \(value)"],
      ["interfaces.p1.slow_path has bridge-port-flag"])
  }

  private static func noFlag(_ name: String, _ value: String = "off") -> Step {
    Step(
      "\(name) \(value)", ["bridge link set dev p1 \(name) \(value)"],
      ["interfaces.p1.slow_path lacks bridge-port-flag"])
  }

  static let ports = Walk(
    "bridge ports are set up",
    [
      Step(
        "a bridge with two ports",
        [
          "ip link add br0 type bridge", "ip link set br0 up", "ip link set p1 master br0",
          "ip link set p2 master br0",
        ],
        ["interfaces.p2.hook == \"tc\"", #"interfaces.br0.graph.bridge.conf.ports == ["p1","p2"]"#]),
      Step(
        "isolated on", ["bridge link set dev p1 isolated on"],
        ["interfaces.p1.graph.bridge.conf.isolated == true"]),
      Step(
        "isolated off", ["bridge link set dev p1 isolated off"],
        ["interfaces.p1.graph.bridge.conf.isolated absent"]),
      Step(
        "brctl hairpin on", ["brctl hairpin br0 p1 on"],
        ["interfaces.p1.graph.bridge.conf.hairpin == true"]),
      Step(
        "hairpin off", ["bridge link set dev p1 hairpin off"],
        ["interfaces.p1.graph.bridge.conf.hairpin absent"]),
      Step(
        "learning off", ["bridge link set dev p1 learning off"],
        ["interfaces.p1.graph.bridge.conf.learning == false"]),
      Step(
        "learning on", ["bridge link set dev p1 learning on"],
        ["interfaces.p1.graph.bridge.conf.learning == true"]),
      flag("locked"), noFlag("locked"),
      Step(
        // Without STP the kernel takes back any state by hand that is not a step towards forwarding.
        "learning by hand", ["bridge link set dev p1 state 2"],
        [
          #"interfaces.p1.graph.bridge.conf.port_state == "learning""#,
          "interfaces.p1.slow_path has port-not-forwarding",
        ]),
      Step(
        "forwarding by hand", ["bridge link set dev p1 state 3"],
        [
          #"interfaces.p1.graph.bridge.conf.port_state == "forwarding""#,
          "interfaces.p1.slow_path lacks port-not-forwarding",
        ]),
      Step(
        "the carrier goes", ["far: ip link set far1 down"],
        ["interfaces.p1.slow_path has no-carrier", #"interfaces.p1.hook == "none""#],
        patience: Step.linkwatch),
      Step(
        "the carrier comes back", ["far: ip link set far1 up"],
        ["interfaces.p1.slow_path lacks no-carrier", #"interfaces.p1.hook == "tc""#],
        patience: Step.linkwatch),
      Step(
        "a port moves to another bridge",
        ["ip link add br1 type bridge", "ip link set br1 up", "ip link set p1 master br1"],
        [
          #"interfaces.p1.graph.bridge.conf.bridge == "br1""#,
          #"interfaces.br0.graph.bridge.conf.ports == ["p2"]"#,
        ]),
      Step(
        "a bridge is renamed",
        ["ip link set br1 down", "ip link set br1 name lan1", "ip link set lan1 up"],
        [
          #"interfaces.p1.graph.bridge.conf.bridge == "lan1""#, "interfaces.br1 absent",
          "interfaces.lan1 present",
        ]),
      Step(
        "nftables bridge rules",
        [
          "nft: table bridge t {;chain f {;type filter hook forward priority 0;;ether daddr 02:00:00:00:00:77 drop;};}"
        ],
        ["interfaces.p1.slow_path has bridge-filter", "interfaces.p2.slow_path has bridge-filter"]),
      Step(
        "no nftables bridge rules", ["nft delete table bridge t"],
        ["interfaces.p1.slow_path lacks bridge-filter"]),
      Step(
        "bridge-nf-call-iptables", ["sysctl -q -w net.bridge.bridge-nf-call-iptables=1"],
        ["interfaces.p1.slow_path has bridge-netfilter"], provided: Step.bridgeNetfilter),
      Step(
        "bridge-nf-call-iptables off", ["sysctl -q -w net.bridge.bridge-nf-call-iptables=0"],
        ["interfaces.p1.slow_path lacks bridge-netfilter"], provided: Step.bridgeNetfilter),
      Step(
        "nf_call_iptables of one bridge", ["ip link set br0 type bridge nf_call_iptables 1"],
        [
          "interfaces.p2.slow_path has bridge-netfilter",
          "interfaces.p1.slow_path lacks bridge-netfilter",
        ], provided: Step.bridgeNetfilter),
      Step(
        "the bridge is deleted with its port", ["ip link del br0"],
        ["interfaces.br0 absent", "interfaces.p2.graph nodes"]),
    ])
}

extension ConformanceWalks {
  /// br_netfilter registers its hooks with the first bridge of a namespace: two changes in one moment.
  static let firstBridge = Walk(
    "the first bridge brings br_netfilter",
    [
      Step(
        "bridge-nf-call-iptables before there is a bridge",
        ["sysctl -q -w net.bridge.bridge-nf-call-iptables=1"], changesNothing: true,
        provided: Step.bridgeNetfilter),
      Step(
        "the first bridge", ["ip link add br0 type bridge"],
        ["interfaces.br0.slow_path has bridge-netfilter"], provided: Step.bridgeNetfilter),
      Step(
        "its first port", ["ip link set br0 up", "ip link set p1 master br0"],
        ["interfaces.p1.graph nodes bridge", #"interfaces.p1.hook == "tc""#]),
    ])
}

extension Step {
  /// The kernel announces a carrier that went at most once a second (net/core/link_watch.c).
  static let linkwatch = Duration.milliseconds(1600)
  static let vlanFiltering =
    "sh -c 'ip link add probe type bridge vlan_filtering 1; r=$?; ip link del probe; exit $r'"
  static let bridgeNetfilter = "sysctl -q net.bridge.bridge-nf-call-iptables"
}
