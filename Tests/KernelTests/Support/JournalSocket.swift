// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Lab

/// The socket on which the journal hears entries, read as systemd documents them.
final class JournalSocket {
  private let socket: Int32
  private(set) var heard: [[String: String]] = []
  private var looked = 0

  init(_ path: String) throws {
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

  /// The next entry of which something is so; those before it are passed over.
  func entry(
    within limit: Duration, where isMeant: ([String: String]) -> Bool
  ) -> [String: String]? {
    var found: [String: String]?
    _ = eventually(within: limit) {
      hear()
      while found == nil, looked < heard.count {
        if isMeant(heard[looked]) { found = heard[looked] }
        looked += 1
      }
      return found != nil
    }
    return found
  }

  private func hear() {
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      guard count > 0 else { return }
      heard.append(Self.fields(buffer[..<count]))
    }
  }

  private static func fields(_ bytes: ArraySlice<UInt8>) -> [String: String] {
    var fields: [String: String] = [:]
    var rest = bytes
    while let end = rest.firstIndex(where: { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: "\n") })
    {
      let name = String(decoding: rest[..<end], as: UTF8.self)
      var value = rest[(end + 1)...]
      if rest[end] == UInt8(ascii: "\n") {
        let length = value.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        value = value.dropFirst(8).prefix(length)
      } else {
        value = value.prefix { $0 != UInt8(ascii: "\n") }
      }
      fields[name] = String(decoding: value, as: UTF8.self)
      rest = rest[min(rest.endIndex, value.endIndex + 1)...]
    }
    return fields
  }
}
