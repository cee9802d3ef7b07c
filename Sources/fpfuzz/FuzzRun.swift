// SPDX-License-Identifier: Apache-2.0
import Glibc
import Netlink
import Synchronization

/// Which blob is being parsed, where a signal handler can read it.
private let currentSeed = Atomic<UInt64>(0)
private let currentBlob = Atomic<Int>(-1)

/// Feeds blobs to the parsers and watches the clock.
final class FuzzRun {
  private(set) var fed = 0
  private(set) var slow = 0
  private var longest: (time: Duration, label: String) = (.zero, "none")
  private let start = ContinuousClock.now

  /// No blob is larger than some kilobytes: a parser that needs this long does not end by itself.
  private static let limit = Duration.seconds(1)

  init(seed: UInt64) {
    currentSeed.store(seed, ordering: .relaxed)
    for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM] {
      signal(number) { number in
        // What follows allocates; the program is lost anyway, and a second fault ends it.
        signal(number, SIG_DFL)
        let seed = currentSeed.load(ordering: .relaxed)
        let blob = currentBlob.load(ordering: .relaxed)
        FuzzCommand.complain(
          "signal \(number) in "
            + (blob < 0
              ? "blob \(-blob) of the corpus\n"
              : "blob \(blob): fpfuzz --seed \(seed) --show \(blob)\n"))
        raise(number)
      }
    }
  }

  func feed(_ blob: [UInt8], number: Int, label: String) {
    currentBlob.store(number, ordering: .relaxed)
    fed += 1
    if fed % 256 == 1 { alarm(20) }
    let began = Self.processorTime
    blob.withBytes { Parsers.run($0) }
    let time = Self.processorTime - began
    if time > longest.time { longest = (time, "blob \(number), \(label)") }
    if time > Self.limit {
      slow += 1
      FuzzCommand.complain("blob \(number) (\(label)) took \(time)\n")
    }
  }

  /// Not the wall's: a busy machine is no reason to complain about a parser.
  private static var processorTime: Duration {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  var report: String {
    alarm(0)
    let time = ContinuousClock.now - start
    return "\(fed) blobs through \(Parsers.all.count) parsers in \(time); longest \(longest.time) "
      + "(\(longest.label))"
  }
}
