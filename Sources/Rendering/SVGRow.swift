// SPDX-License-Identifier: Apache-2.0

/// One interface in the picture: its name and hook, its nodes from left to right, and below them what
/// stays with the kernel.
struct SVGRow {
  private static let padding = 20
  private static let gap = 46  // between nodes: an arrow
  private static let line = 18  // a line of small text

  private let interface: GraphView.Interface
  private let label: Int
  private let content: Int
  private let boxes: [SVGNode]
  private let notes: [SVGNote]
  private let names: [String]
  private let jumps: [(from: Int, to: Int)]
  let height: Int

  static func width(label: Int, content: Int) -> Int { 2 * padding + label + gap + content }

  static func labelWidth(_ interface: GraphView.Interface) -> Int {
    max(
      textWidth(interface.name, .name), textWidth("ifindex \(interface.index)", .muted),
      textWidth(interface.hook, .badge) + 20)
  }

  static func chainWidth(_ interface: GraphView.Interface) -> Int {
    width(of: nodes(interface))
  }

  private static func width(of boxes: [SVGNode]) -> Int {
    boxes.reduce(0) { $0 + $1.width } + gap * max(0, boxes.count - 1)
  }

  /// The interface's nodes, and a dashed box for each name that is handed on to but is no node.
  private static func nodes(_ interface: GraphView.Interface) -> [SVGNode] {
    let known = interface.nodes.map(\.name)
    var strangers: [String] = []
    for name in interface.nodes.flatMap(\.next) where !known.contains(name) {
      if !strangers.contains(name) { strangers.append(name) }
    }
    return interface.nodes.map { SVGNode($0) }
      + strangers.map { SVGNode(GraphView.Node(name: $0, conf: [], next: []), isDashed: true) }
  }

  init(_ interface: GraphView.Interface, label: Int, content: Int) {
    self.interface = interface
    self.label = label
    self.content = content
    let boxes = Self.nodes(interface)
    self.boxes = boxes
    notes = interface.reasons.map { SVGNote($0, width: content) }
    names = wrapped(interface.name, .name, width: label)
    jumps = interface.nodes.enumerated().flatMap { place, node in
      node.next.compactMap { next in boxes.firstIndex { $0.name == next } }
        .filter { $0 != place + 1 }.map { (place, $0) }
    }
    let chain = boxes.map(\.height).max() ?? 40
    let arcs = jumps.isEmpty ? 0 : 26 + 12 * (jumps.count - 1)
    let remarks =
      notes.isEmpty ? 0 : 14 + Self.line + notes.reduce(0) { $0 + $1.lineCount * Self.line }
    let title = names.count * 21 + 22 + 32
    height = max(title, chain + arcs + remarks) + 2 * Self.padding
  }

  func draw(on canvas: inout Canvas, x: Int, y: Int) {
    let width = Self.width(label: label, content: content)
    canvas.box(x, y, width, height, radius: 12, fill: "#ffffff", stroke: "#e2e8f0")
    drawTitle(&canvas, x + Self.padding, y + Self.padding)
    let left = x + Self.padding + label + Self.gap
    let below = drawChain(&canvas, left, y + Self.padding)
    drawNotes(&canvas, left, below)
  }

  private func drawTitle(_ canvas: inout Canvas, _ x: Int, _ y: Int) {
    var y = y + 17
    for name in names {
      canvas.text(x, y, name, .name)
      y += 21
    }
    canvas.text(x, y, "ifindex \(interface.index)", .muted)
    canvas.badge(x, y + 10, interface.hook, hookColour(interface.hook))
  }

  /// Draws the nodes and their arrows; answers where the notes may begin.
  private func drawChain(_ canvas: inout Canvas, _ left: Int, _ top: Int) -> Int {
    guard !boxes.isEmpty else {
      let text = "every packet takes the kernel's path"
      let width = textWidth(text, .muted) + 40
      canvas.box(
        left, top, width, 36, radius: 18, fill: "#f8fafc", stroke: "#94a3b8", isDashed: true)
      canvas.text(left + width / 2, top + 23, text, .muted, centred: true)
      return top + 40
    }
    let height = boxes.map(\.height).max() ?? 0
    var places: [Int] = []
    var x = left
    let middle = top + SVGNode.headHeight / 2
    canvas.dot(left - Self.gap + 6, middle, "#64748b")
    canvas.arrow("M\(left - Self.gap + 6),\(middle) H\(left - 2)")
    for (place, box) in boxes.enumerated() {
      box.draw(on: &canvas, x: x, y: top, height: height)
      places.append(x)
      if feedsNeighbour(place) {
        canvas.arrow("M\(x + box.width),\(middle) H\(x + box.width + Self.gap - 2)")
      }
      x += box.width + Self.gap
    }
    var depth = 0
    for (from, to) in jumps {
      let start = places[from] + boxes[from].width * 2 / 3
      let end = places[to] + boxes[to].width / 3
      let bottom = top + height
      let low = bottom + 22 + depth
      canvas.arrow(
        "M\(start),\(bottom) C\(start),\(low) \(start),\(low) \((start + end) / 2),\(low)"
          + " S\(end),\(low) \(end),\(bottom + 2)")
      depth += 12
    }
    return top + height + (jumps.isEmpty ? 0 : 14 + depth)
  }

  private func feedsNeighbour(_ place: Int) -> Bool {
    interface.nodes.indices.contains(place) && boxes.indices.contains(place + 1)
      && interface.nodes[place].next.contains(boxes[place + 1].name)
  }

  private func drawNotes(_ canvas: inout Canvas, _ x: Int, _ y: Int) {
    if notes.isEmpty { return }
    var y = y + 14 + 12
    canvas.text(
      x, y, "Stays with the kernel", Canvas.Font(size: 12, isBold: true, colour: "#94a3b8"))
    for note in notes {
      y += Self.line
      y = note.draw(on: &canvas, x: x, y: y, line: Self.line)
    }
  }
}
