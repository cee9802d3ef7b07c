// SPDX-License-Identifier: Apache-2.0
import Lab

/// What a router does with an IPv4 header before it looks for a route.
enum ContractHeaderCases {
  static let plain: [ContractCase] = [
    ContractCase("forwards", Shot.burst { .udp(id: $0) }, sees: 3, .fast),
    ContractCase(
      "forwards back", Shot.burst { .udp(.b, to: "10.0.1.2", id: $0) }, sees: 3, .fast),
    ContractCase(
      "forwards via a gateway", Shot.burst { .udp(to: "10.9.1.1", id: $0) }, sees: 3, .fast),
    ContractCase(
      "forwards large frames", Shot.burst { .udp(size: 1500, id: $0) }, sees: 3, .fast),
    ContractCase(
      "forwards TTL 2 and 255", [.udp { $0.ttl = 2 }, .udp(id: 2) { $0.ttl = 255 }], sees: 2,
      .fast),
    ContractCase("TTL 1 expires", [.udp { $0.ttl = 1 }], sees: 1, .punted("ttl-expired")),
    ContractCase("TTL 0 expires", [.udp { $0.ttl = 0 }], sees: 1, .punted("ttl-expired")),
    ContractCase(
      "keeps every TOS", [0x01, 0x10, 0x1c, 0xb8, 0xff].map { tos in .udp { $0.tos = tos } },
      sees: 5, .fast),
    // Where the incremental update carries, and both ways to write a sum of zero.
    ContractCase(
      "checksums at the edge of the carry",
      [.withChecksum(0xfeff), .withChecksum(0xff00), .withChecksum(0xfefe), .withChecksum(0)],
      sees: 4, .fast),
    ContractCase(
      "a checksum of ffff instead of 0",
      [
        Shot.withChecksum(0).editing {
          $0[24] = 0xff
          $0[25] = 0xff
        }
      ], sees: 1, .fast),
    ContractCase(
      "a UDP checksum of zero stays",
      [Shot.udp().editing { $0.replaceSubrange(40..<42, with: [0, 0]) }],
      sees: 1, .fast),
    ContractCase(
      "a wrong UDP checksum is no router's business", [Shot.udp().editing { $0[40] ^= 0x55 }],
      sees: 1, .fast),
    ContractCase(
      "other protocols",
      [1, 6, 17, 47, 50, 89, 132, 255].map { number in
        Shot.udp().header { $0[23] = number }
      }, sees: 8, .fast),
  ]

  /// A slow queue that lets the urgent go first: two packets are out or chosen before the others come.
  static let priorities: [ContractCase] = [1, 0].map { follows in
    ContractCase(
      "the queue follows the TOS\(follows == 1 ? "" : ", which is not heeded")",
      setup: [
        "sysctl net.ipv4.ip_forward_update_priority=\(follows)",
        "tc qdisc add dev p2 root handle 10: tbf rate 400kbit burst 1600 limit 100000",
        "tc qdisc add dev p2 parent 10:1 handle 11: pfifo_fast",
      ], undo: ["tc qdisc del dev p2 root"],
      ([0, 0, 0x08, 0, 0x10, 0x08, 0x10] as [UInt8]).enumerated().map { place, tos in
        .udp(size: 1000, id: UInt16(place)) { $0.tos = tos }
      }, sees: 7, patience: .milliseconds(60), .punted("egress-qdisc"), tc: .fast)
  }

  static let malformed: [ContractCase] = [
    ContractCase(
      "bad header checksum",
      [.udp { $0.checksumFault = 1 }, .udp { $0.checksumFault = 0x8000 }], sees: 0,
      .punted("ip-checksum")),
    ContractCase(
      "wrong version",
      [5, 6, 0, 15].map { version in Shot.udp().header { $0[14] = version << 4 | 5 } },
      sees: 0, .punted("malformed")),
    ContractCase(
      "header shorter than a header",
      [0, 1, 4].map { words in Shot.udp().header { $0[14] = 0x40 | words } }, sees: 0,
      .punted("malformed")),
    ContractCase(
      "header longer than the packet", [Shot.udp(size: 40).header { $0[14] = 0x4f }], sees: 0,
      .punted("ip-options")),
    ContractCase(
      "total length beyond the frame",
      [.udp { $0.claimedLength = 41 }, .udp { $0.claimedLength = 0xffff }], sees: 0,
      .punted("malformed")),
    ContractCase(
      "total length below a header",
      [.udp { $0.claimedLength = 19 }, .udp { $0.claimedLength = 0 }], sees: 0,
      .punted("malformed")),
    ContractCase(
      "a frame that ends in the header",
      [14, 15, 33].map { length in Shot.udp().editing { $0 = Array($0.prefix(length)) } }, sees: 0,
      .punted("malformed")),
    ContractCase(
      "padding is not forwarded",
      [
        Shot.udp(size: 30).padded(by: 16), Shot.udp(size: 28).padded(by: 18),
        Shot.udp().padded(by: 1), Shot.udp().padded(by: 300),
      ],
      sees: 4, .fast),
    ContractCase(
      "padding around a header alone",
      [Shot.udp(size: 28).header { $0[17] = 20 }], sees: 1, .fast),
    ContractCase(
      "a header and nothing else",
      [Shot.udp(size: 28).header { $0[17] = 20 }.editing { $0 = Array($0.prefix(34)) }], sees: 1,
      .fast),
    ContractCase(
      "options are the kernel's to handle",
      [
        .udp { $0.options = [1, 1, 1, 0] },
        .udp { $0.options = [7, 7, 4, 0, 0, 0, 0, 0] },
        .udp { $0.options = [0x83, 7, 4, 10, 0, 2, 2, 0] },
      ], sees: 2, .punted("ip-options")),
    ContractCase(
      "fragments",
      [
        .udp(size: 44) { $0.moreFragments = true },
        .udp(size: 44) {
          $0.moreFragments = true
          $0.fragmentOffset = 3
        },
        .udp(size: 44) { $0.fragmentOffset = 6 },
      ], sees: 3, .fast),
  ]

