// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Lab
import OrderedJSON

/// The network of a trial, with fpd in its router or without.
final class Bed {
  let router: Namespace
  private let bed = Testbed()
  private var hosts: [Int: Namespace] = [:]
  private var ears: [Int: Tap] = [:]
  /// Taps in the router that a trial has opened, by device.
  private var taps: [String: Tap] = [:]
  private let cables: Int
  /// Hears the frames that tell that all before them are through.
  private let gate: Gate
  let hook: String
  private let hasFpd: Bool
  let isTracked: Bool
  private(set) var fpd: Fpd?
  private var isFrozen = false
  /// Frames that were heard at the ends of cables in the stages before.
  private var heardBefore: [String: Int] = [:]
  /// tolerated: a link that comes or goes may lose what the kernel itself says at that moment
  private(set) var linksAreSteady = true

  /// `hook` is where fpd is to work; without fpd there is none.
  init(_ trial: Trial, hook: String, hasFpd: Bool) throws {
    (cables, self.hook, self.hasFpd) = (trial.cables, hook, hasFpd)
    isTracked = trial.isTracked
    router = try bed.add("r", ipv6: trial.hasIPv6 ? .quiet : .off)
    try router.inside { try Self.tame() }
    gate = try Gate(in: router)
    let outside = try bed.add("o")
    var lines = ["link set lo up"]
    for port in 1...trial.cables where !trial.hosts.contains(port) {
      lines += Self.cable(port, to: router, end: "h\(port)")
    }
    try outside.ip(batch: lines)
    for port in trial.hosts.sorted() {
      let host = try bed.add("h\(port)")
      hosts[port] = host
      try host.inside {
        try Self.tame()
        _ = Self.set(["net.ipv4.ip_forward=0"])
      }
      try host.ip(batch: Self.cable(port, to: router, end: "eth0"))
    }
    for port in 1...trial.cables {
      let (namespace, device) = hosts[port].map { ($0, "eth0") } ?? (outside, "h\(port)")
      try prepareEnd(of: port, device, in: namespace)
      ears[port] = try Tap(device, in: namespace)
    }
    let words = try run(trial.build)
    linksAreSteady = true
    if !words.isEmpty { throw LabError("the network cannot be built: \(words)") }
    for namespace in [router] + hosts.values { try namespace.inside { try Self.stopClocks() } }
    try settle()
    try startFpd()
  }

  private static func cable(_ port: Int, to router: Namespace, end: String) -> [String] {
    let (host, gateway) = (Names.hostMAC(port), Names.gatewayMAC(port))
    // Where both ends had the same number, the kernel would take a second to tell that they carry.
    return [
      "link add \(end) index \(100 + port) address \(host) mtu 3000 type veth peer name p\(port) "
        + "index \(10 + port) address \(gateway) mtu 1500 netns \(router.name)",
      "link set \(end) up",
    ]
  }

  /// On XDP a veth takes what is redirected only when its other end does NAPI. On TC the way into every second
  /// end is the long one, and none joins the segments that it is to tell of.
  private func prepareEnd(of port: Int, _ device: String, in namespace: Namespace) throws {
    if hook == "xdp" {
      try namespace.run(["ethtool", "-K", device, "gro", "on"])
    } else if port % 2 == 0 {
      try namespace.run(["sh", "-c", "echo 1 > /sys/class/net/\(device)/queues/rx-0/rps_cpus"])
    }
  }

  /// No message is left unsaid because there were many.
  private static func tame() throws {
    let settings = [
      "icmp_ratelimit=0", "icmp_ratemask=0", "ip_forward=1", "conf.all.rp_filter=0",
      "conf.default.rp_filter=0", "igmp_link_local_mcast_reports=0",
    ]
    if let words = set(settings.map { "net.ipv4.\($0)" }[...]) { throw LabError(words) }
    for name in ["iptables", "ip6tables", "arptables"] {
      _ = set(["net.bridge.bridge-nf-call-\(name)=0"])
    }
  }

  /// Clocks that have to do with what comes out stand still: no neighbour grows old, and none is asked for
  /// twice. Who waits for one is not lost.
  private static func stopClocks() throws {
    let directory = "/proc/sys/net/ipv4/neigh"
    for device in Leftovers.entries(of: directory) {
      for (name, value) in [
        ("base_reachable_time_ms", "3600000"), ("delay_first_probe_time", "3600"),
        ("locktime", "10000000"),
        ("retrans_time_ms", "600000"), ("gc_stale_time", "36000"), ("proxy_delay", "0"),
        // Waiting packets are limited by the memory they take, which is more behind XDP.
        ("unres_qlen_bytes", "100000000"),
      ] { try TextFile.write("\(directory)/\(device)/\(name)", value) }
    }
  }

