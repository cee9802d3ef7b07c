// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Glibc
import Netlink

/// A connection over TCP and IPv4, named by the addresses and ports of one of its packets.
package struct TrackedStream: Hashable, Sendable {
  /// As they lie in a packet.
  package var source, destination: [UInt8]
  package var sourcePort, destinationPort: [UInt8]

  package static let size = 12

  /// Both addresses and both ports, behind one another; `nil` where not all of them are there.
  package init?(_ record: some Collection<UInt8>) {
    let bytes = Array(record)
    guard bytes.count == Self.size else { return nil }
    (source, destination) = (Array(bytes[0..<4]), Array(bytes[4..<8]))
    (sourcePort, destinationPort) = (Array(bytes[8..<10]), Array(bytes[10..<12]))
  }
}

/// What has the kernel not look at the window of streams any more, each on its own: flags of its entry, through
/// ctnetlink. It does not see what programs carry, and would take what comes later for a stray.
package struct StreamMarker: ~Copyable {
  /// Flags of `struct ip_ct_tcp_state`.
  package struct Flags: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Its window is not looked at.
    package static let liberal = Flags(rawValue: 0x08)
    /// What it sent last has not been acknowledged: it would end after five minutes of silence.
    package static let unacknowledged = Flags(rawValue: 0x10)
  }

  private var socket: NetlinkSocket

  package init() throws(NetlinkError) {
    socket = try NetlinkSocket(NETLINK_NETFILTER)
  }

  /// Sets the flags of `mask` in both directions to what `flags` says; answers for which streams the kernel refused
  /// it. Streams that are gone are none of it. Throws where it is not a stream's fault: several are refused in a row.
  package mutating func set(
    _ flags: Flags, of mask: Flags, for streams: some Collection<TrackedStream>
  ) throws(NetlinkError) -> [TrackedStream] {
    var refused: [TrackedStream] = []
    for stream in streams {
      do {
        _ = try socket.send(
          Self.attempt, Self.request(flags, of: mask, for: stream), flags: NLM_F_REQUEST)
        try hear()
        inARow = 0
      } catch {
        guard case .refused = error else { throw error }
        refused.append(stream)
        inARow += 1
        if inARow >= Self.patience { throw error }
      }
    }
    return refused
  }

  private static let attempt = "marking a connection"
  private static let patience = 3
  /// How many were refused since one was not.
  private var inARow = 0

  /// Only failures are answered.
  private mutating func hear() throws(NetlinkError) {
    while let datagram = try socket.receiveIfAny(Self.attempt) {
      for message in Messages(datagram) where Int32(message.type) == NLMSG_ERROR {
        guard let code = message.payload.load(0, as: Int32.self) else {
          throw .malformed(what: Self.attempt)
        }
        if code != 0, code != -ENOENT {
          throw .refused(what: Self.attempt, code: 0 &- code, hint: "")
        }
      }
    }
  }

  package static func request(
    _ flags: Flags, of mask: Flags, for stream: TrackedStream
  ) -> Request {
    // Without NLM_F_CREATE it changes what there is.
    var request = Request(
      subsystem: NFNL_SUBSYS_CTNETLINK, message: Int32(IPCTNL_MSG_CT_NEW.rawValue),
      family: UInt8(AF_INET))
    request.nest(Int(CTA_TUPLE_ORIG.rawValue)) { tuple in
      tuple.nest(Int(CTA_TUPLE_IP.rawValue)) { addresses in
        addresses.attribute(Int(CTA_IP_V4_SRC.rawValue), bytes: stream.source)
        addresses.attribute(Int(CTA_IP_V4_DST.rawValue), bytes: stream.destination)
      }
      tuple.nest(Int(CTA_TUPLE_PROTO.rawValue)) { transport in
        transport.attribute(Int(CTA_PROTO_NUM.rawValue), UInt8(IPPROTO_TCP))
        transport.attribute(Int(CTA_PROTO_SRC_PORT.rawValue), bytes: stream.sourcePort)
        transport.attribute(Int(CTA_PROTO_DST_PORT.rawValue), bytes: stream.destinationPort)
      }
    }
    request.nest(Int(CTA_PROTOINFO.rawValue)) { information in
      information.nest(Int(CTA_PROTOINFO_TCP.rawValue)) { tcp in
        for side in [CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, CTA_PROTOINFO_TCP_FLAGS_REPLY] {
          tcp.attribute(Int(side.rawValue), bytes: [flags.rawValue, mask.rawValue])
        }
      }
    }
    return request
  }
}
