// SPDX-License-Identifier: Apache-2.0
import CSystem
import Control
import Foundation
import OrderedJSON

/// A directory that goes with its owner.
final class TemporaryDirectory {
  let path: String

  init() throws {
    var template = Array("/tmp/fpd-test-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw POSIXError(.EIO) }
    path = String(cString: made)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

func milliseconds() -> Int { Int(DispatchTime.now().uptimeNanoseconds / 1_000_000) }

/// A client that does as it likes, driven from the same thread as the server.
final class RawClient {
  let descriptor: Int32
  private var input: [UInt8] = []
  private(set) var hasEnded = false

  init(_ path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    if code != 0 { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
  }

  deinit { hangUp() }

  private var isClosed = false
  func hangUp() {
    if !isClosed { close(descriptor) }
    isClosed = true
  }

  func endOfRequests() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Sends what fits; answers how much did, or nil when the server has hung up.
  @discardableResult func send(_ bytes: some Sequence<UInt8>) -> Int? {
    let bytes = Array(bytes)
    let count = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    return count >= 0 ? count : errno == EAGAIN ? 0 : nil
  }

  func send(line: String) { send(Array((line + "\n").utf8)) }

  func nextLine() -> String? {
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while !hasEnded {
      let count = recv(descriptor, &chunk, chunk.count, 0)
      if count > 0 { input.append(contentsOf: chunk.prefix(count)) }
      if count == 0 || (count < 0 && errno != EAGAIN) { hasEnded = true }
      if count <= 0 { break }
    }
    guard let end = input.firstIndex(of: 10) else { return nil }
    defer { input.removeFirst(end + 1) }
    return String(decoding: input[..<end], as: UTF8.self)
  }
}

/// A server and what it does with requests, on a temporary socket, turned by the test itself.
final class SocketBench {
  let directory: TemporaryDirectory
  let path: String
  let server: ControlServer
  var asked: [Request] = []
  var open: [Reply] = []
  private var clients: [RawClient] = []
  var handler: (Request, Reply) -> Void = { _, reply in reply.finish("done") }

  init(limits: ControlServer.Limits = .init()) throws {
    directory = try TemporaryDirectory()
    path = directory.path + "/fpd.sock"
    server = try ControlServer(path: path, limits: limits)
  }

  /// A client that stays until it hangs up or the test ends.
  func connect() throws -> RawClient {
    let client = try RawClient(path)
    clients.append(client)
    return client
  }

  /// Serves what there is to serve, once.
  func turn() {
    server.serve { request, reply in
      asked.append(request)
      handler(request, reply)
    }
  }

  /// Keeps the replies open instead of answering.
  func deferAnswers() { handler = { [unowned self] _, reply in open.append(reply) } }

  /// Serves, as an event loop would, until the condition holds; false when it does not within 5 s.
  func serve(until condition: () -> Bool) -> Bool {
    let deadline = milliseconds() + 5000
    while !condition() {
      if milliseconds() > deadline { return false }
      var entry = pollfd(fd: server.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&entry, 1, 5)
      turn()
    }
    return true
  }

  /// The next line a client gets.
  func line(_ client: RawClient) -> String? {
    var line: String?
    _ = serve {
      line = client.nextLine()
      return line != nil || client.hasEnded
    }
    return line
  }
}

/// A server with an event loop on its own thread, for clients that block.
final class ServedSocket: @unchecked Sendable {
  let directory: TemporaryDirectory
  let path: String
  private let stop = DispatchSemaphore(value: 0)
  private let stopped = DispatchSemaphore(value: 0)

  init(
    readers: String? = nil, _ handler: @escaping @Sendable (Request, Reply) -> Void
  ) throws {
    directory = try TemporaryDirectory()
    path = directory.path + "/fpd.sock"
    nonisolated(unsafe) let server = try ControlServer(path: path, readers: readers)
    let (stop, stopped) = (stop, stopped)
    Thread.detachNewThread {
      while stop.wait(timeout: .now()) == .timedOut {
        var entry = pollfd(fd: server.descriptor, events: Int16(POLLIN), revents: 0)
        poll(&entry, 1, 20)
        server.serve(handler)
      }
      server.close()
      stopped.signal()
    }
  }

  deinit {
    stop.signal()
    stopped.wait()
  }
}
