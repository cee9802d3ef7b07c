// SPDX-License-Identifier: Apache-2.0

/// One thing that is wrong with a configuration file, and where.
public struct Problem: Equatable, Sendable, CustomStringConvertible {
  public let file: String
  /// Counted from 1; nil where the whole file is meant.
  public let place: Place?
  public let text: String

  public var description: String {
    if let place { "\(file):\(place): \(text)" } else { "\(file): \(text)" }
  }
}

/// A line and a column, both counted from 1.
public struct Place: Equatable, Sendable, CustomStringConvertible {
  public let line: Int
  public let column: Int
  public var description: String { "\(line):\(column)" }
}

/// All that is wrong with a configuration file.
public struct ConfigurationError: Error, Equatable, CustomStringConvertible {
  public let problems: [Problem]

  /// One line a problem; a file that is wrong all over is told so shortly.
  public var description: String {
    let shown = problems.prefix(20).map(\.description)
    let more = problems.count - shown.count
    return (shown + (more > 0 ? ["and \(more) more problems"] : [])).joined(separator: "\n")
  }
}
