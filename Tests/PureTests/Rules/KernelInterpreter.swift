// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

/// Walks tables as `ipt_do_table` and `nft_do_chain` do, rule by rule, with a stack of jumps. Knows
/// nothing of flat rules. Where the meaning of something is not known it takes a guess.
struct KernelInterpreter {
  private(set) var packet: TestPacket
  /// What an unknown match answers.
  var guess: () -> Bool
  var counted: [FlatRuleset.Origin: Int] = [:]

  init(_ packet: TestPacket, guess: @escaping () -> Bool = { false }) {
    (self.packet, self.guess) = (packet, guess)
  }

  /// What a rule says once it is met.
  enum Answer: Equatable {
    case next, accept, drop, `return`
    case jump(String)
    case goto(String)
    /// Something that only the kernel does.
    case kernel
  }

  /// `nil` where the kernel does what only it can.
  mutating func judge(_ tables: [RuleTable]) -> Judgement? {
    let hooks: [ChainHook] = [.prerouting, .forward, .postrouting]
    for hook in hooks {
      var entries: [(RuleTable, Chain, BaseChain)] = []
      for table in tables where table.family == packet.family || table.family == .inet {
        for chain in table.chains {
          if let base = chain.base, base.hook == hook, base.type != "nat" {
            entries.append((table, chain, base))
          }
        }
      }
      let order = entries.indices.sorted {
        (entries[$0].2.priority, $0) < (entries[$1].2.priority, $1)
      }
      for place in order {
        switch walk(entries[place].0, entries[place].1, entries[place].2) {
        case .accept: continue
        case .drop: return .drop
        default: return nil
        }
      }
    }
    return .accept
  }

  /// The same from hook to hook, with what conntrack and NAT do there.
  mutating func judge(_ tables: [RuleTable], _ hooks: [NetfilterHook]) -> Judgement? {
    let whole = packet
    if hooks.contains(where: { $0.owner == .conntrack && $0.point == .prerouting }) {
      packet = packet.untracked
    }
    defer {
      let mark = packet.mark
      packet = whole
      packet.mark = mark
    }
    for point in [NetfilterHook.Point.prerouting, .forward, .postrouting] {
      for hook in hooks where hook.point == point {
        packet.pass(hook, whole)
        if packet.connection.isMissing && packet.progress.tracking == .done { return nil }
        guard let (table, chain, base) = tables.chain(at: hook) else { continue }
        switch walk(table, chain, base) {
        case .accept: continue
        case .drop: return .drop
        default: return nil
        }
      }
    }
    return .accept
  }

  private mutating func walk(_ table: RuleTable, _ chain: Chain, _ base: BaseChain) -> Answer {
    var stack: [(Chain, Int)] = []
    var current = (chain, 0)
    while true {
      var answer = Answer.return
      if current.1 < current.0.rules.count {
        let rule = current.0.rules[current.1]
        let origin = FlatRuleset.Origin(
          family: table.family, backend: table.backend, table: table.name, chain: current.0.name,
          number: current.1 + 1, handle: rule.handle)
        current.1 += 1
        answer =
          table.backend == .iptablesLegacy
          ? legacy(rule, origin, base.hook) : expressions(rule, origin, table, base.hook)
      }
      switch answer {
      case .next: continue
      case .accept, .drop, .kernel: return answer
      case .jump(let name), .goto(let name):
        guard let next = table.chain(named: name) else { return .kernel }
        if answer == .jump(name) { stack.append(current) }
        current = (next, 0)
      case .return:
        if let back = stack.popLast() {
          current = back
          continue
        }
        if table.backend == .iptablesLegacy {
          counted[
            .init(
              family: table.family, backend: table.backend, table: table.name, chain: chain.name,
              number: 0, handle: 0), default: 0] += 1
        }
        return base.policy == .drop ? .drop : .accept
      }
    }
  }

  private mutating func legacy(
    _ rule: Rule, _ origin: FlatRuleset.Origin, _ hook: ChainHook
  ) -> Answer {
    for match in rule.matches {
      guard packet.meets(match, hook) ?? guess() else { return .next }
    }
    counted[origin, default: 0] += 1
    return answer(rule.target)
  }

  /// mark_tg() and connmark_tg_shift(). That a connection gets another mark is the kernel's to do.
  private mutating func answer(_ target: Target) -> Answer {
    let found = packet.progress.tracking == .done
    switch target {
    case .mark(let change):
      if change.connection != 0 && packet.progress.tracking == .never { return .kernel }
      if change.connection == 0 || found {
        packet.mark = change.mark(packet.mark, packet.connection.mark)
      }
      return .next
    case .untrack:
      untrack()
      return .next
    case .connectionMark(let change):
      if packet.progress.tracking == .never { return .kernel }
      let isSame = change.mark(packet.mark, packet.connection.mark) == packet.connection.mark
      return !found || isSame ? .next : .kernel
    default: return Self.answer(target)
    }
  }

  /// xt_ct_target() and nft_notrack_eval().
  private mutating func untrack() {
    if packet.progress.tracking == .notYet { packet.progress.tracking = .left }
  }

  private static func answer(_ target: Target) -> Answer {
    switch target {
    case .fallThrough: .next
    case .accept: .accept
    case .drop: .drop
    case .return: .return
    case .jump(let chain): .jump(chain)
    case .goto(let chain): .goto(chain)
    default: .kernel
    }
  }

