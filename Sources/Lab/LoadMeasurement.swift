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
  /// How long the frames took, where the sink has measured it.
  public let delays: LoadDelays?

  public var perSecond: Double { Double(frames) / (wall.milliseconds / 1000) }
  /// Nanoseconds of a CPU for one frame.
  public var nanoseconds: Double { Double(busy.nanoseconds) / Double(max(1, frames)) }
  /// How much of the time the CPU was there for us.
  public var share: Double { busy.milliseconds / wall.milliseconds }
  /// The part of what was sent that arrived.
  public var delivered: Double { Double(frames) / Double(max(1, sent)) }

  /// A generator, the CPU that it sends on, and what counts its frames.
  public struct Line {
    let generator: LoadGenerator
    let cpu: Int
    let nice: Int
    let arrived: () throws -> Int
    let sink: LoadSink?

    public init(_ generator: LoadGenerator, cpu: Int, arrived: @escaping () throws -> Int) {
      (self.generator, self.cpu, self.arrived) = (generator, cpu, arrived)
      (nice, sink) = (0, nil)
    }

    /// To a sink that measures how long they take.
    public init(_ generator: LoadGenerator, cpu: Int, nice: Int = 0, to sink: LoadSink) {
      (self.generator, self.cpu, self.nice) = (generator, cpu, nice)
      (self.sink, arrived) = (sink, { sink.count.frames })
    }
  }

  /// Has generators send at the same time, each on a CPU of its own, at full rate where none is given, and looks at what
  /// arrives between the end of a warm-up and `time` later.
  public static func take(
    _ lines: [Line], warmUp: Duration = .milliseconds(100), time: Duration, rate: Int? = nil,
    window: Int? = nil
  ) throws -> [LoadMeasurement] {
    var runs: [LoadGenerator.Run] = []
    func readings() throws -> [Reading] { try zip(runs, lines).map(Reading.init) }
    do {
      for line in lines {
        line.sink?.reset()
        runs.append(
          try line.generator.start(
            .init(time: warmUp + time + .seconds(5), rate: rate, window: window), cpu: line.cpu,
            nice: line.nice))
      }
      guard eventually({ runs.allSatisfy { $0.sent > 0 || $0.hasEnded } }) else {
        throw LabError("the generator does not begin to send")
      }
      pause(warmUp)
      let before = try readings()
      pause(time)
      let after = try readings()
      for run in runs { run.stop() }
      for run in runs { _ = try run.finish() }
      return zip(before, after).map { before, after in
        LoadMeasurement(
          frames: after.arrived - before.arrived, sent: after.sent - before.sent,
          wall: after.at - before.at, busy: after.busy - before.busy,
          delays: after.delays.flatMap { now in before.delays.map { now - $0 } })
      }
    } catch {
      for run in runs { run.stop() }
      // What ended a run early says more than what was missed because of it.
      for run in runs { _ = try run.finish() }
      throw error
    }
  }

  private struct Reading {
    let at: Instant
    let arrived: Int
    let sent: Int
    let busy: Duration
    let delays: LoadDelays?

    init(_ run: LoadGenerator.Run, _ line: Line) throws {
      at = .now
      arrived = try line.arrived()
      delays = line.sink.flatMap { $0.isTimed ? $0.delays : nil }
      sent = run.sent
      busy =
        try CPUClock.read("/proc/self/task/\(run.threadID)")
        + CPUClock.read("/proc/\(CPUClock.softirqThread(line.cpu))")
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

  /// What the calling thread has used.
  static var ofThread: Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .nanoseconds(Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  /// What the calling thread uses for something.
  static func timed<Value>(_ body: () throws -> Value) rethrows -> (result: Value, busy: Duration) {
    let before = ofThread
    let result = try body()
    return (result, ofThread - before)
  }

  /// The kernel's own thread for softirqs on a CPU, which takes over when there are many.
  static func softirqThread(_ cpu: Int) throws -> pid_t {
    guard let thread = threads(where: { $0 == "ksoftirqd/\(cpu)" }).first else {
      throw LabError("there is no ksoftirqd/\(cpu) in /proc")
    }
    return thread
  }

  /// The kernel's threads, and processes, of such names.
  static func threads(where isMeant: (String) -> Bool) -> [pid_t] {
    Leftovers.entries(of: "/proc").compactMap { pid_t($0) }.filter { pid in
      (try? TextFile.read("/proc/\(pid)/comm")).map { isMeant(Command.trim($0)) } ?? false
    }
  }
}
