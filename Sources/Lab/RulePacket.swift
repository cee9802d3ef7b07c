// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

/// A packet as rules see it, and what a list of rules says to it, found by reading the list from the top:
/// what any faster way is measured against.
package struct RulePacket: Equatable, Sendable {
  package var source: UInt32 = 0
  package var destination: UInt32 = 0
  package var mark: UInt32 = 0
  package var input = ClassifierInterface(index: 1, name: "")
  package var output = ClassifierInterface(index: 1, name: "")
  package var sourcePort: UInt16 = 0
  package var destinationPort: UInt16 = 0
  package var icmp: UInt16 = 0
  package var length: UInt16 = 0
  package var transport: UInt8 = 0
  package var isLaterFragment = false
  package var tcpFlags: UInt8 = 0
  /// As it came in.
  package var ttl: UInt8 = 0
  package var tos: UInt8 = 0
  package var packetType: UInt8 = 0
  /// The connection it belongs to, and that one's mark.
  package var connection = SettledConnection(number: 0)
  package var connectionMark: UInt32 = 0
  /// What it was addressed to before NAT.
  package var arrivedDestination: UInt32 = 0
  package var arrivedDestinationPort: UInt16 = 0
  package var sourceMAC: [UInt8] = [0, 0, 0, 0, 0, 0]

  package init() {}

  package var hasPorts: Bool { !isLaterFragment && [6, 17, 33, 132, 136].contains(transport) }

  /// What becomes of a packet, and the origins that count it on the way, in order.
  package struct Judgement: Equatable, Sendable {
    package enum End: Equatable, Sendable { case accept, drop, unknown, effect, tooMany }
    package var end: End
    /// Nothing where the kernel decides, which counts it itself.
    package var counted: [Int] = []
    /// How many rules that count it has met.
    package var met: Int

    fileprivate init(_ end: End, _ met: [Int]) {
      self.end = end
      counted = end == .accept || end == .drop ? met : []
      self.met = met.count
    }
  }

  /// Walks the list.
  package func judge(by ruleset: FlatRuleset) -> Judgement {
    var packet = self
    return packet.walk(ruleset)
  }

  /// The same, and the mark it has in the end.
  package mutating func walk(_ ruleset: FlatRuleset) -> Judgement {
    var counted: [Int] = []
    for stage in ruleset.stages {
      var place = stage.rules.lowerBound
      walk: while place < stage.rules.upperBound {
        let rule = ruleset.rules[place]
        switch meets(rule) {
        case .no:
          place += 1
          continue
        case .unknown: return Judgement(.unknown, counted)
        case .yes: break
        }
        if rule.counts { counted.append(rule.origin) }
        switch rule.action {
        case .next: place += 1
        case .skip(let to): place = to
        case .change(.mark(let change), let to):
          mark = change.mark(mark, connectionMark)
          place = to
        case .change(.untracked, let to):
          connection.number |= SettledConnection.untrackedBit
          place = to
        case .accept: break walk
        case .drop: return Judgement(.drop, counted)
        case .punt(.unknown): return Judgement(.unknown, counted)
        case .punt(.effect): return Judgement(.effect, counted)
        case .punt(.tooMany): return Judgement(.tooMany, counted)
        }
      }
    }
    return Judgement(.accept, counted)
  }

  private enum Answer { case yes, no, unknown }

  private func meets(_ rule: FlatRule) -> Answer {
    for condition in rule.conditions {
      switch condition {
      case .field(let field, let set):
        guard let value = value(of: field), set.contains(value) else { return .no }
      case .interface(let direction, let match):
        let name = direction == .input ? input.name : output.name
        let holds = match.wildcard ? name.hasPrefix(match.name) : name == match.name
        if holds == match.negated { return .no }
      case .interfaceIndex(let direction, let index, let negated):
        let own = direction == .input ? input.index : output.index
        if (own == index) == negated { return .no }
      case .late: break
      }
    }
    for case .late(let condition) in rule.conditions {
      let answer = meets(condition)
      if answer != .yes { return answer }
    }
    return .yes
  }

  /// `nil`: it has no such field.
  private func value(of field: Field) -> UInt128? {
    switch field {
    case .source: UInt128(source)
    case .destination: UInt128(destination)
    case .transport: UInt128(transport)
    case .laterFragment: isLaterFragment ? 1 : 0
    case .sourcePort: hasPorts ? UInt128(sourcePort) : nil
    case .destinationPort: hasPorts ? UInt128(destinationPort) : nil
    case .tcpFlags: transport == 6 && !isLaterFragment ? UInt128(tcpFlags) : nil
    case .icmp: transport == 1 && !isLaterFragment ? UInt128(icmp) : nil
    case .length: UInt128(length)
    case .ttl: UInt128(ttl)
    case .tos: UInt128(tos)
    case .mark: UInt128(mark)
    case .packetType: UInt128(packetType)
    case .connection: UInt128(connection.number)
    case .connectionMark: UInt128(connectionMark)
    case .arrivedDestination: UInt128(arrivedDestination)
    case .arrivedDestinationPort: UInt128(arrivedDestinationPort)
    }
  }

  private func meets(_ condition: LateCondition) -> Answer {
    switch condition {
    case .maskedAddress(let isSource, let value, let mask, let negated):
      let address = UInt128(isSource ? source : destination)
      return (address & mask == value) != negated ? .yes : .no
    case .maskedMark(let value, let mask, let negated):
      return (mark & mask == value) != negated ? .yes : .no
    case .marks(let marks, let negated):
      return (marks.mark(mark, connectionMark) == 0) != negated ? .yes : .no
    case .maskedConnectionMark(let value, let mask, let negated):
      return (connectionMark & mask == value) != negated ? .yes : .no
    case .sourceMAC(let address, let negated):
      return (sourceMAC == address) != negated ? .yes : .no
    case .sourceType, .ipset: return .unknown
    }
  }

  package static let keySize = 88
  package static let markOffset = 8

  /// `struct filter_key` of fpm/filter.h.
  package var key: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.keySize)
    let names = [input.words, output.words]
    bytes.withUnsafeMutableBytes { raw in
      for (place, word) in [
        source, destination, mark, input.index, output.index, connectionMark,
        arrivedDestination,
      ].enumerated() {
        raw.storeBytes(of: word, toByteOffset: place * 4, as: UInt32.self)
      }
      for (place, half) in [
        arrivedDestinationPort, hasPorts ? sourcePort : 0, hasPorts ? destinationPort : 0,
        transport == 1 && !isLaterFragment ? icmp : 0, length,
      ].enumerated() {
        raw.storeBytes(of: half, toByteOffset: 28 + place * 2, as: UInt16.self)
      }
      let flags = transport == 6 && !isLaterFragment ? tcpFlags : 0
      for (place, byte) in [
        transport, isLaterFragment ? 1 : 0, flags, ttl, tos, packetType, connection.number,
      ].enumerated() {
        raw[38 + place] = byte
      }
      for (place, words) in names.enumerated() {
        raw.storeBytes(of: words.0, toByteOffset: 48 + place * 16, as: UInt64.self)
        raw.storeBytes(of: words.1, toByteOffset: 56 + place * 16, as: UInt64.self)
      }
      for (place, byte) in sourceMAC.prefix(6).enumerated() { raw[80 + place] = byte }
    }
    return bytes
  }

  /// Its IPv4 header and the twenty bytes behind.
  package var datagram: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 40)
    func store(_ value: UInt32, _ size: Int, at place: Int) {
      for byte in 0..<size {
        bytes[place + byte] = UInt8(value >> UInt32((size - 1 - byte) * 8) & 0xff)
      }
    }
    bytes[0] = 0x45
    (bytes[1], bytes[8], bytes[9]) = (tos, ttl, transport)
    store(UInt32(length), 2, at: 2)
    // Not the offset that would overwrite a TCP header.
    store(isLaterFragment ? 64 : 0, 2, at: 6)
    store(source, 4, at: 12)
    store(destination, 4, at: 16)
    if hasPorts {
      store(UInt32(sourcePort), 2, at: 20)
      store(UInt32(destinationPort), 2, at: 22)
      if transport == 6 { bytes[33] = tcpFlags }
    } else if transport == 1 {
      store(UInt32(icmp), 2, at: 20)
    }
    return bytes
  }
}
