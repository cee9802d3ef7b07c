// SPDX-License-Identifier: Apache-2.0

/// What the place a text goes to can show.
public struct Style: Sendable, Equatable {
  public var hasColour: Bool
  /// Columns to wrap at; nil where lines may be as long as they are.
  public var width: Int?

  public static let plain = Style(hasColour: false)

  public init(hasColour: Bool, width: Int? = nil) {
    self.hasColour = hasColour
    self.width = width
  }

  enum Ink: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "1;34"
    case cyan = "36"
  }

  func paint(_ text: String, _ ink: Ink?) -> String {
    guard hasColour, let ink, !text.isEmpty else { return text }
    return "\u{1b}[\(ink.rawValue)m\(text)\u{1b}[0m"
  }

  static func ink(forHook hook: String) -> Ink {
    switch hook {
    case "xdp": .green
    case "tc": .cyan
    case "none": .dim
    default: .yellow
    }
  }
}

/// A text without what could steer a terminal: a device's name may hold an escape sequence.
func printable(_ text: String) -> String {
  if text.unicodeScalars.allSatisfy({ !isControl($0) }) { return text }
  var out = String.UnicodeScalarView()
  for scalar in text.unicodeScalars { out.append(isControl(scalar) ? "\u{fffd}" : scalar) }
  return String(out)
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.properties.generalCategory {
  case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned: true
  default: false
  }
}

/// Columns a text takes on a terminal; wide characters are rare enough in this place.
func columns(_ text: String) -> Int { text.count }

func padded(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - columns(text)))
}