  private static func answer(_ verdict: Verdict) -> Answer {
    switch verdict {
    case .continue, .break: .next
    case .accept: .accept
    case .drop: .drop
    case .return: .return
    case .jump(let chain): .jump(chain)
    case .goto(let chain): .goto(chain)
    case .queue, .unknown: .kernel
    }
  }

  // MARK: nftables

  private mutating func expressions(
    _ rule: Rule, _ origin: FlatRuleset.Origin, _ table: RuleTable, _ hook: ChainHook
  ) -> Answer {
    var registers = [UInt8](repeating: 0, count: 80)
    func held(_ register: RuleExpression.Register, _ count: Int) -> [UInt8] {
      Array(registers[(Int(register.slot) * 4)...].prefix(count))
    }
    func store(_ bytes: [UInt8], _ register: RuleExpression.Register) {
      let padded = bytes + [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
      for (place, byte) in padded.enumerated() { registers[Int(register.slot) * 4 + place] = byte }
    }
    for expression in rule.expressions {
      switch expression {
      case .payload(let base, let offset, let length, let to):
        // Depends on the length and on what is at hand.
        let blind = base == 2 && packet.laterFragment && guess()
        guard let bytes = packet.bytes(base, Int(offset), Int(length), hook, blind: blind) else {
          return .next
        }
        store(bytes, to)
      case .meta(let key, let to):
        guard let bytes = packet.meta(key) else { return .kernel }
        store(bytes, to)
      case .conntrack(let key, _, let to):
        switch packet.connection(key) {
        case .bytes(let bytes): store(bytes, to)
        case .breaks: return .next
        case .unknown: guard guess() else { return .next }
        }
      case .bitwise(let from, let to, let mask, let xor):
        store(
          zip(held(from, Int(mask.count)), zip(mask.bytes, xor.bytes)).map { $0 & $1.0 ^ $1.1 }, to)
      case .byteOrder(let from, let to, _, _, _): store(held(from, 4).reversed(), to)
      case .compare(let comparison, let from, let value):
        let bytes = held(from, Int(value.count))
        let (less, equal) = (bytes.lexicographicallyPrecedes(value.bytes), bytes == value.bytes)
        let met =
          switch comparison {
          case .equal: equal
          case .notEqual: !equal
          case .less: less
          case .lessOrEqual: less || equal
          case .greater: !less && !equal
          case .greaterOrEqual: !less
          }
        if !met { return .next }
      case .range(let negated, let from, let low, let high):
        let bytes = held(from, Int(low.count))
        let within =
          !bytes.lexicographicallyPrecedes(low.bytes)
          && !high.bytes.lexicographicallyPrecedes(bytes)
        if within == negated { return .next }
      case .lookup(let name, let from, let to, let negated):
        guard let set = table.set(named: name) else { return .kernel }
        let found = set.find(held(from, Int(set.keyLength)))
        if (found != nil) == negated { return .next }
        guard to == .verdict else { continue }
        guard case .verdict(let verdict) = found?.value else { return .kernel }
        return Self.answer(verdict)
      case .counter: counted[origin, default: 0] += 1
      case .verdict(let verdict): return Self.answer(verdict)
      case .match(let match):
        guard packet.meets(match, hook) ?? guess() else { return .next }
      case .target(let target): return answer(target)
      case .immediate(let to, let value): store(value.bytes, to)
      case .metaWrite(3, let from):
        packet.mark = held(from, 4).withUnsafeBytes { $0.load(as: UInt32.self) }
      case .conntrackWrite(3, _, let from):
        if packet.progress.tracking == .never { return .kernel }
        let mark = held(from, 4).withUnsafeBytes { $0.load(as: UInt32.self) }
        if packet.progress.tracking == .done && mark != packet.connection.mark { return .kernel }
      case .untrack: untrack()
      case .fib: guard guess() else { return .next }
      default: return .kernel
      }
    }
    return .next
  }
}

extension [RuleTable] {
  /// The base chain that a hook calls.
  fileprivate func chain(at hook: NetfilterHook) -> (RuleTable, Chain, BaseChain)? {
    for table in self {
      for chain in table.chains {
        guard let base = chain.base, base.hook.pointOnTheWay == hook.point else { continue }
        let owner: NetfilterHook.Owner =
          table.backend == .iptablesLegacy
          ? .xtables(table: table.name) : .nftables(table: table.name, chain: chain.name)
        if owner == hook.owner { return (table, chain, base) }
      }
    }
    return nil
  }
}

extension NamedSet {
  /// As the kernel's kinds of sets find an element.
  fileprivate func find(_ key: [UInt8]) -> Element? {
    let others = elements.filter { !$0.isCatchAll }
    var found: Element?
    if flags.contains(.interval) && !elements.contains(where: { $0.keyEnd != nil }) {
      let before = others.filter { !key.lexicographicallyPrecedes($0.key) }
      found = before.max { NamedSet.Element.inOrder($0, $1) }
      if found?.isEnd == true { found = nil }
    } else {
      found = others.first { element in
        var offset = 0
        for length in fields.isEmpty ? [keyLength] : fields {
          let part = offset..<(offset + Int(length))
          let (low, high) = (element.key[part], (element.keyEnd ?? element.key)[part])
          if key[part].lexicographicallyPrecedes(low) { return false }
          if high.lexicographicallyPrecedes(key[part]) { return false }
          offset += (Int(length) + 3) & ~3
        }
        return true
      }
    }
    return found ?? elements.first(where: \.isCatchAll)
  }
}
