// SPDX-License-Identifier: Apache-2.0
import Lab

/// Elements of ipsets and packets by chance, of few values: so that they meet.
struct RandomSets {
  private var chance: RandomRules
  private let addresses: [UInt32]
  private static let ports: [UInt16] = [0, 1, 22, 53, 80, 443, 1024, 50_000, 65_535]
  private static let lengths = [9, 14, 18, 22, 24, 25, 27, 30, 31, 32]

  init(seed: UInt64) {
    var chance = RandomRules(seed: seed)
    var pool: [UInt32] = []
    for _ in 0..<10 {
      let near = 0x0a00_0000 | UInt32(chance.below(1 << 16))
      pool += [near, near ^ 1, near ^ UInt32(1 << chance.below(9))]
    }
    for _ in 0..<6 { pool.append(0x0b00_0000 | UInt32(chance.below(1 << 24))) }
    addresses = pool
    self.chance = chance
  }

  private mutating func one<Element>(of elements: [Element]) -> Element {
    elements[chance.below(elements.count)]
  }

  private mutating func percent(_ hundredths: Int) -> Bool { chance.below(100) < hundredths }

  private static func text(_ address: UInt32) -> String {
    [24, 16, 8, 0].map { String(address >> UInt32($0) & 0xff) }.joined(separator: ".")
  }

  private mutating func network() -> String {
    let length = one(of: Self.lengths)
    // Some are far from every packet.
    let address = percent(70) ? one(of: addresses) : 0x2000_0000 | UInt32(chance.below(1 << 28))
    return "\(Self.text(address & ~UInt32(0) << UInt32(32 - length)))/\(length)"
  }

  private mutating func port() -> String {
    switch chance.below(8) {
    case 0: return "icmp:8/\(chance.below(2))"
    case 1: return "47:0"
    case 2: return "icmp:0/0"
    default:
      let name = one(of: ["tcp", "udp", "tcp", "udp", "sctp", "udplite"])
      return "\(name):\(one(of: Self.ports))"
    }
  }

  /// A line that adds one to a set of a type; of networks some are `nomatch`.
  mutating func addition(
    to set: String, type: String, timeouts: Bool = false
  ) -> String {
    var line = "add \(set) "
    switch type {
    case "hash:ip": line += Self.text(one(of: addresses))
    case "bitmap:ip": line += Self.text(one(of: addresses) & 0x0a00_ffff)
    case "hash:net": line += network()
    case "hash:ip,port": line += Self.text(one(of: addresses)) + "," + port()
    case "hash:net,port": line += network() + "," + port()
    default: line += String(one(of: Self.ports.filter { $0 < 2000 }))
    }
    if timeouts { line += " timeout \(one(of: [0, 1000, 100_000]))" }
    if type.hasPrefix("hash:net"), percent(30) { line += " nomatch" }
    return line
  }

  mutating func packet() -> RulePacket {
    var packet = RulePacket()
    packet.source = one(of: addresses)
    packet.destination = one(of: addresses)
    packet.transport = one(of: [6, 17, 6, 17, 6, 17, 132, 136, 1, 1, 33, 47, 50])
    packet.isLaterFragment = percent(10)
    packet.sourcePort = one(of: Self.ports)
    packet.destinationPort = one(of: Self.ports)
    packet.icmp = one(of: [0x0800, 0x0801, 0x0000, 0x0300])
    (packet.length, packet.ttl) = (40, 64)
    return packet
  }

  mutating func packets(_ count: Int) -> [RulePacket] { (0..<count).map { _ in packet() } }
}
