// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Glibc

/// Why a conversation with the kernel failed.
public enum NetlinkError: Error, Equatable, CustomStringConvertible {
  /// The kernel refused, or a system call failed.
  case refused(what: String, code: Int32, hint: String)
  /// Messages were lost: the receive buffer overflowed (ENOBUFS) or a datagram was cut.
  case overrun(what: String)
  /// The table changed while it was dumped (NLM_F_DUMP_INTR): what came is not one state.
  case interrupted(what: String)
  /// What came cannot be parsed.
  case malformed(what: String)

  public var code: Int32? { if case .refused(_, let code, _) = self { code } else { nil } }

  public var description: String {
    switch self {
    case .refused(let what, let code, let hint):
      "\(what): \(String(cString: strerror(code)))\(hint.isEmpty ? "" : " (\(hint))")"
    case .overrun(let what): "\(what): the kernel had more to say than the receive buffer holds"
    case .interrupted(let what): "\(what): the table changed while it was read"
    case .malformed(let what): "\(what): the kernel's answer cannot be parsed"
    }
  }
}

/// A netlink socket in the namespace of the thread that opened it.
public struct NetlinkSocket: ~Copyable {
  private let handle: OpaquePointer
  private var sequence: UInt32 = 0
  private var buffer: UnsafeMutableRawBufferPointer

  public var descriptor: Int32 { mnl_socket_get_fd(handle) }

  /// Opens and binds a socket; `receive` is the size of its receive buffer in the kernel, 0 the default.
  public init(_ bus: Int32, groups: [UInt32] = [], receive: Int32 = 0) throws(NetlinkError) {
    handle = try Self.open(bus, groups)
    buffer = .allocate(byteCount: 1 << 16, alignment: 16)
    set(SOL_NETLINK, Int32(NETLINK_EXT_ACK), 1)
    if receive > 0 { force(receive) }
  }

  private static func open(_ bus: Int32, _ groups: [UInt32]) throws(NetlinkError) -> OpaquePointer {
    guard let handle = mnl_socket_open2(bus, Int32(SOCK_CLOEXEC.rawValue)) else {
      throw .refused(what: "opening a netlink socket", code: errno, hint: "")
    }
    func fail(_ what: String) -> NetlinkError {
      let code = errno
      mnl_socket_close(handle)
      return .refused(what: what, code: code, hint: "")
    }
    if mnl_socket_bind(handle, 0, 0) < 0 { throw fail("binding a netlink socket") }
    for group in groups {
      var number = Int32(group)
      if mnl_socket_setsockopt(handle, Int32(NETLINK_ADD_MEMBERSHIP), &number, 4) < 0 {
        throw fail("joining netlink group \(group)")
      }
    }
    return handle
  }

  deinit {
    mnl_socket_close(handle)
    buffer.deallocate()
  }

  /// Subscribes to a multicast group that the kernel may not have; answers whether it has.
  public func join(_ group: UInt32) -> Bool {
    var number = Int32(group)
    return mnl_socket_setsockopt(handle, Int32(NETLINK_ADD_MEMBERSHIP), &number, 4) == 0
  }

  /// Has dumps honour the filters in their requests; kernels before 4.20 do not know it.
  public func checkStrictly() { set(SOL_NETLINK, 12, 1) }  // NETLINK_GET_STRICT_CHK

