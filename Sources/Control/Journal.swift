// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// One entry in the journal's own protocol, as systemd documents it ("Native Journal Protocol"): fields by name. Written
/// out here for the reason that ServiceNotice is: it is a datagram of lines, and libsystemd would bring more.
package struct JournalEntry: Equatable, Sendable {
  package private(set) var bytes: [UInt8] = []

  package init() {}

  /// A line `NAME=value`; a value of several lines has its length before it instead.
  package mutating func add(_ name: String, _ value: String) {
    let value = Array(value.utf8)
    bytes += name.utf8
    if value.contains(UInt8(ascii: "\n")) {
      bytes.append(UInt8(ascii: "\n"))
      withUnsafeBytes(of: UInt64(value.count).littleEndian) { bytes += $0 }
    } else {
      bytes.append(UInt8(ascii: "="))
    }
    bytes += value
    bytes.append(UInt8(ascii: "\n"))
  }
}

/// The journal, where standard error leads to it.
package final class Journal: Sendable {
  package static let path = "/run/systemd/journal/socket"

  private let path: String
  private let socket: Int32

  /// `nil` unless `errors` is what the service manager has connected with the journal: $JOURNAL_STREAM names it by its
  /// device and inode, and is inherited also where standard error is something else by now.
  package init?(
    errors: Int32 = 2, path: String = Journal.path,
    environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }
  ) {
    var seen = stat()
    guard let stream = environment("JOURNAL_STREAM"), fstat(errors, &seen) == 0,
      stream == "\(seen.st_dev):\(seen.st_ino)"
    else { return nil }
    self.path = path
    socket = unixSocket(SOCK_DGRAM, nonBlocking: true)
  }

  deinit { close(socket) }

  /// False where it cannot be had this way: it is too long, or nobody listens there now.
  package func send(_ entry: JournalEntry) -> Bool {
    guard let address = UnixAddress(path) else { return false }
    let code = address.apply(socket) { socket, name, size in
      let count = entry.bytes.withUnsafeBytes {
        sendto(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL), name, size)
      }
      return count < 0 ? -1 : 0
    }
    return code == 0
  }
}