  static let mtu: [ContractCase] = [
    ContractCase(
      "up to the MTU of the egress device", setup: ["ip link set p2 mtu 1000"],
      undo: ["ip link set p2 mtu 1500"], [.sized(999), .sized(1000), .sized(1000, df: false)],
      sees: 3, .fast),
    ContractCase(
      "beyond it with DF", setup: ["ip link set p2 mtu 1000"], undo: ["ip link set p2 mtu 1500"],
      [.sized(1001), .sized(1500)], sees: 2, .punted("mtu-exceeded")),
    ContractCase(
      "beyond it without DF", setup: ["ip link set p2 mtu 1000"],
      undo: ["ip link set p2 mtu 1500"], [.sized(1001, df: false)], sees: 2,
      .punted("mtu-exceeded")),
    ContractCase(
      "MTU lowered at once", sudden: ["ip link set p2 mtu 1000"],
      undo: ["ip link set p2 mtu 1500"], [.sized(1000), .sized(1001), .sized(1400, df: false)],
      sees: 4, .counts(["forwarded": 1, "mtu-exceeded": 2])),
    ContractCase(
      "route with an MTU", setup: ["ip route add 10.8.0.0/16 via 10.0.2.2 mtu 800"],
      [800, 801].map { length in
        .udp(to: "10.8.0.1", size: length) { $0.dontFragment = true }
      }, sees: 2, .counts(["forwarded": 1, "mtu-exceeded": 1])),
    ContractCase(
      "route with a locked MTU", setup: ["ip route add 10.8.0.0/16 via 10.0.2.2 mtu lock 800"],
      [800, 801].map { length in
        .udp(to: "10.8.0.1", size: length) { $0.dontFragment = true }
      }, sees: 2, .counts(["forwarded": 1, "mtu-exceeded": 1])),
    ContractCase(
      "route given an MTU at once",
      setup: ["ip route add 10.8.0.0/16 via 10.0.2.2"],
      sudden: ["ip route replace 10.8.0.0/16 via 10.0.2.2 mtu 800"],
      [800, 801].map { length in
        .udp(to: "10.8.0.1", size: length) { $0.dontFragment = true }
      }, sees: 2, .counts(["forwarded": 1, "mtu-exceeded": 1])),
    exception("learned path MTU, used", usePMTU: true),
    exception("learned path MTU, not used for forwarding", usePMTU: false),
    redirected,
  ]

  /// B says that another host on its cable is the better gateway, and the router believes it.
  private static let redirected: ContractCase = {
    let lost = IPv4(from: "10.0.2.1", to: "10.8.0.1", .echo(reply: true))
    let hint = IPv4(
      from: "10.0.2.2", to: "10.0.2.1", .icmp(type: 5, code: 1, rest: 0x0a00_0203, lost.bytes))
    return ContractCase(
      "a redirect that was believed",
      setup: [
        "sysctl net.ipv4.conf.all.accept_redirects=1", "sysctl net.ipv4.conf.p2.accept_redirects=1",
        "ip neigh replace 10.0.2.3 lladdr \(ContractHost.c.mac) dev p2 nud permanent",
        "ip route add 10.8.0.0/16 via 10.0.2.2",
      ],
      learn: [.frame(.b, to: ContractHost.b.gateway, .ipv4(hint))],
      Shot.burst { .udp(to: "10.8.0.1", id: $0) }, sees: 3, .punted("next-hop-exception"))
  }()

  /// B says that its way on takes 800 bytes only, about an answer of the router's own: of those the kernel believes it.
  private static func exception(_ name: String, usePMTU: Bool) -> ContractCase {
    let lost = IPv4(from: "10.0.2.1", to: "10.8.0.1", .echo(reply: true))
    let complaint = IPv4(
      from: "10.0.2.2", to: "10.0.2.1", .icmp(type: 3, code: 4, rest: 800, lost.bytes))
    return ContractCase(
      name,
      setup: ["ip route add 10.8.0.0/16 via 10.0.2.2"]
        + (usePMTU ? ["sysctl net.ipv4.ip_forward_use_pmtu=1"] : []),
      learn: [.frame(.b, to: ContractHost.b.gateway, .ipv4(complaint))],
      [800, 801].map { length in
        .udp(to: "10.8.0.1", size: length) { $0.dontFragment = true }
      }, sees: 2, usePMTU ? .punted("next-hop-exception") : .fast)
  }
}
