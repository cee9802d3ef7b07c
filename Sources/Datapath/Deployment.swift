// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What is to run on one interface.
package struct InterfacePlan {
  package var interface: Int32
  package var name: String
  package var hook: Hook
  /// The program in C.
  package var source: String
  /// One that does the same and may be at hand while the other is being compiled.
  package var general: String?
  /// What its constant `config` begins with.
  package var config: [UInt8]
  /// What it judges packets by.
  package var rules: RuleMaps?

  package init(
    interface: Int32, name: String, hook: Hook, source: String, general: String? = nil,
    config: [UInt8] = [], rules: RuleMaps? = nil
  ) {
    self.interface = interface
    self.name = name
    self.hook = hook
    self.source = source
    self.general = general
    self.config = config
    self.rules = rules
  }
}

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

  /// Has something done soon, not at once: leaving a hook takes the kernel tens of milliseconds.
  package var later: (@escaping () -> Void) -> Void = { $0() }

  /// What an attachment has counted in all, when it is given up.
  package var onRetire: (Int32, [Counter]) -> Void = { _, _ in }

  private var parting: [Int32: [Attachment]] = [:]

  /// Something of `state` or `isSettled` may be different now.
  package var onChange: () -> Void = {}

  final class Place {
    var plan: InterfacePlan
    var state = State.pending
    var attachment: Attachment?
    /// The general program runs until the plan's own is compiled.
    var isProvisional = false
    init(_ plan: InterfacePlan) { self.plan = plan }
  }

  private(set) var places: [Int32: Place] = [:]
  private let builder: Builder
  private var prepared: [String] = []
  private let entry: EntryObject
  private let shared: SharedEntry
  private let pins: Pins?
  /// Counts the replaces of iptables-legacy, for programs that judge by its rules.
  package let replaces: ReplaceCounter?
  private let preferClsact: Bool

  /// Takes over what a predecessor left in `pins`; `makeCounter` is asked where it left no counter.
  package init(
    objects: ObjectSource, includes: Includes, entry: EntryObject, pins: Pins?,
    preferClsact: Bool = false, makeCounter: () -> ReplaceCounter? = { nil },
    watch: @escaping Watch, unwatch: @escaping (Int32) -> Void
  ) {
    self.entry = entry
    shared = SharedEntry(entry)
    self.pins = pins
    replaces = pins?.adoptCounter() ?? makeCounter()
    self.preferClsact = preferClsact
    builder = Builder(objects, includes, watch, unwatch)
    builder.onResult = { [unowned self] source, result in take(source, result) }
    for attachment in pins?.adopt() ?? [] {
      adopted[attachment.interface, default: []] += [attachment]
    }
    pins?.replaces = replaces
  }

  /// A predecessor's, until the first plan says what becomes of them.
  private var adopted: [Int32: [Attachment]] = [:]

  /// All of ours, a predecessor's included.
  var attachments: [Attachment] {
    places.values.compactMap(\.attachment) + adopted.values.flatMap { $0 }
      + parting.values.flatMap { $0 }
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
    let awaited = places.values.filter { $0.isPending || $0.isProvisional }.map(\.plan.source)
    builder.forget(except: Set(awaited + prepared))
    onChange()
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
    places[interface]?.isProvisional ?? false
  }

  /// Whether everything planned runs or has failed.
  package var isSettled: Bool { !places.values.contains(where: \.isPending) }

  /// fpd's place on an interface, for its counters and explanations.
  package func attachment(on interface: Int32) -> Attachment? { places[interface]?.attachment }

  /// Detaches everything and leaves nothing behind.
  package func removeAll() {
    apply([])
    partFromAll()
    shared.release()
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
    if let object = builder.object(for: place.plan.source, name: place.plan.name) {
      install(object, on: place)
    } else if let general = place.plan.general, let object = builder.objectAtHand(for: general) {
      install(object, on: place)
      if case .live = place.state { place.isProvisional = true } else { place.state = .pending }
    }
  }

  private func take(_ source: String, _ result: Result<[UInt8], DatapathError>) {
    for place in places.values.sorted(by: { $0.plan.interface < $1.plan.interface })
    where (place.isPending || place.isProvisional) && place.plan.source == source {
      switch result {
      case .success(let object): install(object, on: place)
      // What runs does as well, only slower.
      case .failure where place.isProvisional: break
      case .failure(let error): fail(place, Failure(description: error.description))
      }
    }
    for place in places.values where place.plan.source == source { place.isProvisional = false }
    onChange()
  }

  private func install(_ object: [UInt8], on place: Place) {
    let plan = place.plan
    do throws(AttachError) {
      let attachment: Attachment
      if let standing = place.attachment {
        attachment = standing
      } else {
        part(from: plan.interface)
        attachment = try Attachment(
          to: plan.interface, hook: plan.hook, entry: entry, preferClsact: preferClsact, pins: pins,
          shared: shared)
        place.attachment = attachment
      }
      do throws(DatapathError) {
        try attachment.swap(
          attachment.load(
            object, config: plan.config, replaces: replaces, rules: plan.rules))
        place.state = .live
      } catch {
        fail(place, Failure(description: "\(plan.name): \(error)"))
      }
    } catch {
      fail(place, Failure(place: error.reason, description: "\(plan.name): \(error)"))
    }
  }

  private func fail(_ place: Place, _ failure: Failure) {
    release(place)
    place.state = .failed(failure)
  }

  private func release(_ place: Place) {
    if let attachment = place.attachment { remove(attachment) }
    place.attachment = nil
  }

  /// From now on packets take the kernel's path; the place on the hook is given up when there is time.
  private func remove(_ attachment: Attachment) {
    attachment.empty()
    if let counters = try? attachment.counters() { onRetire(attachment.interface, counters) }
    parting[attachment.interface, default: []].append(attachment)
    later { [weak self] in self?.partFromAll() }
  }

  private func partFromAll() { for interface in Array(parting.keys) { part(from: interface) } }

  private func part(from interface: Int32) {
    for attachment in parting.removeValue(forKey: interface) ?? [] {
      attachment.detach()
      pins?.remove(attachment.interface, attachment.hook)
    }
  }
}

extension Deployment.Place {
  var isPending: Bool { if case .pending = state { true } else { false } }

  /// Whether what failed may go better now, although the plan is the same.
  var mayBeRetried: Bool {
    if case .failed(let failure) = state { failure.place != nil } else { false }
  }
}
