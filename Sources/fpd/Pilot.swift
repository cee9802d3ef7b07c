// SPDX-License-Identifier: Apache-2.0
import Datapath
import Glibc
import Introspection
import Synth
import Topology

/// Turns each new graph into programs and has them run; tells what runs where, and why not.
final class Pilot {
  private var fastPath: FastPath
  private var layout: KernelLayout
  private let types: String
  private let template: String
  private let shadow: ShadowObserver?
  /// Whether the functions of modules can be had: it takes the right to list what the kernel has.
  private var canCall: Bool
  /// Modules that have been asked, and which of their times of being loaded that was.
  private var loads: [String: UInt64] = [:]
  private let deployment: Deployment
  private let log: Log
  /// Graphs that no program could be rendered for.
  private var faults: [Int32: Fault] = [:]
  private var marks: [OwnMark] = []
  /// What attachments have counted that are gone, by interface.
  private var retired: [Int32: [Counter]] = [:]
  private var isPrepared = false
  private var texts: [String: String] = [:]
  /// What was last planned where rules are judged.
  private var judging: [Int32: InterfacePlan] = [:]

  /// Interfaces whose drivers have turned out to have no XDP.
  private var withoutXDP: Set<Int32> = []
  /// Whether the hook on an interface is left to fpd.
  var mayChoose: (String) -> Bool = { _ in true }

  /// Something of what runs is different now.
  var onChange: () -> Void = {}
  /// More can be done with packets than when the graph was made.
  var onTypes: () -> Void = {}

  /// Why nothing outlives a killed fpd.
  private(set) var pinsComplaint: String?

  init(
    objects: ObjectSource, share: String, state: String, log: Log, shadow: ShadowObserver?,
    requests: ConnectionRequests?,
    watch: @escaping Deployment.Watch, unwatch: @escaping (Int32) -> Void,
    later: @escaping (@escaping () -> Void) -> Void,
    soon: @escaping (@escaping () -> Void) -> Void
  ) throws {
    self.log = log
    self.shadow = shadow
    if let refusal = objects.refusal { throw refusal }
    types = try Self.read("\(share)/fpm/kernel/types.h")
    layout = try KernelLayout(types: types)
    if !layout.missing.isEmpty { throw CannotReadLive(missing: layout.missing) }
    canCall = Self.prepareCalls(layout, log)
    // What has come only since the types were read is still to be learnt.
    loads = Self.loads(of: layout).filter { [layout] in !layout.absentModules.contains($0.key) }
    template = try Self.read("\(share)/templates/\(FastPath.templateName)")
    fastPath = try FastPath(
      template, layout: layout.text + Self.keeping, isShadow: shadow != nil)
    let entry = try EntryObject(objects)
    let pins: Pins?
    do { pins = try Pins(state: state, namespace: NamespaceLock.inode()) } catch {
      log.warning("a killed fpd will leave nothing to take over: \(error)", .problem("pins"))
      pinsComplaint = String(describing: error)
      pins = nil
    }
    deployment = Deployment(
      objects: objects, includes: try Includes(["\(share)/fpm"]), entry: entry, pins: pins,
      shadow: shadow, requests: requests,
      makeCounter: {
        do { return try ReplaceCounter(objects) } catch {
          log.notice("rules of iptables-legacy stay with the kernel: \(error)")
          return nil
        }
      }, watch: watch, unwatch: unwatch)
    deployment.later = later
    deployment.soon = soon
    deployment.onRetire = { [unowned self] interface, counters in
      retired[interface] = retired[interface].map { Self.sum($0, counters) } ?? counters
    }
    marks = deployment.marks
    deployment.onChange = { [unowned self] in
      marks = deployment.marks
      onChange()
    }
  }

  private static func prepareCalls(_ layout: KernelLayout, _ log: Log) -> Bool {
    do { try CalledModule.set(layout.calledModule) } catch {
      log.notice("packets of tracked connections stay with the kernel: \(error)")
      return false
    }
    return true
  }

