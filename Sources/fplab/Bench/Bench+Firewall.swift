// SPDX-License-Identifier: Apache-2.0
import Lab

extension Bench {
  /// One way to change one rule among many that are there.
  private struct Tool: Sendable {
    let name: String
    let load: @Sendable (_ count: Int, _ namespace: Namespace) throws -> Void
    /// Both answer when the tool had returned.
    let add: @Sendable (Namespace) throws -> Instant
    let delete: @Sendable (Namespace) throws -> Instant
  }

  private static func source(_ number: Int) -> String {
    "10.\(100 + number / 250 % 100).\(number % 250).0/24"
  }

  private static func iptables(_ tool: IPTables) -> Tool {
    @Sendable func change(_ verb: String, _ namespace: Namespace) throws -> Instant {
      try namespace.attempt(
        Command.split("\(tool.rawValue) \(verb) FORWARD -s 192.0.2.1 -j DROP")
      ).check().returned
    }
    return Tool(name: tool.rawValue) { count, namespace in
      let rules = (0..<count).map {
        "-A FORWARD -s \(source($0)) -p tcp --dport \(1 + $0) -j DROP\n"
      }
      try namespace.restore(tool, "*filter\n" + rules.joined() + "COMMIT\n")
    } add: {
      try change("-A", $0)
    } delete: {
      try change("-D", $0)
    }
  }

  private static let nft = Tool(name: "nft") { count, namespace in
    let rules = (0..<count).map {
      "add rule ip fw forward ip saddr \(source($0)) tcp dport \(1 + $0) drop\n"
    }
    try namespace.nft(
      "add table ip fw\nadd chain ip fw own\n"
        + "add chain ip fw forward { type filter hook forward priority 0; }\n"
        + "add rule ip fw forward jump own\n" + rules.joined())
  } add: {
    try $0.attempt(Command.split("nft add rule ip fw own ip saddr 192.0.2.1 drop"))
      .check().returned
  } delete: {
    // The tool knows no rule but by its handle, which would have to be asked for.
    try $0.attempt(Command.split("nft flush chain ip fw own")).check().returned
  }

  /// How soon the programs judge by a rule that has been added or deleted: a router with two ports.
  func firewall() throws {
    for hook in ["xdp", "tc"] {
      for tool in IPTables.allCases.map(Self.iptables) + [Self.nft] {
        for count in quick ? [100] : [1, 100, 1000, 10_000] {
          try firewall(hook, tool, count)
        }
      }
    }
  }

  private func firewall(_ hook: String, _ tool: Tool, _ count: Int) throws {
    let setting = "\(hook), \(tool.name), \(count) rules"
    let bed = try Testbed.hostRouterHost()
    let namespace = try bed["router"]
    let names = ["p1", "p2"]
    for name in names { try namespace.run("ethtool -K \(name) gro on") }
    Terminal.progress("\(setting): loading")
    try tool.load(count, namespace)
    let fpd = try Fpd(
      in: namespace, configuration: "defaults: {hook: \(hook)}\n", logLevel: "warning")
    if let absence = try Speed.absence([fpd], names) { throw LabError("\(setting): \(absence)") }
    var (added, deleted, missed) = ([Double](), [Double](), (added: 0, deleted: 0))
    do {
      let ports = try names.map { try LiveProgram(of: $0, hook, by: fpd) }
      for round in 0...repetitions {
        Terminal.progress("\(setting): \(round)/\(repetitions)")
        let up = try Self.followed(fpd, ports) { try tool.add(namespace) }
        let down = try Self.followed(fpd, ports) { try tool.delete(namespace) }
        // The first one may have had to be compiled.
        if round == 0 { continue }
        if let up { added.append(up.milliseconds) } else { missed.added += 1 }
        if let down { deleted.append(down.milliseconds) } else { missed.deleted += 1 }
      }
    }
    results.rules += [
      .init(
        setting: setting, change: "a rule added", live: Distribution(added), missed: missed.added),
      .init(
        setting: setting, change: "it is deleted", live: Distribution(deleted),
        missed: missed.deleted),
    ]
    try fpd.stop()
    bed.close()
  }

  /// From the tool's return until each port has the program that it still has when fpd says that all of the
  /// configuration is followed. fpd is asked only after each port has a new one.
  private static func followed(
    _ fpd: Fpd, _ ports: [LiveProgram], _ change: () throws -> Instant
  ) throws -> Duration? {
    try fpd.wait()
    let before = ports.map(\.program)
    let returned = try change()
    var (found, at) = (before, returned)
    let haveCome = eventually(within: .seconds(5), every: .microseconds(100)) {
      (found, at) = (ports.map(\.program), .now)
      return zip(found, before).allSatisfy { $0 != 0 && $0 != $1 }
    }
    guard haveCome else { return nil }
    try fpd.wait()
    // Otherwise it was one on the way to the right one: when that came nobody has seen.
    return ports.map(\.program) == found ? max(.zero, at - returned) : nil
  }
}
