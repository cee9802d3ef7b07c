// SPDX-License-Identifier: Apache-2.0

extension MatrixIPTables {
  private static let to53 = "-p udp -m udp --dport 53"

  static let chains: [MatrixCase] = [
    MatrixCase(
      ":$C-a", "-p udp -j $C-a", "-A $C-a \(to53) -j DROP",
      "-A $C-a -p udp -m udp --dport 54 -j RETURN", "-A $C-a -p udp -m udp --dport 55 -j ACCEPT",
      "-A $C -p udp -m udp --dport 54:56 -j DROP", meets: [.udp(53), .udp(54), .udp(56)],
      misses: [.udp(55), .udp(57), .tcp(53)]),
    MatrixCase(
      ":$C-a", "-p udp -g $C-a", "-A $C-a \(to53) -j DROP", "-A $C -j DROP",
      meets: [.udp(53), .tcp(53)], misses: [.udp(54)]),
    // A goto's chain returns to where its own chain was called from.
    MatrixCase(
      ":$C-a", ":$C-b", "-p udp -j $C-a", "-A $C-a -g $C-b", "-A $C-a -j ACCEPT",
      "-A $C-b \(to53) -j RETURN", "-A $C-b -p udp -m udp --dport 54 -j ACCEPT", "-A $C -j DROP",
      meets: [.udp(53), .udp(55), .tcp(53)], misses: [.udp(54)]),
    MatrixCase(
      ":$C-a", "-p udp -m udp --sport 5 -j $C-a", "-p udp -m udp --dport 53 -j $C-a",
      "-A $C-a -p udp -m udp --dport 53:60 -j DROP", meets: [.udp(53), .udp(60, from: 5)],
      misses: [.udp(60), .udp(61, from: 5)]),
    MatrixCase(
      ":$C-a", ":$C-b", ":$C-c", ":$C-d", "-j $C-a", "-A $C-a -p udp -j $C-b",
      "-A $C-b -p udp -m udp --dport 50: -j $C-c", "-A $C-c -p udp -m udp --dport :60 -j $C-d",
      "-A $C-d \(to53) -j RETURN", "-A $C-d -j DROP", meets: [.udp(50), .udp(60)],
      misses: [.udp(49), .udp(61), .udp(53), .tcp(55)]),
    MatrixCase("-p udp -j RETURN", "-j DROP", meets: [.tcp()], misses: [.udp()]),
    MatrixCase("-p udp -j ACCEPT", "-j DROP", meets: [.tcp()], misses: [.udp()]),
    MatrixCase(
      "-A FORWARD -d $D -p udp -j RETURN", "-A FORWARD -d $D -j DROP", by: .none, meets: [.tcp()],
      misses: [.udp()]),
    MatrixCase(
      "-A $C -p udp", "-A $C", "-p udp -m udp --dport 53", meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase(":$C-a", "-j $C-a", "-j DROP", meets: [.udp()]),
    // More rules in a row than one word of the classifier has.
    many("-p udp -m udp --dport", Array(stride(from: 1000, to: 1300, by: 2))),
    manyMet(10, misses: [.udp()]),
    manyMet(30, left: [.udp()]),
  ]

  private static func many(_ match: String, _ ports: [Int]) -> MatrixCase {
    MatrixCase(
      lines: ports.map { "\(match) \($0)" }, meets: [.udp(1000), .udp(1130), .udp(1298)],
      misses: [.udp(999), .udp(1001), .udp(1299), .udp(1300)])
  }

  /// Rules that only count.
  private static func manyMet(
    _ count: Int, misses: [MatrixPacket] = [], left: [MatrixPacket] = []
  ) -> MatrixCase {
    MatrixCase(
      lines: (0..<count).map { "-A $C -p udp -m udp --dport \($0):" }, misses: misses, left: left,
      "rules-met")
  }

  /// Where the policy drops and rules accept.
  static let policy: [MatrixCase] = [
    MatrixCase("-p udp -m udp --dport 53", meets: [.udp(53)], misses: [.udp(54), .tcp(53)]),
    MatrixCase("! -i p1", meets: [.udp().at(.c)], misses: [.udp()]),
    MatrixCase(
      ":$C-a", "-p udp -j $C-a", "-A $C-a -p udp -m udp --dport 53 -j RETURN",
      "-A $C-a -j ACCEPT", meets: [.udp(54)], misses: [.udp(53), .tcp()]),
    MatrixCase("-p tcp -j DROP", "-p all", meets: [.udp()], misses: [.tcp()]),
    MatrixCase("-A $C -p udp", misses: [.udp(), .tcp()]),
    MatrixCase("-A FORWARD -d $D -p udp -j ACCEPT", by: .none, meets: [.udp()], misses: [.tcp()]),
    .leaves("-p udp -m udp --dport 53 -j REJECT", [.udp(53)], "rule-effect"),
  ]

  private static let udp53 = "-p udp -m udp --dport 53 -j DROP"

  static let tables: [MatrixCase] = [
    MatrixCase(
      "raw: -A PREROUTING -d $D \(udp53)", meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase(
      "mangle: -A PREROUTING -d $D \(udp53)", meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase(
      "mangle: -A FORWARD -d $D \(udp53)", meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase(
      "mangle: -A POSTROUTING -d $D \(udp53)", meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase(
      "security: -A FORWARD -d $D \(udp53)", meets: [.udp(53)], misses: [.udp(54)]),
    // To accept is to go on to the next table.
    MatrixCase(
      "raw: -A PREROUTING -d $D -j ACCEPT", "mangle: -A FORWARD -d $D -j ACCEPT",
      "security: -A FORWARD -d $D -p udp -m udp --dport 54 -j DROP",
      "mangle: -A POSTROUTING -d $D -p udp -m udp --dport 55 -j DROP",
      "-p udp -m udp --dport 53 -j DROP", meets: [.udp(53), .udp(54), .udp(55)],
      misses: [.udp(56)]),
    MatrixCase(
      "mangle: -A PREROUTING -d $D -m ttl --ttl-eq 64 -j DROP", by: .none, meets: [.udp().ttl(64)],
      misses: [.udp().ttl(65), .udp().ttl(63)]),
    MatrixCase(
      "mangle: -A POSTROUTING -d $D -m ttl --ttl-eq 64 -j DROP", by: .none,
      meets: [.udp().ttl(65)], misses: [.udp().ttl(64)]),
    MatrixCase(
      "raw: -A PREROUTING -d $D -i p3 -j DROP", by: .none, meets: [.udp().at(.c)],
      misses: [.udp()]),
    MatrixCase(
      "mangle: -A POSTROUTING -s $S -o p3 -j DROP", by: .none, meets: [.udp().toC],
      misses: [.udp()]),
    MatrixCase(
      "mangle: -A POSTROUTING -s $S ! -o p3 -j DROP", by: .none, meets: [.udp()],
      misses: [.udp().toC]),
    MatrixCase(
      "raw: :$C-r", "raw: -A PREROUTING -d $D -j $C-r", "raw: -A $C-r -p udp -j RETURN",
      "raw: -A $C-r -j DROP", by: .none, meets: [.tcp()], misses: [.udp()]),
    MatrixCase(
      "raw: -A PREROUTING -d $D -m mac --mac-source 02:00:00:00:0a:63 -j DROP", by: .none,
      meets: [.udp().mac("02:00:00:00:0a:63")], misses: [.udp()]),
    // An effect in an early table is the kernel's, whatever comes after; a mark is not.
    MatrixCase(
      "mangle: -A PREROUTING -d $D -p udp -m udp --dport 53 -j TOS --set-tos 4",
      "-p udp -m udp --dport 54 -j DROP", meets: [.udp(54)], misses: [.udp(55)], left: [.udp(53)],
      "rule-effect"),
    MatrixCase(
      "mangle: -A PREROUTING -d $D -p udp -m udp --dport 53 -j MARK --set-mark 5",
      "-m mark --mark 5 -j DROP", meets: [.udp(53)], misses: [.udp(54)]),
    MatrixCase(
      "raw: -A PREROUTING -d $D -p udp -m udp --dport 53 -j DROP",
      "-p udp -m udp --dport 53 -j REJECT", meets: [.udp(53)]),
  ]

  static let tablePolicies: [MatrixCase] = [
    MatrixCase(
      "mangle: -A FORWARD -d $D -p udp -m udp --dport 53:54 -j ACCEPT",
      "-p udp -m udp --dport 53 -j DROP", meets: [.udp(53), .udp(55), .tcp()], misses: [.udp(54)])
  ]
}
