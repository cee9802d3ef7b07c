// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Lab

/// A socket in the router that hears one type of frame only, behind everything that a fast path or a bridge
/// would do: what it has heard, those before it have passed.
final class Gate {
  private let socket: Int32
  private var number: UInt16 = 0

  init(in namespace: Namespace) throws {
    socket = try namespace.inside { lab_packet_open_type(Bed.barrier) }
    if socket < 0 { throw LabError("a packet socket in \(namespace.name)", code: -socket) }
  }

  deinit { close(socket) }

  /// The number of the next frame.
  func next() -> UInt16 {
    number &+= 1
    return number
  }

  /// Waits for the frame of that number; not longer than `limit`.
  func wait(for number: UInt16, within limit: Duration) throws {
    let deadline = Instant.now + limit
    var buffer = [UInt8](repeating: 0, count: 256)
    while true {
      var packet = lab_packet()
      let count = buffer.withUnsafeMutableBytes {
        lab_packet_receive(socket, $0.baseAddress, $0.count, &packet)
      }
      if count >= 16, UInt16(buffer[14]) << 8 | UInt16(buffer[15]) == number { return }
      if count >= 0 { continue }
      if Instant.now >= deadline { return }
      var wait = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      poll(&wait, 1, 1)
    }
  }
}
