// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// `fpctl rules` for people.
public func rulesText(_ answer: JSON, style: Style = .plain) -> String {
  let tables = answer["tables"]?.array ?? []
  if tables.isEmpty { return "no firewall has a table\n" }
  var parts: [String] = []
  for table in tables {
    let backend = table["backend"].map(shown) ?? "?"
    let hasHandles = backend == "nftables"
    let family = table["family"].map(shown) ?? "?"
    let title = "\(backend)\(family == "ip" && !hasHandles ? "" : " \(family)")"
    let head = style.paint("\(title) \(table["name"].map(shown) ?? "?")", .bold)
    let chains = table["chains"]?.array ?? []
    parts += chains.map { "\(head) \(chainText($0, hasHandles: hasHandles, style))" }
    if chains.isEmpty { parts.append("\(head)\n") }
  }
  return parts.joined(separator: "\n")
}

private func chainText(_ chain: JSON, hasHandles: Bool, _ style: Style) -> String {
  var out = style.paint(chain["name"].map(shown) ?? "?", .bold)
  if let hook = chain["hook"]?.string {
    let priority = chain["priority"].map(shown) ?? "?"
    out += style.paint("  \(printable(hook)), priority \(priority)", .dim)
  }
  out += "\n"
  let rules = chain["rules"]?.array ?? []
  let policy = chain["policy"].flatMap(\.object).map(JSON.object)
  if rules.isEmpty && policy == nil { return out + "no rules\n" }
  var table = Table(
    headings: ["RULE>"] + (hasHandles ? ["HANDLE>"] : [])
      + ["PACKETS>", "BYTES>", "FAST>", "WHERE", "WHAT"])
  table.isCut = true
  func add(_ rule: JSON, _ number: String, _ text: String) {
    let handle = rule["handle"].map { $0.isNull ? "" : shown($0) } ?? ""
    table.rows.append(
      [Table.Cell(number)] + (hasHandles ? [Table.Cell(handle)] : []) + [
        .init(rule["packets"]?.int.map(grouped) ?? "-"),
        .init(rule["bytes"]?.int.map(grouped) ?? "-"),
        .init(rule["fast"]?["packets"]?.int.map(grouped) ?? "-"),
        placeCell(rule), .init(printable(text)),
      ])
  }
  for rule in rules {
    add(rule, rule["number"].map(shown) ?? "?", rule["text"]?.string ?? "")
  }
  if let policy { add(policy, "policy", policy["verdict"]?.string ?? "?") }
  return out + table.text(style)
}

private func placeCell(_ rule: JSON) -> Table.Cell {
  let place = rule["where"]?.string ?? "?"
  let causes = (rule["causes"]?.array ?? []).compactMap(\.string).map(printable)
  let text = printable(String(place.map { $0 == "-" ? " " : $0 }))
  let ink: Style.Ink =
    switch place {
    case "fast": .green
    case "punted": .yellow
    default: .dim
    }
  return Table.Cell(causes.isEmpty ? text : "\(text): \(causes.joined(separator: ", "))", ink)
}
