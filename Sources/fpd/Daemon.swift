// SPDX-License-Identifier: Apache-2.0
import CSystem
import Configuration
import Control
import Datapath
import Glibc
import Introspection
import Metrics
import OrderedJSON
import Topology

/// Wires the rooms together and lives until a signal ends it.
final class Daemon {
  let options: DaemonOptions
  /// In seconds since 1970.
  let started = Double(wallClock) / 1e9
  var configuration: Configuration
  var log: Log
  let tracker: Tracker
  /// `nil` where nothing can be accelerated: see the handicaps.
  var pilot: Pilot?
  let rulebook: Rulebook
  /// Why there is none.
  let pilotObstacle: Reason
  let objects: ObjectSource
  var retry = Retry()
  var samples: Samples
  let accounts = RuleAccounts()
  /// Where fpd only decides.
  let shadow: Shadow?
  let marker: Marker
  let metering: Metering
  var reaction = Histogram()
  var standings = Standings()
  /// How many tables had ever been replaced when counts were last given back.
  private var replacesAtSettling: UInt64?

  let loop: EventLoop
  private let server: ControlServer
  private let notice = ServiceNotice()
  private let namespaceLock: NamespaceLock
  private var replaceWatch: ReplaceWatch?
  private let signals: Int32
  private var watchdog: EventLoop.Timer?
  private var sampling: EventLoop.Timer?
  private var monitors: [Reply] = []
  private var waiters: [Waiter] = []
  private(set) var reloadProblem: String?
  /// Whether the first fast path has been live.
  private var isReady = false

  /// A client that waits for the graph to be what the kernel is.
  private struct Waiter {
    let reply: Reply
    let deadline: EventLoop.Timer
  }

  init(_ options: DaemonOptions, _ configuration: Configuration) throws {
    self.options = options
    self.configuration = configuration
    log = Log(configuration.logLevel.value)
    signals = try Self.takeSignals()
    namespaceLock = try NamespaceLock()
    loop = try EventLoop()
    for directory in [configuration.stateDirectory.value, configuration.cacheDirectory.value] {
      makeDirectory(directory)
    }
    server = try ControlServer(
      path: configuration.socket.value, readers: configuration.socketGroup.value)

    var handicaps: [NetworkState.Problem] = []
    let source = Self.objectSource(configuration)
    objects = source
    var live: LiveKernelView?
    var watch: ReplaceWatch?
    shadow = try Shadow.begin(configuration, source, log)
    do { live = try LiveKernelView(source) } catch {
      log.warning("\(error)", .problem("live-view"))
      handicaps.append(
        .init(
          part: "live-view",
          detail: "netfilter hooks and what others attached cannot be read, and changes that the "
            + "kernel does not announce are polled: \(Self.firstLine(error.description))"))
    }
    do { watch = try ReplaceWatch.make(source, namespace: NamespaceLock.inode()) } catch {
      // The comparison of identities sees the same, some milliseconds later.
      log.notice("changes of iptables-legacy are noticed by comparing: \(error)")
    }
    replaceWatch = watch
    marker = Marker(loop, log)
    metering = Metering(loop, log)
    let rules = configuration
    do {
      pilot = try Self.makePilot(source, configuration, log, loop, shadow, marker.requests)
      pilotObstacle = .loadFailed
    } catch {
      pilot = nil
      pilotObstacle = error is CannotReadLive ? .cannotReadLive : .loadFailed
      log.warning("nothing is accelerated: \(error)", .reason(pilotObstacle.rawValue))
      handicaps.append(
        .init(
          part: error is CannotReadLive ? Reason.cannotReadLive.rawValue : "data-path",
          detail: Self.firstLine(String(describing: error))))
    }
    live?.replaces = pilot?.replaces
    samples = Samples()
    rulebook = Rulebook(objects: source, log: log)
    tracker = try Tracker(
      loop: loop, log: log, live: live, rulebook: rulebook, handicaps: handicaps
    ) {
      HookPreference(rules.hook(for: $0).value)
    }
  }

