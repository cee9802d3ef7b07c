// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// A file descriptor that is closed when it goes out of scope.
struct Descriptor: ~Copyable {
  private(set) var raw: Int32

  init(owning raw: Int32) { self.raw = raw }

  deinit { if raw >= 0 { Glibc.close(raw) } }

  mutating func close() {
    if raw >= 0 { Glibc.close(raw) }
    raw = -1
  }

  /// Hands the descriptor on to one who closes it.
  consuming func take() -> Int32 {
    let number = raw
    discard self
    return number
  }

  func setNonBlocking() { _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) | O_NONBLOCK) }
}

struct Pipe: ~Copyable {
  var read: Descriptor
  var write: Descriptor

  init() throws {
    var ends: [Int32] = [-1, -1]
    let code = lab_pipe(&ends)
    if code != 0 { throw LabError("making a pipe", code: code) }
    read = Descriptor(owning: ends[0])
    write = Descriptor(owning: ends[1])
  }
}
