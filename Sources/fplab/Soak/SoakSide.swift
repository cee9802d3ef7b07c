// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Synchronization

/// One of the routers, its hosts and its traffic: numbered frames that no connection is tracked for, a stream that is
/// masqueraded and compared byte for byte, and requests.
final class SoakSide {
  enum Restart: String, CaseIterable {
    case ended = "restarted"
    case killed = "killed"
    case reloaded = "reloaded"
  }

  let name: String
  let router: Namespace
  private let bed: Testbed
  private let generator: LoadGenerator
  private let sink: LoadSink
  private let stream: LoadStream
  private let configuration: String?
  private var fpd: Fpd?
  private var run: LoadGenerator.Run?
  private var talk: LoadThread<Talk>?
  private let isOver = Flag()

  private static let rate = 10_000
  private static let flows = 64

  struct Talk: Sendable {
    var bytes = 0
    var requests = 0
  }

  private final class Flag: Sendable {
    private let value = Mutex(false)
    var isSet: Bool {
      get { value.withLock { $0 } }
      set { value.withLock { $0 = newValue } }
    }
  }

  init(_ name: String, hook: String?) throws {
    self.name = name
    bed = try Testbed.hostRouterHost()
    router = try bed["router"]
    let (left, right) = (try bed["left"], try bed["right"])
    try router.ip(batch: [
      "neigh replace 10.0.2.2 lladdr \(try right.mac(of: "eth0")) dev p2 nud permanent",
      "neigh replace 10.0.1.2 lladdr \(try left.mac(of: "eth0")) dev p1 nud permanent",
      "route add 10.100.0.0/16 via 10.0.2.2",
    ])
    // Streams fill their cables' queues, and what they push out of them is lost: they have cables of their own.
    let (near, far) = (try bed.add("near"), try bed.add("far"))
    try bed.cable(.init(near, "eth0", "10.0.3.2/24"), .init(router, "p3", "10.0.3.1/24"))
    try bed.cable(.init(far, "eth0", "10.0.4.2/24"), .init(router, "p4", "10.0.4.1/24"))
    try near.run("ip route add default via 10.0.3.1")
    try router.run("ethtool -K p1 gro on")
    try right.run("ethtool -K eth0 gro on")
    for rule in [
      "-t raw -A PREROUTING -p udp --dport 9 -j CT --notrack",
      "-t nat -A POSTROUTING -p tcp -o p4 -j MASQUERADE",
      "-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED,UNTRACKED -j ACCEPT",
      "-A FORWARD -i p1 -j ACCEPT", "-A FORWARD -i p3 -j ACCEPT", "-P FORWARD DROP",
    ] {
      try router.run("iptables-legacy \(rule)")
    }
    sink = try LoadSink(
      in: right, device: "eth0", tracking: Self.rate * 64, flows: Self.flows)
    let traffic = try LoadTraffic(
      from: left.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1"
    ) { $0.flows = Self.flows }
    generator = try LoadGenerator(in: left, device: "eth0", traffic, sink: sink)
    stream = LoadStream(from: near, to: far, "10.0.4.2")
    configuration = hook.map { "defaults: {hook: \($0)}\nconnections: follow\n" }
    fpd = try start(after: nil)
    try fpd?.wait()
  }

  private func start(after last: Fpd?) throws -> Fpd? {
    try configuration.map {
      try Fpd(in: router, configuration: $0, logLevel: "warning", reusing: last)
    }
  }

  /// Traffic for some time.
  func begin(for time: Duration) throws {
    sink.reset()
    isOver.isSet = false
    // Behind everything else, with no more under way than a cable holds.
    run = try generator.start(
      .init(time: time, rate: Self.rate, window: 96), nice: 10)
    let (stream, isOver) = (stream, isOver)
    talk = try LoadThread(nice: 10) {
      var talk = Talk()
      while !isOver.isSet {
        talk.bytes += try stream.transfer(8 << 20).count
        talk.requests += try stream.requests(.milliseconds(200), sessions: 4).count
        usleep(200_000)
      }
      return talk
    }
  }

  /// What became of it.
  func finish() throws -> SoakMinute.Traffic {
    guard let run, let talk else { throw LabError("\(name): no traffic was begun") }
    isOver.isSet = true
    let sent = try run.finish()
    let said: Talk
    do { said = try talk.value() } catch { throw LabError("\(name): \(error)") }
    sink.settle()
    return .init(
      tally: try sink.tally(sent: sent.frames), bytes: said.bytes, requests: said.requests)
  }

  func restart(_ kind: Restart) throws {
    guard let last = fpd else { return }
    switch kind {
    case .reloaded: return last.process.signal(SIGHUP)
    case .ended: try last.stop()
    case .killed: last.kill()
    }
    fpd = try start(after: last)
  }

  func settle() throws { try fpd?.wait() }

  /// What fpd holds, and whether it is well.
  func holdings() throws -> SoakMinute.Holdings? {
    guard let fpd else { return nil }
    let status = try fpd.status()
    return .init(
      name: name, state: status["state"]?.string ?? "?", resident: try fpd.usage.resident,
      descriptors: try fpd.descriptors(),
      share: status["interfaces"]?.array?.first { $0["name"] == "p1" }?["fast_share"]?.double)
  }

  func end() throws {
    try fpd?.stop()
    fpd = nil
    bed.close()
  }
}
