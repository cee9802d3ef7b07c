// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import OrderedJSON

/// fpd's side of the control socket. It never blocks and never starts anything by itself: `descriptor`
/// becomes readable when there is something to do, and `serve` does it.
public final class ControlServer {
  /// What one client, or all together, may cost.
  public struct Limits: Sendable {
    /// Bytes of one request.
    public var line = 1 << 16
    public var connections = 64
    /// Bytes one client may leave unread before the next line to it makes it lose the connection.
    public var backlog = 1 << 20
    /// Bytes all clients may leave unread; beyond it the one with most loses its connection.
    public var totalBacklog = 1 << 24

    public init() {}
  }

  private let poll: Descriptor
  private var listener: Listener?
  private var access: Access
  private let limits: Limits
  private var connections: [UInt64: Connection] = [:]
  private var nextID: UInt64 = 1
  /// Given up for a moment when descriptors run out, so that a client can be turned away instead of
  /// keeping the listening socket readable for ever.
  private var spare = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC))

  /// Readable when `serve` has work; for fpd's event loop.
  public var descriptor: Int32 { poll.number }
  public var clientCount: Int { connections.count }

  /// Listens on `path`; a socket that an fpd left behind is taken over, one that answers is not.
  /// `readers` names the group whose members may give reading commands.
  public init(
    path: String, readers: String? = nil, limits: Limits = Limits()
  ) throws(ControlError) {
    self.limits = limits
    access = try Access(group: readers)
    poll = Descriptor(epoll_create1(Int32(EPOLL_CLOEXEC)))
    guard poll.number >= 0 else {
      throw .system(what: "creating an epoll descriptor", code: errno, hint: "")
    }
    let listener = try Listener.open(path: path, access: access)
    var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: 0))
    guard epoll_ctl(poll.number, EPOLL_CTL_ADD, listener.descriptor, &event) == 0 else {
      throw .system(what: "polling the socket \(path)", code: errno, hint: "")
    }
    self.listener = consume listener
  }

  deinit { close() }

  /// Ends every connection and removes the socket.
  public func close() {
    let clients = connections.values
    connections = [:]
    for client in clients { client.drop() }
    listener = nil
  }

  /// Changes the group that may read, when the configuration was read again; who is already
  /// connected is judged by the new rule with the next command.
  public func admit(readers: String?) throws(ControlError) {
    let access = try Access(group: readers)
    try listener?.admit(access)
    self.access = access
  }

  /// Does all that can be done without waiting. `body` answers through the reply, at once or later.
  public func serve(_ body: (Request, Reply) -> Void) {
    var events = [epoll_event](repeating: epoll_event(), count: 64)
    let count = epoll_wait(poll.number, &events, Int32(events.count), 0)
    for event in events.prefix(max(0, Int(count))) {
      if event.data.u64 == 0 {
        acceptAll()
      } else {
        connections[event.data.u64]?.attend(event.events) { client, line in
          begin(client, line, body)
        }
      }
    }
    reap()
  }

  private func begin(_ client: Connection, _ line: [UInt8], _ body: (Request, Reply) -> Void) {
    do throws(Refusal) {
      let request = try Request(parsing: line)
      if let refusal = access.refusal(client.peer, request.command) { throw refusal }
      body(request, Reply(client, serial: client.start()))
    } catch {
      client.answer(.refused(error), isLast: true)
    }
  }

  /// Forgets who has gone, and makes the greediest go while all together leave too much unread.
  private func reap() {
    var total = connections.values.reduce(0) { $0 + $1.backlog }
    while total > limits.totalBacklog,
      let greediest = connections.values.max(by: { $0.backlog < $1.backlog })
    {
      total -= greediest.backlog
      greediest.drop()
      connections[greediest.id] = nil
    }
    connections = connections.filter { $0.value.isOpen }
  }

  private func acceptAll() {
    guard let listening = listener?.descriptor else { return }
    while true {
      let descriptor = fpd_accept(listening)
      if descriptor >= 0 {
        welcome(descriptor)
      } else if errno == EMFILE || errno == ENFILE {
        turnOneAway(listening)
        return
      } else if errno != EINTR && errno != ECONNABORTED {
        return
      }
    }
  }

  private func turnOneAway(_ listening: Int32) {
    spare = Descriptor(-1)
    Glibc.close(accept(listening, nil, nil))
    spare = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC))
  }

  private func welcome(_ descriptor: Int32) {
    guard let peer = Peer(of: descriptor) else {
      Glibc.close(descriptor)
      return
    }
    let client = Connection(
      id: nextID, descriptor: descriptor, poll: poll.number, peer: peer, limits: limits)
    nextID += 1
    if makeRoom(for: peer) {
      connections[client.id] = client
    } else {
      let text = "fpd already serves \(limits.connections) clients, all of them busy"
      client.answer(.refused(Refusal(.internal, text)), isLast: true)
      client.drop()
    }
  }

  private func makeRoom(for peer: Peer) -> Bool {
    reap()
    if connections.count < limits.connections { return true }
    let clients = connections.values.sorted { $0.id < $1.id }
    let seats = clients.map { Seat(isIdle: $0.isIdle, isRoot: $0.peer.isRoot) }
    guard let place = Seat.displaced(seats, newcomerIsRoot: peer.isRoot) else { return false }
    clients[place].drop()
    connections[clients[place].id] = nil
    return true
  }
}

/// A client, as far as it matters when there are too many.
package struct Seat {
  let isIdle: Bool
  let isRoot: Bool

  package init(isIdle: Bool, isRoot: Bool) {
    self.isIdle = isIdle
    self.isRoot = isRoot
  }

  /// Which of the clients, oldest first, makes room: the oldest that waits for nothing; for root, also
  /// one that may only read.
  package static func displaced(_ seats: [Seat], newcomerIsRoot: Bool) -> Int? {
    seats.firstIndex { $0.isIdle }
      ?? (newcomerIsRoot ? seats.firstIndex { !$0.isRoot } : nil)
  }
}