  private static func read(_ path: String) throws(StartError) -> String {
    guard let bytes = readFile(path) else { throw StartError("reading \(path)", errno) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// What is kept of routes lies in one place for each processor.
  private static let keeping = Preemption.isPossible ? "#define KEEPS_ROUTES 0\n" : ""

  var isSettled: Bool { deployment.isSettled }

  /// Whether programs could look up connections on this kernel. In shadow mode they do not: what NAT makes of a
  /// packet would not be found again. Nor where another packet's program could come in between: what is known of
  /// a connection lies in one place for each processor.
  var followsConnections: Bool {
    layout.lacking.isEmpty && canCall && shadow == nil && !Preemption.isPossible
  }

  /// Whether something failed that may go better another time.
  var hasFailed: Bool { deployment.hasFailed }

  /// Tries once more what failed.
  func tryAgain() { deployment.tryAgain() }

  /// Why an interface's own program cannot be had, where the general one does instead.
  func shortcoming(of interface: Int32) -> String? {
    deployment.shortcoming(on: interface)?.description
  }

  /// How many programs have been put in place.
  var swaps: SwapTally { deployment.swaps }

  /// Counts the replaces of iptables-legacy; `nil` where the kernel does not let it.
  var replaces: ReplaceCounter? { deployment.replaces }

  /// Makes the programs for `graph` run. Those that judge by rules are made for those of the rulebook, which
  /// are the kernel's as of `epoch`.
  func follow(_ graph: ProcessingGraph, _ epoch: RuleEpoch?, _ rulebook: Rulebook) {
    faults = [:]
    let present = Set(graph.interfaces.map(\.index))
    retired = retired.filter { present.contains($0.key) }
    learnTypes()
    if texts.count > 64 { texts = [:] }
    var plans: [InterfacePlan] = []
    for interface in graph.interfaces {
      var interface = interface
      if interface.hook == .xdp, withoutXDP.contains(interface.index), mayChoose(interface.name) {
        interface.hook = .tc
      }
      do {
        if let plan = try plan(for: interface, graph.hooks, epoch, rulebook) { plans.append(plan) }
      } catch {
        faults[interface.index] = error
      }
    }
    judging = Dictionary(
      plans.lazy.filter { $0.rules != nil }.map { ($0.interface, $0) }, uniquingKeysWith: { $1 })
    deployment.apply(plans)
    if !isPrepared {
      isPrepared = true
      deployment.prepare((try? fastPath.generals()) ?? [])
    }
  }

  private func plan(
    for interface: InterfaceGraph, _ hooks: HarmlessHooks, _ epoch: RuleEpoch?,
    _ rulebook: Rulebook
  ) throws(Fault) -> InterfacePlan? {
    guard let hook = Datapath.Hook(interface.hook) else { return nil }
    if interface.fast.contains(.bridge), layout.absentModules.contains("bridge") {
      throw Fault(
        reason: .cannotReadLive, words: "the kernel's module bridge does not tell its types")
    }
    var rules: JudgedRules?
    if interface.judgesRules {
      // In the midst of a change: what runs notices that, and leaves packets to the kernel.
      guard let epoch, let shape = rulebook.shape else { return judging[interface.index] }
      if shape.asksKernel, Preemption.isPossible {
        throw Fault(
          reason: .cannotReadLive,
          words:
            "rules ask for sets or kinds of addresses, and on this kernel for real time one packet's "
            + "program may interrupt another's")
      }
      rules = JudgedRules(epoch: epoch, shape: shape)
    }
    do {
      guard
        let program = try fastPath.program(
          for: interface, hooks: hooks, rules: rules, cache: &texts)
      else {
        return nil
      }
      return InterfacePlan(
        interface: interface.index, name: interface.name, hook: hook, source: program.source,
        general: program.general, config: program.config,
        rules: rules == nil ? nil : try rulebook.maps())
    } catch {
      throw Fault(reason: .loadFailed, words: String(describing: error))
    }
  }

  /// Where the driver has no XDP and nobody asked for it by name, TC it is.
  func chooseAgain(_ graph: ProcessingGraph, _ epoch: RuleEpoch?, _ rulebook: Rulebook) {
    let lacking = graph.interfaces.filter { interface in
      guard interface.hook == .xdp, !withoutXDP.contains(interface.index),
        case .failed(.noNativeXDP, _) = standing(of: interface.index)
      else { return false }
      return mayChoose(interface.name)
    }
    guard !lacking.isEmpty else { return }
    withoutXDP.formUnion(lacking.map(\.index))
    follow(graph, epoch, rulebook)
  }

  private static func loads(of layout: KernelLayout) -> [String: UInt64] {
    layout.modules.reduce(into: [:]) { $0[$1] = KernelLayout.load(of: $1) }
  }

  /// A module that has been loaded since brings the types of what it keeps; one that has been loaded anew is another.
  private func learnTypes() {
    let now = Self.loads(of: layout)
    let come = now.keys.filter { now[$0] != loads[$0] }.sorted()
    guard !come.isEmpty else { return }
    loads = now
    do {
      let known = try KernelLayout(types: types)
      fastPath = try FastPath(
        template, layout: known.text + Self.keeping, isShadow: shadow != nil)
      canCall = Self.prepareCalls(known, log)
      layout = known
      texts = [:]
      onTypes()
      log.notice("learnt the types of \(come.joined(separator: ", "))")
    } catch {
      log.warning("the types of \(come.joined(separator: ", ")) stay unknown: \(error)")
    }
  }

  /// Leaves all packets to the kernel; `each` hears how many hooks are still to be given up.
  func removeAll(each: (Int) -> Void) { deployment.removeAll(each: each) }

  private struct Fault: Error {
    let reason: Reason
    let words: String
  }

  // MARK: - What runs

  /// An interface's place as `status` tells it.
  enum Standing {
    case live(Datapath.Hook, isProvisional: Bool)
    case pending
    case failed(Reason, String)
    case none
  }

  func standing(of interface: Int32) -> Standing {
    if let fault = faults[interface] { return .failed(fault.reason, fault.words) }
    switch deployment.state(of: interface) {
    case .live?:
      guard let attachment = deployment.attachment(on: interface) else { return .pending }
      return .live(attachment.hook, isProvisional: deployment.isProvisional(on: interface))
    case .pending?: return .pending
    case .failed(let failure)?: return .failed(Reason(failure), failure.description)
    case nil: return .none
    }
  }

  func counters(of interface: Int32) -> [Counter]? {
    growingCounters(of: interface) ?? retired[interface]
  }

  /// Counters that never go back: `nil` where those of what runs cannot be read now.
  func growingCounters(of interface: Int32) -> [Counter]? {
    let former = retired[interface]
    guard let attachment = deployment.attachment(on: interface) else { return former ?? [] }
    guard let now = try? attachment.counters() else { return nil }
    return former.map { Self.sum($0, now) } ?? now
  }

  private static func sum(_ former: [Counter], _ later: [Counter]) -> [Counter] {
    zip(former, later).map { former, later in
      Counter(
        packets: former.packets &+ later.packets, bytes: former.bytes &+ later.bytes)
    }
  }

  func explain(_ frame: [UInt8], on interface: Int32) throws(DatapathError) -> Explanation? {
    guard let attachment = deployment.attachment(on: interface) else { return nil }
    return try attachment.explain(frame)
  }

  /// The state as it would be if nothing of ours stood anywhere: our own programs are no obstacle.
  func withoutOurs(_ state: NetworkState) -> NetworkState {
    guard !marks.isEmpty else { return state }
    var state = state
    let programs = Set(marks.map(\.program))
    let linked = Set(marks.filter { $0.hook == .tc && $0.isLink }.map(\.interface))
    for place in state.links.indices where !state.links[place].xdp.isEmpty {
      state.links[place].xdp.removeAll { programs.contains($0.program) }
    }
    state.filters.removeAll { programs.contains($0.programID) }
    guard var views = state.deviceViews else { return state }
    for place in views.indices where linked.contains(views[place].link) {
      if views[place].tcxIngress > 0 { views[place].tcxIngress -= 1 }
    }
    state.deviceViews = views.filter { !$0.isBare }
    return state
  }
}

/// Programs could not look at this kernel's tables.
struct CannotReadLive: Error, CustomStringConvertible {
  let missing: [String]

  var description: String {
    "\(Reason.cannotReadLive.meaning): it has no \(missing.joined(separator: ", ")) (Linux 6.2 and "
      + "later have); all packets stay with the kernel"
  }
}

extension Datapath.Hook {
  init?(_ hook: GraphHook) {
    switch hook {
    case .xdp: self = .xdp
    case .genericXDP: self = .genericXDP
    case .tc: self = .tc
    case .none: return nil
    }
  }
}

extension Reason {
  /// Why there was no place for fpd on a hook.
  init(_ failure: Deployment.Failure) {
    switch failure.place {
    case .foreignProgram?: self = .foreignXDP
    case .driverWithoutXDP?: self = .noNativeXDP
    case .noInterface?: self = .changed  // its event is on the way
    case .refused?, nil: self = .loadFailed
    }
  }
}