  func run() throws {
    tracker.onChange = { [unowned self] in
      standings.mayDiffer = true
      followRules()
      tellMonitors()
    }
    tracker.onRules = { [unowned self] in followRules() }
    tracker.onSettled = { [unowned self] in
      listenForReplaces()
      settle()
    }
    if let pilot { heed(pilot) }
    try marker.start()
    try loop.watch(signals) { [unowned self] in heedSignal() }
    try loop.watch(server.descriptor) { [unowned self] in
      server.serve { [unowned self] in answer($0, $1) }
    }
    metering.text = { [unowned self] in measurements.text }
    metering.follow(configuration)
    if let replaceWatch {
      try loop.watch(replaceWatch.descriptor) { [unowned self] in
        guard replaceWatch.drain() > 0 else { return }
        switch replaceWatch.way {
        case .memory: tracker.compareRules()
        case .calls: tracker.tablesReplaced()
        }
      }
    }
    try tracker.start()
    startWatchdog()
    log.notice(
      "fpd \(version) follows \(tracker.graph.interfaces.count) interfaces",
      .generation(tracker.generation))
    startSampling()
    settle()
    loop.run()
    notice.stopping()
    metering.close()
    leaveHooks()
    takeRuleCounts()
    server.close()
    log.notice("stopped")
  }

  /// A thousand hooks take the kernel ten seconds: the service manager hears that it goes on.
  private func leaveHooks() {
    var told = ContinuousClock.now
    pilot?.removeAll { left in
      guard ContinuousClock.now - told >= .seconds(1) else { return }
      told = .now
      notice.stillStopping("leaving \(left) interfaces to the kernel", within: .seconds(30))
    }
  }

  private var summary: String {
    "\(tracker.graph.interfaces.count) interfaces, generation \(tracker.generation)"
  }

  // MARK: - Starting

  private static func objectSource(_ configuration: Configuration) -> ObjectSource {
    let clang = configuration.clang
    let path = clang.source == .builtIn ? nil : clang.value
    var refusal: DatapathError?
    do { try SharedFiles.check(share) } catch { refusal = error }
    return ObjectSource(
      share: share, compiler: Compiler(configured: path),
      cache: ObjectCache(directory: configuration.cacheDirectory.value), refusal: refusal)
  }

  static let share = ObjectSource.locateShare() ?? "/usr/share/fpd"

  static func firstLine(_ text: String) -> String {
    String(text.split(separator: "\n").first ?? "")
  }

