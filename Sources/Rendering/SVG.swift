// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// The graph as a picture for a slide or a report: a row an interface, drawn here so that no other
/// program is needed.
public func svg(_ graph: JSON) -> String {
  let view = GraphView(graph)
  let label = min(240, max(130, view.interfaces.map(SVGRow.labelWidth).max() ?? 0))
  let content = max(620, view.interfaces.map(SVGRow.chainWidth).max() ?? 0)
  let rows = view.interfaces.map { SVGRow($0, label: label, content: content) }
  let width = SVGRow.width(label: label, content: content) + 2 * margin

  var canvas = Canvas()
  canvas.text(margin, 50, "Processing graph", .heading)
  let count = view.interfaces.count
  let words = "generation \(view.generation) · \(count) interface\(count == 1 ? "" : "s")"
  canvas.text(margin, 74, words, Canvas.Font(size: 14, colour: "#6b7280"))
  var y = 96
  if rows.isEmpty {
    canvas.box(margin, y, width - 2 * margin, 64, radius: 12, fill: "#ffffff", stroke: "#e2e8f0")
    canvas.text(margin + 24, y + 38, "There are no interfaces in this graph.", .muted)
    y += 64 + 16
  }
  for row in rows {
    row.draw(on: &canvas, x: margin, y: y)
    y += row.height + 16
  }
  y = legend(on: &canvas, y: y + 8, width: width)
  return canvas.document(width, y + margin - 8, title: "Processing graph, \(words)")
}

private let margin = 36

/// What the marks mean; answers where it ends.
private func legend(on canvas: inout Canvas, y: Int, width: Int) -> Int {
  var x = margin
  var y = y
  func place(_ size: Int) {
    if x > margin, x + size > width - margin {
      x = margin
      y += 30
    }
  }
  func words(_ text: String) -> Int { textWidth(text, .muted) + 28 }
  for hook in ["xdp", "xdp-generic", "tc", "none"] {
    place(textWidth(hook, .badge) + 28)
    x += canvas.badge(x, y, hook, hookColour(hook)) + 8
  }
  let hooks = "hook"
  place(words(hooks))
  canvas.text(x, y + 15, hooks, .muted)
  x += words(hooks)
  let marks = [
    (packetsColour, "some packets stay with the kernel"),
    (interfaceColour, "the whole interface stays with the kernel"),
  ]
  for (colour, text) in marks {
    place(14 + words(text))
    canvas.dot(x + 4, y + 11, colour)
    canvas.text(x + 14, y + 15, text, .muted)
    x += 14 + words(text)
  }
  let next = "next module"
  place(36 + words(next))
  canvas.arrow("M\(x),\(y + 11) H\(x + 28)")
  canvas.text(x + 36, y + 15, next, .muted)
  return y + 22
}

let packetsColour = "#f59e0b"
let interfaceColour = "#dc2626"

func hookColour(_ hook: String) -> String {
  switch hook {
  case "xdp": "#15803d"
  case "tc": "#0369a1"
  case "none": "#94a3b8"
  default: "#b45309"
  }
}

func moduleColour(_ module: String) -> String {
  switch module {
  case "bridge": "#2563eb"
  case "vlan": "#0891b2"
  case "filter": "#c2410c"
  case "nat": "#7c3aed"
  case "router": "#047857"
  default: "#475569"
  }
}
