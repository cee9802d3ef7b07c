// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// The graph in Graphviz' language: one cluster an interface.
public func dot(_ graph: JSON) -> String {
  let view = GraphView(graph)
  var out = """
    digraph fpd {
      label=\(quoted("generation \(view.generation)"))
      rankdir=LR
      fontname="sans-serif"
      node [shape=box, style="rounded,filled", fillcolor="#eef4fb", fontname="sans-serif"]
      edge [fontname="sans-serif"]

    """
  for (number, interface) in view.interfaces.enumerated() {
    out += cluster(interface, "i\(number)")
  }
  return out + "}\n"
}

private func cluster(_ interface: GraphView.Interface, _ prefix: String) -> String {
  let title = "\(interface.name) (ifindex \(interface.index), hook \(interface.hook))"
  var out = "  subgraph \"cluster_\(prefix)\" {\n    label=\(quoted(title))\n"
  for (place, node) in interface.nodes.enumerated() {
    let lines = [node.name] + node.conf.map { "\($0.key)=\($0.value)" }
    out += "    \(prefix)n\(place) [label=\(quoted(lines.joined(separator: "\n")))]\n"
  }
  var strangers: [String] = []
  for (place, node) in interface.nodes.enumerated() {
    for next in node.next {
      if let target = interface.nodes.firstIndex(where: { $0.name == next }) {
        out += "    \(prefix)n\(place) -> \(prefix)n\(target)\n"
      } else {
        if !strangers.contains(next) { strangers.append(next) }
        out += "    \(prefix)n\(place) -> \(prefix)x\(strangers.firstIndex(of: next) ?? 0)\n"
      }
    }
  }
  for (place, name) in strangers.enumerated() {
    out += "    \(prefix)x\(place) [label=\(quoted(name)), style=dashed]\n"
  }
  if interface.nodes.isEmpty {
    out += "    \(prefix)k [label=\"kernel\", style=dashed]\n"
  }
  if !interface.reasons.isEmpty {
    let lines = interface.reasons.map { reason in
      "\(reason.scope): \(reason.name)\(reason.detail.isEmpty ? "" : " - \(reason.detail)")"
    }
    // \l ends a line that is aligned to the left.
    let label = lines.map(escaped).joined(separator: "\\l") + "\\l"
    out += "    \(prefix)s [label=\"\(label)\", shape=note, style=\"\", color=\"#888888\"]\n"
  }
  return out + "  }\n"
}

private func quoted(_ text: String) -> String { "\"\(escaped(text))\"" }

private func escaped(_ text: String) -> String {
  var out = ""
  for character in text {
    switch character {
    case "\"": out += "\\\""
    case "\\": out += "\\\\"
    case "\n": out += "\\n"
    default: out.append(character)
    }
  }
  return out
}
