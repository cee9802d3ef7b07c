// SPDX-License-Identifier: Apache-2.0
import Introspection

// Look-ups in sets and verdict maps of nftables.

extension Translator {
  /// How many elements of one set with several fields are taken apart.
  static let elementLimit = 20_000

  /// Who is found in a set; `nil` where that is not known.
  mutating func members(
    _ contents: SetContents, _ key: [Registers.Value], negated: Bool, _ met: Conjunction
  ) -> [Conjunction]? {
    if contents.catchAll != nil { return negated ? [] : [met] }
    guard negated else { return found(contents.boxes.map(\.ranges), contents, key, met) }
    guard key.count == 1, contents.lengths.count == 1,
      let pieces = pieces(key[0], met), pieces.count == 1
    else { return nil }
    let last: UInt128 =
      contents.lengths[0] >= 16 ? .max : (UInt128(1) << UInt128(contents.lengths[0] * 8)) - 1
    work += contents.boxes.count
    let others = ValueSet(contents.boxes.map { $0.ranges[0] }).complement(upTo: last)
    return conditions(pieces[0].content, pieces[0].length, in: others, met)
  }

  /// Who is found in a verdict map, by verdict, each packet once; `nil` where that is not known.
  mutating func verdicts(
    _ contents: SetContents, _ key: [Registers.Value], _ met: Conjunction
  ) -> [(Verdict, [Conjunction])]? {
    if contents.mayOverlap { return nil }
    var order: [Verdict] = []
    var groups: [[[ClosedRange<UInt128>]]] = []
    for box in contents.boxes {
      guard case .verdict(let verdict) = box.value else { return nil }
      if let at = order.firstIndex(of: verdict) {
        groups[at].append(box.ranges)
      } else {
        guard order.count < 1000 else { return nil }
        order.append(verdict)
        groups.append([box.ranges])
      }
    }
    var result: [(Verdict, [Conjunction])] = []
    for (verdict, boxes) in zip(order, groups) {
      guard let found = found(boxes, contents, key, met) else { return nil }
      result.append((verdict, found))
    }
    return result
  }

  private mutating func found(
    _ boxes: [[ClosedRange<UInt128>]], _ contents: SetContents, _ key: [Registers.Value],
    _ met: Conjunction
  ) -> [Conjunction]? {
    work += boxes.count
    if contents.lengths.count == 1 {
      guard key.count == 1, key[0].length == contents.lengths[0] else { return nil }
      return members(in: [ValueSet(boxes.map { $0[0] })], key, met)
    }
    guard key.map(\.length) == contents.lengths, boxes.count <= Self.elementLimit else {
      return nil
    }
    var found: [Conjunction] = []
    for box in Self.joined(boxes) {
      guard let members = members(in: box, key, met) else { return nil }
      found += members
    }
    return found
  }

  /// Packets whose fields lie in the sets, one to a field. What is loaded from the transport header
  /// comes last: what it is depends on the protocol.
  private func members(
    in sets: [ValueSet], _ key: [Registers.Value], _ met: Conjunction
  ) -> [Conjunction]? {
    let later = key.indices.filter { key[$0].isTransport }
    let order = key.indices.filter { !key[$0].isTransport } + later
    var found = [met]
    for place in order {
      var next: [Conjunction] = []
      for alternative in found {
        guard let pieces = pieces(key[place], alternative), pieces.count == 1,
          let members = conditions(
            pieces[0].content, pieces[0].length, in: sets[place], alternative)
        else { return nil }
        next += members.filter(\.isPossible)
      }
      found = next
    }
    return found
  }

  /// The same boxes as fewer: those that differ in one field only become one.
  static func joined(_ boxes: [[ClosedRange<UInt128>]]) -> [[ValueSet]] {
    var joined = boxes.map { $0.map { ValueSet($0) } }
    for field in (joined.first ?? []).indices {
      var order: [[ValueSet]] = []
      var ranges: [[ValueSet]: [ClosedRange<UInt128>]] = [:]
      for box in joined {
        var rest = box
        rest[field] = .none
        if ranges[rest] == nil { order.append(rest) }
        ranges[rest, default: []] += box[field].ranges
      }
      joined = order.map { rest in
        var box = rest
        box[field] = ValueSet(ranges[rest] ?? [])
        return box
      }
    }
    return joined
  }
}

extension Registers.Value {
  var isTransport: Bool {
    if case .payload(NFT.Payload.transport, _) = source { true } else { false }
  }
}
