// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import OrderedJSON

/// fpctl's side of the control socket: ask and wait for the answer, or follow a stream of them.
public struct ControlClient: ~Copyable {
  public let path: String
  private let socket: Descriptor
  private var input: [UInt8] = []
  private var scanned = 0

  public init(path: String = defaultSocketPath) throws(ControlError) {
    guard let address = UnixAddress(path) else {
      throw .badPath(path: path, why: "must have 1 to \(UnixAddress.longest) bytes")
    }
    let descriptor = unixSocket(SOCK_STREAM, nonBlocking: true)
    let code = descriptor < 0 ? errno : address.apply(descriptor, connect)
    if code != 0 {
      close(descriptor)
      throw Self.unreachable(path, code)
    }
    self.path = path
    socket = Descriptor(descriptor)
  }

  private static func unreachable(_ path: String, _ code: Int32) -> ControlError {
    let start =
      path == defaultSocketPath
      ? "Start it with: sudo systemctl start fpd"
      : "Start it with: sudo systemctl start fpd (or sudo fpd --socket \(path))"
    switch code {
    case ENOENT: return .unreachable(path: path, why: "there is no such socket", hint: start)
    case ECONNREFUSED: return .unreachable(path: path, why: "nobody answers on it", hint: start)
    case EACCES, EPERM:
      return .unreachable(
        path: path, why: "permission denied",
        hint: "Run fpctl as root, or join the group that socket_group names in fpd.yaml.")
    case EAGAIN:
      return .unreachable(
        path: path, why: "it takes no more connections",
        hint: "fpd may hang; see: journalctl -u fpd")
    default: return .unreachable(path: path, why: reason(code), hint: start)
    }
  }

  /// Sends a request and waits for its one answer; a refusal is thrown.
  public mutating func ask(
    _ request: Request, timeoutMilliseconds: Int64 = 30_000
  ) throws(ControlError) -> JSON {
    let deadline = monotonicMilliseconds() + timeoutMilliseconds
    try send(request, deadline)
    return try answer(deadline)
  }

  /// Sends a request and hands each line of the answer to `each` until it says false, fpd goes, or
  /// nobody is left to read from the pipe `output`.
  public mutating func follow(
    _ request: Request, while output: Int32 = -1, _ each: (JSON) -> Bool
  ) throws(ControlError) {
    try send(request, monotonicMilliseconds() + 30_000)
    while try hasReader(output), each(try answer(nil)) {}
  }

  /// Waits for a line to begin; false when the reader of the pipe `output` has gone.
  private func hasReader(_ output: Int32) throws(ControlError) -> Bool {
    if !input.isEmpty { return true }
    var entries = [
      pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0),
      // No events are asked for: a pipe without a reader is reported anyway.
      pollfd(fd: output, events: 0, revents: 0),
    ]
    while poll(&entries, nfds_t(entries.count), -1) < 0 {
      if errno != EINTR { throw .broken(path: path, why: reason(errno)) }
    }
    return entries[1].revents & Int16(POLLERR) == 0
  }

  private mutating func send(_ request: Request, _ deadline: Int64?) throws(ControlError) {
    let bytes = Array(request.json.text().utf8) + [UInt8(ascii: "\n")]
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes { raw in
        Glibc.send(
          socket.number, raw.baseAddress.map { $0 + sent }, bytes.count - sent,
          Int32(MSG_NOSIGNAL))
      }
      if count >= 0 {
        sent += count
      } else if errno == EAGAIN {
        try wait(POLLOUT, deadline)
      } else if errno == EPIPE || errno == ECONNRESET {
        return  // What fpd said before it hung up is still there to be read.
      } else if errno != EINTR {
        throw .broken(path: path, why: "sending the request: \(reason(errno))")
      }
    }
  }

  private mutating func answer(_ deadline: Int64?) throws(ControlError) -> JSON {
    let line = try line(deadline)
    guard let json = try? JSON(parsing: line), let answer = Answer(json) else {
      throw .broken(path: path, why: "what it said is no answer; is this fpd's socket?")
    }
    switch answer {
    case .result(let result): return result
    case .refused(let refusal): throw .refused(refusal)
    }
  }

  private mutating func line(_ deadline: Int64?) throws(ControlError) -> [UInt8] {
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      if let end = input[scanned...].firstIndex(of: UInt8(ascii: "\n")) {
        let line = Array(input[..<end])
        input.removeFirst(end + 1)
        scanned = 0
        return line
      }
      scanned = input.count
      let count = recv(socket.number, &chunk, chunk.count, 0)
      if count > 0 {
        input.append(contentsOf: chunk.prefix(count))
      } else if count == 0 {
        throw .broken(path: path, why: "it closed the connection before it answered")
      } else if errno == EAGAIN {
        try wait(POLLIN, deadline)
      } else if errno != EINTR {
        throw .broken(path: path, why: reason(errno))
      }
    }
  }

  private func wait(_ event: Int32, _ deadline: Int64?) throws(ControlError) {
    var entry = pollfd(fd: socket.number, events: Int16(event), revents: 0)
    while true {
      let left = deadline.map { max(0, $0 - monotonicMilliseconds()) } ?? -1
      let count = poll(&entry, 1, Int32(clamping: left))
      if count > 0 { return }
      if count == 0 { throw .broken(path: path, why: "it did not answer in time; it may hang") }
      if errno != EINTR { throw .broken(path: path, why: reason(errno)) }
    }
  }
}
