// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What fplab prints: at once, and coloured only where somebody looks at a terminal.
enum Terminal {
  static let isTerminal = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil

  static func line(_ text: String = "") { put(text + "\n", STDOUT_FILENO) }
  static func text(_ text: String) { put(text, STDOUT_FILENO) }

  static func complain(_ text: String) { put(text + "\n", STDERR_FILENO) }

  /// Progress: one line that overwrites itself on a terminal, nothing elsewhere.
  static func progress(_ text: String) {
    if isatty(STDERR_FILENO) == 1 { put("\r\u{1b}[K" + text, STDERR_FILENO) }
  }

  static func bold(_ text: String) -> String { wrap(text, "1") }
  static func faint(_ text: String) -> String { wrap(text, "2") }
  static func red(_ text: String) -> String { wrap(text, "31") }
  static func green(_ text: String) -> String { wrap(text, "32") }
  static func cyan(_ text: String) -> String { wrap(text, "36") }

  private static func wrap(_ text: String, _ code: String) -> String {
    isTerminal ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text
  }

  private static func put(_ text: String, _ descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return }
      rest = rest.dropFirst(count)
    }
  }
}
