// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Introspection
import Netlink
import Topology

/// Keeps the graph equal to the kernel's configuration: hears that something is dirty, waits for the
/// burst to end, reads the dirty parts, derives, publishes.
final class Tracker {
  /// The first reaction comes when nothing was heard for this long …
  private static let quiet = Duration.milliseconds(3)
  /// … or, in an endless burst, after this long in all.
  private static let patience = Duration.milliseconds(40)
  /// How often the identities that nobody announces are compared, unless that would cost too much.
  private static let pollInterval = Duration.milliseconds(40)
  private static let pollShare = 250
  /// What costs more to ask for, the list of ipsets and sysctls that are files, comes with every so many
  /// comparisons.
  private static let setsEvery = 4
  private static let sysctlsEvery = 2
  /// Settings of devices that are down matter to those who look at the graph, not to packets.
  private static let silentEvery = 50
  /// Where identities cannot be read, what they would tell is read whole, this often.
  private static let blindInterval = Duration.milliseconds(500)
  /// A survey of the routes may take one part in this many of a processor's time.
  private static let surveyShare = 300
  /// How often everything is read again although nothing was heard.
  private static let resyncInterval = Duration.seconds(60)
  private static let resyncShare = 500

  private(set) var state = NetworkState()
  private(set) var graph = ProcessingGraph()
  private(set) var generation: UInt64 = 0
  /// What makes fpd less than it could be, beside parts that could not be read.
  private(set) var handicaps: [NetworkState.Problem] = []

  /// Called with each new generation.
  var onChange: () -> Void = {}
  /// Called when the rules are others and the graph is the same.
  var onRules: () -> Void = {}
  /// Called whenever the tracker has caught up with all it heard of.
  var onSettled: () -> Void = {}
  var preference: (String) -> HookPreference
  /// What programs can do for connections.
  var connections: () -> ConnectionUse = { .none }
  /// Takes away from a state what stands there because of fpd.
  var withoutOurs: (NetworkState) -> NetworkState = { $0 }

  private let loop: EventLoop
  private let log: Log
  private let feed: ChangeFeed
  private let reader: KernelReader
  private let sysctls: SysctlReader
  private(set) var live: LiveKernelView?
  private let rulebook: Rulebook
  private var routes: RouteTracker

  private var dirty: Parts = []
  private var dirtySince: ContinuousClock.Instant?
  /// When what is being read was first heard of.
  private var heard: ContinuousClock.Instant?
  /// Since when the graph, or the rules, are others than those that ran last.
  private var changedSince: ContinuousClock.Instant?
  private var identity = KernelIdentity()
  /// Of the rules that were last told of.
  private var ruleEpoch: RuleEpoch?
  private var edition = 0
  private var setsIdentity: UInt64 = 0
  private var refreshTimer: EventLoop.Timer?
  private var pollTimer: EventLoop.Timer?
  private var resyncTimer: EventLoop.Timer?
  private var wasOverrun = 0
  private var lastReading = Duration.zero
  private var polls = 0

  init(
    loop: EventLoop, log: Log, live: LiveKernelView?, rulebook: Rulebook,
    handicaps: [NetworkState.Problem],
    preference: @escaping (String) -> HookPreference
  ) throws {
    self.loop = loop
    self.log = log
    self.live = live
    self.rulebook = rulebook
    self.handicaps = handicaps
    self.preference = preference
    // Listening begins before the first reading, so that nothing falls between.
    feed = try ChangeFeed()
    sysctls = SysctlReader()
    reader = try KernelReader(sysctls: sysctls, live: live)
    routes = try RouteTracker(share: Self.surveyShare)
  }

  func start() throws(StartError) {
    refreshTimer = loop.timer { [unowned self] in refresh() }
    pollTimer = loop.timer { [unowned self] in poll() }
    resyncTimer = loop.timer { [unowned self] in mark(.all) }
    for descriptor in feed.descriptors {
      try loop.watch(descriptor) { [unowned self] in hear() }
    }
    try loop.watch(routes.descriptor) { [unowned self] in
      surveyMore()
      // Also when nothing is new: a survey that takes long is no longer waited for.
      settle()
    }
    dirty = .all
    refresh()
  }

  var isSettled: Bool { dirty.isEmpty && !routes.isDue }

  /// What could not be had at the start can now.
  func take(_ view: LiveKernelView) {
    live = view
    reader.live = view
    lift("live-view")
    mark(.all)
  }

  /// A handicap of the start is none any more.
  func lift(_ part: String) { handicaps.removeAll { $0.part == part } }

  /// How long ago something was heard that changed the graph or the rules; asked once for what has changed so far.
  func takeReaction() -> Duration? {
    defer { changedSince = nil }
    return changedSince.map { .now - $0 }
  }

  /// Something else than the kernel's configuration changed what the graph depends on.
  func derive() { publish() }

  // MARK: - Hearing

  /// Tables of iptables-legacy were replaced.
  func tablesReplaced() { mark([.xtables, .hooks]) }

  /// They may have been, here or elsewhere.
  func compareRules() { compare(sysctls: false, sets: false, silent: false) }

  /// Brings the graph up to the kernel's configuration as it is at this moment.
  func catchUp() {
    hear()
    if live == nil { mark(.all) } else { compare() }
    if !dirty.isEmpty { refresh() }
    startSurveyIfDue()
  }

