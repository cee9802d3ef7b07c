// SPDX-License-Identifier: Apache-2.0

/// A module in the picture: a coloured head with its name, its settings below.
struct SVGNode {
  static let headHeight = 30
  private static let padding = 14
  private static let line = 18
  private static let widest = 300

  /// A line of settings: the key stands before the first line of its value.
  private struct Line {
    let key: String
    let value: String
    let indent: Int
  }

  let name: String
  let width: Int
  let height: Int
  private let title: [String]
  private let lines: [Line]
  private let isDashed: Bool

  init(_ node: GraphView.Node, isDashed: Bool = false) {
    name = node.name
    self.isDashed = isDashed
    let inner = Self.widest - 2 * Self.padding
    title = wrapped(node.name, .node, width: inner)
    let keys = node.conf.map { textWidth($0.key, .key) + 10 }.filter { $0 < inner / 2 }
    let indent = keys.max() ?? 0
    let lines = node.conf.flatMap { Self.lines($0.key, $0.value, indent, inner) }
    self.lines = lines
    let widths = lines.map { $0.indent + textWidth($0.value, .value) }
    let heads = title.map { textWidth($0, .node) }
    width = max(96, (widths + heads).max() ?? 0) + 2 * Self.padding
    let head = Self.headHeight + 20 * (title.count - 1)
    height = head + (lines.isEmpty ? 0 : 12 + lines.count * Self.line)
  }

  /// Values stand in a column of their own, `indent` from the left.
  private static func lines(_ key: String, _ value: String, _ indent: Int, _ inner: Int) -> [Line] {
    guard textWidth(key, .key) + 10 <= indent else {
      // A key that leaves its value no room has lines to itself.
      let keys = wrapped(key, .key, width: inner)
      return keys.map { Line(key: $0, value: "", indent: textWidth($0, .key)) }
        + wrapped(value, .value, width: inner - 14).map { Line(key: "", value: $0, indent: 14) }
    }
    let values = wrapped(value, .value, width: inner - indent)
    return values.enumerated().map { place, text in
      Line(key: place == 0 ? key : "", value: text, indent: indent)
    }
  }

  func draw(on canvas: inout Canvas, x: Int, y: Int, height: Int) {
    let head = Self.headHeight + 20 * (title.count - 1)
    if isDashed {
      canvas.box(
        x, y, width, height, radius: 8, fill: "#f8fafc", stroke: "#94a3b8", isDashed: true)
    } else {
      let colour = moduleColour(name)
      canvas.box(x, y, width, height, radius: 8, fill: "#ffffff", stroke: colour)
      canvas.put(
        "<path d=\"M\(x),\(y + head) v-\(head - 8) a8,8 0 0 1 8,-8 h\(width - 16)"
          + " a8,8 0 0 1 8,8 v\(head - 8) z\" fill=\"\(colour)\"/>")
    }
    let font = isDashed ? Canvas.Font(size: 15, isBold: true, colour: "#475569") : .node
    for (place, text) in title.enumerated() {
      canvas.text(x + Self.padding, y + 20 + 20 * place, text, font)
    }
    var y = y + head + 6
    for line in lines {
      y += Self.line
      if !line.key.isEmpty { canvas.text(x + Self.padding, y - 4, line.key, .key) }
      if !line.value.isEmpty {
        canvas.text(x + Self.padding + line.indent, y - 4, line.value, .value)
      }
    }
  }
}

/// A reason why packets stay with the kernel: its name, then what there is to say about it.
struct SVGNote {
  private static let font = Canvas.Font(size: 12.5, isBold: true, colour: "#475569")
  private static let indent = 14

  private let names: [String]
  private let details: [String]
  private let colour: String

  /// The name's lines and the detail's; the detail begins on the name's last line.
  var lineCount: Int { names.count + max(0, details.count - 1) }

  init(_ reason: GraphView.Reason, width: Int) {
    colour = reason.scope == "interface" ? interfaceColour : packetsColour
    names = wrapped(reason.name, Self.font, width: width - Self.indent)
    let nameWidth = names.last.map { textWidth($0, Self.font) + 10 } ?? 0
    details =
      reason.detail.isEmpty
      ? []
      : wrapped(
        reason.detail, .muted, width: width - Self.indent,
        first: max(0, width - Self.indent - nameWidth))
  }

  /// Answers where its last line stands.
  func draw(on canvas: inout Canvas, x: Int, y: Int, line: Int) -> Int {
    var y = y
    canvas.dot(x + 4, y - 4, colour)
    for (place, name) in names.enumerated() {
      if place > 0 { y += line }
      let isLast = place == names.count - 1
      canvas.text(
        x + Self.indent, y, name, Self.font, then: isLast ? details.first ?? "" : "", .muted)
    }
    for detail in details.dropFirst() {
      y += line
      canvas.text(x + Self.indent, y, detail, .muted)
    }
    return y
  }
}
