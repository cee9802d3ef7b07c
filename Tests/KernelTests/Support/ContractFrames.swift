// SPDX-License-Identifier: Apache-2.0
import Lab

/// The hosts around the router: host A hangs on its port p1, and so on.
enum ContractHost: Int, Sendable, CaseIterable {
  case a = 1
  case b, c, d

  var name: String { ["A", "B", "C", "D"][rawValue - 1] }
  var port: String { "p\(rawValue)" }
  var mac: MAC { MAC(number: 0x0a00 + UInt32(rawValue)) }
  /// The MAC of the router's end of its cable.
  var gateway: MAC { MAC(number: 0x0100 + UInt32(rawValue)) }
  /// In the network of its cable.
  var address: IPv4Address { IPv4Address(0x0a00_0002 + UInt32(rawValue) << 8) }
  /// In the network all hosts of a bridge share.
  var bridged: IPv4Address { IPv4Address(0x0a00_0000 + UInt32(rawValue)) }

  static let bridgeMAC = MAC(number: 0x0200)
  /// The type of the frames that only teach a bridge where a host is.
  static let hello: UInt16 = 0x88b5
}

extension Shot {
  /// A UDP datagram to the router, or to `mac`, for a host behind it.
  static func udp(
    _ host: ContractHost = .a, to destination: IPv4Address = "10.0.2.2",
    from source: IPv4Address? = nil, ports: (UInt16, UInt16) = (1000, 2000), size: Int = 40,
    id: UInt16 = 1, mac: MAC? = nil, _ adjust: (inout IPv4) -> Void = { _ in }
  ) -> Shot {
    let payload = (0..<max(0, size - 28)).map { UInt8(truncatingIfNeeded: $0 &+ Int(id)) }
    let ip = IPv4(
      from: source ?? host.address, to: destination,
      .udp(from: ports.0, to: ports.1, payload)
    ) {
      $0.identification = id
      adjust(&$0)
    }
    return Shot(
      host: host,
      bytes: Packet(from: host.mac, to: mac ?? host.gateway, .ipv4(ip)).bytes)
  }

  /// Several that differ in their IP identification: their order can be told.
  static func burst(_ count: UInt16 = 3, _ shot: (UInt16) -> Shot) -> [Shot] {
    (1...count).map(shot)
  }

  /// A datagram with `length` bytes of IP.
  static func sized(_ length: Int, id: UInt16 = 1, df: Bool = true) -> Shot {
    udp(size: length, id: id) { $0.dontFragment = df }
  }

  /// A datagram whose header checksum is `wanted`, by its identification.
  static func withChecksum(_ wanted: UInt16) -> Shot {
    for id in UInt16(0)...UInt16.max {
      let shot = udp(id: id)
      if UInt16(shot.bytes[24]) << 8 | UInt16(shot.bytes[25]) == wanted { return shot }
    }
    return udp()
  }

  /// An answer to an echo nobody sent: a host that has the address takes it without a word.
  static func echoReply(
    _ host: ContractHost = .a, to destination: IPv4Address = "10.0.2.2", id: UInt16 = 1
  ) -> Shot {
    let ip = IPv4(
      from: host.address, to: destination,
      .echo(identifier: 9, sequence: id, reply: true, Array(repeating: 7, count: 24))
    ) { $0.identification = id }
    return Shot(host: host, bytes: Packet(from: host.mac, to: host.gateway, .ipv4(ip)).bytes)
  }

  /// A datagram from one host of a bridge to another.
  static func across(
    _ host: ContractHost = .a, _ other: ContractHost = .b, id: UInt16 = 1, size: Int = 46,
    source: MAC? = nil, mac: MAC? = nil, tags: [VLANTag] = [],
    _ adjust: (inout IPv4) -> Void = { _ in }
  ) -> Shot {
    let payload = (0..<max(0, size - 28)).map { UInt8(truncatingIfNeeded: $0 &+ Int(id)) }
    let ip = IPv4(
      from: host.bridged, to: other.bridged, .udp(from: 1000, to: 2000, payload)
    ) {
      $0.identification = id
      adjust(&$0)
    }
    return Shot(
      host: host,
      bytes: Packet(from: source ?? host.mac, to: mac ?? other.mac, tags: tags, .ipv4(ip)).bytes)
  }

  /// Any frame.
  static func frame(
    _ host: ContractHost = .a, to mac: MAC, from source: MAC? = nil, _ content: Packet.Content
  ) -> Shot {
    Shot(
      host: host,
      bytes: Packet(from: source ?? host.mac, to: mac, paddedTo: 60, content).bytes)
  }

  /// With bytes changed, whatever that does to checksums. The IPv4 header begins at 14.
  func editing(_ change: (inout [UInt8]) -> Void) -> Shot {
    var shot = self
    change(&shot.bytes)
    return shot
  }

  /// With bytes of the IPv4 header changed and its checksum put right, over twenty bytes.
  func header(_ change: (inout [UInt8]) -> Void) -> Shot {
    editing { bytes in
      change(&bytes)
      bytes[24] = 0
      bytes[25] = 0
      let sum = Checksum.of(bytes[14..<34])
      bytes[24] = UInt8(sum >> 8)
      bytes[25] = UInt8(sum & 0xff)
    }
  }

  /// With bytes behind the packet.
  func padded(by count: Int) -> Shot {
    editing { $0 += (0..<count).map { UInt8(truncatingIfNeeded: 0xa0 + $0) } }
  }
}
