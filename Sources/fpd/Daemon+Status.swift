// SPDX-License-Identifier: Apache-2.0
import Control
import Topology

extension Daemon {
  var problems: [StatusReport.Problem] {
    var all = (tracker.handicaps + tracker.state.problems).map {
      StatusReport.Problem(what: $0.part, detail: $0.detail)
    }
    all += complaints
    for interface in tracker.graph.interfaces {
      if let words = pilot?.shortcoming(of: interface.index) {
        all.append(StatusReport.Problem(what: "data-path", detail: words))
      }
      guard case .failed(let reason, let words)? = pilot?.standing(of: interface.index) else {
        continue
      }
      switch reason {
      case .loadFailed: all.append(StatusReport.Problem(what: "data-path", detail: words))
      case .cannotReadLive:
        all.append(StatusReport.Problem(what: reason.rawValue, detail: words))
      default: break
      }
    }
    if let reloadProblem {
      all.append(StatusReport.Problem(what: "configuration", detail: reloadProblem))
    }
    // Interfaces that share a program share what is wrong with it.
    var told: Set<StatusReport.Problem> = []
    return all.filter { told.insert($0).inserted }
  }

  var currentState: StatusReport.State {
    if problems.contains(where: \.isHandicap) { return .degraded }
    return isSettled ? .converged : .converging
  }

  func status() -> StatusReport {
    StatusReport(
      version: Control.version, state: currentState, generation: Int64(tracker.generation),
      interfaces: tracker.graph.interfaces.map(status), problems: problems,
      isShadow: shadow != nil)
  }

  func status(of interface: InterfaceGraph) -> InterfaceStatus {
    var status = InterfaceStatus(
      name: interface.name, index: Int64(interface.index), hook: .none, accelerated: false,
      modules: interface.nodes.map(\.module.rawValue),
      reason: interface.mainObstacle?.rawValue, fastShare: nil)
    switch pilot?.standing(of: interface.index) {
    case .live(let hook, let isProvisional)?:
      status.hook = InterfaceStatus.Hook(rawValue: hook.rawValue) ?? .none
      status.accelerated = shadow == nil
      status.program = isProvisional ? .general : .own
      status.modules = interface.nodes.map(\.module).filter(interface.fast.contains).map(\.rawValue)
      status.reason = shadow == nil ? nil : Reason.shadow.rawValue
      status.fastShare = samples.share(of: interface.index)
    case .failed(let reason, _)?: status.reason = reason.rawValue
    case .pending?: status.reason = Reason.changed.rawValue
    case Optional.none: status.reason = status.reason ?? pilotObstacle.rawValue
    case .some(.none): break
    }
    return status
  }
}

extension InterfaceGraph {
  /// What mainly keeps an interface slow; `nil` when nothing does.
  var mainObstacle: Reason? {
    if let obstacle { return obstacle.reason }
    return fast.isEmpty ? slowPath.first?.reason ?? .noRoutes : nil
  }
}
