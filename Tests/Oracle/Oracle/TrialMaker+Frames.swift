// SPDX-License-Identifier: Apache-2.0
import Lab

extension TrialMaker {
  /// A frame from somewhere.
  mutating func shot(_ door: World.Door) -> Trial.Shot {
    if !flows.isEmpty, chance.percent(75) { return flowing() }
    var shot: Trial.Shot
    firstPort = UInt16(1024 + 16 * door.port)
    switch chance.below(100) {
    case 0..<45: shot = plain(door)
    case 45..<79: shot = ipv4(door)
    case 79..<82: shot = unfinished(door)
    case 82..<86: shot = arp(door)
    case 86..<90: shot = ipv6(door)
    case 90..<93: shot = tagged(door)
    case 93..<95: shot = other(door)
    default: shot = broken(door)
    }
    if chance.percent(8) { shot.rests = true }
    if !door.vlans.isEmpty, shot.segment == nil, chance.percent(80) {
      let tag = VLANTag(chance.one(of: door.vlans), priority: UInt8(chance.below(8)))
      shot.bytes.insert(contentsOf: tag.bytes, at: 12)
    }
    return shot
  }

  // MARK: Ethernet

  private mutating func macs(_ door: World.Door) -> (source: MAC, destination: MAC, isUsual: Bool) {
    let own = Names.hostMAC(door.port)
    var (source, destination, isUsual) = (own, door.gateway, true)
    if !door.stations.isEmpty, chance.percent(door.own == nil ? 90 : 40) {
      destination = chance.one(of: door.stations)
    }
    switch chance.below(200) {
    case 0..<4: destination = .broadcast
    case 4..<7: destination = "01:00:5e:01:01:01"
    case 7..<9: destination = "01:80:c2:00:00:00"
    case 9..<10: destination = "01:80:c2:00:00:0e"
    case 10..<14: destination = Names.gatewayMAC(1 + chance.below(world.cables))
    case 14..<16: destination = Names.bridgeMAC(chance.below(2))
    case 16..<18: destination = MAC(number: 0x0b00 + UInt32(chance.below(8)))
    case 18..<19: destination = .zero
    case 19..<21: destination = own
    case 21..<25: destination = Names.hostMAC(1 + chance.below(world.cables))
    default: break
    }
    switch chance.below(200) {
    case 0..<4: source = Names.hostMAC(1 + chance.below(world.cables))
    case 4..<6: source = MAC(number: 0x0b00 + UInt32(chance.below(8)))
    case 6..<7: source = "03:00:00:00:00:01"
    case 7..<8: source = .zero
    case 8..<9: source = Names.gatewayMAC(door.port)
    case 9..<10: source = door.gateway
    default: break
    }
    isUsual = source == own
    return (source, destination, isUsual)
  }

  private mutating func frame(_ door: World.Door, _ content: Packet.Content) -> Trial.Shot {
    let (source, destination, isUsual) = macs(door)
    var packet = Packet(from: source, to: destination, content)
    if chance.percent(6) { packet.paddedTo = chance.one(of: [60, 60, 64, 100, 1514]) }
    // Where a station seems to move, the bridge is given the time to see it.
    return Trial.Shot(door.port, packet.bytes, rests: !isUsual)
  }

  // MARK: IPv4

  /// A packet that most networks forward, with at most one thing about it that is not plain.
  private mutating func plain(_ door: World.Door) -> Trial.Shot {
    let others = world.doors.filter { $0.port != door.port }
    let other = chance.one(of: others.isEmpty ? [door] : others)
    var destination = chance.percent(60) ? other.address : routed()
    if chance.percent(20), !pool.isEmpty { destination = chance.one(of: pool) }
    var gateway = door.gateway
    if other.own == door.own, door.stations.contains(Names.hostMAC(other.port)) {
      gateway = Names.hostMAC(other.port)
    }
    var packet = IPv4(
      from: IPv4Address(chance.percent(85) ? door.address : source(at: door)),
      to: IPv4Address(destination), transport())
    number &+= 1
    packet.identification = number
    vary(&packet, carries: 1, of: 20)
    return Trial.Shot(
      door.port, Packet(from: Names.hostMAC(door.port), to: gateway, .ipv4(packet)).bytes)
  }

  /// Changes one thing about a packet, once in a while: of `all` times, in `carries` to what carries.
  mutating func vary(_ packet: inout IPv4, carries: Int, of all: Int) {
    switch chance.below(all) {
    case 0: packet.ttl = chance.one(of: [1, 2, 255])
    case 1: packet.tos = UInt8(chance.below(256))
    case 2: packet.dontFragment = true
    case 3: packet.moreFragments = true
    case 4: packet.fragmentOffset = 185
    case 5..<5 + carries: packet.identification = Self.identification(of: packet)
    default: break
    }
  }

  /// With which the sum over the header has to carry when the TTL goes down: once in 65,536 by chance.
  static func identification(of packet: IPv4) -> UInt16 {
    var packet = packet
    packet.identification = 0
    let header = packet.bytes.prefix(20)
    let checksum = UInt32(header[10]) << 8 | UInt32(header[11])
    // The checksum is the complement of the sum of everything else, and is to be 0xfeff.
    return UInt16((checksum + 0x0100) % 0xffff)
  }

