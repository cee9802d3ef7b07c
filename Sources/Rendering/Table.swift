// SPDX-License-Identifier: Apache-2.0

/// Columns of text under their headings, as wide as they need to be.
struct Table {
  struct Cell {
    let text: String
    let ink: Style.Ink?

    init(_ text: String, _ ink: Style.Ink? = nil) {
      self.text = text
      self.ink = ink
    }
  }

  /// A heading that ends in ">" belongs to a column of numbers, aligned to the right.
  let headings: [String]
  var rows: [[Cell]] = []
  /// Whether the last column is cut where the terminal ends.
  var isCut = false

  func text(_ style: Style) -> String {
    let isRight = headings.map { $0.hasSuffix(">") }
    let titles = zip(headings, isRight).map { Cell($1 ? String($0.dropLast()) : $0, .dim) }
    let widths = titles.indices.map { column in
      ([titles] + rows).map { columns($0[column].text) }.max() ?? 0
    }
    var out = ""
    let room = isCut ? style.width.map { $0 - widths.dropLast().reduce(0) { $0 + $1 + 2 } } : nil
    for row in [titles] + rows {
      let last = row.lastIndex { !$0.text.isEmpty } ?? 0
      for (column, cell) in row[...last].enumerated() {
        let gap = String(repeating: " ", count: widths[column] - columns(cell.text))
        let text = column == widths.count - 1 ? cut(cell.text, to: room) : cell.text
        let painted = style.paint(text, cell.ink)
        if column > 0 { out += "  " }
        out += isRight[column] ? gap + painted : painted + (column == last ? "" : gap)
      }
      out += "\n"
    }
    return out
  }

  /// A text that is too long with an ellipsis at its end; never cut to nothing.
  private func cut(_ text: String, to room: Int?) -> String {
    guard let room = room.map({ max($0, 20) }), columns(text) > room else { return text }
    return text.prefix(room - 1) + "…"
  }
}
