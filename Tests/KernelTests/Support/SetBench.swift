// SPDX-License-Identifier: Apache-2.0
import Datapath
import Introspection
import Lab
import Rules
import Testing

/// A router whose FORWARD chain has one rule about an ipset: the same packets are sent through it, where the
/// kernel's own match decides, and judged by fpm/filter.h.
final class SetBench {
  let router: Namespace
  private let bed = Testbed()
  private let sender: Tap
  private let receiver: Tap
  private let header: [UInt8]
  private let source: FilterProgram.Source
  private let directory: TemporaryDirectory
  private let sets: KernelSets
  private var objects: [ClassifierShape: [UInt8]] = [:]

  /// Nobody's rule drops packets from there.
  private static let marker: UInt32 = 0xcb00_7163

  init(compiler: String = "clang", bounded: Bool = false) throws {
    let left = try bed.add("left")
    router = try bed.add("router")
    let right = try bed.add("right")
    try bed.cable(.init(left, "e0"), .init(router, "e0", "10.250.0.1/24"))
    try bed.cable(.init(right, "e1"), .init(router, "e1", "10.250.1.1/24"))
    try router.sysctl([
      "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.e0.rp_filter=0",
      "net.ipv4.conf.all.accept_local=1",
    ])
    let next = try right.mac(of: "e1")
    try router.ip(batch: [
      "neigh add 10.250.1.2 lladdr \(next) dev e1 nud permanent",
      "route add default via 10.250.1.2",
    ])
    header = try router.mac(of: "e0").bytes + left.mac(of: "e0").bytes + [8, 0]
    sender = try Tap("e0", in: left)
    receiver = try Tap("e1", in: right)
    source = try FilterProgram.Source(compiler: compiler, bounded: bounded, asksKernel: true)
    directory = try TemporaryDirectory("sets")
    sets = try KernelSets(
      ObjectSource(
        share: ".", compiler: Compiler(configured: nil),
        cache: ObjectCache(directory: "\(directory.path)/cache")))
  }

  deinit { bed.close() }

  /// Runs ipset's own language.
  func ipset(_ lines: [String]) throws {
    try router.run(["ipset", "-exist", "restore"], input: lines.joined(separator: "\n") + "\n")
  }

  /// Replaces the rules: what meets `match` is dropped.
  func rule(_ match: String, tool: IPTables = .legacy) throws {
    try router.restore(
      tool, "*filter\n-A FORWARD -s 203.0.113.99 -j ACCEPT\n-A FORWARD \(match) -j DROP\nCOMMIT\n")
  }

  /// A program for the rules there are.
  func program(findsSets: Bool = true) throws -> FilterProgram {
    let (ruleset, address) = try router.inside { () throws -> (FlatRuleset, UInt64?) in
      let reader = try RulesetReader()
      let known = try reader.readSets()
      let tables = try reader.readLegacy() + reader.readNftables().tables
      let address = try sets.address(
        holding: known.compactMap { set in
          set.index.map { KernelSets.Known(index: $0, name: set.name, type: set.type) }
        })
      return (FlatRuleset(family: .ip, tables: tables, sets: known), address)
    }
    if findsSets, try !router.run("ipset list -n").output.isEmpty { _ = try #require(address) }
    let image = try Classifier.image(
      of: ruleset, interfaces: [], sets: findsSets ? address : nil)
    let object = try objects[image.shape] ?? source.object(of: image.shape)
    objects[image.shape] = object
    return try FilterProgram(object, image)
  }

  /// Where no set is to be found.
  func address(of known: KernelSets.Known) throws -> UInt64? {
    try router.inside { try sets.address(holding: [known]) }
  }

  // MARK: Judging

  enum Answer: Hashable { case met, unmet, unknown, other(Int32) }

  /// What the program says of packets.
  func judge(_ packets: [RulePacket], by program: FilterProgram) throws -> [Answer] {
    let unknown = 2 + Int32(FilterProgram.reasons.firstIndex(of: "RULE_UNKNOWN") ?? -9)
    return try router.inside { try packets.map { try program.judge($0).outcome } }.map { outcome in
      switch outcome {
      case -1: .unmet
      case 1: .met
      case unknown: .unknown
      default: .other(outcome)
      }
    }
  }

  func judge(_ packet: RulePacket, by program: FilterProgram) throws -> Answer {
    try judge([packet], by: program)[0]
  }

  /// Which packets the kernel's rule drops.
  func kernel(_ packets: [RulePacket]) throws -> [Answer] {
    var passed: Set<UInt16> = []
    for first in stride(from: 0, to: packets.count, by: 100) {
      let part = first..<min(first + 100, packets.count)
      for place in part { try send(packets[place], identification: UInt16(place)) }
      var last = RulePacket()
      (last.source, last.destination) = (Self.marker, 0xc633_6401)
      (last.transport, last.length, last.ttl) = (17, 40, 64)
      try send(last, identification: 0xffff)
      let deadline = Instant.now + .seconds(10)
      var through = false
      while !through {
        guard Tap.wait(for: [receiver], by: deadline) else {
          throw LabError("the router forwards nothing")
        }
        for frame in try receiver.take() {
          guard let ipv4 = frame.ipv4 else { continue }
          if ipv4.identification == 0xffff { through = true }
          passed.insert(ipv4.identification)
        }
      }
    }
    return packets.indices.map { passed.contains(UInt16($0)) ? .unmet : .met }
  }

  private func send(_ packet: RulePacket, identification: UInt16) throws {
    var datagram = packet.datagram
    datagram[4] = UInt8(identification >> 8)
    datagram[5] = UInt8(identification & 0xff)
    let sum = Checksum.of(Array(datagram.prefix(20)))
    (datagram[10], datagram[11]) = (UInt8(sum >> 8), UInt8(sum & 0xff))
    try sender.send(header + datagram)
  }

  /// Both answers to all packets; how often the rule was met.
  @discardableResult func compare(
    _ packets: [RulePacket], by program: FilterProgram, _ note: String, mayLeave: Bool = false
  ) throws -> Int {
    let expected = try kernel(packets)
    let found = try judge(packets, by: program)
    var left = 0
    for ((packet, answer), right) in zip(zip(packets, found), expected) where answer != right {
      if mayLeave, answer == .unknown {
        left += 1
        continue
      }
      Issue.record("\(note): \(packet): \(answer), the kernel: \(right)")
      break
    }
    if mayLeave { #expect(left > 0 && left < packets.count, "\(note): \(left) left") }
    return expected.count { $0 == .met }
  }
}
