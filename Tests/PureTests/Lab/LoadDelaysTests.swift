// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

@Suite struct LoadDelaysTests {
  private static func delays(_ microseconds: [Int64]) -> LoadDelays {
    var delays = LoadDelays()
    for delay in microseconds { delays.add(.microseconds(delay)) }
    return delays
  }

  @Test func bucketsAreInOrderAndNarrow() {
    var before = -1
    for power in 0..<40 {
      for part in 0..<8 as Range<UInt64> {
        let delay = UInt64(1) << UInt64(power) + part << UInt64(max(0, power - 3))
        let bucket = LoadDelays.bucket(delay)
        let distance = LoadDelays.value(bucket) - Double(delay)
        #expect(distance.magnitude <= max(0.5, Double(delay) / 32), "\(delay)")
        if power > 3 {
          #expect(bucket > before, "\(delay)")
          before = bucket
        }
      }
    }
    #expect((0..<64).allSatisfy { LoadDelays.value(LoadDelays.bucket($0)) == Double($0) })
    #expect(LoadDelays.bucket(.max) == LoadDelays.bucket(.max - 1))
  }

  @Test func quantilesAndMomentsAreThoseOfTheValues() {
    let delays = Self.delays((1...1000).map(Int64.init))
    #expect(delays.count == 1000 && delays.mean == 500.5)
    for (share, value) in [(0.01, 10.0), (0.5, 500), (0.99, 990), (0.999, 999), (1, 1000)] {
      #expect((delays.quantile(share) / value - 1).magnitude < 0.035, "\(share)")
    }
    #expect((delays.deviation / 288.8 - 1).magnitude < 0.02)
    #expect((delays.jitter / 980 - 1).magnitude < 0.05)
  }

  @Test func whatCameSinceIsTheDifference() {
    let before = Self.delays([5, 5, 900])
    var after = before
    after.add(.microseconds(70))
    #expect(after - before == Self.delays([70]) && after - Self.delays([70]) == before)
  }

  @Test func ofNothingThereIsNoNumber() {
    let none = LoadDelays()
    #expect(none.count == 0 && none.mean.isNaN && none.deviation.isNaN)
    #expect(none.quantile(0.5).isNaN && none.jitter.isNaN)
  }
}
