// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What values become as something grows, as a picture; both axes by powers of ten.
public struct LineChart: Sendable {
  public struct Point: Sendable {
    public let x: Double
    public let y: Double
    /// The least and the most that was measured there.
    public let spread: ClosedRange<Double>?

    public init(_ x: Double, _ y: Double, spread: ClosedRange<Double>? = nil) {
      (self.x, self.y, self.spread) = (x, y, spread)
    }

    /// Whether it has a place where there are only powers of ten.
    fileprivate var isPlaced: Bool { x.isFinite && x > 0 && y.isFinite && y > 0 }
  }

  public struct Series: Sendable {
    public let label: String
    /// Stands out: the one that the others are compared with.
    public let isMain: Bool
    public let points: [Point]

    public init(_ label: String, isMain: Bool = false, _ points: [Point]) {
      self.label = label
      self.isMain = isMain
      self.points = points.filter(\.isPlaced).sorted { $0.x < $1.x }
    }
  }

  public let title: String
  /// What the values are, and what grows.
  public let unit, growing: String
  public let series: [Series]
  /// How they were measured, a line each.
  public let notes: [String]

  public init(
    _ title: String, unit: String, growing: String, _ series: [Series], notes: [String]
  ) {
    (self.title, self.unit, self.growing) = (title, unit, growing)
    self.series = series
    self.notes = notes
  }

  // MARK: - Axes

  /// A stretch from one power of ten to another.
  struct Axis {
    let exponents: ClosedRange<Int>
    let from, to: Int

    init(_ values: [Double], from: Int, to: Int) {
      (self.from, self.to) = (from, to)
      let placed = values.filter { $0.isFinite && $0 > 0 }
      let low = placed.min().map { Int(log10($0).rounded(.down)) } ?? 0
      let high = placed.max().map { Int(log10($0).rounded(.up)) } ?? 1
      exponents = low...max(high, low + 1)
    }

    func place(_ value: Double) -> Int {
      let span = Double(exponents.upperBound - exponents.lowerBound)
      let share = (log10(value) - Double(exponents.lowerBound)) / span
      return from + Int((min(1, max(0, share)) * Double(to - from)).rounded())
    }

    var ticks: [(place: Int, label: String)] {
      exponents.map { exponent in
        let value = pow(10, Double(exponent))
        return (place(value), Self.label(exponent))
      }
    }

    static func label(_ exponent: Int) -> String {
      switch exponent {
      case 6...: "\(digits(exponent - 6)) M"
      case 3..<6: "\(digits(exponent - 3)) k"
      case 0..<3: digits(exponent)
      default: "0." + String(repeating: "0", count: -exponent - 1) + "1"
      }
    }

    private static func digits(_ zeros: Int) -> String {
      "1" + String(repeating: "0", count: zeros)
    }
  }

  // MARK: - A picture

  private static let margin = 36
  private static let size = (width: 860, height: 400)
  private static let colours = ["#94a3b8", "#b45309", "#6d28d9", "#0e7490", "#be185d", "#1d4ed8"]
  private static let ink = "#15803d"

  public var svg: String {
    var canvas = Canvas()
    canvas.text(Self.margin, 50, title, .heading)
    canvas.text(Self.margin, 74, unit, .unit)
    let (left, top) = (Self.margin + 60, 110)
    let names = series.map { textWidth($0.label, .series("")) }.max() ?? 0
    let (right, bottom) = (Self.size.width - Self.margin - names - 30, top + Self.size.height - 60)
    canvas.box(
      Self.margin, 92, Self.size.width - 2 * Self.margin, Self.size.height + 16, radius: 12,
      fill: "#ffffff", stroke: "#e2e8f0")
    let points = series.flatMap(\.points)
    let across = Axis(points.map(\.x), from: left, to: right)
    let up = Axis(
      points.flatMap { [$0.y, $0.spread?.lowerBound ?? $0.y, $0.spread?.upperBound ?? $0.y] },
      from: bottom, to: top)
    for tick in up.ticks {
      canvas.line([(left, tick.place), (right, tick.place)], "#e2e8f0")
      canvas.text(Self.margin + 12, tick.place + 4, tick.label, .muted)
    }
    for tick in across.ticks {
      canvas.line([(tick.place, top), (tick.place, bottom)], "#f1f5f9")
      canvas.text(tick.place, bottom + 20, tick.label, .muted, centred: true)
    }
    canvas.text((left + right) / 2, bottom + 42, growing, .muted, centred: true)
    draw(on: &canvas, across, up)
    var y = 92 + Self.size.height + 24
    for note in notes {
      for text in wrapped(note, .muted, width: Self.size.width - 2 * Self.margin) {
        y += 18
        canvas.text(Self.margin, y, text, .muted)
      }
    }
    return canvas.document(Self.size.width, y + Self.margin, title: "\(title), \(unit)")
  }

  private func draw(on canvas: inout Canvas, _ across: Axis, _ up: Axis) {
    var names: [(y: Int, label: String, colour: String)] = []
    var others = 0
    for line in series {
      guard let last = line.points.last else { continue }
      let colour = line.isMain ? Self.ink : Self.colours[others % Self.colours.count]
      if !line.isMain { others += 1 }
      canvas.line(
        line.points.map { (across.place($0.x), up.place($0.y)) }, colour, width: line.isMain ? 3 : 2
      )
      for point in line.points {
        let x = across.place(point.x)
        if let spread = point.spread {
          canvas.whisker(
            upright: x, from: up.place(spread.lowerBound), to: up.place(spread.upperBound))
        }
        canvas.dot(x, up.place(point.y), colour)
      }
      names.append((up.place(last.y) + 4, line.label, colour))
    }
    // One below the other where lines end at the same height.
    var lowest = Int.min
    for name in names.sorted(by: { $0.y < $1.y }) {
      let y = max(name.y, lowest == .min ? name.y : lowest + 16)
      canvas.text(
        across.to + 14, y, name.label, .series(name.colour))
      lowest = y
    }
  }
}

extension Canvas.Font {
  fileprivate static let unit = Canvas.Font(size: 14, colour: "#6b7280")
  fileprivate static func series(_ colour: String) -> Canvas.Font {
    Canvas.Font(size: 12.5, isBold: true, colour: colour)
  }
}
