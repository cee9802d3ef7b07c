// SPDX-License-Identifier: Apache-2.0
import Introspection

// The expressions of nftables, gone through as the kernel does: one after the other, until one is not
// met or gives a verdict.

extension Translator {
  /// Takes one expression; false when the rule ends there.
  mutating func step(
    _ expression: RuleExpression, _ walk: inout RuleWalk, _ registers: inout Registers
  ) -> Bool {
    switch expression {
    case .payload(let base, let offset, let length, let to):
      return payload(base, offset, length, to, &walk, &registers)
    case .meta(let key, let to): return meta(key, to, &walk, &registers)
    case .bitwise(let from, let to, let mask, let xor):
      bitwise(from, to, mask, xor, &registers)
    case .byteOrder(let from, let to, _, let length, let size):
      swap(from, to, Int(length), Int(size), &registers)
    case .immediate(let to, let value):
      registers.forget(to, Int(value.count))
      if value.count == 4 { registers.load(mark: MarkChange(constant: Self.mark(value)), to) }
    case .metaWrite(key: NFT.Meta.mark, let from):
      guard let change = registers.mark(from) else { return lacks(expression, &walk) }
      walk.take(.mark(change))
      registers.forgetPacketMark()
    case .conntrackWrite(NFT.Conntrack.mark, _, let from) where view == .untracked:
      _ = registers.use(from)
    case .conntrackWrite(NFT.Conntrack.mark, _, let from):
      guard let change = registers.mark(from), view != .plain else {
        return lacks(expression, &walk)
      }
      walk.take(.connectionMark(change))
    case .compare(let comparison, let from, let value):
      let wanted = Self.wanted(comparison, value)
      return compare(
        from, value, wanted, comparison == .equal, comparison == .notEqual, &walk, &registers)
    case .range(let negated, let from, let low, let high):
      return range(from, low, high, negated, &walk, &registers)
    case .lookup(let set, let from, let to, let negated):
      return lookup(set, from, to, negated, &walk, &registers)
    case .untrack: if view == .untracked { walk.take(.untrack) }
    case .counter: return walk.count()
    case .match(let match): return walk.meet { step(match, $0) }
    case .verdict(.continue): break
    case .verdict(let verdict):
      walk.end([(walk.alternatives, Self.outcome(verdict))].map(walk.certain))
      return false
    case .target(let target):
      end(target, &walk)
      return false
    case .conntrack(let key, let direction, let to):
      return connection(key, direction, to, &walk, &registers)
    case .fib(_, _, let to), .route(_, let to), .socket(_, _, let to):
      registers.forget(to, 64)
      walk.note(expression.name)
    case .extensionHeader(let header) where header.from == nil:
      registers.forgetAll()
      walk.note("exthdr")
    case .other(let kept) where Self.reading.contains(kept.name):
      registers.forgetAll()
      walk.note(kept.name)
    default: return lacks(expression, &walk)
    }
    return true
  }

  /// What only the kernel can do.
  private func lacks(_ expression: RuleExpression, _ walk: inout RuleWalk) -> Bool {
    walk.punt(Self.cause(expression))
    return false
  }

  /// Four bytes as the machine has them in a register.
  static func mark(_ value: RegisterValue) -> UInt32 {
    UInt32(bigEndian: UInt32(truncatingIfNeeded: value.number))
  }

  /// Expressions that write to registers alone, whatever their attributes say. Not those of which another
  /// form writes to the packet or what belongs to it: payload, meta, ct, exthdr.
  private static let reading: Set<String> = [
    "cmp", "range", "bitwise", "byteorder", "fib", "rt", "socket", "hash", "xfrm", "tunnel",
  ]

  static func outcome(_ verdict: Verdict) -> TranslatedRule.Outcome {
    switch verdict {
    case .accept: .accept
    case .drop: .drop
    case .return: .return
    case .continue: .fallThrough
    case .jump(let chain): .jump(chain)
    case .goto(let chain): .goto(chain)
    case .queue: .punt(.effect("queue"))
    case .break, .unknown: .punt(.unknown("verdict"))
    }
  }

