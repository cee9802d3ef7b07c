// SPDX-License-Identifier: Apache-2.0
import Control
import Glibc
import OrderedJSON

/// The packets that a `why` asks for: described by their fields, or captured ones whole.
struct PacketDescription {
  let frames: [[UInt8]]

  private static let framesMax = 1000

  /// `address` is where frames are sent to when the request does not say.
  init(_ request: Request, arrivingAt address: [UInt8]) throws(Refusal) {
    if let captured = request.arguments["frames"]?.array {
      guard captured.count <= Self.framesMax else {
        throw Refusal(
          .usage, "\(captured.count) packets are too many, \(Self.framesMax) are the most")
      }
      var frames: [[UInt8]] = []
      for text in captured { frames.append(try Self.bytes(text.string ?? "")) }
      self.frames = frames
      return
    }
    frames = [try Self.frame(request, address)]
  }

  private static func bytes(_ text: String) throws(Refusal) -> [UInt8] {
    let digits = Array(text.utf8)
    var bytes: [UInt8] = []
    for place in stride(from: 0, to: digits.count - 1, by: 2) {
      let pair = String(decoding: digits[place..<place + 2], as: UTF8.self)
      guard let byte = UInt8(pair, radix: 16) else { break }
      bytes.append(byte)
    }
    guard digits.count % 2 == 0, bytes.count * 2 == digits.count, bytes.count >= 14 else {
      throw Refusal(.usage, "a frame is written in hexadecimal digits, at least 14 bytes of it")
    }
    return bytes
  }

  private static func frame(_ request: Request, _ address: [UInt8]) throws(Refusal) -> [UInt8] {
    let destination = try mac(request, "dmac") ?? (address.count == 6 ? address : nil)
    let source = try mac(request, "smac") ?? [2, 0, 0, 0, 0, 1]
    var ethernet = (destination ?? [2, 0, 0, 0, 0, 2]) + source
    let from = try request.text("src") ?? "192.0.2.1"
    let to = try request.text("dst") ?? "198.51.100.1"
    let ttl = UInt8(try request.number("ttl", in: 0...255) ?? 64)
    let number = try transport(request)
    let payload = try transportHeader(number, request)
    if let from = ipv4(from), let to = ipv4(to) {
      ethernet += [0x08, 0x00]
      return ethernet + header(from, to, ttl, number, payload.count) + payload
    }
    guard let from = ipv6(from), let to = ipv6(to) else {
      throw Refusal(.usage, "src and dst are addresses of one family")
    }
    let length = [UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    return ethernet + [0x86, 0xdd, 0x60, 0, 0, 0] + length + [number, ttl] + from + to + payload
  }

  private static func transport(_ request: Request) throws(Refusal) -> UInt8 {
    switch request.arguments["proto"] {
    case nil, .string("udp")?: return 17
    case .string("tcp")?: return 6
    case .string("icmp")?: return 1
    case .string("icmpv6")?: return 58
    case .string("sctp")?: return 132
    default: return UInt8(try request.number("proto", in: 0...255) ?? 17)
    }
  }

  private static func transportHeader(
    _ number: UInt8, _ request: Request
  ) throws(Refusal) -> [UInt8] {
    let source = UInt16(try request.number("sport", in: 0...65535) ?? 40000)
    let destination = UInt16(try request.number("dport", in: 0...65535) ?? 40000)
    let ports =
      [source, destination].flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
    switch number {
    case 6: return ports + [0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]
    case 17: return ports + [0, 26, 0, 0] + [UInt8](repeating: 0, count: 18)
    case 1: return [8, 0, 0xf7, 0xfd, 0, 1, 0, 1]
    default: return ports + [UInt8](repeating: 0, count: 22)
    }
  }

  private static func header(
    _ from: [UInt8], _ to: [UInt8], _ ttl: UInt8, _ number: UInt8, _ payload: Int
  ) -> [UInt8] {
    let total = 20 + payload
    var header: [UInt8] = [0x45, 0, UInt8(total >> 8), UInt8(total & 255), 0, 1, 0, 0, ttl, number]
    header += [0, 0] + from + to
    var sum = stride(from: 0, to: 20, by: 2).reduce(UInt32(0)) {
      $0 + UInt32(header[$1]) << 8 + UInt32(header[$1 + 1])
    }
    while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
    header[10] = UInt8(truncatingIfNeeded: ~sum >> 8)
    header[11] = UInt8(truncatingIfNeeded: ~sum)
    return header
  }

  private static func mac(_ request: Request, _ name: String) throws(Refusal) -> [UInt8]? {
    guard let text = try request.text(name) else { return nil }
    let bytes = text.split(separator: ":").compactMap { UInt8($0, radix: 16) }
    guard bytes.count == 6 else { throw Refusal(.usage, "\(name): \(text) is no MAC address") }
    return bytes
  }

  private static func ipv4(_ text: String) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 4)
    return inet_pton(AF_INET, text, &bytes) == 1 ? bytes : nil
  }

  private static func ipv6(_ text: String) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 16)
    return inet_pton(AF_INET6, text, &bytes) == 1 ? bytes : nil
  }
}
