// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Synchronization

/// TCP connections between two namespaces, or between several pairs of them, used to the full for some time.
public struct LoadStream: Sendable {
  /// Who asks, and who answers at this address.
  public struct Pair: Sendable {
    let client, server: Namespace
    let address: IPv4Address

    public init(from client: Namespace, to server: Namespace, _ address: IPv4Address) {
      (self.client, self.server, self.address) = (client, server, address)
    }
  }

  public let pairs: [Pair]
  public var clientCPU: Int?
  public var serverCPU: Int?

  public init(
    from client: Namespace, to server: Namespace, _ address: IPv4Address, clientCPU: Int? = nil,
    serverCPU: Int? = nil
  ) {
    self.init([Pair(from: client, to: server, address)], clientCPU, serverCPU)
  }

  public init(_ pairs: [Pair], _ clientCPU: Int? = nil, _ serverCPU: Int? = nil) {
    (self.pairs, self.clientCPU, self.serverCPU) = (pairs, clientCPU, serverCPU)
  }

  /// What was counted, how long it took, and the CPU time of both ends in it (which is that of all that
  /// lies between them as well).
  public struct Amount: Sendable {
    public let count: Int
    public let duration: Duration
    public let busy: Duration
    /// How long each took, where that was looked at.
    public let delays: LoadDelays

    fileprivate init(
      count: Int, duration: Duration, busy: Duration = .zero, delays: LoadDelays = LoadDelays()
    ) {
      (self.count, self.duration, self.busy, self.delays) = (count, duration, busy, delays)
    }

    /// With the CPU time of the other end.
    fileprivate func with(_ other: Amount) -> Amount {
      Amount(count: count, duration: duration, busy: busy + other.busy, delays: delays)
    }

    public var perSecond: Double { Double(count) / (duration.milliseconds / 1000) }
    /// For each second of a CPU: what else ran meanwhile does not count.
    public var perBusySecond: Double { Double(count) / (busy.milliseconds / 1000) }
  }

  /// Bytes that arrive when the client writes as much as it can, once `warmUp` is over: until then the connection
  /// finds its pace, and fpd takes it.
  public func bulk(_ time: Duration, warmUp: Duration = .zero) throws -> Amount {
    let size = 1 << 17
    let (threads, begin) = (try softirqThreads(), Instant.now + warmUp)
    let ends = try run { sockets in
      let bytes = [UInt8](repeating: 0x5a, count: size)
      var meter: Meter?
      let deadline = begin + time
      while Instant.now < deadline {
        if meter == nil, Instant.now >= begin { meter = try Meter(threads) }
        guard send(sockets[0], bytes, size, Self.noSignal) > 0 else {
          throw LabError("sending on a stream", code: errno)
        }
      }
      return Amount(count: 0, duration: time, busy: try meter?.used() ?? .zero)
    } server: { sockets in
      var bytes = [UInt8](repeating: 0, count: size)
      var count = 0
      var start: (at: Instant, meter: Meter)?
      while true {
        let got = recv(sockets[0], &bytes, size, 0)
        if got < 0 { throw LabError("receiving from a stream", code: errno) }
        let now = Instant.now
        if got == 0 {
          return Amount(
            count: count, duration: now - (start?.at ?? now),
            busy: try start?.meter.used() ?? .zero)
        }
        if start != nil {
          count += got
        } else if now >= begin {
          start = (now, try Meter())
        }
      }
    }
    return ends.server.with(ends.client)
  }

  /// What the calling thread uses of a CPU from now on, together with other threads.
  private struct Meter {
    private let threads: [pid_t]
    private let before: Duration

    init(_ threads: [pid_t] = []) throws {
      self.threads = threads
      before = try Self.sum(threads)
    }

    func used() throws -> Duration { try Self.sum(threads) - before }

    private static func sum(_ threads: [pid_t]) throws -> Duration {
      try threads.reduce(CPUClock.ofThread) { try $0 + CPUClock.read("/proc/\($1)") }
    }
  }

