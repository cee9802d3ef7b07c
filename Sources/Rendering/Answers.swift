// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// `fpctl status` for people.
public func statusText(_ status: JSON, style: Style = .plain) -> String {
  let state = status["state"].map(shown) ?? "?"
  let ink: Style.Ink = state == "converged" ? .green : state == "degraded" ? .red : .yellow
  var out = "fpd \(status["version"].map(shown) ?? "?")  \(style.paint(state, ink))"
  out += "  generation \(status["generation"].map(shown) ?? "?")\n"
  if status["shadow"]?.bool == true {
    out += style.paint("  shadow mode", .yellow)
    out += ": Linux processes every packet, and fpctl shadow compares\n"
  }
  for problem in status["problems"]?.array ?? [] {
    let what = problem["what"].map(shown) ?? "problem"
    // A compiler and the verifier say more than one line.
    let lines = (problem["detail"]?.string ?? "").split(separator: "\n").map {
      printable(String($0))
    }
    out += style.paint("  \(what)", .red) + ": \(lines.joined(separator: "\n    "))\n"
  }
  let interfaces = status["interfaces"]?.array ?? []
  if interfaces.isEmpty { return out + "\nno interfaces\n" }
  var table = Table(
    headings: ["INTERFACE", "IFINDEX>", "HOOK", "ACCELERATED", "FAST SHARE>", "MODULES", "REASON"])
  for interface in interfaces {
    let hook = interface["hook"].map(shown) ?? "?"
    let isFast = interface["accelerated"]?.bool ?? false
    let modules = interface["modules"]?.array ?? []
    table.rows.append([
      .init(interface["name"].map(shown) ?? "?", .bold),
      .init(interface["ifindex"].map(shown) ?? "?"),
      .init(hook, Style.ink(forHook: hook)),
      .init(isFast ? "yes" : "no", isFast ? .green : .yellow),
      .init(interface["fast_share"]?.double.map(percent) ?? "-"),
      .init(
        (modules.isEmpty ? "-" : modules.map(shown).joined(separator: ","))
          + (interface["program"]?.string == "general" ? " (general)" : "")),
      .init(interface["reason"]?.string.map(printable) ?? ""),
    ])
  }
  return out + "\n" + table.text(style)
}

/// `fpctl config` for people.
public func configText(_ config: JSON, style: Style = .plain) -> String {
  var table = Table(headings: ["KEY", "VALUE", "SOURCE"])
  for row in config.array ?? [] {
    let source = row["source"].map(shown) ?? "?"
    table.rows.append([
      .init(row["key"].map(shown) ?? "?", .bold), .init(row["value"].map(shown) ?? "-"),
      .init(source, source == "default" ? .dim : .green),
    ])
  }
  return table.text(style)
}

/// `fpctl stats` for people.
public func statsText(_ stats: JSON, style: Style = .plain) -> String {
  var table = Table(headings: ["INTERFACE", "WHAT", "REASON", "PACKETS>", "BYTES>"])
  for interface in stats["interfaces"]?.array ?? [] {
    var name = interface["name"].map(shown) ?? "?"
    func add(_ what: String, _ reason: String, _ counters: JSON?, _ ink: Style.Ink?) {
      table.rows.append([
        .init(name, .bold), .init(what, ink), .init(reason),
        .init(counters?["packets"]?.int.map(grouped) ?? "-"),
        .init(counters?["bytes"]?.int.map(grouped) ?? "-"),
      ])
      name = ""
    }
    add("forwarded", "", interface["forwarded"], .green)
    add("dropped", "", interface["dropped"], .red)
    for (reason, counters) in interface["punted"]?.object?.members ?? [] {
      add("punted", printable(reason), counters, .yellow)
    }
  }
  return table.rows.isEmpty ? "no interfaces\n" : table.text(style)
}

/// One line of `fpctl monitor`: the generation first, then whatever else fpd tells.
public func monitorLine(_ event: JSON, style: Style = .plain) -> String {
  var out = style.paint("generation \(event["generation"].map(shown) ?? "?")", .bold)
  for (key, value) in event.object?.members ?? [] where key != "generation" && key != "version" {
    out += "  \(style.paint("\(printable(key))=", .dim))\(shown(value))"
  }
  return out + "\n"
}

/// `fpctl wait` for people.
public func waitText(_ answer: JSON) -> String {
  "live as of the call, generation \(answer["generation"].map(shown) ?? "?")\n"
}

/// Any answer as an indented outline: for those that have no table of their own.
public func outline(_ value: JSON, style: Style = .plain) -> String {
  var out = ""
  func add(_ value: JSON, _ indent: String) {
    switch value {
    case .object(let object):
      let width = object.members.map { columns(printable($0.key)) }.max() ?? 0
      for (key, value) in object.members {
        addValue(indent + style.paint(printable(key), .dim), width - columns(printable(key)), value)
      }
    case .array(let values):
      for value in values {
        addValue(indent + "-", 0, value)
      }
    default: out += indent + shown(value) + "\n"
    }
  }
  func addValue(_ head: String, _ gap: Int, _ value: JSON) {
    let indent = String(head.prefix { $0 == " " })
    switch value {
    case .object(let object) where !object.isEmpty:
      out += head + "\n"
      add(value, indent + "  ")
    case .array(let values) where !values.allSatisfy({ $0.object == nil && $0.array == nil }):
      out += head + "\n"
      add(value, indent + "  ")
    default: out += head + String(repeating: " ", count: gap + 1) + shown(value) + "\n"
    }
  }
  add(value, "")
  return out
}

func percent(_ share: Double) -> String {
  guard share.isFinite else { return "-" }
  let tenths = Int((min(max(share, 0), 1) * 1000).rounded(.down))
  return "\(tenths / 10).\(tenths % 10) %"
}

/// 1234567 as 1,234,567.
func grouped(_ number: Int64) -> String {
  let digits = Array(String(number.magnitude))
  var out = number < 0 ? "-" : ""
  for (place, digit) in digits.enumerated() {
    if place > 0, (digits.count - place).isMultiple(of: 3) { out += "," }
    out.append(digit)
  }
  return out
}
