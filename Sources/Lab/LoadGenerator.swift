// SPDX-License-Identifier: Apache-2.0
import CLoad
import Glibc

/// Sends frames as fast as a CPU can, or slower: an XDP program that the kernel runs on live frames
/// (BPF_PROG_RUN) and that redirects them into a device of the sending namespace.
///
/// The device's other end must be able to take redirected frames: with a program on it, or with
/// `ethtool -K <device> gro on`.
public final class LoadGenerator: @unchecked Sendable {
  public let namespace: Namespace
  public let traffic: LoadTraffic
  private let program: LoadProgram
  // Written by the kernel during a run, and by `stop`; a counter read too early is a smaller counter.
  private let progress: UnsafeMutablePointer<load_progress>

  /// How a run goes and when it ends: at the first of the bounds.
  public struct Bounds: Sendable {
    public var frames: Int
    public var time: Duration
    /// Frames a second; nil: as many as go.
    public var rate: Int?
    /// Frames sent behind the newest that arrived, at most, where the generator was made with the sink;
    /// nil: no bound. What is dropped on the way does not count, as long as others arrive.
    public var window: Int?

    public init(frames: Int = .max, time: Duration, rate: Int? = nil, window: Int? = nil) {
      self.frames = frames
      self.time = time
      self.rate = rate
      self.window = window
    }
  }

  /// What a run came to.
  public struct Sent: Sendable {
    public let frames: Int
    public let duration: Duration
    /// Frames the generator stopped waiting for because its window stayed full.
    public let givenUp: Int

    public var perSecond: Double { Double(frames) / (duration.milliseconds / 1000) }
  }

  /// With `sink`, a window bounds the frames that are under way to it, so that a slow receiver loses none
  /// to a full queue; and it is written down when they leave, if the sink wants that.
  public convenience init(
    in namespace: Namespace, device: String, _ traffic: LoadTraffic, sink: LoadSink? = nil
  ) throws {
    try self.init(
      in: namespace, device: device, traffic, arrivals: sink?.program,
      timed: sink?.isTimed ?? false)
  }

  /// With `arrivals`, the program that counts them, and knows when they left if they are `timed`.
  init(
    in namespace: Namespace, device: String, _ traffic: LoadTraffic, arrivals: LoadProgram?,
    timed: Bool = false
  ) throws {
    self.namespace = namespace
    self.traffic = traffic
    hasSink = arrivals != nil
    var settings = try traffic.settings(egress: try namespace.ifindex(of: device))
    settings.timed = timed ? 1 : 0
    let constant = settings
    program = try LoadProgram("generator") { program in
      try program.set(constant: constant)
      guard let arrivals else { return }
      try program.share("arrivals", of: arrivals)
      if timed { try program.share("departures", of: arrivals) }
    }
    guard let first = try program.values(of: ".bss", as: load_progress.self).baseAddress else {
      throw LabError("the generator has no variables")
    }
    progress = first
  }

  private let hasSink: Bool

  /// Frames sent so far in this run.
  public var sent: Int { Int(progress.pointee.sent) }

  /// A run beside the caller.
  public final class Run: Sendable {
    private let generator: LoadGenerator
    private let thread: LoadThread<Sent>

    fileprivate init(_ generator: LoadGenerator, _ thread: LoadThread<Sent>) {
      self.generator = generator
      self.thread = thread
    }

    public var sent: Int { generator.sent }
    /// The number of the thread that sends, 0 until it runs.
    public var threadID: pid_t { thread.id }

    public var hasEnded: Bool {
      if !thread.hasEnded && generator.isOver { thread.interrupt() }
      return thread.hasEnded
    }

    /// Ends the run early; `finish` tells what it came to.
    public func stop() {
      generator.progress.pointee.stop = 1
      thread.interrupt()
    }

    /// Waits for the end of the run.
    public func finish() throws -> Sent {
      _ = eventually(within: .seconds(3600), every: .milliseconds(5)) { hasEnded }
      return try thread.value()
    }

    /// One that has ended says nothing to the next.
    deinit { if !hasEnded { stop() } }
  }

  /// Begins to send on a thread of its own: on one CPU where one is named, which then also runs what the
  /// frames cause. A sink must have been reset.
  public func start(_ bounds: Bounds, cpu: Int? = nil, nice: Int = 0) throws -> Run {
    if bounds.window != nil && !hasSink {
      throw LabError("a window needs a generator that was made with its sink")
    }
    let start = Instant.now
    var fresh = load_progress()
    fresh.begun = UInt64(start.nanoseconds)
    fresh.deadline = UInt64((start + bounds.time).nanoseconds)
    fresh.limit = UInt64(clamping: bounds.frames)
    fresh.rate = UInt64(bounds.rate ?? 0)
    fresh.window = UInt64(bounds.window ?? 0)
    progress.pointee = fresh
    return Run(
      self, try LoadThread(in: namespace, cpu: cpu, nice: nice) { try self.send(bounds) })
  }

  /// Sends and waits for the end.
  @discardableResult public func send(
    _ bounds: Bounds, cpu: Int? = nil, nice: Int = 0
  ) throws -> Sent {
    try start(bounds, cpu: cpu, nice: nice).finish()
  }

  /// Nothing more is sent: what the kernel still does is to count turns.
  private var isOver: Bool {
    progress.pointee.stop != 0 || progress.pointee.sent >= progress.pointee.limit
  }

  /// On the sending thread. Each call into the kernel makes a pool of pages and waits for it to be gone,
  /// some 30 ms in which nothing is sent: there is hardly more than one.
  private func send(_ bounds: Bounds) throws -> Sent {
    let turns = 1 << 26
    let batch: UInt32 = 64
    var frame = [UInt8](repeating: 0, count: traffic.length)
    let deadline = Instant.now + bounds.time
    while !isOver, Instant.now < deadline {
      let waits = bounds.rate != nil || bounds.window != nil
      // A batch more than there is to send: in it the program sees that all is sent.
      let times = waits ? turns : min(bounds.frames - sent, turns) + Int(batch)
      let code = load_run(
        program.object, &frame, UInt32(frame.count), UInt32(times), batch)
      if code != 0 && code != EINTR {
        throw LabError(
          "sending live frames", code: code, hint: "BPF_PROG_RUN on live frames needs Linux 5.18")
      }
    }
    let (first, last) = (progress.pointee.first, progress.pointee.last)
    let end = last == 0 ? Instant.now : Instant(nanoseconds: Int64(last))
    return Sent(
      frames: sent, duration: end - Instant(nanoseconds: Int64(first)),
      givenUp: Int(progress.pointee.given_up))
  }
}
