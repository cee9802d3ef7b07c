// SPDX-License-Identifier: Apache-2.0
import CLoad
import Glibc
import Synchronization

/// Code on a thread of its own, in a namespace and on a CPU, beside the caller.
public final class LoadThread<Value: Sendable>: Sendable {
  private final class Outcome: Sendable {
    let result = Mutex<Result<Value, any Error>?>(nil)
    let ended = Atomic<Bool>(false)

    func take(_ body: () throws -> Value) {
      let outcome = Result { try body() }
      result.withLock { $0 = outcome }
      ended.store(true, ordering: .releasing)
    }
  }

  /// The thread, until it has been waited for.
  private struct Handle: @unchecked Sendable { let raw: OpaquePointer }

  private let outcome: Outcome
  private let body: ThreadBody
  private let handle: Mutex<Handle?>

  /// `cpu` nil: wherever there is room. `nice` is the thread's priority.
  public init(
    in namespace: Namespace? = nil, cpu: Int? = nil, nice: Int = 0,
    _ body: @escaping @Sendable () throws -> Value
  ) throws {
    let outcome = Outcome()
    self.outcome = outcome
    self.body = ThreadBody { outcome.take(body) }
    let thread = load_thread_start(
      namespace?.path, Int32(cpu ?? -1), Int32(nice),
      { opaque in
        guard let opaque else { return }
        Unmanaged<ThreadBody>.fromOpaque(opaque).takeUnretainedValue().run()
      }, Unmanaged.passUnretained(self.body).toOpaque())
    guard let thread else { throw LabError("starting a thread", code: errno) }
    handle = Mutex(Handle(raw: thread))
  }

  deinit { _ = try? value() }

  /// Its number in /proc, 0 until it runs.
  public var id: pid_t { handle.withLock { $0.map { load_thread_id($0.raw) } ?? 0 } }

  public var hasEnded: Bool { outcome.ended.load(ordering: .acquiring) }

  /// Ends the call into the kernel that it is in, with EINTR.
  func interrupt() { handle.withLock { if let thread = $0 { load_thread_interrupt(thread.raw) } } }

  /// Waits for its end; what came of it.
  public func value() throws -> Value {
    try handle.withLock { handle in
      guard let thread = handle else { return }
      handle = nil
      var step: UnsafePointer<CChar>?
      let code = load_thread_join(thread.raw, &step)
      if code != 0 {
        throw LabError("a thread, \(step.map { String(cString: $0) } ?? "starting")", code: code)
      }
    }
    guard let result = outcome.result.withLock({ $0 }) else {
      throw LabError("a thread did not run")
    }
    return try result.get()
  }
}

/// What the thread runs; held by its owner, who waits for the thread before he lets go.
private final class ThreadBody: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
