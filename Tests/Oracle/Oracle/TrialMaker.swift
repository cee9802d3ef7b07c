// SPDX-License-Identifier: Apache-2.0
import Lab

/// Makes trials by chance, the same for the same seed: a network, some stages of changes, and frames that
/// are aimed at what is configured and lie on its edges.
package struct TrialMaker {
  var chance: Chance
  let world: World
  /// Addresses that changes have to do with, on both sides of their edges.
  var pool: [UInt32] = []
  /// What takes changes back that are still there.
  var undo: [[String]] = []
  /// Of those who send now: connections of two hosts do not want the same port.
  var firstPort: UInt16 = 1024
  /// Connections that were made.
  var flows: [Flow] = []
  /// Tells frames from one another.
  var number: UInt16 = 0
  /// Which of iptables' tools this trial uses: both at once is a mess in Linux, too.
  let tool: String
  /// What stays with a namespace for good once it was there, and would blind most trials.
  let hasPolicies: Bool
  let hasNAT: Bool

  /// `kind` is one of `World.further`; without one it is chance's to choose.
  package init(seed: UInt64, kind: String? = nil) {
    var chance = Chance(seed: seed)
    let further = World.further.first { $0.name == kind }?.make
    let make = further ?? chance.one(weighted: World.all.map { ($0.weight, $0.make) })
    world = make(&chance).asShipped(&chance)
    tool = chance.one(of: ["iptables-legacy", "iptables-nft"])
    hasPolicies = chance.percent(20)
    hasNAT = chance.percent(25)
    self.chance = chance
  }

  /// The trial; asked for once.
  package mutating func make(stages: Int = 8, shots: Int = 100) -> Trial {
    var trial = Trial(
      name: world.name, cables: world.cables, hosts: world.hosts, hasIPv6: world.hasIPv6,
      build: world.build)
    trial.isTracked = world.isTracked
    for number in 0..<stages {
      var stage = Trial.Stage()
      stage.manner =
        number == 0
        ? .settled
        : chance.one(weighted: [(46, .settled), (22, .sudden), (26, .frozen), (6, .dead)])
      if number > 0 { stage.changes = changes() }
      stage.shots = greetings() + acknowledgements()
      // One sender after the other, each for some time.
      while stage.shots.count < shots {
        if world.isTracked, chance.percent(20) {
          stage.shots += conversation()
          continue
        }
        let door = chance.one(of: world.doors)
        stage.shots += (0..<4 + chance.below(24)).map { _ in shot(door) }
      }
      trial.stages.append(stage)
    }
    return trial
  }

  private mutating func changes() -> [String] {
    var lines: [String] = []
    // Most of what was changed is taken back some time, or nothing would be fast any more.
    let old = undo
    undo = []
    for back in old {
      if chance.percent(55) { lines += back } else { undo.append(back) }
    }
    for _ in 0..<chance.one(weighted: [(10, 0), (50, 1), (25, 2), (15, 3)]) {
      let change = change()
      lines += change.lines
      for line in change.lines { take(addressesOf: line) }
      if !change.undo.isEmpty { undo.append(change.undo) }
    }
    return lines
  }

  /// Has every station say something, so that bridges know where it is.
  private mutating func greetings() -> [Trial.Shot] {
    world.doors.filter { !$0.stations.isEmpty }.map { door in
      let frame = Packet(
        from: Names.hostMAC(door.port), to: .broadcast,
        .raw(etherType: 0x88b5, filler(46)))
      return Trial.Shot(door.port, frame.bytes, rests: true)
    }
  }

  // MARK: Addresses

  /// Remembers the addresses and networks in a command: inside, at the edges, and beside them.
  private mutating func take(addressesOf line: String) {
    for word in line.split(whereSeparator: { " ,{}".contains($0) }) {
      let parts = word.split(separator: "/")
      guard let first = parts.first, let address = IPv4Address(String(first)) else { continue }
      let length = parts.count == 2 ? Int(parts[1]) ?? 32 : 32
      let mask = length == 0 ? 0 : ~UInt32(0) << UInt32(32 - max(1, min(32, length)))
      let base = address.value & mask
      let last = base | ~mask
      pool += [address.value, base, last, base &- 1, last &+ 1, base &+ 1, base | (~mask & 0x0102)]
    }
    if pool.count > 60 { pool.removeFirst(pool.count - 60) }
  }

  static func text(_ address: UInt32) -> String { "\(IPv4Address(address))" }

  /// An address in one of the networks that are routed; few of each, so that the same come again.
  mutating func routed() -> UInt32 {
    let network = chance.one(of: world.networks)
    return network | chance.one(of: [0x0001, 0x0101, 0x0102, 0x0203, 0x0002, 0x0003])
  }

  static let strange: [UInt32] = [
    0, 0x0001_0203, 0x7f00_0001, 0x7f01_0101, 0xe000_0001, 0xe000_0005, 0xef01_0101, 0xf000_0001,
    0xffff_ffff, 0xa9fe_0101, 0x0affffff, 0x6440_0001, 0xc000_0201,
  ]

  mutating func destination(from door: World.Door) -> UInt32 {
    switch chance.below(100) {
    case 0..<40: return routed()
    case 40..<58:
      let other = chance.one(of: world.doors)
      return chance.percent(75) ? other.address : chance.one(of: other.neighbours)
    case 58..<74: return pool.isEmpty ? routed() : chance.one(of: pool)
    case 74..<81: return chance.one(of: world.doors).own ?? routed()
    case 81..<86:
      return (chance.one(of: world.doors).address & 0xffff_ff00) | chance.one(of: [0, 255])
    case 86..<93: return chance.one(of: Self.strange)
    case 93..<97: return door.address
    default: return UInt32(truncatingIfNeeded: chance.below(1 << 32))
    }
  }

  mutating func source(at door: World.Door) -> UInt32 {
    switch chance.below(100) {
    case 0..<55: return door.address
    case 55..<65: return chance.one(of: door.neighbours)
    case 65..<77: return routed()
    case 77..<85: return pool.isEmpty ? door.address : chance.one(of: pool)
    case 85..<88: return chance.one(of: world.doors).own ?? door.address
    case 88..<92: return chance.one(of: world.doors).address
    case 92..<97: return chance.one(of: Self.strange)
    case 97..<99:
      return (chance.one(of: world.doors).address & 0xffff_ff00) | chance.one(of: [0, 255])
    default: return UInt32(truncatingIfNeeded: chance.below(1 << 32))
    }
  }

  mutating func filler(_ count: Int) -> [UInt8] {
    number &+= 1
    let own = [UInt8(number >> 8), UInt8(number & 0xff)]
    return (0..<max(0, count)).map { own[$0 & 1] &+ UInt8(truncatingIfNeeded: $0 >> 1) }
  }
}