  /// Why a rule with an expression that does something is the kernel's.
  private static func cause(_ expression: RuleExpression) -> FlatRule.Cause {
    switch expression {
    case .other(let kept) where kept.name == "payload": .effect("payload set")
    case .other(let kept): Effects.cause(kept.name)
    case .nat(let nat): .effect(nat.statement)
    case .metaWrite: .effect("meta set")
    case .conntrackWrite: .effect("ct set")
    case .extensionHeader: .effect("exthdr set")
    default: .effect(expression.name)
    }
  }

  // MARK: Loading

  private func payload(
    _ base: UInt8, _ offset: UInt32, _ length: UInt32, _ to: RuleExpression.Register,
    _ walk: inout RuleWalk, _ registers: inout Registers
  ) -> Bool {
    let header: UInt32? =
      switch base {
      case NFT.Payload.link: 14
      case NFT.Payload.network: family == .ip ? 20 : 40
      case NFT.Payload.transport: 20
      default: nil
      }
    guard let header, length > 0, offset <= header, length <= header - offset else {
      registers.forget(to, Int(min(length, 64)))
      walk.note("payload")
      return true
    }
    let transport = base == NFT.Payload.transport
    registers.load(
      .init(
        source: .payload(base: base, offset: offset), length: Int(length), isSettled: !transport),
      to)
    guard transport else { return true }
    // In a later fragment nft_payload_fast_eval() reads what lies in the header's place, as far as it is at
    // hand; else nft_payload_eval() ends the rule.
    walk.setAside(.fragment) { require(&$0, .laterFragment, ValueSet(1)) }
    return walk.meet { met in
      one(met) { require(&$0, .laterFragment, ValueSet(0)) }
    }
  }

  private func meta(
    _ key: UInt32, _ to: RuleExpression.Register, _ walk: inout RuleWalk,
    _ registers: inout Registers
  ) -> Bool {
    guard let length = NFT.Meta.length(key) else {
      registers.forget(to, 16)
      walk.note("meta")
      return true
    }
    registers.load(.init(source: .meta(key), length: length), to)
    if key == NFT.Meta.mark { registers.load(mark: MarkChange(packet: .max), to) }
    return true
  }

  private func bitwise(
    _ from: RuleExpression.Register, _ to: RuleExpression.Register, _ mask: RegisterValue,
    _ xor: RegisterValue, _ registers: inout Registers
  ) {
    let value = registers.use(from)
    let made = registers.mark(from)
    registers.forget(to, Int(mask.count))
    defer {
      if let made, mask.count == 4, xor.count == 4 {
        registers.load(mark: made.masked(Self.mark(mask), Self.mark(xor)), to)
      }
    }
    guard var value, value.mask == nil, !value.swapped, Int(mask.count) == value.length, xor.isZero
    else { return }
    value.mask = mask.number
    value.isSettled = !value.isTransport
    registers.load(value, to)
  }

  private func swap(
    _ from: RuleExpression.Register, _ to: RuleExpression.Register, _ length: Int, _ size: Int,
    _ registers: inout Registers
  ) {
    let value = registers.use(from)
    registers.forget(to, length)
    guard var value, value.isInHostOrder, value.mask == nil, length == 4, size == 4
    else { return }
    value.swapped.toggle()
    registers.load(value, to)
  }

  // MARK: Conditions

  private static func wanted(_ comparison: Comparison, _ value: RegisterValue) -> ValueSet {
    let (number, last) = (value.number, RegisterValue(onesOf: value.count).number)
    return switch comparison {
    case .equal: ValueSet(number)
    case .notEqual: ValueSet(number).complement(upTo: last)
    case .less: number > 0 ? ValueSet(0...(number - 1)) : .none
    case .lessOrEqual: ValueSet(0...number)
    case .greater: number < last ? ValueSet((number + 1)...last) : .none
    case .greaterOrEqual: ValueSet(number...last)
    }
  }

  private func range(
    _ from: RuleExpression.Register, _ low: RegisterValue, _ high: RegisterValue, _ negated: Bool,
    _ walk: inout RuleWalk, _ registers: inout Registers
  ) -> Bool {
    guard low.count == high.count else {
      walk.note("range")
      return true
    }
    let range = low.number <= high.number ? ValueSet(low.number...high.number) : .none
    let last = RegisterValue(onesOf: low.count).number
    return compare(
      from, low, negated ? range.complement(upTo: last) : range, false, false, &walk, &registers)
  }

