// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import Rules

/// `fp_filter_judge` of fpm/filter.h, word by word.
struct ImageWalk {
  enum End: Equatable {
    case end(RulePacket.Judgement.End)
    case rulesMet, changed
  }

  private let shape: ClassifierShape
  private let image: [UInt8]
  private let counters: [[Int]]

  init(_ image: ClassifierImage) {
    (shape, self.image, counters) = (image.shape, image.bytes, image.counters)
  }

  private func u32(_ place: Int) -> UInt32 {
    image.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place, as: UInt32.self) }
  }
  private func u64(_ place: Int) -> UInt64 {
    image.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place, as: UInt64.self) }
  }

  private func place(_ entry: UInt32) -> Int { Int(entry) & (shape.size - 8) }
  private func entry(at place: UInt32) -> UInt32 { u32(Int(place) & (shape.size - 4)) }

  private func inLine(_ entry: UInt32, _ value: UInt32) -> UInt32 {
    let guards = ClassifierLayout.lanes << 16
    let line = place(entry)
    let lanes = UInt64(value) * ClassifierLayout.lanes + guards
    let below = (0..<3).reduce(UInt64(0)) { $0 &+ ((lanes &- u64(line + $1 * 8)) & guards) }
    let number = ((below >> 16) &* ClassifierLayout.lanes) >> 34 & 15
    return u32(line + 24 + Int(number) * 4)
  }

  private func lookup16(_ from: UInt32, _ value: UInt32) -> UInt32 {
    var entry = from
    if entry & ClassifierLayout.block != 0 {
      entry = self.entry(at: entry &+ (value >> 8) * 4)
      if entry & ClassifierLayout.block != 0 { return self.entry(at: entry &+ (value & 0xff) * 4) }
    }
    return entry & ClassifierLayout.line != 0 ? inLine(entry, value) : entry
  }

  private func lookup32(_ from: UInt32, _ value: UInt32) -> UInt32 {
    let entry =
      from & ClassifierLayout.block != 0
      ? self.entry(at: from &+ (value >> 16) * 4) : inLine(from, value >> 16)
    return lookup16(entry, value & 0xffff)
  }

  private func root(_ field: ClassifierField) -> UInt32 {
    u32(ClassifierLayout.roots + field.rawValue * 4)
  }

  /// Where the rows of a packet are; `nil`: an interface is not the one rules know.
  private func rows(_ packet: RulePacket) -> [Int]? {
    let has = packet.hasPorts
    let first = !packet.isLaterFragment
    var found: [Int] = []
    for field in ClassifierField.allCases where shape.uses(field) {
      let entry: UInt32
      switch field {
      case .source: entry = lookup32(root(field), packet.source)
      case .destination: entry = lookup32(root(field), packet.destination)
      case .mark: entry = lookup32(root(field), packet.mark)
      case .kind:
        entry = table(field, Int(packet.transport) | (first ? 0 : 256))
      case .sourcePort: entry = lookup16(root(field), has ? UInt32(packet.sourcePort) : 0)
      case .destinationPort: entry = lookup16(root(field), has ? UInt32(packet.destinationPort) : 0)
      case .icmp:
        entry = lookup16(root(field), packet.transport == 1 && first ? UInt32(packet.icmp) : 0)
      case .length: entry = lookup16(root(field), UInt32(packet.length))
      case .tcpFlags:
        entry = table(field, packet.transport == 6 && first ? Int(packet.tcpFlags) : 0)
      case .ttl: entry = table(field, Int(packet.ttl))
      case .tos: entry = table(field, Int(packet.tos))
      case .packetType: entry = table(field, Int(packet.packetType))
      case .connection: entry = table(field, Int(packet.connection.number))
      case .connectionMark: entry = lookup32(root(field), packet.connectionMark)
      case .arrivedDestination: entry = lookup32(root(field), packet.arrivedDestination)
      case .arrivedDestinationPort:
        entry = lookup16(root(field), UInt32(packet.arrivedDestinationPort))
      case .input, .output:
        let interface = field == .input ? packet.input : packet.output
        let record = place(lookup32(root(field), interface.index))
        guard (u64(record), u64(record + 8)) == interface.words else { return nil }
        entry = u32(record + 16)
      }
      found.append(place(entry))
    }
    return found
  }

  private func table(_ field: ClassifierField, _ value: Int) -> UInt32 {
    u32((ClassifierLayout.table(of: field) ?? 0) + value * 4)
  }

  func judge(_ packet: RulePacket) -> (end: End, counted: [Int]) {
    if shape.fields == 0 { return take(turn: ClassifierLayout.first, []) }
    var packet = packet
    guard var rows = rows(packet) else { return (.changed, []) }
    var words = words(rows)
    if words.allSatisfy({ $0 == 0 }) { return take(turn: ClassifierLayout.first, []) }
    var (from, met) = (0, [Int]())
    walk: while true {
      guard let rule = next(from, words, rows) else { break }
      let always = u32(Int(u32(ClassifierLayout.turns)) + from * 16)
      let next = min(Int(always), rule)
      let what = u64(Int(u32(ClassifierLayout.rules)) + next * 8)
      if what >> 48 != 0 {
        switch check(Int(what >> 48) - 1, packet) {
        case .some(true): break
        case .some(false):
          from = rule + 1
          continue walk
        case .none: return (.end(.unknown), [])
        }
      }
      let counter = UInt32(what >> 24 & 0xffffff)
      if counter != ClassifierLayout.ruleNoCounter {
        if met.count >= 16 { return (.rulesMet, []) }
        met += counters[Int(counter)]
      }
      let to = UInt32(what & 0xffffff)
      if to & ClassifierLayout.ruleEnds != 0 {
        return finish(to & ~ClassifierLayout.ruleEnds, met)
      }
      let changes = ClassifierLayout.ruleChanges | ClassifierLayout.ruleUntracks
      from = Int(to & ~(ClassifierLayout.ruleIsLast | changes))
      if to & changes != 0 {
        if to & ClassifierLayout.ruleUntracks != 0 {
          packet.connection.number |= SettledConnection.untrackedBit
        } else {
          packet.mark = mark(Int(what >> 48) - 1, packet)
        }
        rows = self.rows(packet) ?? rows
        words = self.words(rows)
      }
      if to & ClassifierLayout.ruleIsLast != 0 { break }
    }
    return take(turn: Int(u32(ClassifierLayout.turns)) + from * 16, met)
  }

  private func words(_ rows: [Int]) -> [UInt64] {
    (0..<max(shape.summary, 1)).map { part in
      rows.reduce(UInt64.max) { $0 & u64($1 + part * 8) }
    }
  }

  /// The first rule from a place on whose bit is set in all rows.
  private func next(_ from: Int, _ words: [UInt64], _ rows: [Int]) -> Int? {
    var chunk = from / 64
    let last = max(shape.summary * 64, 1)
    while chunk < last {
      var word = words[0]
      if shape.summary != 0 {
        word = 0
        if words[chunk / 64] >> UInt64(chunk % 64) & 1 != 0 {
          word = rows.reduce(UInt64.max) {
            $0 & u64(place(u32($1 + shape.summary * 8 + chunk / 8 * 4)) + chunk % 8 * 8)
          }
        }
      }
      if chunk == from / 64 { word &= UInt64.max << UInt64(from % 64) }
      if word != 0 { return chunk * 64 + word.trailingZeroBitCount }
      chunk += 1
    }
    return nil
  }

  /// What a rule that changes the mark makes of it.
  private func mark(_ number: Int, _ packet: RulePacket) -> UInt32 {
    both(Int(u32(ClassifierLayout.checks)) + number * 24, packet)
  }

  private func both(_ place: Int, _ packet: RulePacket) -> UInt32 {
    MarkChange(packet: u32(place + 4), connection: u32(place + 16), constant: u32(place + 8))
      .mark(packet.mark, packet.connectionMark)
  }

  private func check(_ number: Int, _ packet: RulePacket) -> Bool? {
    var place = Int(u32(ClassifierLayout.checks)) + number * 24
    while true {
      let kind = u32(place)
      func holds(_ value: UInt64) -> Bool { value & u64(place + 16) == u64(place + 8) }
      let isMet: Bool
      switch ClassifierCheck(rawValue: kind & 0xff) {
      case .change: isMet = true
      case .marks: isMet = both(place, packet) == 0
      case .source: isMet = holds(UInt64(packet.source))
      case .destination: isMet = holds(UInt64(packet.destination))
      case .mark: isMet = holds(UInt64(packet.mark))
      case .connectionMark: isMet = holds(UInt64(packet.connectionMark))
      case .sourceMAC:
        isMet = holds(packet.sourceMAC.reversed().reduce(0) { $0 << 8 | UInt64($1) })
      default: return nil
      }
      if isMet == (kind & ClassifierLayout.checkNegated != 0) { return false }
      if kind & ClassifierLayout.checkLast != 0 { return true }
      place += 24
    }
  }

  private func take(turn: Int, _ met: [Int]) -> (end: End, counted: [Int]) {
    let counter = u32(turn + 8)
    let more = counter == ClassifierLayout.none ? [] : counters[Int(counter)]
    return finish(u32(turn + 4), met + more)
  }

  private func finish(_ end: UInt32, _ counted: [Int]) -> (end: End, counted: [Int]) {
    switch ClassifierEnd(rawValue: end) {
    case .accept: (.end(.accept), counted)
    case .drop: (.end(.drop), counted)
    case .effect: (.end(.effect), [])
    case .tooMany: (.end(.tooMany), [])
    default: (.end(.unknown), [])
    }
  }
}
