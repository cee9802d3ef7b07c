// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Frames that arrived over some time, and the CPU time that went into them.
public struct LoadMeasurement: Sendable {
  public let frames: Int
  /// Frames sent in the same time.
  public let sent: Int
  public let wall: Duration
  /// Time on the CPU of the sending thread and of the kernel's thread for softirqs, which together do all
  /// of the work: not what others took away meanwhile.
  public let busy: Duration

  /// Nanoseconds of a CPU for one frame.
  public var nanoseconds: Double { Double(busy.nanoseconds) / Double(max(1, frames)) }
  /// How much of the time the CPU was there for us.
  public var share: Double { busy.milliseconds / wall.milliseconds }
  /// The part of what was sent that arrived.
  public var delivered: Double { Double(frames) / Double(max(1, sent)) }

  /// Has a generator send at full rate on one CPU, and looks at what arrives (as `arrived` counts it)
  /// between the end of a warm-up and `time` later.
  public static func take(
    _ generator: LoadGenerator, cpu: Int, warmUp: Duration = .milliseconds(100), time: Duration,
    window: Int? = nil, arrived: () throws -> Int
  ) throws -> LoadMeasurement {
    let run = try generator.start(
      .init(time: warmUp + time + .seconds(5), window: window), cpu: cpu)
    do {
      guard eventually({ run.sent > 0 || run.hasEnded }) else {
        throw LabError("the generator does not begin to send")
      }
      pause(warmUp)
      let before = try Reading(run, cpu, arrived())
      pause(time)
      let after = try Reading(run, cpu, arrived())
      run.stop()
      _ = try run.finish()
      return LoadMeasurement(
        frames: after.arrived - before.arrived, sent: after.sent - before.sent,
        wall: after.at - before.at, busy: after.busy - before.busy)
    } catch {
      run.stop()
      _ = try run.finish()  // what ended the run early says more than what was missed because of it
      throw error
    }
  }

  private struct Reading {
    let at: Instant
    let arrived: Int
    let sent: Int
    let busy: Duration

    init(_ run: LoadGenerator.Run, _ cpu: Int, _ arrived: Int) throws {
      at = .now
      self.arrived = arrived
      sent = run.sent
      busy =
        try CPUClock.read("/proc/self/task/\(run.threadID)")
        + CPUClock.read("/proc/\(CPUClock.softirqThread(cpu))")
    }
  }

  private static func pause(_ time: Duration) {
    let end = Instant.now + time
    while Instant.now < end {
      usleep(UInt32(clamping: (end - Instant.now).nanoseconds / 1000 + 1))
    }
  }
}

/// What a thread has used of a CPU.
enum CPUClock {
  static func read(_ directory: String) throws -> Duration {
    let text = try TextFile.read("\(directory)/schedstat")
    guard let time = text.split(separator: " ").first.flatMap({ Int64($0) }) else {
      throw LabError("\(directory)/schedstat says '\(text)'")
    }
    return .nanoseconds(time)
  }

  /// What the calling thread uses for something.
  static func timed<Value>(_ body: () throws -> Value) rethrows -> (result: Value, busy: Duration) {
    func used() -> Int64 {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
    let before = used()
    let result = try body()
    return (result, .nanoseconds(used() - before))
  }

  /// The kernel's own thread for softirqs on a CPU, which takes over when there are many.
  static func softirqThread(_ cpu: Int) throws -> pid_t {
    for name in Leftovers.entries(of: "/proc") {
      guard let pid = pid_t(name), let said = try? TextFile.read("/proc/\(name)/comm"),
        Command.trim(said) == "ksoftirqd/\(cpu)"
      else { continue }
      return pid
    }
    throw LabError("there is no ksoftirqd/\(cpu) in /proc")
  }
}