  /// The kernel's own for softirqs on the CPUs of both ends.
  private func softirqThreads() throws -> [pid_t] {
    try Set([clientCPU, serverCPU].compactMap { $0 }).map(CPUClock.softirqThread)
  }

  /// `count` bytes, of which the server knows each; throws when one is another.
  public func transfer(_ count: Int) throws -> Amount {
    let words = 1 << 14
    @Sendable func fill(_ block: inout [UInt64], from place: Int) {
      for index in block.indices { block[index] = UInt64(place + index) &* 0x9e37_79b9_7f4a_7c15 }
    }
    let blocks = (count + words * 8 - 1) / (words * 8)
    let ends = try run { sockets in
      var block = [UInt64](repeating: 0, count: words)
      for number in 0..<blocks {
        fill(&block, from: number * words)
        var rest = block.withUnsafeBytes { Array($0) }[...]
        while !rest.isEmpty {
          let sent = rest.withUnsafeBytes {
            send(sockets[0], $0.baseAddress, $0.count, Self.noSignal)
          }
          guard sent > 0 else { throw LabError("sending on a stream", code: errno) }
          rest = rest.dropFirst(sent)
        }
      }
      return Amount(count: blocks * words * 8, duration: .zero)
    } server: { sockets in
      var block = [UInt64](repeating: 0, count: words)
      var got = block
      let start = Instant.now
      for number in 0..<blocks {
        var filled = 0
        while filled < words * 8 {
          let more = got.withUnsafeMutableBytes {
            recv(sockets[0], $0.baseAddress.map { $0 + filled }, $0.count - filled, 0)
          }
          if more == 0 { throw LabError("a stream ended before its time") }
          if more < 0 { throw LabError("receiving from a stream", code: errno) }
          filled += more
        }
        fill(&block, from: number * words)
        guard got == block else { throw LabError("a stream brought other bytes than were sent") }
      }
      return Amount(count: blocks * words * 8, duration: Instant.now - start)
    }
    return ends.server
  }

  /// `count` bytes that the server takes before the client ends the connection by a reset; throws when the server
  /// does not hear of that.
  public func abort(after count: Int) throws {
    let size = 1 << 17
    _ = try run { sockets in
      let bytes = [UInt8](repeating: 0x5a, count: size)
      var sent = 0
      while sent < count {
        let more = send(sockets[0], bytes, size, Self.noSignal)
        guard more > 0 else { throw LabError("sending on a stream", code: errno) }
        sent += more
      }
      var left: Int32 = 1
      while left > 0 {
        guard ioctl(sockets[0], UInt(TIOCOUTQ), &left) == 0 else {
          throw LabError("asking for what was not acknowledged", code: errno)
        }
        usleep(1000)
      }
      var atOnce = linger(l_onoff: 1, l_linger: 0)
      guard
        setsockopt(
          sockets[0], SOL_SOCKET, SO_LINGER, &atOnce, socklen_t(MemoryLayout<linger>.size)) == 0
      else { throw LabError("having a connection reset", code: errno) }
      return Amount(count: sent, duration: .zero)
    } server: { sockets in
      var bytes = [UInt8](repeating: 0, count: size)
      var count = 0
      while true {
        let got = recv(sockets[0], &bytes, size, 0)
        if got < 0, errno == ECONNRESET { return Amount(count: count, duration: .zero) }
        guard got > 0 else {
          throw LabError("a stream did not end by a reset after \(count) bytes", code: errno)
        }
        count += got
      }
    }
  }

