// SPDX-License-Identifier: Apache-2.0
import Control
import Datapath
import Metrics
import Topology

extension Daemon {
  /// What is told to those who ask for metrics.
  var measurements: Measurements {
    let status = status()
    var all = Measurements()
    all.version = status.version
    all.started = started
    all.state = status.state.rawValue
    all.states = StatusReport.State.allCases.map(\.rawValue)
    all.generation = tracker.generation
    all.problems = status.problems.map(\.what)
    all.interfaces = zip(tracker.graph.interfaces, status.interfaces).map(measured)
    all.reaction = reaction
    let (swaps, builds) = (pilot?.swaps ?? SwapTally(), objects.tally)
    (all.ownSwaps, all.generalSwaps, all.failedSwaps) = (swaps.own, swaps.general, swaps.failures)
    all.compilations = builds.compilations
    all.failedCompilations = builds.failures
    all.cacheHits = builds.cacheHits
    all.shadow = shadow.map(measured)
    return all
  }

  private func measured(
    _ interface: InterfaceGraph, _ status: InterfaceStatus
  ) -> Measurements.Interface {
    var measured = Measurements.Interface()
    measured.name = status.name
    measured.hook = status.hook.rawValue
    measured.modules = status.modules
    measured.program = status.program?.rawValue
    measured.accelerated = status.accelerated
    measured.reason = status.reason
    measured.traffic = pilot?.growingCounters(of: interface.index).map(traffic)
    return measured
  }

  private func traffic(_ counters: [Counter]) -> Measurements.Traffic {
    func count(_ place: Int) -> Measurements.Count {
      guard counters.indices.contains(place) else { return .init() }
      return .init(packets: counters[place].packets, bytes: counters[place].bytes)
    }
    var traffic = Measurements.Traffic()
    traffic.forwarded = count(0)
    traffic.dropped = count(1)
    for place in counters.indices where counters[place].packets > 0 {
      if let reason = Reason(counter: place) {
        traffic.punted.append(.init(reason.rawValue, count(place)))
      }
    }
    let decided = counters.shadow
    traffic.wouldForward = decided.forwarded.packets
    traffic.wouldDrop = decided.dropped.packets
    if traffic.wouldForward + traffic.wouldDrop > 0 {
      let bytes = decided.forwarded.bytes + decided.dropped.bytes
      traffic.punted.append(
        .init(
          Reason.shadow.rawValue,
          .init(packets: traffic.wouldForward + traffic.wouldDrop, bytes: bytes)))
    }
    return traffic
  }

  private func measured(_ shadow: Shadow) -> Measurements.Shadow {
    let sum = shadow.tallies.values.reduce(ShadowTally(), +)
    var measured = Measurements.Shadow()
    measured.agreed = sum.agreed
    measured.unseen = sum.unseen
    measured.mismatched = ShadowDifference.Kind.allCases.map {
      .init($0.rawValue, sum.differences[$0] ?? 0)
    }
    return measured
  }
}
