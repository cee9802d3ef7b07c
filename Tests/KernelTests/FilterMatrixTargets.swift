// SPDX-License-Identifier: Apache-2.0
import Lab

extension MatrixIPTables {
  private static func to53(_ target: String, _ reason: String = "rule-effect") -> MatrixCase {
    .leaves("-p udp -m udp --dport 53 -j \(target)", [.udp(53)], reason)
  }

  private static func mangled(_ target: String, _ reason: String = "rule-effect") -> MatrixCase {
    .leaves("mangle: -A FORWARD -d $D -p udp -m udp --dport 53 -j \(target)", [.udp(53)], reason)
  }

  static let targets: [MatrixCase] =
    [
      to53("ACCEPT -m time --timestart 00:00", "rule-unknown"),
      to53("REJECT"), to53("REJECT --reject-with icmp-net-unreachable"),
      to53("REJECT --reject-with icmp-host-unreachable"),
      to53("REJECT --reject-with icmp-proto-unreachable"),
      to53("REJECT --reject-with icmp-net-prohibited"),
      to53("REJECT --reject-with icmp-host-prohibited"),
      to53("REJECT --reject-with icmp-admin-prohibited"),
      .leaves(
        "-p tcp -m tcp --dport 53 -j REJECT --reject-with tcp-reset", [.tcp(53, .syn)],
        "rule-effect", misses: [.tcp(54, .syn), .udp(53)]),
      to53("LOG"), to53("LOG --log-prefix words --log-level 7"), to53("NFLOG --nflog-group 5"),
      to53("NFQUEUE --queue-num 7"), to53("NFQUEUE --queue-num 7 --queue-bypass"),
      to53("AUDIT --type accept"), to53("SET --add-set added src"),
      mangled("TOS --set-tos 4"), mangled("DSCP --set-dscp 4"),
      mangled("TTL --ttl-set 9"), mangled("TTL --ttl-dec 1"), mangled("CLASSIFY --set-class 1:1"),
      mangled("TEE --gateway 10.0.3.2"), mangled("CHECKSUM --checksum-fill"),
      mangled("HMARK --hmark-offset 1 --hmark-tuple src --hmark-mod 5 --hmark-rnd 1"),
      .leaves(
        "mangle: -A FORWARD -d $D -p tcp -m tcp --syn -j TCPMSS --set-mss 500",
        [.tcp(53, .syn, options: [2, 4, 5, 180])], "rule-effect", misses: [.tcp(53), .udp(53)]),
      .leaves(
        "mangle: -A FORWARD -d $D -p tcp -m tcp --dport 53 -j ECN --ecn-tcp-remove",
        [.tcp(53, .syn)], "rule-effect", misses: [.tcp(54), .udp(53)]),
      // Its packets are the kernel's from the start; those that were decided before are not.
      MatrixCase(
        "-p udp -m udp --dport 53 -j DROP", "-p udp -j REJECT", meets: [.udp(53)],
        misses: [.tcp(53)], left: [.udp(54)], "rule-effect"),
      MatrixCase(
        "-p udp -m udp --dport 53 -j ACCEPT", "-p udp -j LOG", "-j DROP", meets: [.tcp(53)],
        misses: [.udp(53)], left: [.udp(54)], "rule-effect"),
      MatrixCase(
        ":$C-a", "-p udp -j $C-a", "-A $C-a -p udp -m udp --dport 53 -j RETURN",
        "-A $C-a -j REJECT", "-j DROP", meets: [.udp(53), .tcp(54)], left: [.udp(54)],
        "rule-effect"),
    ]

  // MARK: Connections

  private static let any =
    "conntrack|netfilter-hook|filter-rules|rule-unknown|rule-effect|nat|connection-new|connection-state"

  private static func tracked(_ rule: String) -> MatrixCase {
    MatrixCase(rule, left: [.udp(53), .udp(54), .tcp(53, .syn)], any)
  }

  /// Where connections are tracked, the kernel sees every packet of those that begin.
  static let connections: [MatrixCase] = [
    tracked("-m conntrack --ctstate NEW -p udp -m udp --dport 53"),
    tracked("-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"),
    tracked("-m conntrack --ctstate INVALID"), tracked("-m state --state NEW -p tcp"),
    tracked("-m connmark --mark 1"), tracked("-m connmark --mark 0 -p udp -m udp --dport 53"),
    tracked("-m connlabel --label 1"),
    tracked("-m connbytes --connbytes 1000 --connbytes-dir both --connbytes-mode packets"),
    tracked("-m helper --helper ftp"), tracked("-m connlimit --connlimit-above 500"),
    tracked("mangle: -A FORWARD -d $D -j CONNMARK --set-mark 1"),
    // Let off it is the fast path's, and others to the same place are not.
    MatrixCase(
      "raw: -A PREROUTING -d $D -p udp -m udp --dport 53 -j CT --notrack", misses: [.udp(53)],
      left: [.udp(54), .tcp(53, .syn)], any),
    tracked("nat: -A PREROUTING -d $D -p udp -m udp --dport 53 -j DNAT --to-destination $E"),
    tracked("nat: -A POSTROUTING -d $D -p udp -j MASQUERADE"),
  ]
}
