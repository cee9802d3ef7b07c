// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// One client: the bytes it has sent, the request being worked on, the bytes it has yet to read.
///
/// Requests of one client are worked on one after the other, and the next is not begun before the
/// answer to the last is on its way: a client that does not read costs one answer, not many.
final class Connection {
  let id: UInt64
  let peer: Peer
  private let descriptor: Int32
  private let poll: Int32
  private let limits: ControlServer.Limits
  private var input = LineBuffer()
  private var output: [UInt8] = []
  private var sent = 0
  private var interest: UInt32 = 0
  private var inputEnded = false
  private var isClosing = false
  private var serials: UInt64 = 0

  private(set) var isOpen = true
  /// The serial number of the request being worked on.
  private(set) var pending: UInt64?
  var whenClosed: (() -> Void)?

  /// What the client has yet to read.
  var backlog: Int { output.count - sent }
  var isIdle: Bool { pending == nil && backlog == 0 }

  init(
    id: UInt64, descriptor: Int32, poll: Int32, peer: Peer, limits: ControlServer.Limits
  ) {
    self.id = id
    self.descriptor = descriptor
    self.poll = poll
    self.peer = peer
    self.limits = limits
    var event = epoll_event(events: 0, data: epoll_data_t(u64: id))
    if epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event) != 0 { drop() }
    settle()
  }

  deinit { drop() }

  /// Closes at once; what was asked is forgotten.
  func drop() {
    guard isOpen else { return }
    isOpen = false
    pending = nil
    close(descriptor)
    let tell = whenClosed
    whenClosed = nil
    tell?()
  }

  /// Does what the events of this client make possible.
  func attend(_ events: UInt32, _ begin: (Connection, [UInt8]) -> Void) {
    if events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { return drop() }
    if events & EPOLLOUT.rawValue != 0 { flush() }
    if events & EPOLLIN.rawValue != 0 { receive() }
    for _ in 0..<16 where isOpen && isIdle && !isClosing {
      guard let line = input.nextLine(atEnd: inputEnded) else { break }
      begin(self, line)
    }
    if isOpen, isIdle, !isClosing, input.partial > limits.line {
      answer(
        .refused(Refusal(.usage, "a request may have at most \(limits.line) bytes")), isLast: true)
      isClosing = true
    }
    settle()
  }

  /// Marks a request as being worked on and answers its serial number.
  func start() -> UInt64 {
    serials += 1
    pending = serials
    return serials
  }

  func answer(_ answer: Answer, isLast: Bool) {
    guard isOpen else { return }
    if isLast {
      pending = nil
      whenClosed = nil
    }
    if backlog > limits.backlog { return drop() }
    output.append(contentsOf: answer.json.text().utf8)
    output.append(UInt8(ascii: "\n"))
    flush()
    settle()
  }

  private func receive() {
    var chunk = [UInt8](repeating: 0, count: 1 << 14)
    while isOpen, !inputEnded, input.count <= limits.line {
      let count = recv(descriptor, &chunk, chunk.count, Int32(MSG_DONTWAIT))
      if count > 0 {
        input.append(chunk.prefix(count))
      } else if count == 0 {
        inputEnded = true
      } else if errno != EINTR {
        if errno != EAGAIN { drop() }
        return
      }
    }
  }

  private func flush() {
    while isOpen, backlog > 0 {
      let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
      let count = output.withUnsafeBytes { bytes in
        send(descriptor, bytes.baseAddress.map { $0 + sent }, bytes.count - sent, flags)
      }
      if count >= 0 {
        sent += count
      } else if errno != EINTR {
        if errno != EAGAIN { drop() }
        break
      }
    }
    if backlog == 0 {
      output = []
      sent = 0
    } else if sent > 1 << 16 {
      output.removeFirst(sent)
      sent = 0
    }
  }

  /// Closes when all is said, else tells epoll what to wait for. A request that waits its turn is
  /// announced by asking for writability, which is there at once.
  private func settle() {
    guard isOpen else { return }
    let hasNext = input.hasLine || (inputEnded && input.count > 0)
    if isIdle, isClosing || (inputEnded && !hasNext) { return drop() }
    var wanted: UInt32 = 0
    if !inputEnded, !isClosing, input.count <= limits.line { wanted |= EPOLLIN.rawValue }
    if backlog > 0 || (isIdle && hasNext) { wanted |= EPOLLOUT.rawValue }
    if wanted == interest { return }
    interest = wanted
    var event = epoll_event(events: wanted, data: epoll_data_t(u64: id))
    if epoll_ctl(poll, EPOLL_CTL_MOD, descriptor, &event) != 0 { drop() }
  }
}
