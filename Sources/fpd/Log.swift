// SPDX-License-Identifier: Apache-2.0
import Configuration
import Control
import Glibc

/// Lines to standard error; where that is systemd's journal, entries with fields.
struct Log {
  /// What an entry is about, for those who search by it.
  enum Field {
    case interface(String)
    /// Why packets or interfaces stay with the kernel: a name of docs/graph.md.
    case reason(String)
    /// A problem by the name that `fpctl status` gives it.
    case problem(String)
    case generation(UInt64)
  }

  var level: LogLevel
  private let journal = Journal()

  init(_ level: LogLevel) { self.level = level }

  func error(_ text: @autoclosure () -> String, _ fields: Field...) {
    write(.error, text, fields)
  }
  func warning(_ text: @autoclosure () -> String, _ fields: Field...) {
    write(.warning, text, fields)
  }
  func notice(_ text: @autoclosure () -> String, _ fields: Field...) {
    write(.notice, text, fields)
  }
  func info(_ text: @autoclosure () -> String, _ fields: Field...) { write(.info, text, fields) }
  func debug(_ text: @autoclosure () -> String, _ fields: Field...) { write(.debug, text, fields) }

  private func write(_ level: LogLevel, _ text: () -> String, _ fields: [Field]) {
    guard level.rank <= self.level.rank else { return }
    let text = text()
    if let journal, journal.send(entry(level, text, fields)) { return }
    for line in text.split(separator: "\n") {
      // The journal reads the priority of a line from its beginning, as sd-daemon(3) has it.
      let prefix = journal == nil ? "fpd: \(level.rawValue): " : "<\(level.priority)>"
      let bytes = Array("\(prefix)\(line)\n".utf8)
      _ = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }
  }

  private func entry(_ level: LogLevel, _ text: String, _ fields: [Field]) -> JournalEntry {
    var entry = JournalEntry()
    entry.add("MESSAGE", text)
    entry.add("PRIORITY", "\(level.priority)")
    entry.add("SYSLOG_IDENTIFIER", "fpd")
    for field in fields {
      switch field {
      case .interface(let name): entry.add("FPD_INTERFACE", name)
      case .reason(let reason): entry.add("FPD_REASON", reason)
      case .problem(let what): entry.add("FPD_PROBLEM", what)
      case .generation(let number): entry.add("FPD_GENERATION", "\(number)")
      }
    }
    return entry
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
