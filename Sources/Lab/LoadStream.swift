// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// TCP connections between two namespaces, used to the full for some time.
public struct LoadStream: Sendable {
  public let client: Namespace
  public let server: Namespace
  /// The server's.
  public let address: IPv4Address
  public var clientCPU: Int?
  public var serverCPU: Int?

  public init(
    from client: Namespace, to server: Namespace, _ address: IPv4Address, clientCPU: Int? = nil,
    serverCPU: Int? = nil
  ) {
    self.client = client
    self.server = server
    self.address = address
    self.clientCPU = clientCPU
    self.serverCPU = serverCPU
  }

  /// What was counted, how long it took, and the CPU time of both ends in it (which is that of all that
  /// lies between them as well).
  public struct Amount: Sendable {
    public let count: Int
    public let duration: Duration
    public fileprivate(set) var busy = Duration.zero

    public var perSecond: Double { Double(count) / (duration.milliseconds / 1000) }
    /// For each second of a CPU: what else ran meanwhile does not count.
    public var perBusySecond: Double { Double(count) / (busy.milliseconds / 1000) }
  }

  /// Bytes that arrive when the client writes as much as it can.
  public func bulk(_ time: Duration) throws -> Amount {
    let size = 1 << 17
    let ends = try run { sockets in
      let bytes = [UInt8](repeating: 0x5a, count: size)
      let deadline = Instant.now + time
      while Instant.now < deadline {
        guard send(sockets[0], bytes, size, Self.noSignal) > 0 else {
          throw LabError("sending on a stream", code: errno)
        }
      }
      return Amount(count: 0, duration: time)
    } server: { sockets in
      var bytes = [UInt8](repeating: 0, count: size)
      var count = 0
      let start = Instant.now
      while true {
        let got = recv(sockets[0], &bytes, size, 0)
        if got < 0 { throw LabError("receiving from a stream", code: errno) }
        if got == 0 { return Amount(count: count, duration: Instant.now - start) }
        count += got
      }
    }
    return ends.server.with(busy: ends.busy)
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
          guard more > 0 else { throw LabError("receiving from a stream", code: errno) }
          filled += more
        }
        fill(&block, from: number * words)
        guard got == block else { throw LabError("a stream brought other bytes than were sent") }
      }
      return Amount(count: blocks * words * 8, duration: Instant.now - start)
    }
    return ends.server.with(busy: ends.busy)
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

  /// Transactions: a byte there and a byte back, one after the other on each of `sessions` connections.
  public func requests(_ time: Duration, sessions: Int = 1) throws -> Amount {
    let ends = try run(sessions) { sockets in
      var byte: UInt8 = 0x5a
      var count = 0
      let start = Instant.now
      while Instant.now < start + time {
        for socket in sockets where send(socket, &byte, 1, Self.noSignal) != 1 {
          throw LabError("a request of one byte", code: errno)
        }
        for socket in sockets where recv(socket, &byte, 1, 0) != 1 {
          throw LabError("an answer of one byte", code: errno)
        }
        count += sockets.count
      }
      return Amount(count: count, duration: Instant.now - start)
    } server: { sockets in
      var byte: UInt8 = 0
      while true {
        for socket in sockets {
          guard recv(socket, &byte, 1, 0) == 1, send(socket, &byte, 1, Self.noSignal) == 1 else {
            return Amount(count: 0, duration: .zero)
          }
        }
      }
    }
    return ends.client.with(busy: ends.busy)
  }

  private static let noSignal = Int32(MSG_NOSIGNAL)

  /// A side's part in the exchange, on connected sockets that it does not close.
  private typealias Part = @Sendable ([Int32]) throws -> Amount

  private func run(
    _ sessions: Int = 1, client part: @escaping Part, server other: @escaping Part
  ) throws -> (client: Amount, server: Amount, busy: Duration) {
    let before = try softirqTime()
    let listener = Shared(try server.inside { try Self.listening() })
    let port = try Self.port(of: listener.raw)
    let serving = try LoadThread(in: server, cpu: serverCPU) {
      let sockets = try (0..<sessions).map { _ in
        let socket = Shared(accept(listener.raw, nil, nil))
        if socket.raw < 0 { throw LabError("waiting for a connection", code: errno) }
        try Self.prepare(socket.raw)
        return socket
      }
      return try withExtendedLifetime(sockets) {
        try CPUClock.timed { try other(sockets.map(\.raw)) }
      }
    }
    let address = address
    let asking = try LoadThread(in: client, cpu: clientCPU) {
      let sockets = try (0..<sessions).map { _ in Shared(try Self.connected(to: address, port)) }
      return try withExtendedLifetime(sockets) {
        try CPUClock.timed { try part(sockets.map(\.raw)) }
      }
    }
    let asked = Result { try asking.value() }
    let served = Result { try serving.value() }
    let (client, server) = (try asked.get(), try served.get())
    let busy = client.busy + server.busy + (try softirqTime() - before)
    return (client.result, server.result, busy)
  }

  private func softirqTime() throws -> Duration {
    try Set([clientCPU, serverCPU].compactMap { $0 }).map {
      try CPUClock.read("/proc/\(CPUClock.softirqThread($0))")
    }.reduce(.zero, +)
  }

  // MARK: Sockets

  /// A descriptor that more than one thread holds.
  private final class Shared: Sendable {
    let raw: Int32
    init(_ raw: Int32) { self.raw = raw }
    deinit { if raw >= 0 { close(raw) } }
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

  /// No call waits for ever, and single bytes leave at once.
  private static func prepare(_ raw: Int32) throws {
    var limit = timeval(tv_sec: 5, tv_usec: 0)
    var one: Int32 = 1
    let size = socklen_t(MemoryLayout<timeval>.size)
    guard setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, size) == 0,
      setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &limit, size) == 0,
      setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(4)) == 0
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

extension LoadStream.Amount {
  fileprivate func with(busy: Duration) -> Self {
    var copy = self
    copy.busy = busy
    return copy
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