  /// Transactions: a byte there and a byte back, one after the other on each of `sessions` connections of each pair,
  /// once `warmUp` is over.
  public func requests(
    _ time: Duration, warmUp: Duration = .zero, sessions: Int = 1
  ) throws -> Amount {
    let (threads, begin) = (try softirqThreads(), Instant.now + warmUp)
    let ends = try run(sessions) { sockets in
      var byte: UInt8 = 0x5a
      var (count, delays) = (0, LoadDelays())
      var start: (at: Instant, meter: Meter)?
      var asked = Array(repeating: begin, count: sockets.count)
      // At least one, however long it took to get here.
      while start == nil || Instant.now < begin + time {
        if start == nil, Instant.now >= begin {
          (count, delays) = (0, LoadDelays())
          start = (.now, try Meter(threads))
        }
        for (place, socket) in sockets.enumerated() {
          asked[place] = .now
          guard send(socket, &byte, 1, Self.noSignal) == 1 else {
            throw LabError("a request of one byte", code: errno)
          }
        }
        for (place, socket) in sockets.enumerated() {
          guard recv(socket, &byte, 1, 0) == 1 else {
            throw LabError("an answer of one byte", code: errno)
          }
          delays.add(.now - asked[place])
        }
        count += sockets.count
      }
      guard let start else { throw LabError("no request within \(time)") }
      return Amount(
        count: count, duration: Instant.now - start.at, busy: try start.meter.used(), delays: delays
      )
    } server: { sockets in
      var byte: UInt8 = 0
      var meter: Meter?
      while true {
        if meter == nil, Instant.now >= begin { meter = try Meter() }
        for socket in sockets {
          guard recv(socket, &byte, 1, 0) == 1, send(socket, &byte, 1, Self.noSignal) == 1 else {
            return Amount(count: 0, duration: .zero, busy: try meter?.used() ?? .zero)
          }
        }
      }
    }
    return ends.client.with(ends.server)
  }

  private static let noSignal = Int32(MSG_NOSIGNAL)

  /// A side's part in the exchange, on connected sockets that it does not close.
  private typealias Part = @Sendable ([Int32]) throws -> Amount

  private func run(
    _ sessions: Int = 1, client part: @escaping Part, server other: @escaping Part
  ) throws -> (client: Amount, server: Amount) {
    var (clients, servers): ([SharedSocket], [SharedSocket]) = ([], [])
    for pair in pairs {
      let listener = SharedSocket(try pair.server.inside { try Self.listening() })
      let port = try Self.port(of: listener.raw)
      clients += try pair.client.inside {
        try (0..<sessions).map { _ in SharedSocket(try Self.connected(to: pair.address, port)) }
      }
      for _ in 0..<sessions {
        let socket = SharedSocket(accept(listener.raw, nil, nil))
        if socket.raw < 0 { throw LabError("waiting for a connection", code: errno) }
        try Self.prepare(socket.raw)
        servers.append(socket)
      }
    }
    let serving = try Self.working(servers, serverCPU, other)
    let asking = try Self.working(clients, clientCPU, part)
    let asked = Result { try asking.value() }
    let served = Result { try serving.value() }
    // Who hears that the other is gone says the least about why.
    if case (.failure(let one), .failure(let two)) = (asked, served) {
      throw LabError("\(one); its server: \(two)")
    }
    return (try asked.get(), try served.get())
  }

  /// A side on a thread of its own. Its sockets are closed when it ends, so that the other hears of it.
  private static func working(
    _ sockets: [SharedSocket], _ cpu: Int?, _ part: @escaping Part
  ) throws -> LoadThread<Amount> {
    try LoadThread(cpu: cpu) {
      defer { for socket in sockets { socket.end() } }
      return try part(sockets.map(\.raw))
    }
  }

  // MARK: Sockets

  /// A descriptor that more than one thread holds.
  private final class SharedSocket: Sendable {
    private let number: Mutex<Int32>
    init(_ raw: Int32) { number = Mutex(raw) }
    deinit { end() }

    var raw: Int32 { number.withLock { $0 } }

    func end() {
      number.withLock {
        if $0 >= 0 { close($0) }
        $0 = -1
      }
    }
  }

