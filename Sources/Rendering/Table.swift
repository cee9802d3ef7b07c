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

  func text(_ style: Style) -> String {
    let isRight = headings.map { $0.hasSuffix(">") }
    let titles = zip(headings, isRight).map { Cell($1 ? String($0.dropLast()) : $0, .dim) }
    let widths = titles.indices.map { column in
      ([titles] + rows).map { columns($0[column].text) }.max() ?? 0
    }
    var out = ""
    for row in [titles] + rows {
      let last = row.lastIndex { !$0.text.isEmpty } ?? 0
      for (column, cell) in row[...last].enumerated() {
        let gap = String(repeating: " ", count: widths[column] - columns(cell.text))
        let painted = style.paint(cell.text, cell.ink)
        if column > 0 { out += "  " }
        out += isRight[column] ? gap + painted : painted + (column == last ? "" : gap)
      }
      out += "\n"
    }
    return out
  }
}
