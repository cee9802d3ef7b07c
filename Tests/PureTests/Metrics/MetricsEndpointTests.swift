// SPDX-License-Identifier: Apache-2.0
import CSystem
import Configuration
import Foundation
import Metrics
import Testing

/// A browser that says what it is told to.
private final class Browser {
  private let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
  private(set) var heard = ""
  private(set) var isClosed = false

  init(_ path: String) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        #expect(connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0)
      }
    }
  }

  deinit { close(descriptor) }

  func say(_ text: String) {
    _ = Array(text.utf8).withUnsafeBytes {
      send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
  }

  func listen() {
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = recv(descriptor, &chunk, chunk.count, 0)
      if count == 0 { isClosed = true }
      if count <= 0 { return }
      heard += String(decoding: chunk.prefix(count), as: UTF8.self)
    }
  }
}

@Suite struct MetricsEndpointTests {
  private let directory: TemporaryDirectory
  private let path: String

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.path + "/m/metrics.sock"
  }

  private func endpoint(_ text: @escaping () -> String = { "hello\n# EOF\n" }) throws
    -> MetricsEndpoint
  {
    try MetricsEndpoint(.unix(path: path), readers: nil, text: text)
  }

  /// Serves until something is so, as fpd's loop would.
  private func serve(
    _ endpoint: MetricsEndpoint, within limit: Duration = .seconds(10),
    until isDone: () -> Bool
  ) -> Bool {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
      let patience = endpoint.serve()
      if isDone() { return true }
      let left = min(patience ?? .milliseconds(100), .milliseconds(100)) / .milliseconds(1)
      var wait = pollfd(fd: endpoint.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&wait, 1, Int32(left.rounded(.up)))
    }
    return false
  }

  private func answer(_ endpoint: MetricsEndpoint, _ request: String) -> String {
    let browser = Browser(path)
    browser.say(request)
    let isAnswered = serve(endpoint) {
      browser.listen()
      return browser.isClosed
    }
    #expect(isAnswered, "\(request): \(browser.heard)")
    return browser.heard
  }

  private static let head = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

  @Test func metricsAreServedAndNothingElse() throws {
    defer { withExtendedLifetime(directory) {} }
    let endpoint = try endpoint()
    let good = answer(endpoint, "GET /metrics \(Self.head)\r\n")
    #expect(good.hasPrefix("HTTP/1.1 200 ") && good.hasSuffix("\r\n\r\nhello\n# EOF\n"))
    #expect(good.contains("Content-Type: \(Measurements.contentType)\r\n"))
    for path in ["/", "/metrics/", "/metric", "/../metrics", "/%2e%2e/etc/passwd"] {
      #expect(
        answer(endpoint, "GET \(path) \(Self.head)\r\n").hasPrefix("HTTP/1.1 404 "), "\(path)")
    }
    for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "BREW"] {
      let told = answer(endpoint, "\(method) /metrics \(Self.head)\r\n")
      #expect(told.hasPrefix("HTTP/1.1 405 ") && told.contains("Allow: GET\r\n"), "\(method)")
    }
    let post = "POST /metrics \(Self.head)Content-Length: 3\r\n\r\nabc"
    #expect(answer(endpoint, post).hasPrefix("HTTP/1.1 405 "))
    _ = answer(endpoint, "nonsense\r\n\r\n")
    #expect(answer(endpoint, "GET /metrics \(Self.head)\r\n").hasPrefix("HTTP/1.1 200 "))
  }

  @Test func aConnectionIsUsedAgain() throws {
    defer { withExtendedLifetime(directory) {} }
    let endpoint = try endpoint()
    let browser = Browser(path)
    for count in 1...3 {
      browser.say("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
      let isAnswered = serve(endpoint) {
        browser.listen()
        return browser.heard.components(separatedBy: "# EOF\n").count == count + 1
      }
      #expect(isAnswered, "\(count): \(browser.heard)")
    }
  }

  /// Who asks without end gets what was told before, and fpd its time.
  @Test func manyQuestionsAreOneAnswer() throws {
    defer { withExtendedLifetime(directory) {} }
    var made = 0
    let endpoint = try endpoint {
      made += 1
      return "number \(made)\n# EOF\n"
    }
    let start = ContinuousClock.now
    let answers = (0..<50).map { _ in answer(endpoint, "GET /metrics \(Self.head)\r\n") }
    let most = (ContinuousClock.now - start) / .milliseconds(100) + 1
    #expect(Double(made) <= most && answers.last?.contains("number \(made)\n") == true)
    // What is asked for later is new.
    let before = made
    let isNew = serve(endpoint) {
      answer(endpoint, "GET /metrics \(Self.head)\r\n").contains("number \(before + 1)\n")
    }
    #expect(isNew)
  }

  /// Those who only connect are sent away in time, and others then have their turn.
  @Test func whoSaysNothingKeepsNobodyOut() throws {
    defer { withExtendedLifetime(directory) {} }
    let endpoint = try endpoint()
    let idle = (0..<20).map { _ in Browser(path) }
    idle.first?.say("GET /met")
    #expect(answer(endpoint, "GET /metrics \(Self.head)\r\n").hasPrefix("HTTP/1.1 200 "))
    #expect(idle.count == 20)
  }

  @Test func theSocketComesAndGoesWithItsEndpoint() throws {
    defer { withExtendedLifetime(directory) {} }
    var seen = stat()
    let first = try endpoint()
    #expect(lstat(path, &seen) == 0 && seen.st_mode == S_IFSOCK | 0o660)
    let error = #expect(throws: MetricsError.self) { _ = try endpoint() }
    #expect(error?.description.contains("process \(getpid()) answers there already") == true)
    first.close()
    #expect(lstat(path, &seen) != 0)
  }

  @Test func whatAKilledOneLeftIsReplacedAndAFileIsNot() throws {
    defer { withExtendedLifetime(directory) {} }
    mkdir(directory.path + "/m", 0o755)
    let left = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        #expect(bind(left, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0)
      }
    }
    close(left)
    let endpoint = try endpoint()
    #expect(answer(endpoint, "GET /metrics \(Self.head)\r\n").hasPrefix("HTTP/1.1 200 "))
    endpoint.close()
    try "precious".write(toFile: path, atomically: false, encoding: .utf8)
    #expect(throws: MetricsError.self) { _ = try self.endpoint() }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
  }
}
