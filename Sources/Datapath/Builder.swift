// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// Makes objects of sources with a few compilers beside the loop.
final class Builder {
  /// Called in the loop when a source that `object` had none of has been compiled, or could not be.
  var onResult: (String, Result<[UInt8], DatapathError>) -> Void = { _, _ in }

  private struct Job {
    let source: String
    let name: String
  }

  private final class Running {
    let job: Job
    let compilation: Compilation
    let timer: Int32
    init(_ job: Job, _ compilation: Compilation, _ timer: Int32) {
      self.job = job
      self.compilation = compilation
      self.timer = timer
    }
    deinit { if timer >= 0 { close(timer) } }
  }

  private let objects: ObjectSource
  private let includes: Includes
  private let watch: Deployment.Watch
  private let unwatch: (Int32) -> Void
  private var waiting: [Job] = []
  private var running: [String: Running] = [:]
  private static let compilersMax = 2
  /// Objects that were asked for lately.
  private var recent: [String: [UInt8]] = [:]
  private static let recentMax = 16

  init(
    _ objects: ObjectSource, _ includes: Includes, _ watch: @escaping Deployment.Watch,
    _ unwatch: @escaping (Int32) -> Void
  ) {
    self.objects = objects
    self.includes = includes
    self.watch = watch
    self.unwatch = unwatch
  }

  /// The object when it is at hand; otherwise it is being made from now on.
  func object(for source: String, name: String) -> [UInt8]? {
    if running[source] != nil || waiting.contains(where: { $0.source == source }) { return nil }
    if let object = objectAtHand(for: source) { return object }
    waiting.append(Job(source: source, name: name))
    return nil
  }

  /// The object when it is at hand; nothing is begun.
  func objectAtHand(for source: String) -> [UInt8]? {
    if let object = recent[source] { return object }
    guard let object = objects.object(forSource: source, includes: includes) else { return nil }
    remember(object, source)
    return object
  }

  private func remember(_ object: [UInt8], _ source: String) {
    if recent.count >= Self.recentMax { recent = [:] }
    recent[source] = object
  }

  /// Drops what nobody waits for any more and is not being compiled yet, and goes on with the rest.
  func forget(except wanted: Set<String>) {
    waiting.removeAll { !wanted.contains($0.source) }
    proceed()
  }

  func cancelAll() {
    waiting = []
    for job in running.values { stop(job) }
  }

  func proceed() {
    while running.count < Self.compilersMax, !waiting.isEmpty { start(waiting.removeFirst()) }
  }

  private func start(_ job: Job) {
    do throws(DatapathError) {
      let compilation = try objects.compilation(
        ofSource: job.source, name: job.name, includes: includes)
      let timer = Self.timer(after: objects.timeLimit)
      let work = Running(job, compilation, timer)
      running[job.source] = work
      watch(compilation.descriptor) { [weak self, weak work] in
        guard let self, let work else { return }
        finish(work)
      }
      guard timer >= 0 else { return }
      watch(timer) { [weak self, weak work] in
        guard let self, let work else { return }
        let limit = objects.timeLimit
        deliver(
          work,
          .failure(
            DatapathError("compiling \(job.name)", "clang took longer than \(limit) and was ended"))
        )
      }
    } catch {
      objects.noteFailure()
      // Not before `apply`, which may have asked for it, has seen the place wait.
      onResult(job.source, .failure(error))
    }
  }

  private func finish(_ work: Running) {
    let result: Result<[UInt8], DatapathError>
    do throws(DatapathError) {
      let object = try work.compilation.finish()
      try Loader.check(object, "compiling \(work.job.name)")
      objects.keep(object, forSource: work.job.source, includes: includes)
      remember(object, work.job.source)
      result = .success(object)
    } catch { result = .failure(error) }
    deliver(work, result)
  }

  private func deliver(_ work: Running, _ result: Result<[UInt8], DatapathError>) {
    if case .failure = result { objects.noteFailure() }
    stop(work)
    proceed()
    onResult(work.job.source, result)
  }

  private func stop(_ work: Running) {
    guard running.removeValue(forKey: work.job.source) != nil else { return }
    unwatch(work.compilation.descriptor)
    if work.timer >= 0 { unwatch(work.timer) }
    work.compilation.cancel()
  }

  private static func timer(after limit: Duration) -> Int32 {
    let timer = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC))
    if timer < 0 { return timer }
    var setting = itimerspec()
    setting.it_value.tv_sec = Int(limit.components.seconds)
    setting.it_value.tv_nsec = Int(limit.components.attoseconds / 1_000_000_000)
    timerfd_settime(timer, 0, &setting, nil)
    return timer
  }
}