  private mutating func ipv4(_ door: World.Door) -> Trial.Shot {
    frame(door, .ipv4(ipv4Packet(door)))
  }

  private mutating func ipv4Packet(_ door: World.Door) -> IPv4 {
    var packet = IPv4(
      from: IPv4Address(source(at: door)), to: IPv4Address(destination(from: door)), transport())
    number &+= 1
    packet.identification = number
    if chance.percent(15) {
      packet.ttl = chance.one(of: [0, 1, 1, 2, 2, 3, 255])
    }
    if chance.percent(15) { packet.tos = UInt8(chance.below(256)) }
    if chance.percent(20) { packet.dontFragment = true }
    if chance.percent(5) {
      packet.moreFragments = chance.percent(60)
      packet.fragmentOffset = chance.one(of: [0, 1, 8, 185, 8189])
    }
    if chance.percent(4) {
      packet.options = chance.one(of: [
        [1], [1, 1, 1, 1], [7, 7, 4, 0, 0, 0, 0], [0x83, 7, 4, 10, 0, 2, 2], [0x94, 4, 0, 0],
        [0x44, 4, 5, 0], [0x88, 4, 0, 1], [130, 255, 3, 1],
      ])
    }
    if chance.percent(3) { packet.checksumFault = chance.one(of: [1, 0x0100, 0xffff, 0x8000]) }
    if chance.percent(3) {
      let length = UInt16(truncatingIfNeeded: packet.bytes.count)
      packet.claimedLength = chance.one(of: [
        length &- 1, length &+ 1, length &+ 20, 20, 19, 0, 65535, length / 2,
      ])
    }
    return packet
  }

  /// How much a packet carries, often as much as fits.
  mutating func payload(_ header: Int) -> [UInt8] {
    switch chance.below(100) {
    case 0..<60: return filler(chance.below(80))
    case 60..<75: return filler(chance.below(1400))
    default:
      let edge = chance.one(of: [1500, 1500, 1400, 1280, 576, 2000, 2980])
      return filler(edge - 20 - header + chance.one(of: [-1, 0, 1, 4]))
    }
  }

  /// What a local sender leaves to the device: a checksum, and often cutting a stream into segments.
  private mutating func unfinished(_ door: World.Door) -> Trial.Shot {
    let size = chance.one(of: [1448, 1448, 1460, 536, 1000, 1461])
    let isStream = chance.percent(70)
    let content = filler(isStream ? size * (2 + chance.below(4)) - chance.below(200) : 40)
    var packet = IPv4(
      from: IPv4Address(door.address), to: IPv4Address(destination(from: door)),
      .tcp(
        Transport.TCP(from: 1024, to: 80, [.ack, .psh]) {
          $0.sequence = UInt32(number) << 12
          $0.payload = content
          $0.checksum = .none
        }))
    number &+= 1
    (packet.identification, packet.dontFragment) = (number, chance.percent(70))
    if chance.percent(10) { packet.ttl = chance.one(of: [1, 2]) }
    if chance.percent(10) { packet.tos = 0x10 }
    let (source, destination, isUsual) = macs(door)
    var bytes = Packet(from: source, to: destination, .ipv4(packet)).bytes
    // The device wants the sum over the pseudo header in place of the checksum.
    let pseudo =
      Array(bytes[26..<34]) + [0, 6] + [
        UInt8((bytes.count - 34) >> 8), UInt8((bytes.count - 34) & 255),
      ]
    let sum = ~Checksum.of(pseudo)
    (bytes[50], bytes[51]) = (UInt8(sum >> 8), UInt8(sum & 255))
    return Trial.Shot(door.port, bytes, rests: !isUsual, segment: isStream ? size : 0)
  }

  private static let ports: [UInt16] = [0, 22, 53, 80, 443, 1023, 1024, 4789, 8080, 65535, 2000]

  private mutating func transport() -> Transport {
    let (from, to) = (firstPort + UInt16(chance.below(8)), chance.one(of: Self.ports))
    switch chance.below(100) {
    case 0..<50:
      return .udp(
        from: from, to: to, payload(8),
        checksum: chance.one(weighted: [(80, .right), (15, .none), (5, .wrong)]))
    case 50..<76:
      let flags = chance.one(of: [16, 2, 18, 24, 17, 4, 20, 0, 63, 41])
      return .tcp(
        Transport.TCP(from: from, to: to, .init(rawValue: UInt8(flags))) {
          $0.sequence = UInt32(number) << 12
          $0.acknowledgement = UInt32(number) << 11
          if chance.percent(10) { $0.checksum = .wrong }
          if chance.percent(20) { $0.options = [2, 4, 5, 0xb4] }
          $0.payload = payload(20)
        })
    case 76..<84:
      return .echo(
        identifier: number, sequence: from, reply: chance.percent(30), filler(chance.below(1300)))
    case 84..<92: return message()
    case 92..<95:
      return .raw(protocol: chance.one(of: [2, 4, 41, 47, 50, 51, 103, 112, 254, 0]), payload(0))
    case 95..<97: return .raw(protocol: chance.one(of: [132, 136, 33]), payload(0))
    default: return .raw(protocol: chance.one(of: [6, 17, 1]), filler(chance.below(9)))
    }
  }

