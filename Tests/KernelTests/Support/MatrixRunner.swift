// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

/// Runs all groups of a tool without fpd and then with it, on each hook, and compares packet by packet.
///
/// FPD_MATRIX_GROUP=NAME picks groups, with NAME|NAME several; FPD_MATRIX_SHOW=1 prints what the tools are
/// given; FPD_MATRIX_DRY=1 compares Linux with itself, which tests the tests.
final class MatrixRunner {
  /// Whether what the fast path counts is given back to the kernel, so that listings are the same. Rules of
  /// nftables take no counts from anybody.
  private var countersComeBack: Bool { tool == .legacy }

  private let tool: MatrixTool
  private let groups: [MatrixGroup]
  private var reference: [String: Outcome] = [:]

  /// What became of a group's packets.
  private struct Outcome {
    /// By packet.
    var heard: [Int: [String: [Frame]]] = [:]
    /// What belongs to none.
    var others: [String: [Frame]] = [:]
    var listing: [String] = []
    var frames = 0
  }

  /// A packet with its number in its group, which is its IP identification.
  private struct Sent {
    let number: Int
    let row: MatrixCase.Row
    let of: MatrixCase
    let place: MatrixPacket.Place
    let shot: Shot

    init(number: Int, row: MatrixCase.Row, of: MatrixCase, place: Int, on group: MatrixGroup) {
      (self.number, self.row, self.of, self.place) = (number, row, of, .init(number: place))
      shot = row.packet.shot(in: self.place, id: UInt16(number), on: group.topology)
    }
  }

  init(_ tool: MatrixTool) {
    self.tool = tool
    let names = Self.variable("FPD_MATRIX_GROUP").map { $0.split(separator: "|").map(String.init) }
    groups = tool.groups.filter { names?.contains($0.name) ?? true }
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }
  private static var isDry: Bool { variable("FPD_MATRIX_DRY") != nil }

  func run() throws {
    for topology in [ContractTopology.router, .bridgeRouter] {
      let some = groups.filter { $0.topology == topology }
      if some.isEmpty { continue }
      for hook in [nil, "xdp", "tc"] { try run(some, on: topology, hook) }
    }
  }

  private static func routes(_ topology: ContractTopology) -> [String] {
    let (goal, other) = topology == .router ? ("10.0.2.2", "10.0.3.2") : ("10.0.3.2", "10.0.4.2")
    return [
      "default via \(goal)", "10.9.0.0/16 via \(goal)", "10.10.0.0/16 via \(other)",
      "10.77.0.0/16 via 10.0.1.2",
    ].map { "route replace \($0)" }
  }

