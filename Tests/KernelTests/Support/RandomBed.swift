// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import OrderedJSON

/// A router between hosts that is given one ruleset after the other, with fpd or without.
final class RandomBed {
  private let bed: ContractBed
  private let fpd: Fpd?
  private let line: ControlLine?
  private let hook: String?
  /// ipsets of rulesets before, which go when the kernel has let go of them.
  private var spent: [String] = []
  private static let ports = [ContractHost.a, .b, .c]

  init(_ hook: String?) throws {
    self.hook = hook
    let bed = try ContractBed(.router)
    self.bed = bed
    try bed.router.ip(batch: [
      "route replace default via 10.0.2.2", "route replace 10.9.0.0/16 via 10.0.2.2",
      "route replace 10.10.0.0/16 via 10.0.3.2", "route replace 10.77.0.0/16 via 10.0.1.2",
    ])
    // Redirects are limited by the time that has passed.
    try bed.router.sysctl(
      ["all", "p1", "p2", "p3"].map { "net.ipv4.conf.\($0).send_redirects=0" })
    // Frames of a cable stay in order however busy the machine is.
    for host in Self.ports { try bed.router.run("ethtool -K \(host.port) gro on") }
    let fpd = try hook.map {
      try Fpd(in: bed.router, configuration: "defaults:\n  hook: \($0)\n", logLevel: "info")
    }
    self.fpd = fpd
    line = try fpd?.connect()
  }

  /// fpd's exit status; 0 where there was none.
  func close() throws -> Int32 {
    defer { bed.close() }
    return try fpd?.stop() ?? 0
  }

  // MARK: Rules

  /// Replaces the rules by those of `firewall`; what the tool says if it refuses them.
  func load(_ firewall: Firewall) throws -> String? {
    if !firewall.sets.isEmpty {
      let made = try bed.router.attempt(["ipset", "-exist", "restore"], input: firewall.setScript)
      spent += firewall.sets.map(\.name)
      if !made.succeeded { return made.errors }
    }
    if firewall.tool == .nft { try bed.router.run("nft flush ruleset") }
    let command =
      firewall.tool == .native ? ["nft", "-f", "-"] : ["\(firewall.tool.rawValue)-restore"]
    let loaded = try bed.router.attempt(command, input: script(firewall))
    return loaded.succeeded ? nil : loaded.errors
  }

  /// Tables of iptables-legacy stay, so what is in them has to be replaced as well.
  private func script(_ firewall: Firewall) -> String {
    guard firewall.tool == .legacy else { return firewall.script }
    let missing = known.subtracting(firewall.tables.map(\.name)).sorted()
    known.formUnion(firewall.tables.map(\.name))
    let policies = ["filter", "mangle", "security"]
    return firewall.script
      + missing.map {
        "*\($0)\n" + (policies.contains($0) ? ":FORWARD ACCEPT\n" : "") + "COMMIT\n"
      }.joined()
  }
  private var known: Set<String> = []

  /// Drops the ipsets of rulesets before `firewall`, which refers to some itself.
  func tidy(except firewall: Firewall) throws {
    let kept = Set(firewall.sets.map(\.name))
    // Lists first: they hold the others.
    let lists = spent.filter { $0.hasSuffix("_l") } + spent.filter { !$0.hasSuffix("_l") }
    spent = try lists.filter { name in
      if kept.contains(name) { return true }
      return try !bed.router.attempt(["ipset", "destroy", name]).succeeded
    }
  }

  /// Waits until fpd judges by the rules that are there; why it does not, if so.
  func settle() throws -> String? {
    guard let fpd, let line, let hook else { return nil }
    try fpd.wait()
    let interfaces = try line.ask("status")["interfaces"]?.array ?? []
    for host in Self.ports {
      let one = interfaces.first { $0["name"]?.string == host.port }
      guard let one, one["accelerated"]?.bool == true, one["hook"]?.string == hook else {
        return "\(host.port) is not accelerated: \(one?.text() ?? "not known")"
      }
    }
    return nil
  }

  // MARK: Packets

  /// Sends them, host by host, and tells what came out for each: where, and which bytes. What belongs to
  /// none of them is under 0.
  func send(_ packets: [FirewallPacket]) throws -> [UInt16: [String]] {
    var heard: [UInt16: [String]] = [:]
    let known = Set(packets.map(\.number))
    for host in Self.ports {
      let own = packets.filter { $0.host == host.rawValue }
      if own.isEmpty { continue }
      try bed.send(own.map { Shot(host: host, bytes: $0.frame(from: host.mac, to: host.gateway)) })
      for (place, frame) in try heardUntilThrough() {
        let number = FirewallPacket.number(behind: frame) ?? 0
        heard[known.contains(number) ? number : 0, default: []].append(
          "\(place): \(Self.text(frame))")
      }
    }
    return heard.mapValues { $0.sorted() }
  }

  /// What comes out until the router has answered each host twice: behind the first answer is what it has
  /// sent to other hosts, behind the second what these have heard.
  private func heardUntilThrough() throws -> [(String, Frame)] {
    var frames: [(String, Frame)] = []
    for _ in 0..<2 {
      for host in Self.ports {
        let ask = ARP.request(
          from: (host.mac, host.address), for: IPv4Address(host.address.value - 1))
        try bed.send([.frame(host, to: .broadcast, .arp(ask))])
      }
      var answers = 0
      let isThrough = try eventually(within: .seconds(10), every: .milliseconds(1)) {
        for (place, some) in try bed.listen([:], wanted: 0, patience: .zero) {
          answers += some.count { $0.etherType == 0x0806 }
          frames += some.filter { $0.etherType != 0x0806 }.map { (place, $0) }
        }
        return answers >= Self.ports.count
      }
      if !isThrough { throw LabError("the router does not answer its hosts") }
    }
    return frames
  }

  /// The bytes, but for the number that the kernel gives to what it says itself.
  private static func text(_ frame: Frame) -> String {
    var bytes = frame.bytes
    if let ip = frame.ipv4, ip.source.value & 0xffff_00ff == 0x0a00_0001 {
      for place in [18, 19, 24, 25] { bytes[place] = 0 }
      if !ip.checksumIsRight { bytes[25] = 1 }
    }
    return "\(frame) \(hexadecimal(bytes))"
  }

  // MARK: Counters

  /// How many packets fpd decided, and left to the kernel.
  func fates() throws -> [String: Int] { try line?.fates() ?? [:] }

  /// What users see of the counters, a line for each.
  func counters(_ tool: Firewall.Tool) throws -> [String] {
    let rules = try line?.ask("rules")
    if tool == .legacy {
      return try bed.router.run("iptables-legacy-save -c").output.split(separator: "\n")
        .map(String.init).filter {
          !$0.hasPrefix("#") && !$0.hasPrefix(":INPUT") && !$0.hasPrefix(":OUTPUT")
        }
    }
    if let rules { return RuleCounts.told(rules) }
    return RuleCounts.listed(try bed.router.run("nft -a list ruleset").output)
  }
}
