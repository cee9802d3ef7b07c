// SPDX-License-Identifier: Apache-2.0

/// Numbers by chance, the same for the same seed: SplitMix64.
package struct Chance: Sendable {
  private static let step: UInt64 = 0x9e37_79b9_7f4a_7c15
  private var state: UInt64

  /// What one seed gives has nothing to do with what the next one gives: a state that was only a multiple of
  /// the step would make the numbers of one the numbers of the other, but for the first.
  package init(seed: UInt64) { state = Self.mixed(Self.mixed(seed &+ Self.step) &+ Self.step) }

  package mutating func below(_ bound: Int) -> Int {
    state &+= Self.step
    return Int(Self.mixed(state) % UInt64(max(bound, 1)))
  }

  private static func mixed(_ number: UInt64) -> UInt64 {
    var mixed = number
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }

  package mutating func percent(_ hundredths: Int) -> Bool { below(100) < hundredths }

  package mutating func one<Element>(of elements: [Element]) -> Element {
    elements[below(elements.count)]
  }

  /// One, some of which come up more often.
  package mutating func one<Element>(weighted elements: [(Int, Element)]) -> Element {
    var rest = below(elements.reduce(0) { $0 + $1.0 })
    for (weight, element) in elements {
      if rest < weight { return element }
      rest -= weight
    }
    return elements[elements.count - 1].1
  }
}