  private func run(
    _ groups: [MatrixGroup], on topology: ContractTopology, _ hook: String?
  ) throws {
    let bed = try ContractBed(topology)
    defer { bed.close() }
    try bed.router.ip(batch: Self.routes(topology))
    if topology == .bridgeRouter {
      // Nothing is to be refreshed meanwhile: that is the kernel's, whatever rules say.
      try bed.router.ip(
        batch: ["br0", "br1"].map { "link set \($0) type bridge ageing_time 3000000" })
    }
    if let hook, !Self.isDry {
      bed.fpd = try Fpd(in: bed.router, configuration: "defaults:\n  hook: \(hook)\n")
    }
    let started = Instant.now
    var count = 0
    for group in groups {
      do {
        if Self.variable("FPD_MATRIX_SHOW") != nil && hook == nil { print(tool.script(group)) }
        try tool.load(group, in: bed.router)
        count += try run(group, in: bed, hook)
        try tool.unload(group, in: bed.router)
      } catch {
        Issue.record("\(tool.rawValue), \(group.name), \(hook ?? "without fpd"): \(error)")
        try? tool.unload(group, in: bed.router)
      }
    }
    print(
      "\(tool.rawValue) \(hook.map { "on \($0)" } ?? "without fpd"): \(groups.count) rulesets, "
        + "\(count) packets in \(Instant.now - started)")
    if let fpd = bed.fpd { #expect(try fpd.stop() == 0) }
  }

  private func run(_ group: MatrixGroup, in bed: ContractBed, _ hook: String?) throws -> Int {
    let packets = Self.packets(of: group)
    // Bridges forget.
    try bed.greet()
    _ = try bed.listen([:], wanted: 0, patience: .milliseconds(5))
    if hook == nil {
      let outcome = try send(packets, in: bed, group)
      reference[group.name] = outcome
      for packet in packets { checkReference(packet, outcome, group) }
      return packets.count
    }
    guard let without = reference[group.name] else { return 0 }
    var counters: MatrixCounters?
    if let fpd = bed.fpd, let hook {
      try fpd.wait()
      let missing = try Self.accelerationMissing(
        hook, bed.topology, fpd, within: group.isKernels ? .milliseconds(300) : .seconds(5))
      if missing.isEmpty {
        counters = try MatrixCounters(fpd)
      } else if !group.isKernels {
        Issue.record("\(tool.rawValue), \(group.name): \(missing)")
      }
    }
    let outcome = try send(packets, in: bed, group, wanted: without.frames, counters) {
      packet, counted in
      if let problem = Self.problem(packet, counted, group) {
        self.record(packet, hook ?? "", group, problem)
      }
    }
    for packet in packets {
      let problems = Self.differences(
        outcome.heard[packet.number] ?? [:], without.heard[packet.number] ?? [:])
      if !problems.isEmpty {
        record(packet, hook ?? "", group, problems.joined(separator: "\n  "))
      }
    }
    let rest = Self.differences(outcome.others, without.others)
    if !rest.isEmpty { Issue.record("\(tool.rawValue), \(group.name), \(hook ?? ""): \(rest)") }
    if countersComeBack && outcome.listing != without.listing {
      Issue.record(
        """
        \(tool.rawValue), \(group.name), \(hook ?? ""): the user sees
        \(outcome.listing.joined())
        and without fpd
        \(without.listing.joined())
        """)
    }
    return packets.count
  }

  private static func packets(of group: MatrixGroup) -> [Sent] {
    var packets: [Sent] = []
    for (number, row) in group.cases.enumerated() {
      for packet in row.packets {
        packets.append(
          Sent(number: packets.count + 1, row: packet, of: row, place: number, on: group))
      }
    }
    return packets
  }

  // MARK: Sending and hearing

  private func send(
    _ packets: [Sent], in bed: ContractBed, _ group: MatrixGroup, wanted: Int? = nil,
    _ counters: MatrixCounters? = nil, _ check: (Sent, [String: Int]) -> Void = { _, _ in }
  ) throws -> Outcome {
    var heard: [String: [Frame]] = [:]
    func listen(_ count: Int, _ patience: Duration) throws {
      let more = try bed.listen([:], wanted: count, patience: patience)
      heard.merge(more) { $0 + $1 }
    }
    var all: Int { heard.reduce(0) { $0 + $1.value.count } }
    for packet in packets {
      try bed.send([packet.shot])
      if let counters { check(packet, try counters.next()) }
      try listen(0, .zero)
    }
    try listen(max(0, (wanted ?? 0) - all), wanted == nil ? .milliseconds(40) : .milliseconds(8))
    // What fpd did not decide may take its time on a machine that is busy.
    if let wanted, all < wanted { try listen(wanted - all, .milliseconds(8)) }
    var outcome = Outcome()
    outcome.frames = all
    for (host, frames) in heard {
      for frame in frames {
        if let number = Self.packet(behind: frame, packets) {
          outcome.heard[number, default: [:]][host, default: []].append(frame)
        } else {
          outcome.others[host, default: []].append(frame)
        }
      }
    }
    // Asking for the rules has their counters brought up to date.
    if let fpd = bed.fpd, countersComeBack { try fpd.fpctl("rules").check() }
    outcome.listing = try tool.listing(group, in: bed.router)
    return outcome
  }

  /// The packet that a frame is, or that it answers.
  private static func packet(behind frame: Frame, _ packets: [Sent]) -> Int? {
    guard let ip = frame.ipv4 else { return nil }
    let isOwn = [0x0a00_0101, 0x0a00_0201, 0x0a00_0301, 0x0a00_0401].contains {
      IPv4Address(UInt32($0)).bytes == ip.source.bytes
    }
    var number = Int(ip.identification)
    if isOwn && ip.number == 1 && frame.bytes.count > 47 {
      number = Int(frame.bytes[46]) << 8 | Int(frame.bytes[47])
    } else if ip.identification == 0 {
      // A reset.
      number =
        packets.first {
          let (from, to) = $0.row.packet.addresses(in: $0.place)
          // Its ports are those of the segment, the other way round.
          let ports = $0.shot.bytes.dropFirst(34).prefix(4)
          let (left, right) = (
            frame.bytes.dropFirst(34).prefix(2), frame.bytes.dropFirst(36).prefix(2)
          )
          return $0.shot.bytes[23] == 6 && from.bytes == ip.destination.bytes
            && to.bytes == ip.source.bytes
            && Array(ports) == Array(right + left)
        }?.number ?? 0
    }
    return packets.indices.contains(number - 1) ? number : nil
  }

  // MARK: Checking

  /// Linux itself does what the case says.
  private func checkReference(_ packet: Sent, _ outcome: Outcome, _ group: MatrixGroup) {
    let seen = (outcome.heard[packet.number] ?? [:]).reduce(0) { $0 + $1.value.count }
    let wanted: Int
    switch packet.row.wanted {
    case .meets: wanted = group.dropsByPolicy ? 1 : 0
    case .misses: wanted = group.dropsByPolicy ? 0 : 1
    case .left: return
    }
    if seen != wanted {
      record(packet, "without fpd", group, "the hosts see \(seen) frames, not \(wanted)")
    }
  }

  private static func problem(
    _ packet: Sent, _ counted: [String: Int], _ group: MatrixGroup
  ) -> String? {
    let wanted: [String]
    switch packet.row.wanted {
    case .meets: wanted = [group.dropsByPolicy ? "forwarded" : "dropped"]
    case .misses: wanted = [group.dropsByPolicy ? "dropped" : "forwarded"]
    case .left(let reasons): wanted = reasons.split(separator: "|").map(String.init)
    }
    if counted.count == 1, let one = counted.first, one.value == 1, wanted.contains(one.key) {
      return nil
    }
    return "fpd counts \(counted), not \(wanted.joined(separator: " or "))"
  }

  private static func differences(
    _ now: [String: [Frame]], _ then: [String: [Frame]]
  ) -> [String] {
    ContractComparison.problems(
      ContractResult(heard: now), ContractResult(heard: then), of: .fast)
  }

  private func record(_ packet: Sent, _ half: String, _ group: MatrixGroup, _ problem: String) {
    let rules = packet.of.rules.map(packet.place.fill).joined(separator: " ; ")
    Issue.record(
      "\(tool.rawValue), \(group.name), \(half): \(rules): \(Frame(packet.shot.bytes)): \(problem)")
  }

  // MARK: What fpd says

  private static func accelerationMissing(
    _ hook: String, _ topology: ContractTopology, _ fpd: Fpd, within limit: Duration
  ) throws -> String {
    var missing: [String] = []
    let line = try fpd.connect()
    _ = try eventually(within: limit, every: .milliseconds(5)) {
      let interfaces = try line.ask("status")["interfaces"]?.array ?? []
      missing = topology.hosts.map(\.port).compactMap { device in
        guard let one = interfaces.first(where: { $0["name"]?.string == device }) else {
          return "fpd does not know \(device)"
        }
        let isReady =
          one["accelerated"]?.bool == true && one["hook"]?.string == hook
          && one["program"]?.string == "own"
        return isReady ? nil : "\(device) is not accelerated on \(hook): \(one.text())"
      }
      return missing.isEmpty
    }
    return missing.joined(separator: "; ")
  }
}
