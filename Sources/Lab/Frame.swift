// SPDX-License-Identifier: Apache-2.0

/// A frame as it was seen: its bytes, and what they mean.
public struct Frame: Equatable, Sendable, CustomStringConvertible {
  public let bytes: [UInt8]
  /// Nanoseconds since 1970; 0 where nobody took the time.
  public let time: UInt64
  /// Sent by the host it was captured on.
  public let outgoing: Bool

  public init(_ bytes: [UInt8], time: UInt64 = 0, outgoing: Bool = false) {
    self.bytes = bytes
    self.time = time
    self.outgoing = outgoing
  }

  func u8(_ offset: Int) -> UInt8? { bytes.indices.contains(offset) ? bytes[offset] : nil }

  func u16(_ offset: Int) -> UInt16? {
    guard let high = u8(offset), let low = u8(offset + 1) else { return nil }
    return UInt16(high) << 8 | UInt16(low)
  }

  func u32(_ offset: Int) -> UInt32? {
    guard let high = u16(offset), let low = u16(offset + 2) else { return nil }
    return UInt32(high) << 16 | UInt32(low)
  }

  func slice(_ offset: Int, _ count: Int) -> [UInt8]? {
    guard offset >= 0, count >= 0, offset + count <= bytes.count else { return nil }
    return Array(bytes[offset..<offset + count])
  }

  public var destination: MAC? { slice(0, 6).map { MAC(bytes: $0) } }
  public var source: MAC? { slice(6, 6).map { MAC(bytes: $0) } }

  /// The VLAN tags, the type of what follows them and where that begins.
  package var layers: (tags: [VLANTag], etherType: UInt16, start: Int)? {
    var offset = 12
    var tags: [VLANTag] = []
    while let type = u16(offset) {
      guard [0x8100, 0x88a8, 0x9100].contains(type), let tci = u16(offset + 2) else {
        return (tags, type, offset + 2)
      }
      tags.append(VLANTag(tci & 0xfff, priority: UInt8(tci >> 13), etherType: type))
      offset += 4
    }
    return nil
  }

  public var tags: [VLANTag] { layers?.tags ?? [] }
  public var etherType: UInt16? { layers?.etherType }

  /// The parts of its IPv4 header; nil where there is none.
  public var ipv4: IPv4View? {
    guard let layers, layers.etherType == 0x0800 else { return nil }
    return IPv4View(frame: self, start: layers.start)
  }

  /// The bytes a UDP datagram or TCP segment over IPv4 carries.
  public var payload: [UInt8]? {
    guard let ipv4, let transport = ipv4.transportStart else { return nil }
    let end = ipv4.end
    switch ipv4.number {
    case 17: return slice(transport + 8, end - transport - 8)
    case 6:
      guard let offset = u8(transport + 12) else { return nil }
      let header = Int(offset >> 4) * 4
      return slice(transport + header, end - transport - header)
    default: return nil
    }
  }

  /// One line, as an engineer would say it.
  public var description: String {
    guard let source, let destination, let layers else { return "\(bytes.count) bytes, no frame" }
    var words = ["\(source) > \(destination)"]
    for tag in layers.tags {
      words.append(tag.etherType == 0x8100 ? "vlan \(tag.id)" : "svlan \(tag.id)")
    }
    switch layers.etherType {
    case 0x0800: words.append(ipv4?.description ?? "IPv4 cut short")
    case 0x86dd: words.append(IPv6View(frame: self, start: layers.start).description)
    case 0x0806: words.append(arp(layers.start))
    case let type where type < 0x600: words.append("802.3 length \(type)")
    case let type: words.append("type 0x\(String(type, radix: 16))")
    }
    words.append("(\(bytes.count) bytes)")
    return words.joined(separator: " ")
  }

  private func arp(_ start: Int) -> String {
    guard let operation = u16(start + 6), let sender = u32(start + 14),
      let mac = slice(start + 8, 6),
      let target = u32(start + 24)
    else { return "ARP cut short" }
    switch operation {
    case 1: return "ARP who has \(IPv4Address(target)) tell \(IPv4Address(sender))"
    case 2: return "ARP \(IPv4Address(sender)) is at \(MAC(bytes: mac))"
    default: return "ARP operation \(operation)"
    }
  }
}

/// An IPv4 header inside a frame.
public struct IPv4View: CustomStringConvertible {
  let frame: Frame
  let start: Int

  init?(frame: Frame, start: Int) {
    guard let first = frame.u8(start), first >> 4 == 4, frame.bytes.count >= start + 20 else {
      return nil
    }
    self.frame = frame
    self.start = start
  }

  private func byte(_ offset: Int) -> UInt8 { frame.u8(start + offset) ?? 0 }
  private func word(_ offset: Int) -> UInt16 { frame.u16(start + offset) ?? 0 }

