// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

/// Frames from the eth0 of one host to the eth0 of another, with fpd somewhere between.
struct FastWay {
  var from: Namespace
  var to: Namespace
  /// The interface of fpd's where the frames come in.
  var entry: String
  var source: IPv4Address
  var destinations: [IPv4Address]
  /// The addresses of the router's interfaces that the frames enter and leave; `nil`: bridged.
  var router: (enter: MAC, leave: MAC)?

  private static let port: UInt16 = 7777

  /// Sends frames of all sizes; each must arrive once, in order and byte for byte as the kernel would have
  /// forwarded it, and fpd must have counted each as its own.
  func expectDelivery(
    _ count: Int = 20, by fpd: Fpd, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let mouth = try Tap("eth0", in: from)
    let ear = try Tap("eth0", in: to)
    let (near, far) = (try from.mac(of: "eth0"), try to.mac(of: "eth0"))
    let before = try fpd.stats(entry)
    var wanted: [[UInt8]] = []
    for number in 0..<count {
      let length = [18, 19, 100, 576, 1001, 1472][number % 6]
      let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number &* 31) }
      func packet(_ ttl: UInt8, _ from: MAC, _ to: MAC) -> [UInt8] {
        let datagram = Transport.udp(from: UInt16(1000 + number), to: Self.port, payload)
        let address = destinations[number % destinations.count]
        return Packet(
          from: from, to: to,
          .ipv4(IPv4(from: source, to: address, datagram) { $0.ttl = ttl })
        ).bytes
      }
      try mouth.send(packet(9, near, router?.enter ?? far))
      wanted.append(router.map { packet(8, $0.leave, far) } ?? packet(9, near, far))
    }
    var heard: [[UInt8]] = []
    let deadline = Instant.now + .seconds(3)
    while heard.count < count, Tap.wait(for: [ear], by: deadline) {
      heard += try ear.take().map(\.bytes).filter(Self.isOurs)
    }
    // What comes twice comes soon.
    _ = Tap.wait(for: [ear], by: .now + .milliseconds(5))
    heard += try ear.take().map(\.bytes).filter(Self.isOurs)
    let after = try fpd.stats(entry)
    let what = "\(source) by \(entry)"
    #expect(heard.count == count, "\(what)", sourceLocation: sourceLocation)
    #expect(heard == wanted, "\(what)", sourceLocation: sourceLocation)
    #expect(
      after.forwarded - before.forwarded == count,
      "\(what): punted \(after.punted(since: before))", sourceLocation: sourceLocation)
  }

  private static func isOurs(_ frame: [UInt8]) -> Bool {
    frame.count > 38 && frame[12...13] == [8, 0] && frame[23] == 17
      && frame[36...37] == [UInt8(port >> 8), UInt8(port & 0xff)]
  }
}
