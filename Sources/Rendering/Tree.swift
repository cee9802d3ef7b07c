// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// The graph for a terminal: each interface, its nodes in the order packets meet them, and what stays
/// with the kernel.
public func tree(_ graph: JSON, style: Style = .plain) -> String {
  let view = GraphView(graph)
  var out = style.paint("generation \(view.generation)", .dim) + "\n"
  if view.interfaces.isEmpty { out += "no interfaces\n" }
  for interface in view.interfaces { out += "\n" + branch(interface, style) }
  return out
}

private func branch(_ interface: GraphView.Interface, _ style: Style) -> String {
  var out = style.paint(interface.name, .bold)
  out += style.paint("  ifindex \(interface.index)", .dim)
  out += "  hook \(style.paint(interface.hook, Style.ink(forHook: interface.hook)))\n"
  let width = interface.nodes.map { columns($0.name) }.max() ?? 0
  for (place, node) in interface.nodes.enumerated() {
    let isLast = place == interface.nodes.count - 1
    let joint = isLast ? "└" : interface.feedsNeighbour(place) ? "├" : "╞"
    var words = node.conf.map { ("\($0.key)=", $0.value) }
    for jump in interface.jumps(from: place) { words.append(("→ ", jump)) }
    let name = words.isEmpty ? node.name : padded(node.name, width)
    out += "  \(joint)─ \(style.paint(name, .blue))"
    out += wrapped(words, indent: width + 7, rule: isLast ? " " : "│", style) + "\n"
  }
  if interface.nodes.isEmpty { out += style.paint("  all packets take the kernel's path\n", .dim) }
  return out + notes(interface.reasons, style)
}

/// Key-value pairs after a node's name, on further lines where the terminal is too narrow.
private func wrapped(
  _ words: [(key: String, value: String)], indent: Int, rule: String, _ style: Style
) -> String {
  var out = ""
  var column = indent - 2
  for (key, value) in words {
    let size = columns(key) + columns(value)
    if let width = style.width, column + 2 + size > width, column > indent {
      out += "\n  \(rule)" + String(repeating: " ", count: indent - 5)
      column = indent - 2
    }
    out += "  " + style.paint(key, .dim) + value
    column += 2 + size
  }
  return out
}

private func notes(_ reasons: [GraphView.Reason], _ style: Style) -> String {
  if reasons.isEmpty { return "" }
  let name = reasons.map { columns($0.name) }.max() ?? 0
  let scope = reasons.map { columns($0.scope) }.max() ?? 0
  var out = style.paint("  slow path\n", .dim)
  for reason in reasons {
    let ink = reason.scope == "interface" ? Style.Ink.red : .yellow
    out += "    \(padded(reason.scope, scope))  "
    if reason.detail.isEmpty {
      out += style.paint(reason.name, ink) + "\n"
    } else {
      out += style.paint(padded(reason.name, name), ink) + "  \(reason.detail)\n"
    }
  }
  return out
}
