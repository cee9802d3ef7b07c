// SPDX-License-Identifier: Apache-2.0
import Lab

/// The router becomes a gateway: it filters what it forwards.
extension Demo {
  func becomeGateway() throws {
    try change(
      "The router becomes a gateway: a hundred rules",
      [
        "for n in $(seq 101 200); do iptables-legacy -A FORWARD -s 10.0.1.$n -j DROP; done",
        "iptables-legacy -A FORWARD -p tcp --dport 22 -j REJECT",
      ], look: "p1")
    try expectAccelerated(["p1", "p2"])
    try compareFiltering("Gateway, 101 rules")
    try ask("--src", "10.0.1.107", expecting: "drop")
    try ask("--src", "10.0.1.2", "--proto", "udp", "--dport", "53", expecting: "forward")
    try ask("--src", "10.0.1.2", "--proto", "tcp", "--dport", "22", expecting: "rule-effect")
    say("Only the kernel can answer for REJECT, so only these packets are its.")
    try change(
      "The same as a set, and a rule that asks it",
      [
        "iptables-legacy -F FORWARD", "ipset create blocked hash:ip",
        "for n in $(seq 101 200); do ipset add blocked 10.0.1.$n; done",
        "iptables-legacy -A FORWARD -m set --match-set blocked src -j DROP",
      ], look: "p1")
    try expectAccelerated(["p1", "p2"])
    try compareFiltering("Gateway, one rule with a set of 100")
    try ask("--src", "10.0.1.107", expecting: "drop")
    try type("ipset del blocked 10.0.1.107")
    try ask("--src", "10.0.1.107", expecting: "forward")
    try show(["rules"], typed: true)
  }

  private func compareFiltering(_ name: String) throws {
    title("How much faster? The same traffic past the rules")
    try compareThroughRouter(name)
  }

  private func ask(_ packet: String..., expecting expected: String) throws {
    let answer = try show(
      ["why", "--in", "p1", "--dst", "10.100.7.1"] + packet, typed: true)
    check(answer.contains(expected), "fpctl why does not say \(expected)")
  }
}
