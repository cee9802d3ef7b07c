// SPDX-License-Identifier: Apache-2.0
import Lab

/// A bridge beside the routed ports.
extension Demo {
  private static let ports = 3...10

  func becomeBridge() throws {
    try plugIn()
    if try router.attempt(["sysctl", "net.bridge.bridge-nf-call-iptables"]).succeeded {
      // Where br_netfilter is loaded, bridged packets pass iptables unless told otherwise.
      try router.sysctl("net.bridge.bridge-nf-call-iptables=0")
    }
    try change(
      "A bridge, the old way", ["brctl addbr br0", "ip link set br0 up", "brctl addif br0 p3"],
      look: "p3")
    try change(
      "More ports, the new way",
      ["for n in $(seq 4 10); do ip link set p$n master br0; done"], look: "p4")
    try compareBridging()
    try change("The bridge is routed, too", ["ip addr add 10.0.3.1/24 dev br0"], look: "p3")
    try change(
      "Spanning tree goes on", ["brctl setfd br0 4", "brctl stp br0 on"], look: "p4")
    try change(
      "A port that joins now listens before it forwards",
      ["ip link set p4 nomaster", "ip link set p4 master br0"], look: "p4")
  }

  /// Eight ports: host C and D behind the first two, one host with six cables behind the others.
  private func plugIn() throws {
    for (port, word) in [(3, "host-c"), (4, "host-d")] {
      let host = try bed.add(word)
      try cable(host, "10.0.3.\(port)/24", port)
    }
    let others = try bed.add("others")
    for port in Self.ports.dropFirst(2) {
      try bed.cable(.init(others, "eth\(port)"), .init(router, "p\(port)"))
    }
  }

  private func compareBridging() throws {
    title("How much faster? The same traffic across the bridge")
    try expectAccelerated(["p3", "p4"])
    let (from, to) = (try bed["host-c"], try bed["host-d"])
    try ping(from: from, "10.0.3.4")
    let traffic = try LoadTraffic(
      from: from.mac(of: "eth0"), "10.0.3.3", to: to.mac(of: "eth0"), "10.0.3.4"
    ) { $0.flows = 256 }
    try compare(
      "Bridging, 8 ports", ["p3", "p4"],
      generator: LoadGenerator(in: from, device: "eth0", traffic),
      sink: LoadSink(in: to, device: "eth0"))
    try show(["stats", "p3"], typed: true)
  }
}