  private var configuration: String {
    "defaults:\n  hook: \(hook)\n" + (isTracked ? "connections: exact\n" : "")
  }

  private func startFpd() throws {
    if !hasFpd { return }
    fpd = try Fpd(
      in: router, configuration: configuration, logLevel: "info", reusing: fpd)
  }

  /// Ends fpd as an administrator would; its exit status, 0 where there was none.
  func close() throws -> Int32 {
    defer { bed.close() }
    thaw()
    return try fpd?.stop(within: .seconds(10)) ?? 0
  }

  // MARK: What happens to fpd

  /// Brings fpd into the state in which it is to meet changes.
  func prepare(_ manner: Trial.Manner) throws {
    guard let fpd else { return }
    switch manner {
    case .settled, .sudden: break
    case .frozen:
      try fpd.freeze()
      isFrozen = true
    case .dead: fpd.kill()
    }
  }

  private func thaw() {
    if isFrozen { fpd?.process.signal(SIGCONT) }
    isFrozen = false
  }

  /// Has fpd be as it should again, after the frames.
  func mend(_ manner: Trial.Manner) throws {
    thaw()
    if manner == .dead, fpd != nil { try startFpd() }
  }

  /// Waits until what runs corresponds to what is configured; answers what fpd complains of.
  func converge() throws -> [String] {
    guard let fpd else { return [] }
    try fpd.wait()
    let status = try fpd.status()
    return status["state"] == "degraded"
      ? ["fpd is degraded: \(status["problems"]?.text() ?? "")"] : []
  }

  /// How many packets fpd decided, and left to the kernel, by what it calls it.
  func fates() throws -> [String: Int] { try fpd?.connect().fates() ?? [:] }

  // MARK: Changes

  /// Runs command lines with the real tools; what they say where they fail, which is no error here.
  /// `@2 LINE` is run by the host at the end of p2; what follows the first line is fed to the command.
  func run(_ lines: [String]) throws -> [String] {
    let shaking = [" down", " up", "master", "delif", "mtu"]
    if lines.contains(where: { line in shaking.contains { line.contains($0) } }) {
      linksAreSteady = false
    }
    var words: [String] = []
    var batch: [String] = []
    func flush() throws {
      if batch.isEmpty { return }
      let done = try router.attempt(
        ["ip", "-force", "-batch", "-"], input: batch.joined(separator: "\n") + "\n")
      if !done.errors.isEmpty { words.append(done.errors) }
      batch = []
    }
    for line in lines {
      if line.hasPrefix("ip "), !line.hasPrefix("ip -"), !line.contains("\n") {
        batch.append(String(line.dropFirst(3)))
        continue
      }
      try flush()
      if let said = try run(line) { words.append(said) }
    }
    try flush()
    return words
  }

  private func run(_ line: String) throws -> String? {
    var (namespace, command) = (router, Substring(line))
    if line.hasPrefix("@"), let blank = line.firstIndex(of: " ") {
      guard let port = Int(line[..<blank].dropFirst()), let host = hosts[port] else {
        throw LabError("there is no host for '\(line)'")
      }
      (namespace, command) = (host, line[line.index(after: blank)...])
    }
    let parts = command.split(separator: "\n", maxSplits: 1)
    let words = Command.split(String(parts.first ?? ""))
    let input = parts.count == 2 ? parts[1] + "\n" : nil
    switch words.first {
    case "sysctl": return try namespace.inside { Self.set(words[1...]) }
    case "tap":
      taps[words[1]] = try? Tap(words[1] == "any" ? nil : words[1], in: router)
      return nil
    case "untap":
      taps[words[1]] = nil
      return nil
    default:
      let done = try namespace.attempt(words, input: input.map { String($0) })
      return done.succeeded ? nil : "\(command): \(done.errors)"
    }
  }

  private static func set(_ settings: ArraySlice<String>) -> String? {
    for setting in settings {
      let parts = setting.split(separator: "=", maxSplits: 1).map(String.init)
      let path = "/proc/sys/" + parts[0].split(separator: ".").joined(separator: "/")
      do { try TextFile.write(path, parts.count == 2 ? parts[1] : "") } catch {
        return "sysctl \(setting): \(error)"
      }
    }
    return nil
  }

