// SPDX-License-Identifier: Apache-2.0
import Configuration
import Metrics

/// Serves metrics in the loop where the configuration says so, and remembers why it cannot.
final class Metering {
  /// What is answered.
  var text: () -> String = { "" }
  /// Why nobody is answered who should be.
  private(set) var complaint: String?

  private struct Wish: Equatable {
    var address: MetricsAddress
    var readers: String?
  }

  private let loop: EventLoop
  private let log: Log
  private var wish: Wish?
  private var endpoint: MetricsEndpoint?
  private var timer: EventLoop.Timer?

  init(_ loop: EventLoop, _ log: Log) {
    (self.loop, self.log) = (loop, log)
  }

  /// Serves where a configuration says; what is served there already goes on.
  func follow(_ configuration: Configuration) {
    let readers = configuration.socketGroup.value
    let next = configuration.metrics.value.map { Wish(address: $0, readers: readers) }
    guard next != wish else { return }
    close()
    wish = next
    complaint = nil
    open()
  }

  /// After it could not be done.
  func tryAgain() {
    if complaint != nil { open() }
  }

  /// Ends every connection.
  func close() {
    if let endpoint { loop.unwatch(endpoint.descriptor) }
    if let timer { loop.forget(timer) }
    endpoint?.close()
    (endpoint, timer) = (nil, nil)
  }

  private func open() {
    guard let wish else { return }
    do {
      let endpoint = try MetricsEndpoint(wish.address, readers: wish.readers) { [unowned self] in
        text()
      }
      try loop.watch(endpoint.descriptor) { [unowned self] in turn() }
      self.endpoint = endpoint
      timer = loop.timer { [unowned self] in turn() }
      complaint = nil
      log.notice("metrics are served on \(wish.address)")
    } catch {
      let words = String(describing: error)
      if complaint == nil {
        log.warning("nobody can ask for metrics: \(words)", .problem("metrics"))
      }
      complaint = words
    }
  }

  private func turn() {
    let patience = endpoint?.serve()
    timer?.due = patience.map { .now + $0 }
  }
}
