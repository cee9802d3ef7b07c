// SPDX-License-Identifier: Apache-2.0

/// A ruleset as its tool takes it, in pieces of which each can be left out.
package struct Firewall: Equatable, Sendable {
  package enum Tool: String, CaseIterable, Sendable {
    case legacy = "iptables-legacy"
    case nft = "iptables-nft"
    case native = "nft"
  }

  package var tool: Tool
  package var sets: [IPSet] = []
  package var tables: [Table] = []

  package init(_ tool: Tool) { self.tool = tool }

  /// An ipset, for the rules of iptables.
  package struct IPSet: Equatable, Sendable {
    package var name: String
    /// Its type and options, as `ipset create` takes them.
    package var kind: String
    package var elements: [String]
  }

  package struct Table: Equatable, Sendable {
    package var family = "ip"
    package var name: String
    package var sets: [NamedSet] = []
    package var chains: [Chain] = []

    package init(family: String = "ip", name: String, chains: [Chain] = []) {
      (self.family, self.name, self.chains) = (family, name, chains)
    }
  }

  /// A set or map of nftables.
  package struct NamedSet: Equatable, Sendable {
    package var name: String
    /// `set`, or `map`.
    package var word = "set"
    /// `type ipv4_addr; flags interval;`
    package var kind: String
    package var elements: [String]
  }

  package struct Chain: Equatable, Sendable {
    package var name: String
    /// Where it is hooked in: `forward priority 0`; of iptables' own chains the same word as the name.
    package var hook: String?
    package var drops = false
    package var rules: [Rule]

    package init(name: String, hook: String? = nil, rules: [Rule] = []) {
      (self.name, self.hook, self.rules) = (name, hook, rules)
    }
  }

  package struct Rule: Equatable, Sendable {
    package var pieces: [Piece]
    /// What it does: `-j DROP`, `counter drop`; empty: nothing.
    package var action: String
    /// Of those it may lead to.
    package var chain: String?
    /// Only there so that the program looks at all that rules of its kind ask for.
    package var isAnchor = false

    package init(pieces: [Piece] = [], action: String = "") {
      (self.pieces, self.action) = (pieces, action)
    }
  }

  /// A condition, or a part of one.
  package struct Piece: Equatable, Sendable {
    package var head: String
    package var elements: [String] = []
    package var separator = ", "
    package var tail = ""
    package var hints: [Hint] = []

    package init(_ head: String, _ hints: Hint...) { (self.head, self.hints) = (head, hints) }

    package var text: String { head + elements.joined(separator: separator) + tail }
  }

  /// Values on both sides of the edge of a condition.
  package struct Hint: Equatable, Sendable {
    package var field: Field
    package var inside: [UInt32]
    package var outside: [UInt32]

    package init(_ field: Field, inside: [UInt32] = [], outside: [UInt32] = []) {
      (self.field, self.inside, self.outside) = (field, inside, outside)
    }

    package var inverted: Hint { Hint(field, inside: outside, outside: inside) }
  }

  package enum Field: Sendable {
    case host, source, destination, transport, sourcePort, destinationPort, flags
    /// Type and code.
    case icmp
    /// 0: whole, 1: the first fragment, 2: a later one.
    case fragment
    case length, ttl, tos
    /// The last byte of the sender's address.
    case mac
  }

  package var ruleCount: Int {
    tables.reduce(0) { $0 + $1.chains.reduce(0) { $0 + $1.rules.count } }
  }
}

// MARK: As text

extension Firewall.Rule {
  /// As it stands in a chain.
  package var text: String {
    (pieces.map(\.text) + [action]).filter { !$0.isEmpty }.joined(separator: " ")
  }
}

extension Firewall {
  /// What `iptables-…-restore` or `nft -f` is given.
  package var script: String {
    tool == .native
      ? "flush ruleset\n" + tables.map(native).joined() : tables.map(restored).joined()
  }

  /// What `ipset restore` is given before.
  package var setScript: String {
    sets.map { set in
      "create \(set.name) \(set.kind)\n"
        + set.elements.map { "add \(set.name) \($0)\n" }.joined()
    }.joined()
  }

  /// All of it, as one would load it by hand.
  package var description: String {
    let command = tool == .native ? "nft -f - <<'END'" : "\(tool.rawValue)-restore <<'END'"
    let before = sets.isEmpty ? "" : "ipset restore <<'END'\n\(setScript)END\n"
    return "\(before)\(command)\n\(script)END"
  }

  private func restored(_ table: Table) -> String {
    let heads = table.chains.map { chain in
      ":\(chain.name) \(chain.hook == nil ? "-" : chain.drops ? "DROP" : "ACCEPT")"
    }
    let rules = table.chains.flatMap { chain in
      chain.rules.map { "-A \(chain.name) \($0.text)" }
    }
    return (["*\(table.name)"] + heads + rules + ["COMMIT", ""]).joined(separator: "\n")
  }

  private func native(_ table: Table) -> String {
    var lines = ["table \(table.family) \(table.name) {"]
    // What is jumped to must be declared before.
    lines += table.chains.filter { $0.hook == nil }.map { "chain \($0.name) { }" }
    for set in table.sets {
      let elements =
        set.elements.isEmpty
        ? "" : " elements = { \(set.elements.joined(separator: ", ")) };"
      lines.append("\(set.word) \(set.name) { \(set.kind)\(elements) }")
    }
    for chain in table.chains {
      lines.append("chain \(chain.name) {")
      if let hook = chain.hook {
        lines.append("type filter hook \(hook); policy \(chain.drops ? "drop" : "accept");")
      }
      lines += chain.rules.map(\.text)
      lines.append("}")
    }
    return (lines + ["}", ""]).joined(separator: "\n")
  }
}
