// SPDX-License-Identifier: Apache-2.0

/// A frame to send, described layer by layer. Everything that can be computed (lengths, checksums) is
/// right unless the description asks for it to be wrong.
public struct Packet: Sendable {
  public var source: MAC
  public var destination: MAC
  public var tags: [VLANTag]
  public var content: Content
  /// Bytes after the content up to this length of the frame, as Ethernet pads to 60.
  public var paddedTo: Int

  public enum Content: Sendable {
    case arp(ARP)
    case ipv4(IPv4)
    case ipv6(IPv6)
    case raw(etherType: UInt16, [UInt8])
  }

  public init(
    from source: MAC, to destination: MAC, tags: [VLANTag] = [], paddedTo: Int = 0,
    _ content: Content
  ) {
    self.source = source
    self.destination = destination
    self.tags = tags
    self.paddedTo = paddedTo
    self.content = content
  }

  /// The frame as it goes on the wire, without frame check sequence.
  public var bytes: [UInt8] {
    var frame = destination.bytes + source.bytes
    for tag in tags { frame += tag.bytes }
    switch content {
    case .arp(let arp): frame += UInt16(0x0806).bigEndianBytes + arp.bytes
    case .ipv4(let packet): frame += UInt16(0x0800).bigEndianBytes + packet.bytes
    case .ipv6(let packet): frame += UInt16(0x86dd).bigEndianBytes + packet.bytes
    case .raw(let type, let bytes): frame += type.bigEndianBytes + bytes
    }
    if frame.count < paddedTo {
      frame += repeatElement(0, count: paddedTo - frame.count)
    }
    return frame
  }
}

/// An 802.1Q or 802.1ad tag.
public struct VLANTag: Sendable, Equatable {
  public var id: UInt16
  public var priority: UInt8
  public var etherType: UInt16

  public init(_ id: UInt16, priority: UInt8 = 0, etherType: UInt16 = 0x8100) {
    self.id = id
    self.priority = priority
    self.etherType = etherType
  }

  package var bytes: [UInt8] {
    etherType.bigEndianBytes + (UInt16(priority & 7) << 13 | id & 0xfff).bigEndianBytes
  }
}

/// ARP for IPv4 over Ethernet.
public struct ARP: Sendable {
  public var operation: UInt16
  public var sender: (mac: MAC, address: IPv4Address)
  public var target: (mac: MAC, address: IPv4Address)

  public static func request(from sender: (MAC, IPv4Address), for address: IPv4Address) -> ARP {
    ARP(operation: 1, sender: sender, target: (.zero, address))
  }

  public static func reply(
    from sender: (MAC, IPv4Address), to target: (MAC, IPv4Address)
  ) -> ARP {
    ARP(operation: 2, sender: sender, target: target)
  }

  init(operation: UInt16, sender: (MAC, IPv4Address), target: (MAC, IPv4Address)) {
    self.operation = operation
    self.sender = sender
    self.target = target
  }

  var bytes: [UInt8] {
    [0, 1, 8, 0, 6, 4] + operation.bigEndianBytes + sender.mac.bytes + sender.address.bytes
      + target.mac.bytes + target.address.bytes
  }
}

/// An IPv4 packet.
public struct IPv4: Sendable {
  public var source: IPv4Address
  public var destination: IPv4Address
  public var ttl: UInt8 = 64
  public var tos: UInt8 = 0
  public var identification: UInt16 = 0
  public var dontFragment = false
  public var moreFragments = false
  /// In units of eight bytes.
  public var fragmentOffset: UInt16 = 0
  /// Padded with end-of-list to a multiple of four.
  public var options: [UInt8] = []
  /// XORed into the header checksum: anything but 0 makes it wrong.
  public var checksumFault: UInt16 = 0
  /// Instead of the right total length.
  public var claimedLength: UInt16?
  public var transport: Transport

  public init(
    from source: IPv4Address, to destination: IPv4Address, _ transport: Transport,
    _ adjust: (inout IPv4) -> Void = { _ in }
  ) {
    self.source = source
    self.destination = destination
    self.transport = transport
    adjust(&self)
  }

  public var bytes: [UInt8] {
    let options = options + [UInt8](repeating: 0, count: (4 - options.count % 4) % 4)
    let headerLength = 20 + options.count
    let pseudo = source.bytes + destination.bytes
    let payload = transport.bytes(pseudoHeader: pseudo)
    var header: [UInt8] = [0x40 | UInt8(truncatingIfNeeded: headerLength / 4), tos]
    header +=
      (claimedLength ?? UInt16(truncatingIfNeeded: headerLength + payload.count))
      .bigEndianBytes
    header += identification.bigEndianBytes
    let flags: UInt16 = (dontFragment ? 0x4000 : 0) | (moreFragments ? 0x2000 : 0)
    header += (flags | fragmentOffset & 0x1fff).bigEndianBytes
    header += [ttl, transport.number, 0, 0] + source.bytes + destination.bytes + options
    let checksum = Checksum.of(header) ^ checksumFault
    header.replaceSubrange(10..<12, with: checksum.bigEndianBytes)
    return header + payload
  }
}

/// An IPv6 packet.
public struct IPv6: Sendable {
  /// An extension header; its bytes begin after "next header" and are padded to a multiple of eight.
  public struct Extension: Sendable {
    public var number: UInt8
    public var content: [UInt8]
    public init(_ number: UInt8, _ content: [UInt8]) {
      self.number = number
      self.content = content
    }
    public static let hopByHop = Extension(0, [0, 1, 4, 0, 0, 0, 0])
    public static let destinationOptions = Extension(60, [0, 1, 4, 0, 0, 0, 0])
    /// A fragment; the offset is in units of eight bytes.
    public static func fragment(offset: UInt16, more: Bool, identification: UInt32) -> Extension {
      Extension(
        44, [0] + (offset << 3 | (more ? 1 : 0)).bigEndianBytes + identification.bigEndianBytes)
    }
  }

  public var source: IPv6Address
  public var destination: IPv6Address
  public var hopLimit: UInt8 = 64
  public var trafficClass: UInt8 = 0
  public var flowLabel: UInt32 = 0
  public var extensions: [Extension] = []
  public var transport: Transport

  public init(
    from source: IPv6Address, to destination: IPv6Address, _ transport: Transport,
    _ adjust: (inout IPv6) -> Void = { _ in }
  ) {
    self.source = source
    self.destination = destination
    self.transport = transport
    adjust(&self)
  }

  public var bytes: [UInt8] {
    let transport = transport.forIPv6
    var rest = transport.bytes(pseudoHeader: source.bytes + destination.bytes)
    var next = transport.number
    for header in extensions.reversed() {
      var bytes = [next] + header.content
      bytes += [UInt8](repeating: 0, count: (8 - bytes.count % 8) % 8)
      rest = bytes + rest
      next = header.number
    }
    let first = UInt32(6) << 28 | UInt32(trafficClass) << 20 | flowLabel & 0xfffff
    return first.bigEndianBytes + UInt16(truncatingIfNeeded: rest.count).bigEndianBytes
      + [next, hopLimit] + source.bytes + destination.bytes + rest
  }
}
