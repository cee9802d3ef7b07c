// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Glibc
import Netlink

/// The filter on the listening socket that has the kernel keep to itself the routes that are no
/// news: those of a kind that is known to be there. It runs where the message is sent, so that a
/// million changing routes do not wake the daemon once.
enum RouteFilter {
  private static let header = 16  // struct nlmsghdr
  private static let attributes = header + 12  // struct rtmsg

  static func program(seen: Routes) -> [sock_filter] {
    let ipv4 = routes(seen.ipv4)
    let ipv6 = routes(seen.ipv6)
    // Everything but a new route passes; a removed one is never news by itself (a survey follows
    // when the tables' sequence numbers moved).
    var program = [
      load16(4),
      jump(ifEqual: bigEndian(UInt16(RTM_DELROUTE)), 0, 1),
      reject,
      jump(ifEqual: bigEndian(UInt16(RTM_NEWROUTE)), 1, 0),
      accept,
      load8(header),
      jump(ifEqual: UInt32(AF_INET6), 0, UInt8(ipv6.count)),
    ]
    program += ipv6
    program += ipv4
    return program
  }

  /// Accepts a route whose kind is not in `seen`.
  private static func routes(_ seen: RouteKinds) -> [sock_filter] {
    func verdict(_ kind: RouteKinds) -> sock_filter { seen.contains(kind) ? reject : accept }
    var program = [load8(header + 7)]  // rtm_type
    for (type, kind) in [
      (RTN_BLACKHOLE, RouteKinds.blackhole), (RTN_UNREACHABLE, .unreachable),
      (RTN_PROHIBIT, .prohibit), (RTN_THROW, .throwing),
    ] {
      program += [jump(ifEqual: UInt32(type), 0, 1), verdict(kind)]
    }
    program += [jump(ifEqual: UInt32(RTN_UNICAST), 1, 0), reject]
    // In a table of its own: RT_TABLE_MAIN is 254, "default" 253, "local" 255; 252 and up to 255
    // otherwise means "see the attribute" (RT_TABLE_COMPAT).
    if !seen.contains(.otherTable) {
      program += [load8(header + 4), jump(ifAtLeast: 253, 1, 0), accept]
    }
    for (attribute, kind) in [
      (RTA_MULTIPATH, RouteKinds.multipath), (RTA_ENCAP, .encapsulated),
      (RTA_NH_ID, .nexthopObject),
    ] {
      program += [
        set(UInt32(attributes)), setX(attribute.rawValue), findAttribute,
        jump(ifEqual: 0, 1, 0), verdict(kind),
      ]
    }
    return program + [verdict(.plain)]
  }
}

// Classic BPF, as a socket filter runs it: halfwords are loaded in network order.

let accept = sock_filter(code: 0x06, jt: 0, jf: 0, k: 0xffff_ffff)
let reject = sock_filter(code: 0x06, jt: 0, jf: 0, k: 0)
/// A becomes the offset of the attribute of type X in the attributes from offset A, or 0.
private let findAttribute = sock_filter(
  code: 0x30, jt: 0, jf: 0, k: UInt32(bitPattern: -0x1000 + 12))

func load8(_ offset: Int) -> sock_filter {
  sock_filter(code: 0x30, jt: 0, jf: 0, k: UInt32(offset))
}

func load16(_ offset: Int) -> sock_filter {
  sock_filter(code: 0x28, jt: 0, jf: 0, k: UInt32(offset))
}

func jump(ifEqual value: UInt32, _ yes: UInt8, _ no: UInt8) -> sock_filter {
  sock_filter(code: 0x15, jt: yes, jf: no, k: value)
}

func jump(ifAtLeast value: UInt32, _ yes: UInt8, _ no: UInt8) -> sock_filter {
  sock_filter(code: 0x35, jt: yes, jf: no, k: value)
}

private func set(_ value: UInt32) -> sock_filter {
  sock_filter(code: 0x00, jt: 0, jf: 0, k: value)
}

private func setX(_ value: UInt32) -> sock_filter {
  sock_filter(code: 0x01, jt: 0, jf: 0, k: value)
}

/// A number of the machine's order as a halfword load sees it.
func bigEndian(_ value: UInt16) -> UInt32 { UInt32(value.bigEndian) }

extension NetlinkSocket {
  /// Has the kernel deliver only the messages the program accepts.
  func accept(_ program: [sock_filter]) {
    var program = program
    program.withUnsafeMutableBufferPointer { instructions in
      var attachment = sock_fprog(
        len: UInt16(instructions.count), filter: instructions.baseAddress)
      setsockopt(
        descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &attachment,
        socklen_t(MemoryLayout<sock_fprog>.size))
    }
  }
}
