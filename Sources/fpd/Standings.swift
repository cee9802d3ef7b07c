// SPDX-License-Identifier: Apache-2.0
import Datapath
import Topology

/// How interfaces stood when it was last told.
struct Standings {
  fileprivate enum Standing: Equatable {
    case live(Datapath.Hook)
    case left(Reason)
  }

  /// Whether it is worth to look again.
  var mayDiffer = true
  fileprivate var told: [Int32: Standing] = [:]
}

extension Daemon {
  /// Logs which interfaces are accelerated, left to the kernel or failed, and were not when it was last looked.
  func tellStandings() {
    guard standings.mayDiffer else { return }
    standings.mayDiffer = false
    let interfaces = tracker.graph.interfaces
    for interface in interfaces {
      var words: String?
      let standing: Standings.Standing
      switch pilot?.standing(of: interface.index) {
      case .live(let hook, _)?: standing = .live(hook)
      case .failed(let reason, let failure)?: (standing, words) = (.left(reason), failure)
      case .pending?: continue
      case Optional.none, .some(.none): standing = .left(interface.mainObstacle ?? pilotObstacle)
      }
      let known = standings.told.updateValue(standing, forKey: interface.index)
      if known != standing { tell(interface.name, standing, words) }
    }
    let present = Set(interfaces.map(\.index))
    standings.told = standings.told.filter { present.contains($0.key) }
  }

  private func tell(_ name: String, _ standing: Standings.Standing, _ words: String?) {
    switch standing {
    case .live(let hook):
      let what = shadow == nil ? "accelerated" : "looked at, in shadow mode,"
      log.info(
        "\(name): \(what) on \(hook.rawValue)", .interface(name), .generation(tracker.generation))
    case .left(let reason):
      let text = "left to the kernel: \(words ?? "\(name): \(reason.meaning)")"
      // What is a problem in the status, too.
      if [.loadFailed, .cannotReadLive].contains(reason), words != nil {
        log.warning(
          text, .interface(name), .reason(reason.rawValue), .generation(tracker.generation))
      } else {
        log.info(
          text, .interface(name), .reason(reason.rawValue), .generation(tracker.generation))
      }
    }
  }
}
