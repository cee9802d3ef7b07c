// SPDX-License-Identifier: Apache-2.0
import CMicrohttpd
import CSystem
import Configuration
import Control
import Glibc

/// Why metrics are not served.
package struct MetricsError: Error, CustomStringConvertible {
  package let description: String
}

/// Answers `GET /metrics` on one address. It has no thread and never waits: `descriptor` becomes readable when there
/// is something to do, and `serve` does it.
package final class MetricsEndpoint {
  private static let limits = fpd_http_limits(
    connections: 16, idle_seconds: 5, memory: 16 << 10)
  /// An answer is given again for so long, and for so many times as long as it took to make: who asks without end
  /// takes no more than that part of a processor.
  private static let shortest = Duration.milliseconds(100)
  private static let share = 20

  private let text: () -> String
  /// Holds the name of a Unix socket.
  private var listener: Listener?
  private var daemon: OpaquePointer?
  private var answer: (response: OpaquePointer, until: ContinuousClock.Instant)?

  /// For an event loop.
  package private(set) var descriptor: Int32 = -1

  /// Listens. Members of `readers` may reach a Unix socket; what a killed fpd left behind there is taken over.
  package init(
    _ address: MetricsAddress, readers: String?, text: @escaping () -> String
  ) throws(MetricsError) {
    self.text = text
    let socket: Int32
    switch address {
    case .unix(let path):
      let opened = try Self.unix(path, readers)
      socket = fcntl(opened.descriptor, F_DUPFD_CLOEXEC, 0)
      listener = consume opened
    case .ipv4(let host, let port): socket = try Self.ipv4(host, port, address)
    case .ipv6(let port): socket = try Self.ipv6(port, address)
    }
    if socket >= 0 {
      daemon = fpd_http_start(
        socket, Self.limits, Self.handler, Unmanaged.passUnretained(self).toOpaque())
      // The library may have closed it or not.
      if daemon == nil, fcntl(socket, F_GETFD) >= 0 { Glibc.close(socket) }
    }
    if let daemon { descriptor = fpd_http_descriptor(daemon) }
    guard descriptor >= 0 else {
      throw MetricsError(description: "serving \(address): there is no memory or descriptor for it")
    }
  }

  deinit { close() }

  /// Ends every connection, and removes the socket's name.
  package func close() {
    if let daemon { MHD_stop_daemon(daemon) }
    daemon = nil
    listener = nil
    forget()
  }

  private func forget() {
    if let answer { MHD_destroy_response(answer.response) }
    answer = nil
  }

  /// Does all that can be done without waiting, and tells after which time it is to be called again in any case.
  package func serve() -> Duration? {
    guard let daemon else { return nil }
    MHD_run(daemon)
    if let answer, answer.until <= .now { forget() }
    var milliseconds: UInt64 = 0
    guard MHD_get_timeout(daemon, &milliseconds) == fpd_http_yes else { return nil }
    return .milliseconds(Int64(clamping: milliseconds))
  }

  // MARK: - Answering

  private static let handler: MHD_AccessHandlerCallback = {
    context, connection, url, method, _, _, size, state in
    guard let context, let connection, let url, let method, let size, let state else {
      return fpd_http_no
    }
    let endpoint = Unmanaged<MetricsEndpoint>.fromOpaque(context).takeUnretainedValue()
    if strcmp(method, "GET") != 0 {
      return endpoint.refuse(connection, strcmp(url, "/metrics") == 0 ? 405 : 404)
    }
    // Answered when all of it has come, so that the connection can be used again.
    if state.pointee == nil {
      state.pointee = context
      return fpd_http_yes
    }
    if size.pointee > 0 {
      size.pointee = 0
      return fpd_http_yes
    }
    if strcmp(url, "/metrics") != 0 { return endpoint.refuse(connection, 404) }
    guard let response = endpoint.metrics() else { return fpd_http_no }
    return MHD_queue_response(connection, 200, response)
  }

  private func metrics() -> OpaquePointer? {
    let start = ContinuousClock.now
    if let answer, start < answer.until { return answer.response }
    forget()
    guard let response = Self.response(text(), Measurements.contentType) else { return nil }
    let now = ContinuousClock.now
    answer = (response, now + max(Self.shortest, (now - start) * Self.share))
    return response
  }

  private func refuse(_ connection: OpaquePointer, _ status: UInt32) -> MHD_Result {
    let words = status == 405 ? "only GET is served" : "only /metrics is served"
    guard let response = Self.response("fpd: \(words)\n", "text/plain; charset=utf-8") else {
      return fpd_http_no
    }
    defer { MHD_destroy_response(response) }
    if status == 405 { MHD_add_response_header(response, "Allow", "GET") }
    return MHD_queue_response(connection, status, response)
  }

  private static func response(_ text: String, _ type: String) -> OpaquePointer? {
    let bytes = Array(text.utf8)
    guard let response = fpd_http_response(bytes, bytes.count) else { return nil }
    MHD_add_response_header(response, "Content-Type", type)
    return response
  }

  // MARK: - Listening

  private static func unix(_ path: String, _ readers: String?) throws(MetricsError) -> Listener {
    do throws(ControlError) {
      return try Listener.open(path: path, access: Access(group: readers))
    } catch .taken(_, let pid) {
      let who = pid > 0 ? "process \(pid)" : "somebody"
      throw MetricsError(description: "serving unix:\(path): \(who) answers there already")
    } catch .system(let what, let code, _) {
      throw MetricsError(description: "\(what): \(String(cString: strerror(code)))")
    } catch {
      throw MetricsError(description: error.description)
    }
  }

  private static func ipv4(
    _ host: String, _ port: UInt16, _ name: MetricsAddress
  ) throws(MetricsError) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    inet_pton(AF_INET, host, &address.sin_addr)
    return try listening(AF_INET, address, name)
  }

  private static func ipv6(
    _ port: UInt16, _ name: MetricsAddress
  ) throws(MetricsError) -> Int32 {
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = port.bigEndian
    inet_pton(AF_INET6, "::1", &address.sin6_addr)
    return try listening(AF_INET6, address, name)
  }

  private static func listening<Address>(
    _ family: Int32, _ address: Address, _ name: MetricsAddress
  ) throws(MetricsError) -> Int32 {
    func failure(_ attempt: String) -> MetricsError {
      MetricsError(description: "\(attempt) \(name): \(String(cString: strerror(errno)))")
    }
    let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
    let socket = Glibc.socket(family, Int32(kind), 0)
    if socket < 0 { throw failure("opening a socket for") }
    // Connections of before do not keep the port from the next fpd.
    var yes: Int32 = 1
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    let code = withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket, $0, socklen_t(MemoryLayout<Address>.size))
      }
    }
    guard code == 0, listen(socket, 16) == 0 else {
      let error = failure("listening on")
      Glibc.close(socket)
      throw error
    }
    return socket
  }
}
