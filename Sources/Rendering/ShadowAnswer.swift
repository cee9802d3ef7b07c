// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// `fpctl shadow` for people.
public func shadowText(_ answer: JSON, style: Style = .plain) -> String {
  guard answer["shadow"]?.bool == true else { return "not in shadow mode\n" }
  func count(_ group: String, _ name: String) -> String {
    answer[group]?[name]?.int.map(grouped) ?? "-"
  }
  let differing = answer["compared"]?["differing"]?.int ?? 0
  var out = "shadow mode since \(answer["since"].map(shown) ?? "?")  "
  out += style.paint(
    differing == 0 ? "no difference" : "\(grouped(differing)) differ", ink(differing))
  out += "\n\n"
  out += "decided   \(count("decided", "forwarded")) forwarded, \(count("decided", "dropped")) "
  out += "dropped, \(count("decided", "left")) left to Linux\n"
  out += "compared  \(count("compared", "agreed")) agreed, \(grouped(differing)) differing, "
  out +=
    "\(count("compared", "waiting")) waiting, \(count("compared", "unseen")) unseen, "
  out += "\(count("compared", "uncompared")) not comparable\n"
  let interfaces = (answer["interfaces"]?.array ?? []).filter { interface in
    ["forwarded", "dropped", "left"].contains { (interface[$0]?.int ?? 0) > 0 }
  }
  if !interfaces.isEmpty {
    var table = Table(headings: ["INTERFACE", "HOOK", "DECIDED>", "LEFT>", "AGREED>", "DIFFERING"])
    for interface in interfaces {
      let decided = (interface["forwarded"]?.int ?? 0) + (interface["dropped"]?.int ?? 0)
      let kinds = (interface["differences"]?.object?.members ?? []).map {
        "\(printable($0.key)) \(shown($0.value))"
      }
      table.rows.append([
        .init(interface["name"].map(shown) ?? "?", .bold),
        .init(interface["hook"].map(shown) ?? "?"), .init(grouped(decided)),
        .init(interface["left"]?.int.map(grouped) ?? "-"),
        .init(interface["agreed"]?.int.map(grouped) ?? "-"),
        .init(kinds.isEmpty ? "-" : kinds.joined(separator: ", "), kinds.isEmpty ? nil : .red),
      ])
    }
    out += "\n" + table.text(style)
  }
  for difference in answer["differences"]?.array ?? [] {
    func word(_ name: String) -> String { difference[name].map(shown) ?? "?" }
    out += "\n\(word("time"))  \(word("interface"))  \(style.paint(word("kind"), .red))\n"
    out += "  packet  \(word("packet"))\n  fpd     \(word("fpd"))\n  Linux   \(word("linux"))\n"
  }
  if let path = answer["pcap"]?["path"]?.string, (answer["pcap"]?["frames"]?.int ?? 0) > 0 {
    out += "\nframes as they came: \(printable(path))\n"
  }
  return out
}

private func ink(_ differing: Int64) -> Style.Ink { differing == 0 ? .green : .red }
