// SPDX-License-Identifier: Apache-2.0

/// A packet that is sent through a firewall by one of the hosts 1, 2 and 3.
package struct FirewallPacket: Equatable, Sendable {
  /// What it is told by wherever it, or an answer to it, comes out.
  package var number: UInt16
  package var host = 1
  package var source: UInt32 = 0x0a4d_0101
  package var destination: UInt32 = 0x0a09_0101
  package var transport: UInt8 = 17
  package var sourcePort: UInt16 = 1000
  package var destinationPort: UInt16 = 2000
  package var flags: UInt8 = 16
  package var icmp: UInt16 = 0x0800
  /// In units of eight bytes.
  package var offset: UInt16 = 0
  package var moreFragments = false
  package var ttl: UInt8 = 64
  package var tos: UInt8 = 0
  /// Of the whole IP packet; not less than its headers take.
  package var length: UInt16 = 60
  /// The last byte of the sender's Ethernet address; its host's own if there is none.
  package var mac: UInt8?
  package var options: [UInt8] = []
  package var hasWrongChecksum = false
  /// Not all of its transport header is there.
  package var isCutShort = false

  package init(number: UInt16) { self.number = number }

  private static let portTransports: Set<UInt8> = [33, 132, 136]

  private var content: Transport {
    let room = max(0, Int(length) - 20 - (options.count + 3) / 4 * 4)
    func filling(_ header: Int) -> [UInt8] {
      (0..<max(0, room - header)).map { UInt8(truncatingIfNeeded: $0 &+ Int(number)) }
    }
    if isCutShort { return .raw(protocol: transport, Array(filling(0).prefix(Int(number % 8)))) }
    if offset > 0 { return .raw(protocol: transport, filling(0)) }
    switch transport {
    case 1:
      return .icmp(type: UInt8(icmp >> 8), code: UInt8(icmp & 0xff), filling(8))
    case 6:
      // A reset takes its numbers from these.
      return .tcp(
        .init(from: sourcePort, to: destinationPort, .init(rawValue: flags)) {
          $0.sequence = UInt32(number) << 12
          $0.acknowledgement = UInt32(number) << 12
          $0.payload = filling(20)
        })
    case 17: return .udp(from: sourcePort, to: destinationPort, filling(8))
    case let other where Self.portTransports.contains(other):
      return .raw(
        protocol: other,
        sourcePort.bigEndianBytes + destinationPort.bigEndianBytes + filling(4)
          + [UInt8](repeating: 0, count: max(0, 12 - room)))
    default: return .raw(protocol: transport, filling(0))
    }
  }

  /// The frame that its host puts on the cable.
  package func frame(from own: MAC, to gateway: MAC) -> [UInt8] {
    let ip = IPv4(from: IPv4Address(source), to: IPv4Address(destination), content) {
      ($0.ttl, $0.tos, $0.identification) = (ttl, tos, number)
      ($0.fragmentOffset, $0.moreFragments) = (offset, moreFragments)
      $0.options = options
      if hasWrongChecksum { $0.checksumFault = 0x0101 }
    }
    let sender = mac.map { MAC(bytes: own.bytes.dropLast() + [$0]) } ?? own
    return Packet(from: sender, to: gateway, .ipv4(ip)).bytes
  }

  /// The packet a frame is, or that it answers, if any.
  package static func number(behind frame: Frame) -> UInt16? {
    guard let ip = frame.ipv4 else { return nil }
    let transport = 14 + ip.headerLength
    let isError = [3, 4, 5, 11, 12].contains(frame.u8(transport) ?? 0)
    if ip.number == 1, isError, let inner = frame.u16(transport + 12),
      frame.u8(transport + 8).map({ $0 >> 4 }) == 4, ip.source.value & 0xffff_00ff == 0x0a00_0001
    {
      return inner
    }
    if ip.identification == 0, ip.number == 6 {
      let (sequence, acknowledged) = (frame.u32(transport + 4), frame.u32(transport + 8))
      return UInt16(truncatingIfNeeded: max(sequence ?? 0, acknowledged ?? 0) >> 12)
    }
    return ip.identification
  }

  /// Sets a field to a value that a rule asks for.
  mutating func take(_ field: Firewall.Field, _ value: UInt32) {
    switch field {
    case .host: host = Int(value)
    case .source: source = value
    case .destination: destination = value
    case .transport: transport = UInt8(truncatingIfNeeded: value)
    case .sourcePort: sourcePort = UInt16(truncatingIfNeeded: value)
    case .destinationPort: destinationPort = UInt16(truncatingIfNeeded: value)
    case .flags: flags = UInt8(truncatingIfNeeded: value)
    case .icmp: icmp = UInt16(truncatingIfNeeded: value)
    case .fragment:
      moreFragments = value == 1
      offset = value == 2 ? 64 : 0
    case .length: length = UInt16(truncatingIfNeeded: min(max(value, 20), 1500))
    case .ttl: ttl = UInt8(truncatingIfNeeded: value)
    case .tos: tos = UInt8(truncatingIfNeeded: value)
    case .mac: mac = UInt8(truncatingIfNeeded: value)
    }
  }

  /// The same, with one of its peculiarities gone.
  static let plainer: [@Sendable (inout FirewallPacket) -> Void] = [
    { $0.options = [] }, { $0.hasWrongChecksum = false }, { $0.isCutShort = false },
    { $0.mac = nil }, { ($0.offset, $0.moreFragments) = (0, false) }, { $0.ttl = 64 },
    { $0.tos = 0 }, { $0.length = 60 }, { $0.flags = 16 }, { $0.icmp = 0x0800 },
    { $0.sourcePort = 1000 }, { $0.destinationPort = 2000 }, { $0.host = 1 },
    { $0.transport = 17 }, { $0.source = 0x0a4d_0101 }, { $0.destination = 0x0a09_0101 },
  ]
}