  /// Waits until every device that is up carries, as far as it ever will.
  func settle() throws {
    _ = try eventually(within: .seconds(2), every: .milliseconds(1)) {
      try router.inside { Self.carries }
    }
  }

  private static var carries: Bool {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return false }
    defer { freeifaddrs(list) }
    var next = list
    while let one = next?.pointee {
      next = one.ifa_next
      let flags = UInt32(one.ifa_flags)
      let isUp = flags & UInt32(IFF_UP) != 0
      let name = String(cString: one.ifa_name)
      if isUp, name.hasPrefix("p"), flags & UInt32(IFF_RUNNING) == 0 { return false }
    }
    return true
  }

  // MARK: Frames

  /// What was heard, by place: `p2` is the end of that cable, `tap p2` a tap in the router.
  typealias Heard = [String: [Frame]]

  /// Sends frames and hears what comes of them.
  func send(_ shots: [Trial.Shot], _ heard: inout Heard) throws {
    // Frames of one cable stay in order as long as one CPU sends them.
    lab_stay_on_cpu(1)
    defer { lab_stay_on_cpu(0) }
    for (place, shot) in shots.enumerated() {
      guard let ear = ears[shot.port] else { throw LabError("there is no cable p\(shot.port)") }
      // A cable that is down takes nothing; neither does one a frame is too long for.
      if let segment = shot.segment {
        try? ear.send(shot.bytes, offloading: segment)
      } else {
        try? ear.send(shot.bytes)
      }
      let changesSender = place + 1 < shots.count && shots[place + 1].port != shot.port
      if shot.rests || changesSender { try waitUntilThrough(shot.port, ear) }
    }
    if let last = shots.last, let ear = ears[last.port] { try waitUntilThrough(last.port, ear) }
    try listen(&heard, patience: .milliseconds(3))
  }

  /// Waits until the router has looked at all that was sent on a cable so far: a frame behind it, that
  /// every bridge passes on and up, has come through. Where it cannot, not for long.
  private func waitUntilThrough(_ port: Int, _ ear: Tap) throws {
    let number = gate.next()
    let frame = Packet(
      from: Names.hostMAC(port), to: .broadcast,
      .raw(etherType: Self.barrier, [UInt8(number >> 8), UInt8(number & 0xff)]))
    guard (try? ear.send(frame.bytes)) != nil else { return }
    try gate.wait(for: number, within: .milliseconds(3))
  }

  /// The type of frames that only tell that those before them are through.
  static let barrier: UInt16 = 0x88b6

  /// Hears what the kernel says of its own when a network begins; nothing of it is compared.
  func begin() throws {
    var heard = Heard()
    try listen(&heard, patience: .milliseconds(5))
    let sent = try sent()
    for port in 1...cables { heardBefore["p\(port)"] = sent["p\(port)"] ?? 0 }
  }

  /// How many frames have come at the end of a cable.
  func heardInAll(_ port: String) -> Int { heardBefore[port] ?? 0 }
  func take(_ count: Int, heardAt port: String) { heardBefore[port, default: 0] += count }
  func hasHost(at port: String) -> Bool { Int(port.dropFirst()).map { hosts[$0] != nil } ?? false }

  /// Takes what comes until nothing has for some time.
  func listen(_ heard: inout Heard, patience: Duration) throws {
    let all = Array(ears.values) + Array(taps.values)
    let deadline = Instant.now + .seconds(2)
    while Instant.now < deadline, Tap.wait(for: all, by: .now + patience) {
      for (port, ear) in ears { heard["p\(port)", default: []] += try ear.take() }
      for (device, tap) in taps {
        heard["tap \(device)", default: []] += try tap.take(outgoing: true)
      }
    }
  }
}

/// Names and addresses that are the same in every trial.
enum Names {
  static func hostMAC(_ port: Int) -> MAC { MAC(number: 0x0a00 + UInt32(port)) }
  /// Of the router's end of a cable.
  static func gatewayMAC(_ port: Int) -> MAC { MAC(number: 0x0100 + UInt32(port)) }
  static func bridgeMAC(_ number: Int) -> MAC { MAC(number: 0x0200 + UInt32(number)) }
  /// Of other devices of the router.
  static func deviceMAC(_ number: Int) -> MAC { MAC(number: 0x0300 + UInt32(number)) }
  /// The last byte but one of what the router's devices have.
  static let routers: ClosedRange<UInt8> = 1...3
}

extension Bed {
  /// What fpd says of the rules; as it is asked, it hands the kernel what it has counted.
  func rules() throws -> JSON? { try fpd?.connect().ask("rules") }
}