  private static func endpoint(_ address: UInt32, _ port: UInt16) -> sockaddr_in {
    var endpoint = sockaddr_in()
    endpoint.sin_family = sa_family_t(AF_INET)
    endpoint.sin_port = port.bigEndian
    endpoint.sin_addr.s_addr = address.bigEndian
    return endpoint
  }

  private static func open() throws -> Int32 {
    let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if raw < 0 { throw LabError("opening a TCP socket", code: errno) }
    return raw
  }

  /// What every kernel has, and what sends as soon as it may: others (BBR) look for the pace that a cable of theirs
  /// would have, and find another one each time.
  private static let congestionControl = "reno"

  /// No call waits for ever, and single bytes leave at once.
  private static func prepare(_ raw: Int32) throws {
    var limit = timeval(tv_sec: 5, tv_usec: 0)
    var one: Int32 = 1
    let size = socklen_t(MemoryLayout<timeval>.size)
    guard setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, size) == 0,
      setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &limit, size) == 0,
      setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(4)) == 0,
      setsockopt(
        raw, Int32(IPPROTO_TCP), TCP_CONGESTION, congestionControl,
        socklen_t(congestionControl.utf8.count)) == 0
    else { throw LabError("setting up a TCP socket", code: errno) }
  }

  private static func withEndpoint(
    _ endpoint: sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    withUnsafePointer(to: endpoint) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  private static func listening() throws -> Int32 {
    let raw = try open()
    var limit = timeval(tv_sec: 5, tv_usec: 0)
    _ = setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    guard withEndpoint(endpoint(0, 0), { bind(raw, $0, $1) }) == 0, listen(raw, 128) == 0 else {
      let code = errno
      close(raw)
      throw LabError("listening for a TCP connection", code: code)
    }
    return raw
  }

  private static func port(of raw: Int32) throws -> UInt16 {
    var endpoint = sockaddr_in()
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &endpoint) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(raw, $0, &size) }
    }
    if code != 0 { throw LabError("asking a socket for its port", code: errno) }
    return UInt16(bigEndian: endpoint.sin_port)
  }

  private static func connected(to address: IPv4Address, _ port: UInt16) throws -> Int32 {
    let raw = try open()
    do {
      try prepare(raw)
      guard withEndpoint(endpoint(address.value, port), { connect(raw, $0, $1) }) == 0 else {
        throw LabError("connecting to \(address) port \(port)", code: errno)
      }
      return raw
    } catch {
      close(raw)
      throw error
    }
  }
}

/// A UDP socket that nobody reads, with the smallest buffer: what is sent to it is delivered and dropped.
public final class DeafSocket: Sendable {
  private let raw: Int32
  private let namespace: Namespace

  public init(in namespace: Namespace, port: UInt16) throws {
    self.namespace = namespace
    raw = try namespace.inside {
      let raw = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      var size: Int32 = 0
      var endpoint = sockaddr_in()
      endpoint.sin_family = sa_family_t(AF_INET)
      endpoint.sin_port = port.bigEndian
      let bound = withUnsafePointer(to: endpoint) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          setsockopt(raw, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(4)) == 0
            && bind(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
      }
      if raw < 0 || !bound {
        let code = errno
        if raw >= 0 { close(raw) }
        throw LabError("binding a UDP socket to port \(port)", code: code)
      }
      return raw
    }
  }

  deinit { close(raw) }

  /// Datagrams that have come to a socket of the namespace and were dropped there.
  public func dropped() throws -> Int {
    let text = try namespace.inside { try TextFile.read("/proc/thread-self/net/snmp") }
    let lines = text.split(separator: "\n").filter { $0.hasPrefix("Udp:") }
      .map { $0.split(separator: " ") }
    guard lines.count == 2, let column = lines[0].firstIndex(of: "InErrors"),
      column < lines[1].count, let count = Int(lines[1][column])
    else { throw LabError("/proc/net/snmp tells nothing of UDP: \(text)") }
    return count
  }
}
