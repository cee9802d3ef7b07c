// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A moment on the monotonic clock, in nanoseconds.
public struct Instant: Comparable, Sendable {
  public let nanoseconds: Int64

  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public static var now: Instant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  public static func < (left: Instant, right: Instant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }

  public static func + (left: Instant, right: Duration) -> Instant {
    Instant(nanoseconds: left.nanoseconds + right.nanoseconds)
  }

  public static func - (left: Instant, right: Instant) -> Duration {
    .nanoseconds(left.nanoseconds - right.nanoseconds)
  }

  /// Milliseconds until this moment for `poll`, rounded up; 0 when it has passed.
  var pollTimeout: Int32 {
    let left = nanoseconds - Instant.now.nanoseconds
    return left <= 0 ? 0 : Int32(clamping: (left + 999_999) / 1_000_000)
  }
}

extension Duration {
  public var nanoseconds: Int64 {
    components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
  }

  public var milliseconds: Double { Double(nanoseconds) / 1e6 }
}

/// Asks `condition` again and again until it answers true; false when the deadline passes first.
public func eventually(
  within limit: Duration = .seconds(5), every pause: Duration = .milliseconds(2),
  _ condition: () throws -> Bool
) rethrows -> Bool {
  let deadline = Instant.now + limit
  while true {
    if try condition() { return true }
    if Instant.now >= deadline { return false }
    usleep(UInt32(clamping: pause.nanoseconds / 1000))
  }
}