  private static func takeSignals() throws(StartError) -> Int32 {
    var wanted = sigset_t()
    sigemptyset(&wanted)
    for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&wanted, signal) }
    sigprocmask(SIG_BLOCK, &wanted, nil)
    signal(SIGPIPE, SIG_IGN)
    let descriptor = signalfd(-1, &wanted, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
    if descriptor < 0 { throw StartError("taking signals", errno) }
    return descriptor
  }

  private func startWatchdog() {
    guard let interval = notice.watchdogMilliseconds else { return }
    let timer = loop.timer { [unowned self] in
      notice.watchdog()
      watchdog?.due = .now + .milliseconds(interval / 2)
    }
    watchdog = timer
    timer.due = .now
  }

  // MARK: - Signals

  private func heedSignal() {
    var info = signalfd_siginfo()
    while read(signals, &info, MemoryLayout<signalfd_siginfo>.size) > 0 {
      if info.ssi_signo == UInt32(SIGHUP) { reload() } else { loop.stop() }
    }
  }

  /// Reads the configuration again; one that is wrong changes nothing.
  private func reload() {
    notice.reloading()
    do {
      var next = try Configuration.load(options)
      if next.shadow.value != configuration.shadow.value {
        log.warning("shadow mode begins and ends with fpd: restart it")
      }
      next.shadow = configuration.shadow
      try server.admit(readers: next.socketGroup.value)
      configuration = next
      log.level = next.logLevel.value
      metering.follow(next)
      tracker.preference = { HookPreference(next.hook(for: $0).value) }
      reloadProblem = nil
      tracker.derive()
      log.notice("read the configuration again")
    } catch {
      reloadProblem = String(describing: error)
      log.error("the configuration stays as it was: \(error)", .problem("configuration"))
    }
    notice.ready(summary)
  }

  // MARK: - Answering

  private func answer(_ request: Request, _ reply: Reply) {
    do throws(Refusal) {
      switch request.command {
      case .status: reply.finish(status().json)
      case .graph: reply.finish(try graph(request))
      case .stats: reply.finish(try stats(request))
      case .rules: reply.finish(try rules(request))
      case .config: reply.finish(configuration.json)
      case .wait: try wait(request, reply)
      case .state: reply.finish(StateReport(tracker.state).json)
      case .monitor:
        monitors.append(reply)
        reply.stream(news)
      case .why: reply.finish(try why(request))
      case .shadow: reply.finish(shadowReport())
      }
    } catch {
      reply.refuse(error)
    }
  }

  private var news: JSON {
    [
      "generation": .number(tracker.generation),
      "interfaces": .number(tracker.graph.interfaces.count),
      "state": .string(currentState.rawValue),
    ]
  }

  private func tellMonitors() {
    monitors = monitors.filter { $0.stream(news) }
  }

  private func graph(_ request: Request) throws(Refusal) -> JSON {
    let name = try request.text("interface")
    if let name { try requireInterface(name) }
    return tracker.graph.json(generation: tracker.generation, only: name)
  }

  func requireInterface(_ name: String) throws(Refusal) {
    let names = tracker.graph.interfaces.map(\.name)
    if !names.contains(name) { throw .unknownInterface(name, known: names) }
  }

  private func wait(_ request: Request, _ reply: Reply) throws(Refusal) {
    let limit = try request.number("timeout_ms", in: 0...86_400_000) ?? 10_000
    let deadline = loop.timer {
      reply.refuse(Refusal(.negative, "the graph did not settle within \(limit) ms"))
    }
    deadline.due = .now + .milliseconds(limit)
    waiters.append(Waiter(reply: reply, deadline: deadline))
    tracker.catchUp()
    settle()
  }

  /// Tables are listened to while there are any; that the first one comes shows on the hooks.
  private func listenForReplaces() {
    guard let watch = replaceWatch else { return }
    guard tracker.state.hasReplaceableTables else { return watch.stopListening() }
    do {
      if try watch.listen() { tracker.tablesReplaced() }
    } catch {
      // The comparison of identities sees the same, some milliseconds later.
      log.notice("changes of iptables-legacy are noticed by comparing: \(error)")
      replaceWatch = nil
    }
  }

  var isSettled: Bool { tracker.isSettled && pilot?.isSettled ?? true }

  /// What is live may now be what the kernel is configured to do.
  func settle() {
    guard isSettled else { return }
    let reactionTime = tracker.takeReaction()
    if let reactionTime, isReady { reaction.add(reactionTime) }
    tellStandings()
    if !isReady {
      isReady = true
      notice.ready(summary)
    }
    answerWaiters()
  }

  private func answerWaiters() {
    let answered = waiters
    waiters = []
    for waiter in answered {
      loop.forget(waiter.deadline)
      waiter.reply.finish(news)
    }
  }

  // MARK: - Counting

  /// What the fast path has done with an interface's packets so far.
  func counters(of interface: InterfaceGraph) -> [Counter]? {
    pilot?.counters(of: interface.index)
  }

  func followRules() {
    pilot?.follow(tracker.graph, tracker.state.ruleEpoch, rulebook)
    accounts.follow(tracker.state.legacyTables + tracker.state.nftables)
  }

  /// Enters what programs have counted by rules, and gives iptables-legacy its part.
  func takeRuleCounts() {
    rulebook.takeCounts { accounts.enter($0, of: $1) }
    let replaces = pilot?.replaces?.count
    accounts.settle(unchanged: replaces != nil && replaces == replacesAtSettling)
    replacesAtSettling = replaces
  }

  private func startSampling() {
    let timer = loop.timer { [unowned self] in
      let interfaces = tracker.graph.interfaces
      for place in samples.turn(of: interfaces.count) {
        guard let counters = counters(of: interfaces[place]) else { continue }
        samples.add(counters, of: interfaces[place].index)
      }
      takeRuleCounts()
      shadow?.gather(nameOf)
      samples.keepOnly(Set(interfaces.map(\.index)))
      tryAgain()
      sampling?.due = .now + Samples.interval
    }
    sampling = timer
    timer.due = .now + Samples.interval
  }
}

extension HookPreference {
  init(_ choice: HookChoice) { self = HookPreference(rawValue: choice.rawValue) ?? .auto }
}

/// Makes a directory and those above it; what cannot be made shows when it is used.
private func makeDirectory(_ path: String) {
  var made = ""
  for part in path.split(separator: "/") {
    made += "/\(part)"
    mkdir(made, 0o755)
  }
}
