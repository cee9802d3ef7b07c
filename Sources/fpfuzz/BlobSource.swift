// SPDX-License-Identifier: Apache-2.0

/// Makes blobs by number: the same seed and corpus make the same ones. Even numbers are valid, odd
/// ones the valid one before them, damaged.
struct BlobSource {
  let seed: UInt64
  let corpus: [[UInt8]]

  func blob(_ number: Int) -> (bytes: [UInt8], label: String) {
    var random = Random(seed: seed &+ UInt64(number / 2) &* 0x9e37_79b9_7f4a_7c15)
    // A third comes from a real kernel, the rest is made here.
    var blob: (bytes: [UInt8], label: String)
    if !corpus.isEmpty, random.chance(1, in: 3) {
      let index = random.below(corpus.count)
      blob = (corpus[index], "recorded blob \(index)")
    } else {
      let maker = random.pick(Blobs.makers)
      blob = (maker.make(&random), maker.name)
    }
    if number % 2 == 1 { Mutation.damage(&blob.bytes, &random) }
    return blob
  }
}

/// SplitMix64: small, quick and the same everywhere.
struct Random: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<max(1, limit), using: &self) }
  mutating func chance(_ part: Int, in whole: Int) -> Bool { below(whole) < part }
  mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(below(256)) } }
  mutating func name() -> String {
    pick(["eth0", "br-lan", "filter", "INPUT", "a", "veth1234567890a"])
  }
}

/// Damage as it comes over broken wires, from other kernels and from malice.
enum Mutation {
  static func damage(_ bytes: inout [UInt8], _ random: inout Random) {
    for _ in 0...random.below(4) {
      guard !bytes.isEmpty else { return }
      let at = random.below(bytes.count)
      switch random.below(8) {
      case 0: bytes[at] = UInt8(random.below(256))
      case 1: bytes[at] ^= 1 << UInt8(random.below(8))
      case 2: bytes.removeLast(random.below(bytes.count))
      case 3: length(&bytes, at & ~3, &random)
      case 4: bytes.insert(contentsOf: random.bytes(1 + random.below(8)), at: at)
      case 5: bytes.removeSubrange(at..<min(bytes.count, at + 1 + random.below(8)))
      case 6:  // a piece again somewhere else
        let end = min(bytes.count, at + 4 + random.below(60))
        bytes.insert(contentsOf: Array(bytes[at..<end]), at: random.below(bytes.count))
      default:
        let end = min(bytes.count, at + 1 + random.below(16))
        let filling = random.pick([0, 0xff, 0x80, 0x7f] as [UInt8])
        for index in at..<end { bytes[index] = filling }
      }
    }
  }

  /// A length where attributes and matches have theirs.
  private static func length(_ bytes: inout [UInt8], _ at: Int, _ random: inout Random) {
    guard at + 2 <= bytes.count else { return }
    let lengths: [UInt16] = [0, 1, 3, 4, 5, 8, 31, 32, 33, 0x7fff, 0x8000, 0xffff]
    let value = random.pick(lengths)
    bytes[at] = UInt8(truncatingIfNeeded: value)
    bytes[at + 1] = UInt8(truncatingIfNeeded: value >> 8)
  }
}
