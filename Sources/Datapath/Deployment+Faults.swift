// SPDX-License-Identifier: Apache-2.0

/// What goes wrong leaves packets to the kernel, or to a program that is slower, and is tried again.
extension Deployment {
  /// Whether something failed that may go better another time: a compiler was missing or killed, there was
  /// no memory, a hook was refused.
  package var hasFailed: Bool { places.values.contains(where: \.mayGoBetter) }

  /// Tries once more what failed. Until that has succeeded all stays, and is told, as it is.
  package func tryAgain() {
    guard hasFailed else { return }
    for place in places.values where place.mayGoBetter && !place.isTriedAgain {
      if let object = builder.object(for: place.plan.source, name: place.plan.name) {
        queue(object, for: place)
      } else {
        place.isTriedAgain = true
      }
    }
    for source in prepared { _ = builder.object(for: source, name: "general") }
    forgetCompilations()
    takeTurns()
    onChange()
  }

  /// Why an interface has to do with the general program; `nil` where it has its own, or is about to.
  package func shortcoming(on interface: Int32) -> Failure? { places[interface]?.shortcoming }

  /// An interface's own program cannot be had.
  func fail(_ place: Place, _ failure: Failure) {
    if place.isProvisional || place.shortcoming != nil || place.next?.isGeneral == true {
      // The general program, which runs or is about to, does as well, only slower.
      place.isProvisional = false
      place.shortcoming = failure
    } else {
      refuse(place, failure)
    }
  }

  /// Nothing can be had for an interface.
  func refuse(_ place: Place, _ failure: Failure) {
    release(place)
    place.state = .failed(failure)
  }
}

extension Deployment.Place {
  /// Whether it waits for its own program to be compiled.
  var isAwaiting: Bool { isPending || isProvisional || isTriedAgain }

  var mayGoBetter: Bool {
    if case .failed(let failure) = state {
      return failure.place == nil || failure.place == .refused
    }
    return shortcoming != nil
  }
}
