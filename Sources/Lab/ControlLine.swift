// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import OrderedJSON

/// A connection to fpd that speaks the control protocol by itself, one JSON object a line. It is kept apart
/// from fpctl's client on purpose: two readings of one protocol check each other.
public final class ControlLine {
  private let socket: Int32
  private let path: String
  private var buffered: [UInt8] = []
  private var searched = 0

  public init(_ path: String) throws {
    self.path = path
    socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if socket < 0 { throw LabError("making a socket", code: errno) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { room -> Bool in
      guard path.utf8.count < room.count else { return false }
      room.copyBytes(from: path.utf8)
      return true
    }
    guard fits else {
      close(socket)
      throw LabError("the path \(path) is too long for a Unix socket")
    }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    if result < 0 {
      let code = errno
      close(socket)
      throw LabError("connecting to \(path)", code: code)
    }
  }

  deinit { close(socket) }

  /// Sends bytes as they are, also what no client would send.
  public func send(_ bytes: some Sequence<UInt8>) throws {
    var rest = Array(bytes)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw LabError("writing to \(path)", code: errno) }
      rest = rest.dropFirst(count)
    }
  }

  /// Tells the other side that nothing more comes.
  public func endInput() { shutdown(socket, Int32(SHUT_WR)) }

  /// The next line; nil when the other side has closed. Throws when the deadline passes.
  public func line(by deadline: Instant) throws -> String? {
    while true {
      if let end = buffered[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: buffered[..<end], as: UTF8.self)
        buffered.removeSubrange(...end)
        searched = 0
        return line
      }
      searched = buffered.count
      var wait = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      let ready = poll(&wait, 1, deadline.pollTimeout)
      if ready == 0 { throw LabError("no answer from \(path) in time") }
      if ready < 0 { continue }
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = recv(socket, &chunk, chunk.count, 0)
      if count == 0 || (count < 0 && errno == ECONNRESET) { return nil }
      if count < 0 && errno != EINTR { throw LabError("reading from \(path)", code: errno) }
      if count > 0 { buffered.append(contentsOf: chunk[..<count]) }
    }
  }

  /// Sends a command without waiting for an answer.
  public func say(_ command: String, _ arguments: JSON.Object = .init()) throws {
    let request: JSON = ["command": .string(command), "args": .object(arguments)]
    try send((request.text() + "\n").utf8)
  }

  /// The next answer, whatever it says.
  public func answer(within limit: Duration = .seconds(15)) throws -> JSON {
    guard let line = try line(by: .now + limit) else {
      throw LabError("\(path): the connection was closed where an answer should come")
    }
    return try JSON(parsing: line)
  }

  /// Sends a command and answers its result; throws with fpd's words when it says no.
  public func ask(
    _ command: String, _ arguments: JSON.Object = .init(), within limit: Duration = .seconds(15)
  ) throws -> JSON {
    try say(command, arguments)
    let answer = try answer(within: limit)
    guard answer["ok"]?.bool == true, let result = answer["result"] else {
      throw LabError(
        "fpd refused '\(command)': \(answer["error"]?.string ?? answer.text())"
          + " (\(answer["kind"]?.string ?? "no kind"))")
    }
    return result
  }
}

extension ControlLine {
  /// How many packets there were, by what became of them, over all interfaces.
  package func fates() throws -> [String: Int] {
    var sums: [String: Int] = [:]
    for interface in try ask("stats")["interfaces"]?.array ?? [] {
      for name in ["forwarded", "dropped"] {
        sums[name, default: 0] += Int(interface[name]?["packets"]?.int ?? 0)
      }
      for (reason, count) in interface["punted"]?.object?.members ?? [] {
        sums[reason, default: 0] += Int(count["packets"]?.int ?? 0)
      }
    }
    return sums
  }
}
