// SPDX-License-Identifier: Apache-2.0

/// Writes SVG elements one after the other.
struct Canvas {
  /// How a text looks; its width is estimated by it, since nobody here can ask the viewer's fonts.
  struct Font {
    var size: Double
    var isBold = false
    var colour = "#1f2937"

    static let heading = Font(size: 22, isBold: true)
    static let name = Font(size: 17, isBold: true)
    static let node = Font(size: 15, isBold: true, colour: "#ffffff")
    static let value = Font(size: 12.5)
    static let key = Font(size: 12.5, colour: "#6b7280")
    static let muted = Font(size: 12.5, colour: "#6b7280")
    static let badge = Font(size: 12, isBold: true, colour: "#ffffff")
  }

  private(set) var out = ""

  mutating func put(_ element: String) { out += element + "\n" }

  mutating func text(_ x: Int, _ y: Int, _ text: String, _ font: Font, centred: Bool = false) {
    let weight = font.isBold ? " font-weight=\"600\"" : ""
    let anchor = centred ? " text-anchor=\"middle\"" : ""
    put(
      "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(font.size)\" fill=\"\(font.colour)\""
        + "\(weight)\(anchor)>\(escaped(text))</text>")
  }

  /// Two texts, the second where the first ends.
  mutating func text(
    _ x: Int, _ y: Int, _ text: String, _ font: Font, then more: String, _ second: Font
  ) {
    let tail =
      more.isEmpty
      ? ""
      : "<tspan dx=\"8\" fill=\"\(second.colour)\" font-weight=\"400\">\(escaped(more))</tspan>"
    put(
      "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(font.size)\" fill=\"\(font.colour)\""
        + " font-weight=\"600\">\(escaped(text))\(tail)</text>")
  }

  mutating func box(
    _ x: Int, _ y: Int, _ width: Int, _ height: Int, radius: Int, fill: String,
    stroke: String? = nil,
    isDashed: Bool = false
  ) {
    let line =
      stroke.map { " stroke=\"\($0)\"\(isDashed ? " stroke-dasharray=\"5 4\"" : "")" } ?? ""
    put(
      "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\" rx=\"\(radius)\""
        + " fill=\"\(fill)\"\(line)/>")
  }

  mutating func dot(_ x: Int, _ y: Int, radius: Int = 4, _ colour: String) {
    put("<circle cx=\"\(x)\" cy=\"\(y)\" r=\"\(radius)\" fill=\"\(colour)\"/>")
  }

  mutating func line(_ points: [(x: Int, y: Int)], _ colour: String, width: Double = 1) {
    let path = points.map { "\($0.x),\($0.y)" }.joined(separator: " ")
    put(
      "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"\(width)\"/>")
  }

  /// How far measurements lie apart.
  mutating func whisker(level y: Int, from: Int, to: Int) {
    line([(from, y), (to, y)], Self.whiskerColour)
    for x in [from, to] { line([(x, y - 4), (x, y + 4)], Self.whiskerColour) }
  }

  mutating func whisker(upright x: Int, from: Int, to: Int) {
    line([(x, from), (x, to)], Self.whiskerColour)
    for y in [from, to] { line([(x - 4, y), (x + 4, y)], Self.whiskerColour) }
  }

  private static let whiskerColour = "#334155"

  mutating func arrow(_ path: String) {
    put(
      "<path d=\"\(path)\" fill=\"none\" stroke=\"#64748b\" stroke-width=\"1.8\""
        + " marker-end=\"url(#tip)\"/>")
  }

  /// A pill with a word in it; answers its width.
  @discardableResult mutating func badge(_ x: Int, _ y: Int, _ word: String, _ colour: String)
    -> Int
  {
    let width = textWidth(word, .badge) + 20
    box(x, y, width, 22, radius: 11, fill: colour)
    text(x + width / 2, y + 15, word, .badge, centred: true)
    return width
  }

  /// All that was drawn, as a document.
  func document(_ width: Int, _ height: Int, title: String) -> String {
    """
    <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" \
    viewBox="0 0 \(width) \(height)" role="img" \
    font-family="Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif">
    <title>\(escaped(title))</title>
    <defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" \
    orient="auto-start-reverse"><path d="M0,0.5 L10,5 L0,9.5 z" fill="#64748b"/></marker></defs>
    <rect width="\(width)" height="\(height)" fill="#f5f7fa"/>

    """ + out + "</svg>\n"
  }
}

/// XML text; what XML cannot hold at all was replaced when the graph was read.
private func escaped(_ text: String) -> String {
  var out = ""
  for character in text {
    switch character {
    case "&": out += "&amp;"
    case "<": out += "&lt;"
    case ">": out += "&gt;"
    case "\"": out += "&quot;"
    default: out.append(character)
    }
  }
  return out
}

/// How wide a text is at most in the fonts the document names (DejaVu Sans is the widest).
func textWidth(_ text: String, _ font: Canvas.Font) -> Int {
  let ems = text.unicodeScalars.reduce(0.0) { $0 + emWidth($1) }
  return Int((ems * font.size * (font.isBold ? 1.12 : 1)).rounded(.up))
}

private func emWidth(_ scalar: Unicode.Scalar) -> Double {
  switch scalar {
  case "i", "j", "l", "I", "'", ".", ",", ":", ";", "|", "!", " ": 0.34
  case "f", "t", "r", "(", ")", "[", "]", "-", "/", "\"": 0.42
  case "m", "w", "M", "W", "@", "%", "+", "=", "<", ">", "~", "—", "…": 0.98
  case "A"..."Z", "&": 0.74
  case "\u{1100}"...: 1.05
  default: 0.64
  }
}

/// A text in lines of at most `width`, broken where words end, and anywhere where there are none.
func wrapped(_ text: String, _ font: Canvas.Font, width: Int, first: Int? = nil) -> [String] {
  var lines: [String] = []
  var line = ""
  var room: Int { lines.isEmpty ? first ?? width : width }
  func fits(_ text: String) -> Bool { textWidth(text, font) <= room }
  for word in pieces(text) {
    if fits(line + trimmed(word)) {
      line += word
      continue
    }
    if !line.isEmpty || (lines.isEmpty && first != nil) { lines.append(trimmed(line)) }
    line = ""
    for character in word {
      if !line.isEmpty, !fits(trimmed(line + String(character))) {
        lines.append(line)
        line = ""
      }
      line.append(character)
    }
  }
  return lines + (trimmed(line).isEmpty ? [] : [trimmed(line)])
}

/// A text cut after each blank, comma, hyphen and the like.
private func pieces(_ text: String) -> [String] {
  var pieces: [String] = []
  var piece = ""
  for character in text {
    piece.append(character)
    if " ,-_/".contains(character) {
      pieces.append(piece)
      piece = ""
    }
  }
  return pieces + [piece]
}

private func trimmed(_ text: String) -> String {
  var text = text[...]
  while text.last == " " { text = text.dropLast() }
  return String(text)
}
