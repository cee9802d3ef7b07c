// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// The one loop that owns all mutable state: descriptors and timers, one thread.
final class EventLoop {
  private let epoll: Int32
  private var handlers: [Int32: () -> Void] = [:]
  private var timers: [Timer] = []
  private var isStopping = false

  /// Something to be done at a time; armed and disarmed by setting `due`.
  final class Timer {
    var due: ContinuousClock.Instant?
    /// Forgotten when it has fired.
    fileprivate(set) var isOnce = false
    let fire: () -> Void
    init(_ fire: @escaping () -> Void) { self.fire = fire }
  }

  init() throws(StartError) {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    if epoll < 0 { throw StartError("creating the event loop", errno) }
  }

  deinit { close(epoll) }

  /// Calls `handler` whenever the descriptor is readable.
  func watch(_ descriptor: Int32, _ handler: @escaping () -> Void) throws(StartError) {
    var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(fd: descriptor))
    if epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0 {
      throw StartError("watching a descriptor", errno)
    }
    handlers[descriptor] = handler
  }

  func unwatch(_ descriptor: Int32) {
    epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil)
    handlers[descriptor] = nil
  }

  func timer(_ fire: @escaping () -> Void) -> Timer {
    let timer = Timer(fire)
    timers.append(timer)
    return timer
  }

  func forget(_ timer: Timer) { timers.removeAll { $0 === timer } }

  /// Does something once, when clients that wait for what was done before have been answered.
  func later(_ work: @escaping () -> Void) { once(after: .milliseconds(50), work) }

  /// Does something once, after whatever has happened by then.
  func soon(_ work: @escaping () -> Void) { once(after: .zero, work) }

  private func once(after delay: Duration, _ work: @escaping () -> Void) {
    let timer = Timer { [unowned self] in
      timers.removeAll { $0.due == nil && $0.isOnce }
      work()
    }
    timer.isOnce = true
    timer.due = .now + delay
    timers.append(timer)
  }

  func stop() { isStopping = true }

  func run() {
    var events = [epoll_event](repeating: epoll_event(), count: 64)
    while !isStopping {
      let count = epoll_wait(epoll, &events, Int32(events.count), patience())
      if count < 0, errno != EINTR { return }
      for event in events.prefix(max(0, Int(count))) { handlers[event.data.fd]?() }
      let now = ContinuousClock.now
      for timer in timers {
        guard let due = timer.due, due <= now else { continue }
        timer.due = nil
        timer.fire()
      }
    }
  }

  /// Milliseconds until the next timer, rounded up so that it is due when the wait ends.
  private func patience() -> Int32 {
    guard let next = timers.compactMap(\.due).min() else { return -1 }
    let left = next - ContinuousClock.now
    if left <= .zero { return 0 }
    let milliseconds = left / .milliseconds(1)
    return Int32(clamping: Int64(milliseconds.rounded(.up)))
  }
}

/// Why fpd cannot start.
struct StartError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }

  init(_ attempt: String, _ code: Int32) {
    description = "\(attempt): \(String(cString: strerror(code)))"
  }
}