  public var headerLength: Int { Int(byte(0) & 15) * 4 }
  public var tos: UInt8 { byte(1) }
  public var totalLength: Int { Int(word(2)) }
  public var identification: UInt16 { word(4) }
  public var dontFragment: Bool { word(6) & 0x4000 != 0 }
  public var moreFragments: Bool { word(6) & 0x2000 != 0 }
  public var fragmentOffset: UInt16 { word(6) & 0x1fff }
  public var ttl: UInt8 { byte(8) }
  public var number: UInt8 { byte(9) }
  public var source: IPv4Address { IPv4Address(frame.u32(start + 12) ?? 0) }
  public var destination: IPv4Address { IPv4Address(frame.u32(start + 16) ?? 0) }

  public var checksumIsRight: Bool {
    guard let header = frame.slice(start, headerLength), headerLength >= 20 else { return false }
    return Checksum.of(header) == 0
  }

  /// Where the packet ends by its own word, at most where the frame does.
  var end: Int { min(start + totalLength, frame.bytes.count) }

  /// Bytes of the frame behind the packet.
  public var padding: Int { max(0, frame.bytes.count - start - totalLength) }

  var transportStart: Int? { fragmentOffset == 0 ? start + headerLength : nil }

  /// Whether a TCP or UDP checksum fits; nil where there is none to check.
  public var transportChecksumIsRight: Bool? {
    guard let transport = transportStart, !moreFragments, [6, 17].contains(number),
      end > transport, let bytes = frame.slice(transport, end - transport)
    else { return nil }
    if number == 17 && frame.u16(transport + 6) == 0 { return nil }
    let pseudo = Checksum.pseudoHeader(
      source.bytes + destination.bytes, length: bytes.count, number: number)
    return Checksum.of(pseudo + bytes) == 0
  }

  public var description: String {
    var words = ["IPv4 \(source) > \(destination) ttl \(ttl)"]
    if tos != 0 { words.append("tos 0x\(String(tos, radix: 16))") }
    if headerLength > 20 { words.append("options \(headerLength - 20)") }
    if dontFragment { words.append("DF") }
    if moreFragments || fragmentOffset > 0 {
      words.append(
        "fragment \(identification)@\(Int(fragmentOffset) * 8)\(moreFragments ? "+" : "")")
    }
    if !checksumIsRight { words.append("[bad header checksum]") }
    if start + totalLength > frame.bytes.count { words.append("[cut short]") }
    if let transport = transportStart {
      words.append(
        TransportView(frame: frame, start: transport, end: end, number: number).description)
    }
    if transportChecksumIsRight == false { words.append("[bad transport checksum]") }
    if padding > 0 { words.append("padding \(padding)") }
    return words.joined(separator: " ")
  }
}

private struct IPv6View: CustomStringConvertible {
  let frame: Frame
  let start: Int

  var description: String {
    guard let source = frame.slice(start + 8, 16), let destination = frame.slice(start + 24, 16),
      var next = frame.u8(start + 6), let length = frame.u16(start + 4),
      let hopLimit = frame.u8(start + 7)
    else { return "IPv6 cut short" }
    var words = [
      "IPv6 \(IPv6Address(bytes: source)) > \(IPv6Address(bytes: destination)) hlim \(hopLimit)"
    ]
    var offset = start + 40
    while [0, 43, 44, 60].contains(next), let after = frame.u8(offset),
      let units = frame.u8(offset + 1)
    {
      words.append(
        [0: "hop-by-hop", 43: "routing", 44: "fragment", 60: "destination-options"][next] ?? "?")
      offset += next == 44 ? 8 : 8 * (Int(units) + 1)
      next = after
    }
    let end = min(start + 40 + Int(length), frame.bytes.count)
    words.append(TransportView(frame: frame, start: offset, end: end, number: next).description)
    return words.joined(separator: " ")
  }
}

private struct TransportView: CustomStringConvertible {
  let frame: Frame
  let start: Int
  let end: Int
  let number: UInt8

  var description: String {
    switch number {
    case 17:
      guard let source = frame.u16(start), let destination = frame.u16(start + 2) else { break }
      return "UDP \(source) > \(destination) len \(max(0, end - start - 8))"
    case 6:
      guard let source = frame.u16(start), let destination = frame.u16(start + 2),
        let flags = frame.u8(start + 13), let offset = frame.u8(start + 12)
      else { break }
      let names = ["F", "S", "R", "P", "A", "U"].enumerated()
        .filter { flags & (1 << $0.offset) != 0 }.map(\.element).joined()
      let length = max(0, end - start - Int(offset >> 4) * 4)
      return "TCP \(source) > \(destination) [\(names)] len \(length)"
    case 1:
      guard let type = frame.u8(start), let code = frame.u8(start + 1) else { break }
      let names: [UInt8: String] = [
        0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo", 11: "time exceeded",
      ]
      return "ICMP \(names[type] ?? "type \(type)")\(code == 0 ? "" : " code \(code)")"
    case 58:
      guard let type = frame.u8(start) else { break }
      let names: [UInt8: String] = [
        1: "unreachable", 2: "too big", 3: "time exceeded", 128: "echo", 129: "echo reply",
        133: "router solicitation", 134: "router advertisement", 135: "neighbour solicitation",
        136: "neighbour advertisement",
      ]
      return "ICMPv6 \(names[type] ?? "type \(type)")"
    default: return "protocol \(number) len \(max(0, end - start))"
    }
    return "protocol \(number) cut short"
  }
}
