// SPDX-License-Identifier: Apache-2.0
import Glibc

extension Namespace {
  /// Has what comes in by a device treated on one CPU, by a thread of the kernel's own (threaded NAPI) instead of by
  /// whoever sends it: as with a machine that has nothing else to do. The device must have a NAPI: XDP on it, or
  /// `ethtool -K DEVICE gro on`. Answers the threads, which nobody of the usual priority takes the CPU away from.
  @discardableResult public func takePackets(of device: String, on cpu: Int) throws -> [pid_t] {
    func threads() -> [pid_t] { CPUClock.threads { $0.hasPrefix("napi/\(device)-") } }
    let before = Set(threads())
    try run(["sh", "-c", "echo 1 >/sys/class/net/\(device)/threaded"])
    let made = threads().filter { !before.contains($0) }
    guard !made.isEmpty else {
      throw LabError("the kernel has made no thread for \(device) in \(name)")
    }
    for thread in made {
      try Command.run(["taskset", "-pc", "\(cpu)", "\(thread)"]).check()
      try Command.run(["renice", "-n", "-20", "-p", "\(thread)"]).check()
    }
    return made
  }
}
