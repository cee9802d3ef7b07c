// SPDX-License-Identifier: Apache-2.0

extension ConformanceWalks {
  static let links = Walk(
    "links come, change and go",
    [
      Step(
        "a router", ["ip addr add 10.0.1.1/24 dev p1", "sysctl -q -w net.ipv4.ip_forward=1"],
        ["interfaces.p1.graph nodes router"],
        exactly: [
          "lo":
            #"{"hook":"none","graph":{},"slow_path":[{"reason":"loopback","scope":"interface"}]}"#
        ]),
      Step(
        "a pair of veths", ["ip link add v0 type veth peer name v1"],
        ["interfaces.v0.slow_path has link-down", "interfaces.v1.slow_path has link-down"]),
      Step(
        "one end up", ["ip link set v0 up"],
        ["interfaces.v0.slow_path has no-carrier", "interfaces.v0.slow_path lacks link-down"]),
      Step(
        "both ends up", ["ip link set v1 up"],
        [#"interfaces.v0.hook == "tc""#, #"interfaces.v1.hook == "tc""#]),
      Step(
        "renamed", ["ip link set v0 down", "ip link set v0 name uplink", "ip link set uplink up"],
        ["interfaces.v0 absent", #"interfaces.uplink.hook == "tc""#]),
      Step(
        "moved to another namespace", ["ip link set v1 netns $OTHER"],
        ["interfaces.v1 absent", "interfaces.uplink.slow_path has no-carrier"],
        patience: Step.linkwatch),
      Step(
        "up over there", ["far: ip link set v1 up"],
        ["interfaces.uplink.slow_path lacks no-carrier"], patience: Step.linkwatch),
      Step(
        "deleted over there", ["far: ip link del v1"], ["interfaces.uplink absent"]),
      Step("MTU", ["ip link set p1 mtu 1400"], changesNothing: true),
      Step("MAC address", ["ip link set p1 address 02:00:00:00:01:01"], changesNothing: true),
      Step("queue length", ["ip link set p1 txqueuelen 500"], changesNothing: true),
      Step("an alias", ["ip link set p1 alias uplink"], changesNothing: true),
      Step("link down", ["ip link set p2 down"], ["interfaces.p2.slow_path has link-down"]),
      Step(
        "link up", ["ip link set p2 up"],
        ["interfaces.p2.slow_path lacks link-down", #"interfaces.p2.hook == "tc""#]),
      Step(
        "a macvlan", ["ip link add mv0 link p2 type macvlan mode bridge"],
        [
          "interfaces.mv0.slow_path has device-kind", "interfaces.p2.slow_path has receive-handler",
          #"interfaces.p2.hook == "none""#,
        ]),
      Step(
        "no macvlan", ["ip link del mv0"],
        ["interfaces.mv0 absent", "interfaces.p2.slow_path lacks receive-handler"]),
      Step(
        "a VXLAN for all", ["ip link add vx0 type vxlan external dstport 4788"],
        ["interfaces.vx0.slow_path has device-kind", #"interfaces.vx0.hook == "none""#]),
      Step(
        "a VXLAN of its own",
        ["ip link add vx1 type vxlan id 7 dstport 4789 local 10.0.1.1", "ip link set vx1 up"],
        ["interfaces.vx1.slow_path lacks device-kind", #"interfaces.vx1.hook == "tc""#]),
      Step(
        "a tap", ["ip tuntap add dev tap0 mode tap"], ["interfaces.tap0.slow_path has link-down"]),
      Step(
        "a tun", ["ip tuntap add dev tun0 mode tun"], ["interfaces.tun0.slow_path has not-ethernet"]
      ),
      Step("an ifb", ["ip link add ifb7 type ifb"], ["interfaces.ifb7.slow_path has device-kind"]),
      Step(
        "all of them deleted",
        [
          "ip link del vx0", "ip link del vx1", "ip link del tap0", "ip link del tun0",
          "ip link del ifb7",
        ],
        [
          "interfaces.vx0 absent", "interfaces.vx1 absent", "interfaces.tap0 absent",
          "interfaces.tun0 absent",
          "interfaces.ifb7 absent",
        ]),
      Step(
        "a name comes back on another link",
        ["ip link del p3", "ip link add p3 type bridge"],
        ["interfaces.p3.graph nodes bridge", "interfaces.p3.slow_path has bridge-device"]),
    ])

  static let trafficControl = Walk(
    "qdiscs, filters and other people's programs",
    [
      Step(
        "a router", ["ip addr add 10.0.1.1/24 dev p1", "sysctl -q -w net.ipv4.ip_forward=1"],
        ["interfaces.p1.graph nodes router", "interfaces.p1.slow_path == []"]),
      Step(
        "a shaper", ["tc qdisc add dev p2 root tbf rate 10mbit burst 32k latency 50ms"],
        [
          #"interfaces.p2.slow_path == [{"reason":"egress-qdisc","scope":"packets","detail":"tbf"}]"#,
          #"interfaces.p2.hook == "tc""#,
        ]),
      Step(
        "another instead",
        ["tc qdisc replace dev p2 root handle 1: htb default 1"],
        [#"interfaces.p2.slow_path.0.detail == "htb""#]),
      Step(
        "a class", ["tc class add dev p2 parent 1: classid 1:1 htb rate 5mbit"],
        changesNothing: true),
      Step(
        "no shaper", ["tc qdisc del dev p2 root"], ["interfaces.p2.slow_path lacks egress-qdisc"]),
      Step(
        "a link with a shaper",
        [
          "ip link add v0 index 700 type veth peer name v1", "ip link set v1 up",
          "ip link set v0 up", "tc qdisc add dev v0 root tbf rate 10mbit burst 32k latency 50ms",
        ], ["interfaces.v0.slow_path has egress-qdisc"]),
      Step(
        "another link of its number",
        [
          "ip link del v0", "ip link add w0 index 700 type veth peer name w1", "ip link set w1 up",
          "ip link set w0 up",
        ], ["interfaces.v0 absent", "interfaces.w0.slow_path lacks egress-qdisc"]),
      Step("and none", ["ip link del w0"], ["interfaces.w0 absent"]),
      Step("clsact", ["tc qdisc add dev p1 clsact"], changesNothing: true),
      Step(
        "a filter at ingress",
        ["tc filter add dev p1 ingress prio 1 protocol ip u32 match ip dst 10.9.9.9/32 flowid 1:1"],
        ["interfaces.p1.slow_path has foreign-tc-ingress", #"interfaces.p1.hook == "none""#]),
      Step(
        "no filter at ingress", ["tc filter del dev p1 ingress"],
        ["interfaces.p1.slow_path lacks foreign-tc-ingress", #"interfaces.p1.hook == "tc""#]),
      Step(
        "somebody's BPF at egress",
        ["tc filter add dev p1 egress bpf direct-action obj $CLS sec classifier"],
        ["interfaces.p1.slow_path has foreign-tc-egress", #"interfaces.p1.hook == "tc""#]),
      Step(
        "somebody's BPF at ingress",
        ["tc filter add dev p1 ingress bpf direct-action obj $CLS sec classifier"],
        ["interfaces.p1.slow_path has foreign-tc-ingress"]),
      Step(
        "clsact goes with its filters", ["tc qdisc del dev p1 clsact"],
        ["interfaces.p1.slow_path == []"]),
      Step(
        "a block of filters that two devices share",
        [
          "tc qdisc add dev p1 ingress_block 7 egress_block 8 clsact",
          "tc qdisc add dev p2 ingress_block 7 clsact",
          "tc filter add block 7 protocol ip prio 1 u32 match ip dst 10.9.9.9/32 flowid 1:1",
          "tc filter add block 8 protocol ip prio 1 u32 match ip dst 10.9.9.9/32 flowid 1:1",
        ],
        [
          "interfaces.p1.slow_path has foreign-tc-ingress",
          "interfaces.p1.slow_path has foreign-tc-egress",
          "interfaces.p2.slow_path has foreign-tc-ingress",
        ]),
      Step(
        "no shared block", ["tc qdisc del dev p1 clsact", "tc qdisc del dev p2 clsact"],
        ["interfaces.p1.slow_path == []", "interfaces.p2.slow_path == []"]),
      Step(
        "somebody's generic XDP", ["ip link set dev p1 xdpgeneric obj $XDP sec xdp"],
        ["interfaces.p1.slow_path has foreign-xdp", #"interfaces.p1.hook == "none""#]),
      Step(
        "no generic XDP", ["ip link set dev p1 xdpgeneric off"],
        ["interfaces.p1.slow_path lacks foreign-xdp", #"interfaces.p1.hook == "tc""#]),
      Step(
        "somebody's driver XDP", ["ip link set dev p1 xdpdrv obj $XDP sec xdp"],
        ["interfaces.p1.slow_path has foreign-xdp"]),
      Step(
        "no driver XDP", ["ip link set dev p1 xdpdrv off"],
        ["interfaces.p1.slow_path lacks foreign-xdp"]),
    ])
}