  private func compare(
    _ from: RuleExpression.Register, _ number: RegisterValue, _ wanted: ValueSet, _ equal: Bool,
    _ different: Bool, _ walk: inout RuleWalk, _ registers: inout Registers
  ) -> Bool {
    guard let value = registers.use(from), number.count > 0, Int(number.count) <= value.length
    else {
      walk.note("cmp")
      return true
    }
    return walk.meet { met in
      guard let pieces = pieces(value, met) else { return unknown("cmp", met) }
      if pieces.count > 1 {
        guard equal, Int(number.count) == value.length, let found = all(pieces, number, met) else {
          return unknown("cmp", met)
        }
        return .alternatives(found)
      }
      // The first bytes of the value alone may be asked.
      let missing = 8 * (value.length - Int(number.count))
      guard let piece = pieces.first,
        let found = conditions(piece.content, piece.length, in: wanted.shifted(missing), met)
      else { return unknown("cmp", met) }
      return .alternatives(found)
    }
  }

  /// Packets all of whose pieces are what a number has at their places.
  private func all(
    _ pieces: [LoadedPiece], _ number: RegisterValue, _ met: Conjunction
  ) -> [Conjunction]? {
    var found = [met]
    var offset: UInt8 = 0
    for piece in pieces {
      let part = (0..<UInt8(piece.length)).reduce(UInt128(0)) {
        $0 << 8 | UInt128(number[offset + $1])
      }
      offset += UInt8(piece.length)
      var next: [Conjunction] = []
      for alternative in found {
        guard
          let some = conditions(piece.content, piece.length, in: ValueSet(part), alternative)
        else { return nil }
        next += some.filter(\.isPossible)
      }
      found = next
    }
    return found
  }

  private mutating func lookup(
    _ name: String, _ from: RuleExpression.Register, _ to: RuleExpression.Register?,
    _ negated: Bool, _ walk: inout RuleWalk, _ registers: inout Registers
  ) -> Bool {
    if walk.hasEffects {
      walk.punt(.effect("mark"))
      return false
    }
    guard let set = table.set(name),
      let key = registers.use(from, keyLength: Int(set.keyLength)),
      let contents = table.contents(name, lengths: key.map(\.length))
    else {
      // An element that is found may run statements of its own, which last.
      walk.punt(.unknown("set \(name)"))
      return false
    }
    guard let to else {
      var gone = self
      let goesOn = walk.meet { met in
        gone.members(contents, key, negated: negated, met).map(Step.alternatives)
          ?? unknown("set \(name)", met)
      }
      work = gone.work
      return goesOn
    }
    guard to == .verdict, set.isVerdictMap, !negated else {
      registers.forget(to, 64)
      walk.note("map \(name)")
      return true
    }
    return verdictMap(name, contents, key, &walk)
  }

  private mutating func verdictMap(
    _ name: String, _ contents: SetContents, _ key: [Registers.Value], _ walk: inout RuleWalk
  ) -> Bool {
    var branches: [(Verdict, [Conjunction])] = []
    for alternative in walk.alternatives {
      guard let found = verdicts(contents, key, alternative) else {
        walk.punt(.unknown("map \(name)"))
        return false
      }
      guard branches.reduce(0, { $0 + $1.1.count }) <= RuleWalk.limit else {
        walk.punt(.tooMany)
        return false
      }
      for (verdict, members) in found {
        if let at = branches.firstIndex(where: { $0.0 == verdict }) {
          branches[at].1 += members
        } else {
          branches.append((verdict, members))
        }
      }
    }
    var overlaps = false
    if let other = contents.catchAll {
      guard case .verdict(let verdict) = other.value else {
        walk.punt(.unknown("map \(name)"))
        return false
      }
      overlaps = true
      branches.append((verdict, walk.alternatives))
    }
    for (_, members) in branches { walk.noteDoubts(members.filter(\.isPossible)) }
    walk.end(
      branches.map { ($0.1.filter(\.isPossible), Self.outcome($0.0)) }.map(walk.certain),
      overlaps: overlaps, narrowed: true)
    return false
  }
}