  private func hear() {
    let parts = feed.drain()
    if feed.overruns != wasOverrun {
      wasOverrun = feed.overruns
      log.info("the kernel's messages overran the receive buffer: reading everything again")
    }
    if routes.noteArrivals(feed.takeArrivals(), in: &state) { mark(.addresses) }
    mark(parts)
    let states = feed.takeStates()
    if state.takeStates(states) { publish() }
  }

  private func mark(_ parts: Parts) {
    guard !parts.isEmpty else { return }
    let now = ContinuousClock.now
    if parts.contains(.routes) { routes.want() }
    dirty.formUnion(parts)
    let since = dirtySince ?? now
    dirtySince = since
    refreshTimer?.due = min(since + Self.patience, now + Self.quiet)
  }

  // MARK: - Comparing what nobody announces

  private func poll() {
    let start = ContinuousClock.now
    polls += 1
    compare(
      sysctls: polls % Self.sysctlsEvery == 0, sets: polls % Self.setsEvery == 0,
      silent: polls % Self.silentEvery == 0)
    startSurveyIfDue()
    let cost = ContinuousClock.now - start
    pollTimer?.due =
      live == nil
      ? start + max(Self.blindInterval, lastReading * Self.pollShare)
      : start + max(Self.pollInterval, cost * Self.pollShare)
  }

  private func compare(sysctls: Bool = true, sets: Bool = true, silent: Bool = true) {
    if silent, state.hasSilentLinks { mark(.links) }
    if sysctls, self.sysctls.hasChanged(all: live == nil) { mark([.sysctls, .links]) }
    if sets, let now = try? reader.setsIdentity(), now != setsIdentity { mark(.sets) }
    guard let live else {
      mark([.links, .xtables, .ipsec, .routes])
      return
    }
    do {
      let now = try live.identity()
      if now != identity { mark(parts(changedTo: now)) }
    } catch {
      log.debug("comparing identities: \(error)")
    }
  }

  private func parts(changedTo now: KernelIdentity) -> Parts {
    var parts: Parts = []
    // A table of nftables that belongs to a process goes with it, without a word and a new generation.
    if now.hooks != identity.hooks { parts.formUnion([.hooks, .devices, .nftables]) }
    if now.xtables != identity.xtables { parts.formUnion([.xtables, .hooks]) }
    // Without tables there are none that could be replaced here: it was in another namespace.
    if now.replaces != identity.replaces, !state.legacyTables.isEmpty { parts.insert(.xtables) }
    if now.nftables != identity.nftables { parts.formUnion([.nftables, .hooks, .devices]) }
    if now.devices != identity.devices { parts.formUnion([.devices, .links]) }
    if now.deviceSettings != identity.deviceSettings { parts.formUnion([.links, .sysctls]) }
    if now.policies != identity.policies { parts.insert(.ipsec) }
    if now.routes != identity.routes {
      // Not a part to read at once: the tables are looked through when that is cheap enough.
      identity.routes = now.routes
      routes.want()
    }
    return parts
  }

  // MARK: - Reading

  private func refresh() {
    let start = ContinuousClock.now
    var parts = dirty
    heard = dirtySince ?? start
    defer { heard = nil }
    dirty = []
    dirtySince = nil
    refreshTimer?.due = nil
    // Identities are taken before reading: what changes meanwhile differs at the next comparison. What
    // they say has changed is read now, also where no event told: it would never be noticed again.
    if let live, let now = try? live.identity() {
      if now != identity { parts.formUnion(self.parts(changedTo: now)) }
      identity = now
    }
    if let now = try? reader.setsIdentity(), now != setsIdentity {
      parts.insert(.sets)
      setsIdentity = now
    }
    let unsteady = reader.read(parts, into: &state)
    let read = ContinuousClock.now - start
    startSurveyIfDue()
    publish()
    let cost = ContinuousClock.now - start
    log.debug("read \(parts.names.joined(separator: ", ")) in \(read), derived in \(cost - read)")
    if parts == .all {
      resyncTimer?.due = start + max(Self.resyncInterval, cost * Self.resyncShare)
    }
    lastReading = cost
    if cost > .milliseconds(20) { malloc_trim(0) }
    mark(unsteady)
    if pollTimer?.due == nil { pollTimer?.due = start + Self.pollInterval }
    settle()
  }

  private func publish() {
    rulebook.follow(state)
    let next = Topology.derive(
      withoutOurs(state), rules: rulebook.summary, connections: connections(),
      preference: preference)
    let sameRules = state.ruleEpoch == ruleEpoch && rulebook.edition == edition
    edition = rulebook.edition
    ruleEpoch = state.ruleEpoch
    let isSame = next == graph && generation > 0
    if !isSame || !sameRules { changedSince = changedSince ?? heard ?? .now }
    guard !isSame else {
      if !sameRules { onRules() }
      return
    }
    graph = next
    generation += 1
    log.info(
      "generation \(generation): \(graph.interfaces.count) interfaces", .generation(generation))
    onChange()
  }

  private func settle() { if isSettled { onSettled() } }

  // MARK: - Routes

  private func startSurveyIfDue() {
    do {
      try routes.startIfDue(feed: feed)
    } catch {
      log.warning("\(error)")
    }
    surveyMore()
  }

  private func surveyMore() {
    do {
      if try routes.advance(feed: feed, state: &state) {
        publish()
        settle()
      }
    } catch {
      log.debug("surveying routes: \(error)")
      routes.want()
    }
  }
}
