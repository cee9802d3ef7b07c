// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

/// Looks through the routing tables a piece at a time, so that a million routes never hold up the
/// loop; keeps nothing but the kinds it meets.
package final class RouteSurvey {
  private var socket: NetlinkSocket
  private var family = IPFamily.ipv4
  /// What has been met so far.
  package private(set) var found = Routes()
  private var sequence: UInt32 = 0
  package private(set) var isRunning = false

  package init() throws(NetlinkError) {
    socket = try NetlinkSocket(NETLINK_ROUTE, receive: 1 << 20)
    socket.checkStrictly()
  }

  /// Readable while a survey is running and the kernel has more to tell.
  package var descriptor: Int32 { socket.descriptor }

  /// Begins a survey, or begins it again.
  package func start() throws(NetlinkError) {
    found = Routes()
    isRunning = true
    try request(.ipv4)
  }

  /// Takes up to `limit` datagrams; answers the result when the survey is complete.
  package func advance(limit: Int) throws(NetlinkError) -> Routes? {
    guard isRunning else {
      // What is left of a survey that broke off: unread it would wake the loop for ever.
      while try socket.receiveIfAny("reading routes") != nil {}
      return nil
    }
    do {
      for _ in 0..<limit {
        guard let datagram = try socket.receiveIfAny("reading routes") else { return nil }
        if let result = try take(datagram) { return result }
      }
      return nil
    } catch {
      isRunning = false
      throw error
    }
  }

  /// One survey from beginning to end.
  package func run() throws(NetlinkError) -> Routes {
    try start()
    while true {
      let datagram = try socket.receive("reading routes")
      if let result = try take(datagram) { return result }
    }
  }

  private func request(_ family: IPFamily) throws(NetlinkError) {
    self.family = family
    var request = Request(type: UInt16(RTM_GETROUTE))
    var header = rtmsg()
    header.rtm_family = family.rawValue
    request.append(header)
    sequence = try socket.send("reading routes", request, flags: NLM_F_REQUEST | NLM_F_DUMP)
  }

  private func take(_ datagram: Bytes) throws(NetlinkError) -> Routes? {
    for message in Messages(datagram) where message.sequence == sequence {
      switch Int32(message.type) {
      case NLMSG_DONE:
        if family == .ipv4 {
          try request(.ipv6)
          continue
        }
        isRunning = false
        found.surveyed = true
        return found
      case NLMSG_ERROR:
        isRunning = false
        let code = message.payload.load(0, as: Int32.self) ?? 0
        throw .refused(what: "reading routes", code: 0 &- code, hint: "")
      default:
        guard let (family, kinds) = RouteKinds.parse(message.payload) else { continue }
        if family == .ipv4 { found.ipv4.formUnion(kinds) } else { found.ipv6.formUnion(kinds) }
      }
    }
    return nil
  }
}
