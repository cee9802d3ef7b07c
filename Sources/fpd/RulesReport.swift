// SPDX-License-Identifier: Apache-2.0
import Control
import Introspection
import OrderedJSON
import Rules
import Usage

/// The answer to `rules`: what the rules say, where each is decided, and what it counted.
struct RulesReport {
  let tables: [RuleTable]
  let sets: [IPSet]
  let placement: RulePlacement
  /// The kernel's counters, by `RuleOrigin.lasting`.
  let kernel: [RuleOrigin: Tally]
  let ledger: RuleLedger

  /// Of all tables, or of those with a name, and there of one chain.
  func json(table wanted: String?, chain: String?) throws(Refusal) -> JSON {
    let chosen = tables.filter { wanted == nil || $0.name == wanted }
    if let wanted, chosen.isEmpty {
      let close = suggestion(for: wanted, among: tables.map(\.name).unique)
      throw Refusal(.negative, "no firewall has a table \"\(wanted)\"\(close)")
    }
    if let chain, !chosen.contains(where: { $0.chain(named: chain) != nil }) {
      let names = chosen.flatMap { $0.chains.map(\.name) }.unique
      let close = suggestion(for: chain, among: names)
      throw Refusal(.negative, "no chain \"\(chain)\" in table \(wanted ?? "")\(close)")
    }
    let described = chosen.filter { chain == nil || $0.chain(named: chain ?? "") != nil }
    return ["tables": .array(described.map { describe($0, chain) })]
  }

  private func describe(_ table: RuleTable, _ only: String?) -> JSON {
    let places = placement.places(in: table)
    let text = RuleText(table, sets: sets)
    var chains: [JSON] = []
    for (index, chain) in table.chains.enumerated() where only == nil || chain.name == only {
      let places = places[index]
      var answer = JSON.Object()
      answer.append("name", .string(chain.name))
      answer.append("hook", chain.base.map { .string($0.hook.name) } ?? .null)
      answer.append("priority", chain.base.map { .number($0.priority) } ?? .null)
      answer.append("type", chain.base.map { .string($0.type) } ?? .null)
      answer.append(
        "rules",
        .array(
          chain.rules.indices.map {
            rule(table, chain, $0 + 1, places[$0 + 1], text)
          }))
      answer.append("policy", policy(table, chain, places[0]))
      chains.append(.object(answer))
    }
    return [
      "backend": .string(table.backend.rawValue), "family": .string(table.family.name),
      "name": .string(table.name), "chains": .array(chains),
    ]
  }

  private func rule(
    _ table: RuleTable, _ chain: Chain, _ number: Int, _ place: RulePlacement.Place,
    _ text: RuleText
  ) -> JSON {
    let rule = chain.rules[number - 1]
    var answer = JSON.Object()
    answer.append("number", .number(number))
    answer.append("handle", table.backend == .iptablesLegacy ? .null : .number(rule.handle))
    answer.append("text", .string(text.text(rule)))
    count(table.origin(chain, number), place, &answer)
    return .object(answer)
  }

  private func policy(_ table: RuleTable, _ chain: Chain, _ place: RulePlacement.Place) -> JSON {
    guard let base = chain.base else { return .null }
    var answer = JSON.Object()
    answer.append("verdict", .string(base.policy.text))
    count(table.origin(chain, 0), place, &answer)
    return .object(answer)
  }

  private func count(
    _ origin: RuleOrigin, _ place: RulePlacement.Place, _ answer: inout JSON.Object
  ) {
    let (name, causes) = Self.words(place)
    answer.append("where", .string(name))
    answer.append("causes", .array(causes.map(JSON.string)))
    let counted = kernel[origin.lasting].map { $0 + ledger.owed(origin) }
    answer.append("packets", counted.map { .number($0.packets) } ?? .null)
    answer.append("bytes", counted.map { .number($0.bytes) } ?? .null)
    let fast = ledger.sum(origin)
    answer.append("fast", ["packets": .number(fast.packets), "bytes": .number(fast.bytes)])
  }

  private static func words(_ place: RulePlacement.Place) -> (String, [String]) {
    switch place {
    case .fast: ("fast", [])
    case .punted(let causes): ("punted", causes.map(\.name))
    case .unmet: ("unmet", [])
    case .aside: ("not-on-the-way", [])
    case .kernel(let what): ("kernel", [what])
    }
  }
}

extension [String] {
  /// Each once, in order.
  fileprivate var unique: [String] {
    var seen: Set<String> = []
    return filter { seen.insert($0).inserted }
  }
}