  private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    setsockopt(descriptor, level, option, &value, 4)
  }

  private func force(_ size: Int32) {
    var size = size
    if setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, 4) < 0 {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
    }
  }

  /// Sends a dump request and hands each message of the answer to `body`; what `body` is given lives
  /// only during the call.
  public mutating func dump(
    _ what: String, _ request: Request, _ body: (Message) throws(NetlinkError) -> Void
  ) throws(NetlinkError) {
    let sequence = try send(what, request, flags: NLM_F_REQUEST | NLM_F_DUMP)
    var interrupted = false
    // What `body` throws waits for the end of the dump: until then the kernel begins no other (EBUSY).
    var failure: NetlinkError?
    while true {
      let datagram = try receive(what)
      for message in Messages(datagram) where message.sequence == sequence {
        if message.flags & UInt16(NLM_F_DUMP_INTR) != 0 { interrupted = true }
        switch Int32(message.type) {
        case NLMSG_DONE:
          if let failure { throw failure }
          if let code = message.payload.load(0, as: Int32.self), code < 0 {
            throw .refused(what: what, code: 0 &- code, hint: "")
          }
          if interrupted { throw .interrupted(what: what) }
          return
        case NLMSG_ERROR: try check(what, message)
        case _ where failure != nil: break
        default: do throws(NetlinkError) { try body(message) } catch { failure = error }
        }
      }
    }
  }

  /// Sends a request that is answered by single messages, the last an acknowledgement.
  public mutating func ask(
    _ what: String, _ request: Request,
    _ body: (Message) throws(NetlinkError) -> Void = { (_: Message) throws(NetlinkError) in }
  ) throws(NetlinkError) {
    let sequence = try send(what, request, flags: NLM_F_REQUEST | NLM_F_ACK)
    while true {
      let datagram = try receive(what)
      for message in Messages(datagram) where message.sequence == sequence {
        if Int32(message.type) == NLMSG_ERROR {
          try check(what, message)
          return
        }
        try body(message)
      }
    }
  }

  /// Sends a request whose answer the caller reads itself; returns the number its messages bear.
  public mutating func send(
    _ what: String, _ request: Request, flags: Int32
  ) throws(NetlinkError) -> UInt32 {
    sequence &+= 1
    var request = request
    request.seal(sequence: sequence, flags: flags)
    let count = request.bytes.count
    let sent = request.bytes.withUnsafeBytes { mnl_socket_sendto(handle, $0.baseAddress, count) }
    if sent < 0 { throw .refused(what: what, code: errno, hint: "") }
    return sequence
  }

  /// One datagram, waiting for it; the bytes are valid until the next receive.
  public mutating func receive(_ what: String) throws(NetlinkError) -> Bytes {
    guard let datagram = try receive(what, wait: true) else { throw .malformed(what: what) }
    return datagram
  }

  /// One datagram if one is there, else `nil`.
  public mutating func receiveIfAny(_ what: String) throws(NetlinkError) -> Bytes? {
    try receive(what, wait: false)
  }

  private mutating func receive(_ what: String, wait: Bool) throws(NetlinkError) -> Bytes? {
    while true {
      let flags = Int32(MSG_TRUNC) | (wait ? 0 : Int32(MSG_DONTWAIT))
      let count = recv(descriptor, buffer.baseAddress, buffer.count, flags)
      if count > buffer.count { throw .overrun(what: what) }
      if count >= 0 { return Bytes(buffer.baseAddress, count: count) }
      switch errno {
      case EINTR: continue
      case EAGAIN: return nil
      case ENOBUFS: throw .overrun(what: what)
      default: throw .refused(what: what, code: errno, hint: "")
      }
    }
  }

  private func check(_ what: String, _ message: Message) throws(NetlinkError) {
    guard let code = message.payload.load(0, as: Int32.self) else { throw .malformed(what: what) }
    if code == 0 { return }
    throw .refused(what: what, code: 0 &- code, hint: hint(message))
  }

  /// The kernel's own words (NLMSGERR_ATTR_MSG), where it gives some.
  private func hint(_ message: Message) -> String {
    guard message.flags & 0x200 != 0 else { return "" }  // NLM_F_ACK_TLVS
    let capped = message.flags & 0x100 != 0  // NLM_F_CAPPED
    let echoed = capped ? 0 : Int(message.payload.load(4, as: UInt32.self) ?? 16) - 16
    return Attributes(message.payload, after: 20 + max(0, echoed)).first(1)?.string ?? ""
  }
}
