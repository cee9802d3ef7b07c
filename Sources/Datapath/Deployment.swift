// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Makes what runs on the interfaces what is planned, beside the loop that plans: compilers are
/// watched through descriptors, and what fails leaves its interface to the kernel.
package final class Deployment {
  package enum State: Sendable {
    case live
    case pending
    case failed(Failure)
  }

  package struct Failure: Error, CustomStringConvertible, Sendable {
    /// Why there was no place on the hook; `nil` when something else failed.
    package var place: AttachError.Reason?
    package var description: String
  }

  /// Calls `handler` whenever a descriptor is readable.
  package typealias Watch = (Int32, @escaping () -> Void) -> Void

  /// Has something done when there is time.
  package var later: (@escaping () -> Void) -> Void {
    get { parting.later }
    set { parting.later = newValue }
  }

  /// Has something done after what has happened meanwhile has been looked at.
  package var soon: (@escaping () -> Void) -> Void = { $0() } {
    didSet { parting.soon = soon }
  }

  /// For so long programs are put in place before `soon` is asked for the rest: each takes some
  /// milliseconds, and a hook tens of them, which add up where there are hundreds of interfaces.
  private let patience: Duration

  /// What an attachment has counted in all, when it is given up.
  package var onRetire: (Int32, [Counter]) -> Void = { _, _ in }

  private let parting: Parting

  /// Something of `state` or `isSettled` may be different now.
  package var onChange: () -> Void = {}

  final class Place {
    var plan: InterfacePlan
    var state = State.pending
    var attachment: Attachment?
    /// The general program runs until the plan's own is compiled.
    var isProvisional = false
    /// Why it runs for longer.
    var shortcoming: Failure?
    /// What failed is being made once more; until then all stays as it is.
    var isTriedAgain = false
    /// What is going to run when it is this interface's turn, and whether it is the general program.
    var next: (object: [UInt8], isGeneral: Bool)?
    init(_ plan: InterfacePlan) { self.plan = plan }
  }

  package private(set) var swaps = SwapTally()

  private(set) var places: [Int32: Place] = [:]
  /// Interfaces whose next program is ready.
  private var turns: [Int32] = []
  private var isToGoOn = false
  let builder: Builder
  private(set) var prepared: [String] = []
  private let entry: EntryObject
  private let shared: SharedEntry
  private let pins: Pins?
  /// Counts the replaces of iptables-legacy, for programs that judge by its rules.
  package let replaces: ReplaceCounter?
  /// Where programs note what they decide, in shadow mode.
  private let shadow: ShadowObserver?
  /// Where programs ask for connections to be marked.
  private let requests: ConnectionRequests?
  /// Where programs keep the routes that they found; each has its own where this cannot be had.
  private var routes: KeptRoutes?
  private let preferClsact: Bool
  private var idle: [String: Program] = [:]

  /// Takes over what a predecessor left in `pins`; `makeCounter` is asked where it left no counter.
  package init(
    objects: ObjectSource, includes: Includes, entry: EntryObject, pins: Pins?,
    preferClsact: Bool = false, patience: Duration = .milliseconds(25),
    shadow: ShadowObserver? = nil, requests: ConnectionRequests? = nil,
    makeCounter: () -> ReplaceCounter? = { nil },
    watch: @escaping Watch, unwatch: @escaping (Int32) -> Void
  ) {
    self.entry = entry
    shared = SharedEntry(entry)
    self.pins = pins
    self.patience = patience
    parting = Parting(pins, patience: patience)
    replaces = pins?.adoptCounter() ?? makeCounter()
    self.shadow = shadow
    self.requests = requests
    self.preferClsact = preferClsact
    builder = Builder(objects, includes, watch, unwatch)
    builder.onResult = { [unowned self] source, result in take(source, result) }
    for hook in [Hook.xdp, .tc] {
      idle[hook.idleName] = try? Loader.load(entry.bytes, program: hook.idleName, maps: [:])
    }
    for attachment in pins?.adopt() ?? [] {
      attachment.idle = idle[attachment.hook.idleName]
      adopted[attachment.interface, default: []] += [attachment]
      // A predecessor's program may do what it decides.
      if shadow != nil { attachment.empty() }
    }
    pins?.replaces = replaces
  }

  /// A predecessor's, until the first plan says what becomes of them.
  private var adopted: [Int32: [Attachment]] = [:]

  /// All of ours, a predecessor's included.
  package var attachments: [Attachment] {
    places.values.compactMap(\.attachment) + adopted.values.flatMap { $0 }
      + parting.attachments.values.flatMap { $0 }
  }

  /// How many attachments of a predecessor run until there is a plan.
  package var adoptedCount: Int { adopted.values.reduce(0) { $0 + $1.count } }

  /// Makes `plans` what runs. Interfaces that are not in it are left to the kernel at once; what can
  /// be had without compiling runs when this returns, everything else later.
  package func apply(_ plans: [InterfacePlan]) {
    let wanted = Dictionary(plans.map { ($0.interface, $0) }) { _, last in last }
    // All of them at once, before the first is detached, which takes its time.
    let unwanted = places.filter { wanted[$0.key] == nil }
    for place in unwanted.values { place.attachment?.empty() }
    for (interface, place) in unwanted {
      release(place)
      places[interface] = nil
    }
    for plan in wanted.values.sorted(by: { $0.interface < $1.interface }) { adjust(plan) }
    for attachments in adopted.values { attachments.forEach(remove) }
    adopted = [:]
    if plans.isEmpty { routes = nil }
    forgetCompilations()
    takeTurns()
    onChange()
  }

  func forgetCompilations() {
    let awaited = places.values.filter(\.isAwaiting).map(\.plan.source)
    builder.forget(except: Set(awaited + prepared))
  }

  /// Has programs compiled that may be needed at any time.
  package func prepare(_ sources: [String]) {
    prepared = sources
    for source in sources { _ = builder.object(for: source, name: "general") }
    builder.proceed()
  }

  /// The state of an interface; `nil` when nothing is planned there.
  package func state(of interface: Int32) -> State? { places[interface]?.state }

  /// Whether a general program runs where one of its own is being compiled.
  package func isProvisional(on interface: Int32) -> Bool {
    places[interface].map { $0.isProvisional || $0.shortcoming != nil } ?? false
  }

  /// Whether everything planned runs or has failed.
  package var isSettled: Bool { !places.values.contains(where: \.isPending) }

  /// fpd's place on an interface, for its counters and explanations.
  package func attachment(on interface: Int32) -> Attachment? { places[interface]?.attachment }

  /// Detaches everything and leaves nothing behind. Packets take the kernel's path at once; the hooks may
  /// take their time, while `each` hears how many are left.
  package func removeAll(each: (Int) -> Void = { _ in }) {
    apply([])
    parting.partFromAll(each: each)
    shared.release()
    idle = [:]
    builder.cancelAll()
    pins?.removeAll()
  }

  // MARK: One interface

  private func adjust(_ plan: InterfacePlan) {
    guard let place = places[plan.interface] else {
      let place = Place(plan)
      for attachment in adopted.removeValue(forKey: plan.interface) ?? [] {
        if attachment.hook == plan.hook, place.attachment == nil {
          place.attachment = attachment
        } else {
          remove(attachment)
        }
      }
      places[plan.interface] = place
      return build(place)
    }
    let isUnchanged =
      place.plan.source == plan.source && place.plan.config == plan.config
      && place.plan.hook == plan.hook && place.plan.rules === plan.rules
    let isLost = place.attachment.map { !$0.isStanding } ?? false
    if place.plan.hook != plan.hook || isLost { release(place) }
    place.plan = plan
    if isUnchanged, !place.mayBeRetried, !isLost { return }
    build(place)
  }

  private func build(_ place: Place) {
    place.state = .pending
    place.isProvisional = false
    place.shortcoming = nil
    place.isTriedAgain = false
    place.next = nil
    if let object = builder.object(for: place.plan.source, name: place.plan.name) {
      queue(object, for: place)
    } else if let general = place.plan.general, let object = builder.objectAtHand(for: general) {
      queue(object, isGeneral: true, for: place)
    }
  }

  private func take(_ source: String, _ result: Result<[UInt8], DatapathError>) {
    for place in places.values.sorted(by: { $0.plan.interface < $1.plan.interface })
    where place.isAwaiting && place.plan.source == source {
      place.isTriedAgain = false
      switch result {
      case .success(let object): queue(object, for: place)
      case .failure(let error): fail(place, Failure(description: error.description))
      }
    }
    takeTurns()
    onChange()
  }

  // MARK: Turns

  func queue(_ object: [UInt8], isGeneral: Bool = false, for place: Place) {
    let waits = place.next != nil
    place.next = (object, isGeneral)
    if !waits { turns.append(place.plan.interface) }
  }

  /// Puts in place what is ready, as much as there is patience for, and at least one.
  func takeTurns() {
    let end = ContinuousClock.now + patience
    var taken = 0
    // What runs is replaced first: that is quick, and where something changed.
    let running = turns.filter { places[$0]?.attachment != nil }
    turns = running + turns.filter { places[$0]?.attachment == nil }
    for interface in turns {
      if taken > 0, ContinuousClock.now >= end { break }
      taken += 1
      guard let place = places[interface], let next = place.next else { continue }
      place.next = nil
      install(next.object, isGeneral: next.isGeneral, on: place)
      guard next.isGeneral else { continue }
      if case .live = place.state {
        place.isProvisional = place.shortcoming == nil
      } else if let shortcoming = place.shortcoming {
        place.state = .failed(shortcoming)
      } else {
        // When the general program fails, there is still the interface's own.
        place.state = .pending
      }
    }
    turns.removeFirst(taken)
    guard !turns.isEmpty, !isToGoOn else { return }
    isToGoOn = true
    soon { [weak self] in
      guard let self else { return }
      isToGoOn = false
      takeTurns()
      onChange()
    }
  }

  private func install(_ object: [UInt8], isGeneral: Bool, on place: Place) {
    let plan = place.plan
    do throws(AttachError) {
      let attachment: Attachment
      if let standing = place.attachment {
        attachment = standing
      } else {
        parting.part(from: plan.interface)
        attachment = try Attachment(
          to: plan.interface, hook: plan.hook, entry: entry, preferClsact: preferClsact, pins: pins,
          shared: shared)
        attachment.idle = idle[plan.hook.idleName]
        place.attachment = attachment
      }
      routes = routes ?? (try? KeptRoutes())
      do throws(DatapathError) {
        try attachment.swap(
          attachment.load(
            object, config: plan.config, replaces: replaces, rules: plan.rules, shadow: shadow,
            requests: requests, routes: routes))
        place.state = .live
        if isGeneral {
          swaps.general += 1
        } else {
          swaps.own += 1
          place.isProvisional = false
          place.shortcoming = nil
        }
      } catch {
        swaps.failures += 1
        let failure = Failure(description: "\(plan.name): \(error)")
        if isGeneral { refuse(place, failure) } else { fail(place, failure) }
      }
    } catch {
      swaps.failures += 1
      refuse(place, Failure(place: error.reason, description: "\(plan.name): \(error)"))
    }
  }

  func release(_ place: Place) {
    if let attachment = place.attachment { remove(attachment) }
    place.attachment = nil
  }

  /// From now on packets take the kernel's path; the place on the hook is given up when there is time.
  private func remove(_ attachment: Attachment) {
    attachment.empty()
    if let counters = try? attachment.counters() { onRetire(attachment.interface, counters) }
    parting.add(attachment)
  }
}

extension Deployment.Place {
  var isPending: Bool { if case .pending = state { true } else { false } }

  /// Whether what failed may go better now, although the plan is the same.
  var mayBeRetried: Bool {
    if case .failed(let failure) = state { failure.place != nil } else { false }
  }
}

/// How many programs were put in place: those made for an interface, those that fit every one, and those that
/// the kernel did not take.
package struct SwapTally: Equatable, Sendable {
  package var own: UInt64 = 0
  package var general: UInt64 = 0
  package var failures: UInt64 = 0

  package init() {}
}
