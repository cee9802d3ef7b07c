// SPDX-License-Identifier: Apache-2.0

/// Measured values side by side: for a terminal, and as a picture.
public struct BarChart: Sendable {
  public struct Bar: Sendable {
    public let label: String
    public let value: Double
    /// Stands out: the one that the others are compared with.
    public let isMain: Bool
    /// The least and the most that was measured.
    public let spread: ClosedRange<Double>?

    public init(
      _ label: String, _ value: Double, isMain: Bool = false, spread: ClosedRange<Double>? = nil
    ) {
      self.label = label
      self.value = value
      self.isMain = isMain
      self.spread = spread
    }
  }

  public struct Group: Sendable {
    public let title: String
    /// What the comparison comes to, in a few words.
    public let remark: String
    public let bars: [Bar]

    public init(_ title: String, remark: String, _ bars: [Bar]) {
      self.title = title
      self.remark = remark
      self.bars = bars
    }
  }

  public let title: String
  /// What the values are.
  public let unit: String
  public let groups: [Group]
  /// How they were measured, a line each.
  public let notes: [String]

  public init(_ title: String, unit: String, _ groups: [Group], notes: [String]) {
    self.title = title
    self.unit = unit
    self.groups = groups
    self.notes = notes
  }

  private var bars: [Bar] { groups.flatMap(\.bars) }

  /// The part of the longest bar, from 0 to 1.
  private func share(_ value: Double, of longest: Double) -> Double {
    guard longest > 0, value.isFinite else { return 0 }
    return max(0, value / longest)
  }

  // MARK: - A terminal

  /// Bars of block characters; of at most `width` columns where the style names no width.
  public func text(_ style: Style = .plain, width: Int = 78) -> String {
    let label = bars.map { columns($0.label) }.max() ?? 0
    let room = max(8, min(width, style.width ?? width) - label - 14)
    let most = bars.map(\.value).filter(\.isFinite).max() ?? 0
    var out = "\(style.paint(printable(title), .bold)), \(printable(unit))\n"
    for group in groups {
      out += "\n\(printable(group.title))"
      out += group.remark.isEmpty ? "\n" : "  \(style.paint(printable(group.remark), .bold))\n"
      for bar in group.bars {
        let ink: Style.Ink = bar.isMain ? .green : .dim
        let blocks = style.paint(Self.blocks(share(bar.value, of: most), of: room), ink)
        out += "  \(padded(printable(bar.label), label))  \(blocks) \(Self.number(bar.value))\n"
      }
    }
    return out
  }

  /// A bar in eighths of a column.
  private static func blocks(_ share: Double, of room: Int) -> String {
    let eighths = max(1, Int((share * Double(room * 8)).rounded()))
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
    return String(repeating: "█", count: eighths / 8) + parts[eighths % 8]
  }

  private static func number(_ value: Double) -> String {
    guard value.isFinite else { return "–" }
    let hundredths = Int((max(0, value) * 100).rounded())
    let fraction = hundredths % 100
    return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
  }

  // MARK: - A picture

  private static let margin = 36
  private static let width = 860
  private static let line = 34

  public var svg: String {
    var canvas = Canvas()
    canvas.text(Self.margin, 50, title, .heading)
    canvas.text(Self.margin, 74, unit, Canvas.Font(size: 14, colour: "#6b7280"))
    let label = 20 + (bars.map { textWidth($0.label, .value) }.max() ?? 0)
    let longest = Self.width - 2 * Self.margin - 40 - label - 70
    let most =
      bars.flatMap { [$0.value, $0.spread?.upperBound ?? 0] }.filter(\.isFinite).max() ?? 0
    var y = 96
    for group in groups {
      let height = 56 + Self.line * group.bars.count
      canvas.box(
        Self.margin, y, Self.width - 2 * Self.margin, height, radius: 12, fill: "#ffffff",
        stroke: "#e2e8f0")
      canvas.text(Self.margin + 20, y + 30, group.title, .name, then: group.remark, .remark)
      for (place, bar) in group.bars.enumerated() {
        let top = y + 44 + Self.line * place
        let left = Self.margin + 20 + label
        func length(_ value: Double) -> Int {
          max(2, Int((share(value, of: most) * Double(longest)).rounded()))
        }
        canvas.text(Self.margin + 20, top + 16, bar.label, .value)
        canvas.box(
          left, top, length(bar.value), 24, radius: 4, fill: bar.isMain ? "#15803d" : "#94a3b8")
        if let spread = bar.spread {
          canvas.whisker(
            level: top + 12, from: left + length(spread.lowerBound),
            to: left + length(spread.upperBound))
        }
        let end = left + length(max(bar.value, bar.spread?.upperBound ?? 0))
        canvas.text(end + 10, top + 16, Self.number(bar.value), .value)
      }
      y += height + 16
    }
    for note in notes {
      for text in wrapped(note, .muted, width: Self.width - 2 * Self.margin) {
        y += 18
        canvas.text(Self.margin, y, text, .muted)
      }
    }
    return canvas.document(Self.width, y + Self.margin, title: "\(title), \(unit)")
  }
}

extension Canvas.Font {
  fileprivate static let remark = Canvas.Font(size: 15, colour: "#15803d")
}
