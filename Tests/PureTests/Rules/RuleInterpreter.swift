// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

/// A packet as it comes in, and what the kernel knows of it.
struct TestPacket {
  var family = RuleFamily.ip
  var source: UInt128 = 0x0a00_0001
  var destination: UInt128 = 0x0a00_0002
  var transport: UInt8 = 6
  var laterFragment = false
  var sourcePort: UInt16 = 1000
  var destinationPort: UInt16 = 80
  var tcpFlags: UInt8 = 0x10
  var type: UInt8 = 8
  var code: UInt8 = 0
  var length: UInt16 = 60
  var ttl: UInt8 = 64
  var tos: UInt8 = 0
  var mark: UInt32 = 0
  var sourceMAC: [UInt8] = [2, 0, 0, 0, 0, 1]
  /// `RTN_*`.
  var sourceType = 1
  var input = "eth0"
  var output = "eth1"
  var inputIndex: UInt32 = 2
  var outputIndex: UInt32 = 3
  /// Indexes of the ipsets that have it.
  var ipsets: Set<UInt16> = []
  /// The connection it belongs to. Destination and source above are those between NAT in and NAT out.
  var connection = TestConnection()
  /// What the kernel makes of it on the way; a list of flat rules is not told.
  var progress = TestProgress()

  var hasPorts: Bool { [6, 17, 33, 132, 136].contains(transport) && !laterFragment }
  var hasType: Bool { transport == (family == .ip ? 1 : 58) && !laterFragment }
}

enum Judgement: Equatable {
  case accept, drop
  case punt(FlatRule.Cause)

  var isPunt: Bool { if case .punt = self { true } else { false } }
}

struct RuleOutcome: Equatable {
  var judgement: Judgement
  /// Rules and policies that counted it, and how often; nothing when it is the kernel's.
  var counted: [FlatRuleset.Origin: Int] = [:]
}

extension FlatRuleset {
  /// Takes the list word by word.
  func judge(_ packet: TestPacket) -> RuleOutcome {
    var packet = packet
    return judge(changing: &packet)
  }

  /// The same; the packet is as it leaves.
  func judge(changing packet: inout TestPacket) -> RuleOutcome {
    var counted: [Origin: Int] = [:]
    stages: for stage in stages {
      var place = stage.rules.lowerBound
      while true {
        precondition(stage.rules.contains(place), "a stage ends with its policy")
        let rule = rules[place]
        guard rule.conditions.allSatisfy({ packet.meets($0) }) else {
          place += 1
          continue
        }
        if rule.counts { counted[origins[rule.origin], default: 0] += 1 }
        switch rule.action {
        case .next: place += 1
        case .skip(let target):
          precondition(target > place)
          place = target
        case .change(let change, let target):
          precondition(target > place)
          switch change {
          case .mark(let change): packet.mark = change.mark(packet.mark, packet.connection.mark)
          case .untracked: packet.connection.isUntracked = true
          }
          place = target
        case .accept: continue stages
        case .drop: return RuleOutcome(judgement: .drop, counted: counted)
        case .punt(let cause): return RuleOutcome(judgement: .punt(cause))
        }
      }
    }
    return RuleOutcome(judgement: .accept, counted: counted)
  }
}

extension TestPacket {
  func meets(_ condition: Condition) -> Bool {
    switch condition {
    case .field(let field, let values): value(field).map { values.contains($0) } ?? false
    case .interface(let side, let match): match.holds(side == .input ? input : output)
    case .interfaceIndex(let side, let index, let negated):
      ((side == .input ? inputIndex : outputIndex) == index) != negated
    case .late(let late): meets(late)
    }
  }

  private func meets(_ condition: LateCondition) -> Bool {
    switch condition {
    case .maskedAddress(let isSource, let value, let mask, let negated):
      ((isSource ? source : destination) & mask == value) != negated
    case .maskedMark(let value, let mask, let negated): (mark & mask == value) != negated
    case .marks(let marks, let negated): (marks.mark(mark, connection.mark) == 0) != negated
    case .maskedConnectionMark(let value, let mask, let negated):
      (connection.mark & mask == value) != negated
    case .sourceMAC(let address, let negated): (sourceMAC == address) != negated
    case .sourceType(let types): types & 1 << sourceType != 0
    case .ipset(let index, _, let negated): ipsets.contains(index) != negated
    }
  }

  private func value(_ field: Field) -> UInt128? {
    switch field {
    case .source: source
    case .destination: destination
    case .transport: UInt128(transport)
    case .laterFragment: laterFragment ? 1 : 0
    case .sourcePort: hasPorts ? UInt128(sourcePort) : nil
    case .destinationPort: hasPorts ? UInt128(destinationPort) : nil
    case .tcpFlags: hasPorts && transport == 6 ? UInt128(tcpFlags) : nil
    case .icmp: hasType ? UInt128(type) * 256 + UInt128(code) : nil
    case .length: UInt128(length)
    case .ttl: UInt128(ttl)
    case .tos: UInt128(tos)
    case .mark: UInt128(mark)
    case .packetType: 0
    case .connection: connection.number
    case .connectionMark: UInt128(connection.mark)
    case .arrivedDestination: connection.arriving?.address ?? destination
    case .arrivedDestinationPort:
      hasPorts ? UInt128(connection.arriving?.port ?? destinationPort) : nil
    }
  }
}

/// The same numbers each time for the same seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