  /// An ICMP message about another packet.
  private mutating func message() -> Transport {
    let inner = IPv4(
      from: IPv4Address(routed()), to: IPv4Address(chance.one(of: world.doors).address),
      .udp(from: 2000, to: 1024, filler(8)))
    let (type, code, rest): (UInt8, UInt8, UInt32) = chance.one(of: [
      (3, 0, 0), (3, 1, 0), (3, 3, 0), (3, 4, 1400), (3, 4, 576), (3, 13, 0), (5, 1, 0x0a00_0203),
      (11, 0, 0), (11, 1, 0), (12, 0, 0x1400_0000), (4, 0, 0), (17, 0, 0), (42, 0, 0),
    ])
    return .icmp(type: type, code: code, rest: rest, inner.bytes)
  }

  // MARK: Neighbours

  private mutating func arp(_ door: World.Door) -> Trial.Shot {
    let (source, _, _) = macs(door)
    let sender = chance.percent(70) ? door.address : chance.one(of: door.neighbours)
    let target = chance.one(of: [
      door.own ?? door.address, chance.one(of: door.neighbours), destination(from: door), sender,
    ])
    var content = ARP.request(
      from: (source, IPv4Address(chance.percent(95) ? sender : 0)), for: IPv4Address(target))
    var to = MAC.broadcast
    if chance.percent(35) {
      content = ARP.reply(
        from: (source, IPv4Address(sender)), to: (door.gateway, IPv4Address(door.own ?? target)))
      to = door.gateway
    }
    var packet = Packet(from: source, to: chance.percent(90) ? to : door.gateway, .arp(content))
    if chance.percent(40) { packet.paddedTo = 60 }
    return Trial.Shot(door.port, packet.bytes, rests: true)
  }

  // MARK: IPv6

  private mutating func ipv6Address(_ door: World.Door) -> IPv6Address {
    let own = "fd00:\(door.port)::2"
    return chance.one(of: [
      IPv6Address(stringLiteral: own), IPv6Address(stringLiteral: "fd00:\(1 + chance.below(4))::2"),
      "fd00:9::1", "fe80::2", "ff02::1", "ff02::2", "::1", "::", "2001:db8::1", "::ffff:10.0.2.2",
      IPv6Address(stringLiteral: "fd00:\(door.port)::1"),
    ])
  }

  private mutating func ipv6(_ door: World.Door) -> Trial.Shot {
    var packet = IPv6(from: ipv6Address(door), to: ipv6Address(door), transport().carriable)
    if chance.percent(30) { packet.hopLimit = chance.one(of: [0, 1, 2, 255]) }
    if chance.percent(30) {
      packet.extensions = chance.one(of: [
        [.hopByHop], [.destinationOptions], [.hopByHop, .destinationOptions],
        [.fragment(offset: 0, more: true, identification: 7)],
        [.fragment(offset: 100, more: false, identification: 7)],
      ])
    }
    if chance.percent(15) {
      packet.transport = .icmpv6(
        type: chance.one(of: [133, 135, 136, 128]), code: 0, rest: 0, filler(24))
    }
    return frame(door, .ipv6(packet))
  }

  // MARK: Everything else

  private mutating func tagged(_ door: World.Door) -> Trial.Shot {
    let (source, destination, isUsual) = macs(door)
    var tags = [
      VLANTag(UInt16(chance.one(of: [0, 1, 5, 10, 4095])), priority: UInt8(chance.below(8)))
    ]
    if chance.percent(30) {
      tags.insert(VLANTag(7, etherType: chance.one(of: [0x88a8, 0x8100])), at: 0)
    }
    let packet = Packet(from: source, to: destination, tags: tags, .ipv4(ipv4Packet(door)))
    return Trial.Shot(door.port, packet.bytes, rests: !isUsual)
  }

  private mutating func other(_ door: World.Door) -> Trial.Shot {
    let type = chance.one(
      of: [
        0x88cc, 0x8864, 0x88e3, 0x8902, 0x9000, 0x0026, 0x0600, 0x8847, 0x888e, 0x0842,
      ] as [UInt16])
    return frame(door, .raw(etherType: type, filler(38 + chance.below(40))))
  }

  /// A frame that lost something on its way.
  private mutating func broken(_ door: World.Door) -> Trial.Shot {
    var shot = ipv4(door)
    if chance.percent(50) {
      shot.bytes.removeLast(shot.bytes.count - min(shot.bytes.count, 14 + chance.below(40)))
    } else {
      let place = 12 + chance.below(min(30, shot.bytes.count - 12))
      shot.bytes[place] ^= UInt8(1 << chance.below(8))
    }
    return shot
  }
}

extension Transport {
  /// What IPv6 can carry: an ICMP message is not one of its own.
  fileprivate var carriable: Transport {
    if case .icmp = self { return .udp(from: 1024, to: 53) }
    return self
  }
}
