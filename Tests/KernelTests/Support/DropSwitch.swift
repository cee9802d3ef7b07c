// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

/// A way of having one destination dropped and no longer dropped, with the tools that people use.
struct DropSwitch: Sendable, CustomTestStringConvertible {
  let testDescription: String
  /// What is there before, dropping nothing of it.
  let beginning: [Call]
  let on: Call
  let off: Call
  /// Something else that may be done between, so that not every second ruleset is of the same kind: the
  /// kernel's memory comes again.
  let aside: Call?
  /// The rules stay what they are, and only what a set has in it changes.
  let asksSet: Bool

  /// A command with what it is fed.
  struct Call: Sendable, ExpressibleByStringInterpolation {
    let line: String
    var input: String?

    init(_ line: String, _ input: String? = nil) {
      self.line = line
      self.input = input
    }

    init(stringLiteral line: String) { self.init(line) }

    func make(in namespace: Namespace) throws {
      try namespace.run(line, input: input)
    }
  }

  init(
    _ name: String, after beginning: [Call], on: Call, off: Call, aside: Call? = nil,
    asksSet: Bool = false
  ) {
    testDescription = name
    (self.beginning, self.on, self.off) = (beginning, on, off)
    (self.aside, self.asksSet) = (aside, asksSet)
  }

  static let destination = "10.100.0.1"
  /// Where nothing goes, or comes from.
  private static let elsewhere = "10.9.0.0/16"

  static let all = tables + nftables + sets

  // MARK: Rules

  private static func drop(_ destination: String) -> String { "-d \(destination) -j DROP" }

  private static func append(_ tool: IPTables) -> Call {
    Call("\(tool.rawValue) -A FORWARD \(drop(elsewhere))")
  }

  private static func policy(_ tool: IPTables) -> Call {
    Call("\(tool.rawValue) -P OUTPUT ACCEPT")
  }

  private static let tables = IPTables.allCases.flatMap { tool -> [DropSwitch] in
    func restore(_ rules: [String]) -> Call {
      let lines = ["*filter"] + rules.map { "-A FORWARD \($0)" } + ["COMMIT", ""]
      return Call("\(tool.rawValue)-restore", lines.joined(separator: "\n"))
    }
    return [
      DropSwitch(
        "\(tool.rawValue) -I, -D", after: [append(tool)],
        on: Call("\(tool.rawValue) -I FORWARD 1 \(drop(destination))"),
        off: Call("\(tool.rawValue) -D FORWARD \(drop(destination))"), aside: policy(tool)),
      DropSwitch(
        "\(tool.rawValue)-restore", after: [append(tool)],
        on: restore([drop(elsewhere), drop(destination)]), off: restore([drop(elsewhere)]),
        aside: policy(tool)),
    ]
  }

  private static let nftables = [
    DropSwitch(
      "nft insert rule, flush chain",
      after: [Call("nft -f -", ruleset(["ip daddr \(elsewhere) drop"]))],
      on: "nft insert rule ip fw forward ip daddr \(destination) drop",
      off: "nft flush chain ip fw forward"),
    DropSwitch(
      "nft -f", after: [Call("nft -f -", ruleset(["ip daddr \(elsewhere) drop"]))],
      on: Call(
        "nft -f -", ruleset(["ip daddr \(elsewhere) drop", "ip daddr \(destination) drop"])),
      off: Call("nft -f -", ruleset(["ip daddr \(elsewhere) drop"]))),
    DropSwitch(
      "nft add element, delete element",
      after: [Call("nft -f -", ruleset(["ip daddr @blocked drop"]))],
      on: "nft add element ip fw blocked { \(destination) }",
      off: "nft delete element ip fw blocked { \(destination) }"),
  ]

  /// All there is, replaced.
  private static func ruleset(_ rules: [String]) -> String {
    """
    flush ruleset
    table ip fw {
      set blocked { type ipv4_addr; elements = { 10.9.0.1 }; }
      chain forward {
        type filter hook forward priority 0;
        \(rules.joined(separator: "\n    "))
      }
    }

    """
  }

  // MARK: Sets

  private static let sets =
    IPTables.allCases.map { tool in
      DropSwitch(
        "ipset add, del with \(tool.rawValue)", after: asking(tool),
        on: "ipset add s \(destination)", off: "ipset del s \(destination)", asksSet: true)
    } + [
      DropSwitch(
        "ipset swap",
        after: asking(.legacy) + ["ipset create t hash:ip", "ipset add t \(destination)"],
        on: "ipset swap s t", off: "ipset swap s t", asksSet: true),
      DropSwitch(
        "ipset restore", after: asking(.nft), on: replacing([destination]), off: replacing([]),
        asksSet: true),
    ]

  private static func asking(_ tool: IPTables) -> [Call] {
    [
      "ipset create s hash:ip", "ipset add s 10.9.0.1",
      Call("\(tool.rawValue) -A FORWARD -m set --match-set s dst -j DROP"),
    ]
  }

  /// As lists of addresses are renewed.
  private static func replacing(_ addresses: [String]) -> Call {
    let additions = (["10.9.0.1"] + addresses).map { "add new \($0)" }
    let lines = ["create new hash:ip"] + additions + ["swap new s", "destroy new", ""]
    return Call("ipset restore", lines.joined(separator: "\n"))
  }
}
