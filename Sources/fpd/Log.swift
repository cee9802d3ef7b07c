// SPDX-License-Identifier: Apache-2.0
import Configuration
import Glibc

/// Lines to standard error. Under systemd each begins with its priority, as sd-daemon(3) has it.
struct Log {
  var level: LogLevel
  private let underJournal = getenv("JOURNAL_STREAM") != nil

  init(_ level: LogLevel) { self.level = level }

  func error(_ text: @autoclosure () -> String) { write(.error, text) }
  func warning(_ text: @autoclosure () -> String) { write(.warning, text) }
  func notice(_ text: @autoclosure () -> String) { write(.notice, text) }
  func info(_ text: @autoclosure () -> String) { write(.info, text) }
  func debug(_ text: @autoclosure () -> String) { write(.debug, text) }

  private func write(_ level: LogLevel, _ text: () -> String) {
    guard level.rank <= self.level.rank else { return }
    for line in text().split(separator: "\n") {
      let prefix = underJournal ? "<\(level.priority)>" : "fpd: \(level.rawValue): "
      let bytes = Array("\(prefix)\(line)\n".utf8)
      _ = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }
  }
}

extension LogLevel {
  fileprivate var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

  /// syslog's number.
  fileprivate var priority: Int {
    switch self {
    case .error: 3
    case .warning: 4
    case .notice: 5
    case .info: 6
    case .debug: 7
    }
  }
}
