// SPDX-License-Identifier: Apache-2.0
import Configuration
import Control
import Datapath
import Topology

/// What went wrong is told, and tried again: soon at first, then ever more rarely.
struct Retry {
  private static let longest = Duration.seconds(60)
  /// Trying takes a processor no more than one part in this many.
  private static let share = 20
  private var pause = Duration.seconds(1)
  private var due: ContinuousClock.Instant?

  /// Asked now and then: does `attempt` where it is needed and time.
  mutating func turn(isNeeded: Bool, _ attempt: () -> Void) {
    guard isNeeded else {
      self = Retry()
      return
    }
    let start = ContinuousClock.now
    if let due, start < due { return }
    attempt()
    let cost = ContinuousClock.now - start
    due = .now + max(pause, cost * Self.share)
    pause = min(pause * 2, Self.longest)
  }
}

extension StatusReport.Problem {
  static let cache = "cache"

  /// Whether it keeps fpd from doing all it should, or only makes the next start slower.
  var isHandicap: Bool { what != Self.cache }
}

extension Daemon {
  static func makePilot(
    _ objects: ObjectSource, _ configuration: Configuration, _ log: Log, _ loop: EventLoop,
    _ shadow: Shadow?, _ requests: ConnectionRequests?
  ) throws -> Pilot {
    try Pilot(
      objects: objects, share: share, state: configuration.stateDirectory.value, log: log,
      shadow: shadow?.observer, requests: requests,
      watch: { descriptor, handler in try? loop.watch(descriptor, handler) },
      unwatch: { loop.unwatch($0) }, later: { loop.later($0) },
      soon: { loop.soon($0) })
  }

  /// From now on a pilot's news are heard.
  func heed(_ pilot: Pilot) {
    tracker.withoutOurs = { [unowned pilot] in pilot.withoutOurs($0) }
    tracker.connections = { [unowned self, unowned pilot] in
      guard pilot.followsConnections else { return .none }
      return switch configuration.connections.value {
      case .off: .none
      case .exact: .exact
      case .follow: marker.requests == nil ? .exact : .marked
      }
    }
    pilot.onChange = { [unowned self, unowned pilot] in
      standings.mayDiffer = true
      pilot.chooseAgain(tracker.graph, tracker.state.ruleEpoch, rulebook)
      settle()
    }
    pilot.onTypes = { [unowned self] in loop.soon { [unowned self] in tracker.derive() } }
    pilot.mayChoose = { [unowned self] in
      HookPreference(configuration.hook(for: $0).value) == .auto
    }
  }

  /// What is wrong besides what the kernel could not tell and where no program runs.
  var complaints: [StatusReport.Problem] {
    var all: [StatusReport.Problem] = []
    if let words = pilot?.pinsComplaint {
      all.append(
        .init(what: "pins", detail: "a killed fpd will leave nothing to take over: \(words)"))
    }
    if configuration.connections.value == .follow, let words = marker.complaint {
      all.append(
        .init(what: "connections", detail: "connections over TCP stay with the kernel: \(words)"))
    }
    if let words = metering.complaint {
      all.append(.init(what: "metrics", detail: "nobody can ask for metrics: \(words)"))
    }
    if let error = objects.cacheComplaint {
      let words = "what is compiled is not kept for the next start: \(error)"
      all.append(.init(what: StatusReport.Problem.cache, detail: Self.firstLine(words)))
    }
    return all
  }

  /// Whether fpd could do better if something outside was put right.
  private var needsAnotherTry: Bool {
    tracker.live == nil || pilot == nil && pilotObstacle == .loadFailed
      || pilot?.hasFailed == true || objects.cacheComplaint != nil || metering.complaint != nil
  }

  func tryAgain() {
    retry.turn(isNeeded: needsAnotherTry) {
      objects.tryAgain()
      lookAgain()
      pilot?.tryAgain()
      metering.tryAgain()
    }
  }

  /// What could not be had at the start, because there was no compiler.
  private func lookAgain() {
    if tracker.live == nil, let live = try? LiveKernelView(objects) {
      log.notice("the kernel's memory can be read now")
      live.replaces = pilot?.replaces
      tracker.take(live)
    }
    guard pilot == nil, pilotObstacle == .loadFailed,
      let pilot = try? Self.makePilot(objects, configuration, log, loop, shadow, marker.requests)
    else { return }
    log.notice("interfaces can be accelerated now")
    self.pilot = pilot
    tracker.live?.replaces = pilot.replaces
    heed(pilot)
    tracker.lift("data-path")
    tracker.derive()
    followRules()
    settle()
  }
}
