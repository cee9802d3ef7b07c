// SPDX-License-Identifier: Apache-2.0
import CLoad

/// How long things took, counted in buckets of which each is about three hundredths wide, as the sink does it:
/// bench/load.h.
public struct LoadDelays: Sendable, Equatable {
  private var counts: [UInt64]
  /// Of all, in nanoseconds.
  private var sum: UInt64

  public init() { self.init(counts: Array(repeating: 0, count: LOAD_DELAYS), sum: 0) }

  init(counts: [UInt64], sum: UInt64) { (self.counts, self.sum) = (counts, sum) }

  public mutating func add(_ delay: Duration) {
    let nanoseconds = UInt64(clamping: delay.nanoseconds)
    counts[Self.bucket(nanoseconds)] += 1
    sum += nanoseconds
  }

  /// What has come to what there was before.
  public static func - (now: Self, before: Self) -> Self {
    Self(counts: zip(now.counts, before.counts).map { $0 &- $1 }, sum: now.sum &- before.sum)
  }

  public var count: Int { Int(counts.reduce(0, +)) }

  /// All in microseconds; not a number where there is none.
  public var mean: Double { count == 0 ? .nan : Double(sum) / Double(count) / 1000 }

  public var deviation: Double {
    let all = Double(count)
    guard all > 1 else { return .nan }
    let middle = counts.enumerated().reduce(0) { $0 + Double($1.element) * Self.value($1.offset) }
    let squares = counts.enumerated().reduce(0) { sum, one in
      let distance = Self.value(one.offset) - middle / all
      return sum + Double(one.element) * distance * distance
    }
    return (squares / (all - 1)).squareRoot() / 1000
  }

  /// The least delay that this share of all does not exceed, but for the width of a bucket.
  public func quantile(_ share: Double) -> Double {
    let rank = max(1, (share * Double(count)).rounded(.up))
    var below = 0.0
    for (bucket, number) in counts.enumerated() {
      below += Double(number)
      if below >= rank { return Self.value(bucket) / 1000 }
    }
    return .nan
  }

  /// What lies between the quick and the slow, as those who study jitter in networks take it.
  public var jitter: Double { quantile(0.99) - quantile(0.01) }

  // MARK: Buckets

  private static let bits = Int(LOAD_DELAY_BITS)
  private static let steps = Int(LOAD_DELAY_STEPS)

  package static func bucket(_ nanoseconds: UInt64) -> Int {
    let power = UInt64.bitWidth - 1 - nanoseconds.leadingZeroBitCount
    guard power >= bits else { return Int(nanoseconds) }
    let bucket = (power - bits) * steps + Int(nanoseconds >> UInt64(power - bits))
    return min(bucket, Int(LOAD_DELAYS) - 1)
  }

  /// The middle of a bucket, in nanoseconds.
  package static func value(_ bucket: Int) -> Double {
    guard bucket >= 2 * steps else { return Double(bucket) }
    let power = bucket / steps - 1
    let width = Double(UInt64(1) << UInt64(power))
    return (Double(steps + bucket % steps) + 0.5) * width
  }
}
