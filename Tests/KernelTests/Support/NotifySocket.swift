// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Lab

/// The socket on which systemd hears how a service is (`NOTIFY_SOCKET`).
final class NotifySocket {
  let path: String
  private let socket: Int32
  private(set) var heard = ""

  init(in directory: TemporaryDirectory) throws {
    path = "\(directory.path)/notify"
    socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    if bound != 0 { throw LabError("binding \(path)", code: errno) }
  }

  deinit { close(socket) }

  /// Waits until a line was sent; lines before it are passed over.
  func hears(_ line: String, within limit: Duration = .seconds(5)) -> Bool {
    eventually(within: limit) {
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 { heard += String(decoding: buffer[..<count], as: UTF8.self) + "\n" }
      guard let place = heard.split(separator: "\n").firstIndex(where: { $0.hasPrefix(line) })
      else {
        return false
      }
      heard = heard.split(separator: "\n").dropFirst(place + 1).joined(separator: "\n") + "\n"
      return true
    }
  }
}
