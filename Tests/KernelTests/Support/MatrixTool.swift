// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

/// The tools that make rules, each with what it understands.
enum MatrixTool: String, Sendable, CaseIterable, CustomTestStringConvertible {
  case legacy = "iptables-legacy"
  case nft = "iptables-nft"
  case ip = "nft in a table for IPv4"
  case inet = "nft in a table for both"

  var testDescription: String { rawValue }
  private var isNative: Bool { self == .ip || self == .inet }

  var groups: [MatrixGroup] { isNative ? MatrixNftables.groups(self) : MatrixIPTables.groups(self) }

  func load(_ group: MatrixGroup, in namespace: Namespace) throws {
    for line in group.setup { try namespace.run(line) }
    if isNative {
      try namespace.nft(script(group))
    } else {
      try namespace.run(["\(rawValue)-restore"], input: script(group))
    }
  }

  /// What the tool is given.
  func script(_ group: MatrixGroup) -> String { isNative ? native(group) : restore(group) }

  func unload(_ group: MatrixGroup, in namespace: Namespace) throws {
    if self == .legacy {
      let empty = tables(of: group).map { table in
        let policy = ["raw", "nat"].contains(table) ? "" : ":FORWARD ACCEPT\n"
        return "*\(table)\n\(policy)COMMIT\n"
      }.joined()
      try namespace.run(["\(rawValue)-restore"], input: empty)
    } else {
      try namespace.run("nft flush ruleset")
    }
    for line in group.undo {
      // What a rule refers to is let go of some time after the rule.
      var last: Completed?
      _ = try eventually(within: .seconds(3)) {
        last = try namespace.attempt(Command.split(line))
        return last?.succeeded == true
      }
      try last?.check()
    }
  }

  /// What the user sees of the rules, with their counters.
  func listing(_ group: MatrixGroup, in namespace: Namespace) throws -> [String] {
    if isNative { return [try namespace.run("nft list ruleset").output] }
    return try tables(of: group).map {
      try namespace.run("\(rawValue) -t \($0) -L -v -n -x").output
        // What the router itself says and hears is a matter of the moment.
        .split(separator: "\n").filter {
          !$0.hasPrefix("Chain INPUT (") && !$0.hasPrefix("Chain OUTPUT (")
        }.joined(separator: "\n")
    }
  }

  // MARK: iptables

  private static let others = ["raw", "mangle", "security", "nat"]

  private static func split(_ line: String) -> (table: String, line: String) {
    for table in others where line.hasPrefix("\(table): ") {
      return (table, String(line.dropFirst(table.count + 2)))
    }
    return ("filter", line)
  }

  private func tables(of group: MatrixGroup) -> [String] {
    let used = group.cases.flatMap(\.rules) + group.heads
    return ["filter"] + Self.others.filter { table in used.contains { $0.hasPrefix("\(table): ") } }
  }

  private func restore(_ group: MatrixGroup) -> String {
    var chains: [String: [String]] = [:]
    var rules: [String: [String]] = [:]
    if group.dropsByPolicy { chains["filter"] = [":FORWARD DROP"] }
    for head in group.heads {
      let (table, line) = Self.split(head)
      chains[table, default: []].append(line)
    }
    for (number, row) in group.cases.enumerated() {
      let place = MatrixPacket.Place(number: number)
      if row.dispatch != .none {
        let address = row.dispatch == .source ? "-s \(place.source)" : "-d \(place.destination)"
        chains["filter", default: []].append(":\(place.chain) -")
        rules["filter", default: []].append("-A FORWARD \(address) -j \(place.chain)")
      }
      for rule in row.rules {
        let (table, line) = Self.split(place.fill(rule))
        if line.hasPrefix(":") {
          chains[table, default: []].append("\(line) -")
        } else if line.hasPrefix("-A ") {
          rules[table, default: []].append(line)
        } else {
          let acts = [" -j ", " -g "].contains { " \(line) ".contains($0) }
          rules[table, default: []].append(
            "-A \(place.chain) \(line)" + (acts ? "" : " -j \(group.target)"))
        }
      }
    }
    return tables(of: group).map { table in
      (["*\(table)"] + (chains[table] ?? []) + (rules[table] ?? []) + ["COMMIT\n"])
        .joined(separator: "\n")
    }.joined()
  }

  // MARK: nft

  private static let acting: Set<Substring> = [
    "accept", "drop", "return", "jump", "goto", "continue", "vmap", "reject", "queue",
  ]

  private func native(_ group: MatrixGroup) -> String {
    var table = group.heads
    var own: [String] = []
    var chains: [(name: String, rules: [String])] = []
    var entry: [String] = []
    let target = group.dropsByPolicy ? "accept" : "drop"
    for (number, row) in group.cases.enumerated() {
      let place = MatrixPacket.Place(number: number)
      var rules: [String] = []
      for rule in row.rules.map(place.fill) {
        let words = rule.split(separator: " ")
        func rest(_ count: Int) -> String { words.dropFirst(count).joined(separator: " ") }
        if rule.hasPrefix(":") {
          chains.append((String(rule.dropFirst()), []))
        } else if words.first == "table" {
          table.append(rest(1))
        } else if words.first == "own" {
          own.append(rest(1))
        } else if words.first == "forward" {
          entry.append(rest(1))
        } else if words.first == "in", words.count > 2 {
          let place = chains.firstIndex { $0.name == words[1] }
          if let place { chains[place].rules.append(rest(2)) }
        } else if words.first == "bare" {
          rules.append(rest(1))
        } else {
          let acts = words.contains { Self.acting.contains($0) }
          rules.append(acts ? rule : "\(rule) counter \(target)")
        }
      }
      if row.dispatch != .none {
        let address =
          row.dispatch == .source ? "saddr \(place.source)" : "daddr \(place.destination)"
        entry.append("ip \(address) counter jump \(place.chain)")
        chains.append((place.chain, rules))
      }
    }
    let policy = group.dropsByPolicy ? "drop" : "accept"
    let hook = "type filter hook forward priority 0; policy \(policy);"
    chains.append(("forward", [hook] + entry))
    let bodies = chains.map { "chain \($0.name) {\n\($0.rules.joined(separator: "\n"))\n}" }
    // What a chain is to jump to must be declared before.
    return "table \(self == .inet ? "inet" : "ip") t {\n"
      + (table + bodies).joined(separator: "\n") + "\n}\n" + own.joined(separator: "\n") + "\n"
  }
}
