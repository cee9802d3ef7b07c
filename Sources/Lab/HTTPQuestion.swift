// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// What a server of HTTP answered.
public struct HTTPAnswer: Sendable {
  public let status: Int
  /// By their names in small letters.
  public let headers: [String: String]
  public let body: String

  init?(_ text: String) {
    guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
    let lines = text[..<end.lowerBound].split(separator: "\r\n")
    guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return nil }
    self.status = status
    headers = lines.dropFirst().reduce(into: [:]) { headers, line in
      guard let colon = line.firstIndex(of: ":") else { return }
      let value = line[line.index(after: colon)...].drop { $0 == " " }
      headers[line[..<colon].lowercased()] = String(value)
    }
    body = String(text[end.upperBound...])
  }
}

extension Namespace {
  /// Asks a server in the namespace one thing. `address` is `unix:/PATH`, `127.0.0.1:PORT` or `[::1]:PORT`; nobody
  /// there is an error that ends with the kernel's words.
  public func http(
    _ address: String, _ path: String = "/metrics", method: String = "GET",
    within limit: Duration = .seconds(5)
  ) throws -> HTTPAnswer {
    let (socket, code) = try inside { Self.connected(address) }
    if code != 0 { throw LabError("connecting to \(address)", code: code) }
    defer { Glibc.close(socket) }
    let request = Array("\(method) \(path) HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".utf8)
    guard send(socket, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
      throw LabError("asking \(address)", code: errno)
    }
    var bytes: [UInt8] = []
    let deadline = Instant.now + limit
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      var wait = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      guard poll(&wait, 1, deadline.pollTimeout) > 0 else {
        throw LabError("\(address) did not answer within \(limit)")
      }
      let count = recv(socket, &chunk, chunk.count, 0)
      if count < 0 { throw LabError("hearing what \(address) answers", code: errno) }
      if count == 0 { break }
      bytes += chunk.prefix(count)
    }
    guard let answer = HTTPAnswer(String(decoding: bytes, as: UTF8.self)) else {
      throw LabError("\(address) answered no HTTP: \(String(decoding: bytes, as: UTF8.self))")
    }
    return answer
  }

  private static func connected(_ address: String) -> (socket: Int32, code: Int32) {
    func open<Address>(_ family: Int32, _ name: Address) -> (Int32, Int32) {
      let socket = Glibc.socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      if socket < 0 { return (socket, errno) }
      let result = withUnsafePointer(to: name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(socket, $0, socklen_t(MemoryLayout<Address>.size))
        }
      }
      guard result != 0 else { return (socket, 0) }
      let code = errno
      Glibc.close(socket)
      return (-1, code)
    }
    if address.hasPrefix("unix:") {
      var name = sockaddr_un()
      name.sun_family = sa_family_t(AF_UNIX)
      let path = Array(address.dropFirst(5).utf8)
      let fits = withUnsafeMutableBytes(of: &name.sun_path) { room -> Bool in
        guard path.count < room.count else { return false }
        room.copyBytes(from: path)
        return true
      }
      return fits ? open(AF_UNIX, name) : (-1, ENAMETOOLONG)
    }
    guard let colon = address.lastIndex(of: ":"),
      let port = UInt16(address[address.index(after: colon)...])
    else { return (-1, EINVAL) }
    let host = address[..<colon]
    if host.hasPrefix("[") {
      var name = sockaddr_in6()
      name.sin6_family = sa_family_t(AF_INET6)
      name.sin6_port = port.bigEndian
      guard inet_pton(AF_INET6, String(host.dropFirst().dropLast()), &name.sin6_addr) == 1 else {
        return (-1, EINVAL)
      }
      return open(AF_INET6, name)
    }
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    guard inet_pton(AF_INET, String(host), &name.sin_addr) == 1 else { return (-1, EINVAL) }
    return open(AF_INET, name)
  }
}
