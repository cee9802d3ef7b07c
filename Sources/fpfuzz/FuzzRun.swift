// SPDX-License-Identifier: Apache-2.0
import Glibc
import Netlink

/// Which blob is being parsed, where a signal handler can read it.
private nonisolated(unsafe) let current = UnsafeMutablePointer<Int>.allocate(capacity: 2)

/// Feeds blobs to the parsers and watches the clock.
final class FuzzRun {
  private(set) var fed = 0
  private(set) var slow = 0
  private var longest: (time: Duration, label: String) = (.zero, "none")
  private let start = ContinuousClock.now

  /// No blob is larger than some kilobytes: a parser that needs this long does not end by itself.
  private static let limit = Duration.seconds(1)

  init(seed: UInt64) {
    current[0] = Int(truncatingIfNeeded: seed)
    current[1] = -1
    for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM] {
      signal(number) { number in
        // What follows allocates; the program is lost anyway, and a second fault ends it.
        signal(number, SIG_DFL)
        FuzzCommand.complain(
          "signal \(number) in blob \(current[1]): fpfuzz --seed \(current[0]) --show \(current[1])\n"
        )
        raise(number)
      }
    }
  }

  func feed(_ blob: [UInt8], number: Int, label: String) {
    current[1] = number
    fed += 1
    if fed % 256 == 1 { alarm(20) }
    let began = ContinuousClock.now
    blob.withBytes { Parsers.run($0) }
    let time = ContinuousClock.now - began
    if time > longest.time { longest = (time, "blob \(number), \(label)") }
    if time > Self.limit {
      slow += 1
      FuzzCommand.complain("blob \(number) (\(label)) took \(time)\n")
    }
  }

  var report: String {
    alarm(0)
    let time = ContinuousClock.now - start
    return "\(fed) blobs through \(Parsers.all.count) parsers in \(time); longest \(longest.time) "
      + "(\(longest.label))"
  }
}
