// SPDX-License-Identifier: Apache-2.0

/// Bytes as they arrive, lines as they are complete. Each byte is looked at once, however the sender
/// chops them.
struct LineBuffer {
  private var bytes: [UInt8] = []
  private var start = 0
  private var scanned = 0

  var count: Int { bytes.count - start }

  /// True when a whole line waits.
  private(set) var hasLine = false

  /// The length of a line that is not yet complete; 0 while a complete one waits.
  var partial: Int { hasLine ? 0 : count }

  mutating func append(_ more: some Sequence<UInt8>) {
    bytes.append(contentsOf: more)
    scan()
  }

  /// The next line that is not blank, without its end; `atEnd` also takes what no newline ended.
  mutating func nextLine(atEnd: Bool) -> [UInt8]? {
    while hasLine || (atEnd && count > 0) {
      let line = bytes[start..<scanned]
      start = min(scanned + 1, bytes.count)
      scanned = start
      scan()
      if line.contains(where: { $0 > 0x20 }) { return Array(line) }
    }
    compact()
    return nil
  }

  private mutating func scan() {
    if hasLine, scanned < bytes.count, bytes[scanned] == UInt8(ascii: "\n") { return }
    scanned = bytes[scanned...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
    hasLine = scanned < bytes.count
  }

  private mutating func compact() {
    bytes.removeFirst(start)
    scanned -= start
    start = 0
  }
}
