// SPDX-License-Identifier: Apache-2.0
import Introspection

/// What one rule does with the packets that arrive at it.
struct TranslatedRule {
  /// Whom a counter sees that stands before the rule's last condition.
  var counted: [Conjunction] = []
  /// A packet takes the first branch whose conditions it meets; one that meets none falls through.
  var branches: [Branch] = []
  /// Whether a packet may meet the conditions of several branches.
  var overlaps = false

  struct Branch {
    /// Any of them.
    var conditions: [Conjunction]
    /// What is done before, in order.
    var effects: [RuleEffect] = []
    var outcome: Outcome
    var counts: Bool
  }

  enum Outcome: Equatable {
    case fallThrough, accept, drop, `return`
    case jump(String)
    case goto(String)
    case punt(FlatRule.Cause)
  }
}

/// What a rule changes.
enum RuleEffect: Equatable {
  case mark(MarkChange)
  case connectionMark(MarkChange)
  case untrack

  /// What the packet takes along.
  var change: RuleChange? {
    switch self {
    case .mark(let change): .mark(change)
    case .untrack: .untracked
    case .connectionMark: nil
    }
  }
}

/// Puts rules into the terms of flat ones, for packets of a family at a hook.
struct Translator {
  let family: RuleFamily
  let hook: ChainHook
  let table: TableIndex
  let ipsets: [UInt16: IPSet]
  let view: FlatRuleset.View
  /// Whether destinations may be others before they are routed to.
  let translates: Bool
  /// Whether there are rules that have packets not tracked.
  let untracks: Bool
  /// How many elements of sets it went through.
  var work = 0

  /// What becomes of the packets that meet `conditions` at a rule's match.
  enum Step {
    /// They meet the match when they meet any of these.
    case alternatives([Conjunction])
    /// Whether they meet it is not known; at least these must hold.
    case unknown(FlatRule.Cause, [Conjunction], Aftermath)

    /// What asking a match whose meaning is not known may lead to.
    enum Aftermath {
      /// Nothing: a packet that it concerns must still meet what the rule asks next.
      case none
      /// Something that lasts, or the packet's end.
      case any
    }
  }

  init(
    family: RuleFamily, hook: ChainHook, table: TableIndex, ipsets: [UInt16: IPSet],
    view: FlatRuleset.View, translates: Bool, untracks: Bool
  ) {
    (self.family, self.hook, self.table, self.ipsets) = (family, hook, table, ipsets)
    (self.view, self.translates, self.untracks) = (view, translates, untracks)
  }

  mutating func translate(_ rule: Rule, within context: Conjunction) -> TranslatedRule {
    var walk = RuleWalk(context, family)
    if table.backend == .iptablesLegacy || rule.expressions.isEmpty {
      for match in rule.matches {
        guard walk.meet({ step(match, $0) }) else { return walk.result }
      }
      if table.backend == .iptablesLegacy {
        guard walk.count() else { return walk.result }
      }
      end(rule.target, &walk)
    } else {
      var registers = Registers()
      for (place, expression) in rule.expressions.enumerated() {
        // Nothing is known to stand behind a verdict map; an element could let it be reached.
        if case .lookup(_, _, .some(.verdict), _) = expression, place + 1 < rule.expressions.count {
          walk.punt(.unknown("verdict map"))
          return walk.result
        }
        guard step(expression, &walk, &registers) else { return walk.result }
      }
      if registers.holdsUnsettled { walk.note("payload") }
      walk.end(.fallThrough)
    }
    return walk.result
  }

  func end(_ target: Target, _ walk: inout RuleWalk) {
    guard let effects = effects(target) else { return walk.punt(.effect("CONNMARK")) }
    for effect in effects { walk.take(effect) }
    if untracks && view != .untracked && target.needsConnection { walk.spared = effects.count }
    walk.end(target)
  }
}

/// A rule while it is gone through from left to right.
struct RuleWalk {
  /// A packet is still concerned when it meets any of these.
  private(set) var alternatives: [Conjunction]
  private(set) var result = TranslatedRule()
  /// Why it is not known whether it is.
  private var cause: FlatRule.Cause?
  private var counted: [Conjunction]?
  /// Packets that only the kernel knows to meet the rest of the rule or not.
  private var aside: [Conjunction] = []
  private var asideCause: FlatRule.Cause = .tooMany
  /// Whether there was a condition behind the counter.
  private var narrowed = false
  private var effects: [RuleEffect] = []
  /// How many of the last effects packets that are not tracked do not have.
  var spared = 0
  private let family: RuleFamily

  /// Whether something has been changed by then.
  var hasEffects: Bool { !effects.isEmpty }

  /// How many alternatives a rule may have.
  static let limit = 20_000

  init(_ context: Conjunction, _ family: RuleFamily) {
    (alternatives, self.family) = ([context], family)
  }

  /// Takes one match; false when the rest of the rule has no say any more.
  mutating func meet(_ step: (Conjunction) -> Translator.Step) -> Bool {
    // Conditions are asked before anything is done, as people write them.
    if hasEffects {
      punt(.effect("mark"))
      return false
    }
    var next: [Conjunction] = []
    var aftermath = Translator.Step.Aftermath.none
    for alternative in alternatives {
      // Whoever came so far is concerned at most.
      guard next.count <= Self.limit else {
        punt(.tooMany)
        return false
      }
      switch step(alternative) {
      case .alternatives(let found): next += found.filter(\.isPossible)
      case .unknown(let why, let found, let then):
        let found = found.filter(\.isPossible)
        if found.isEmpty { continue }
        next += found
        cause = cause ?? why
        if case .any = then { aftermath = .any }
      }
    }
    if next.map(\.steps) != alternatives.map(\.steps) { narrowed = true }
    alternatives = next
    noteDoubts(next)
    guard case .any = aftermath, let cause else { return true }
    punt(cause)
    return false
  }

  /// Something that is not understood, and of no consequence when the rest of the rule is not met.
  mutating func note(_ name: String) { cause = cause ?? .unknown(name) }

  /// The same, where it stands with conditions.
  mutating func noteDoubts(_ conditions: [Conjunction]) {
    if cause == nil, let doubt = conditions.lazy.compactMap(\.doubt).first { note(doubt) }
  }

  /// Some of the packets that came so far are the kernel's, if the rule does anything.
  mutating func setAside(_ why: FlatRule.Cause, _ narrow: (inout Conjunction) -> Void) {
    for var conditions in alternatives {
      narrow(&conditions)
      if conditions.isPossible { aside.append(conditions) }
    }
    asideCause = why
  }

  /// A counter; false when it stops the rule's being followed.
  mutating func count() -> Bool {
    if let cause {
      punt(cause)
      return false
    }
    if counted != nil {
      punt(.unknown("counter"))
      return false
    }
    (counted, narrowed) = (alternatives, false)
    return true
  }

  mutating func take(_ effect: RuleEffect) { effects.append(effect) }

  /// Whoever came so far is the kernel's.
  mutating func punt(_ why: FlatRule.Cause) { end([(alternatives, .punt(cause ?? why))]) }

  mutating func end(_ target: Target) {
    // Without consequences it does not matter whether the rule is met.
    if target == .fallThrough && counted == nil && !hasEffects { return }
    if let cause { return punt(cause) }
    let outcome: TranslatedRule.Outcome =
      switch target {
      case .fallThrough, .mark, .connectionMark, .untrack: .fallThrough
      case .accept: .accept
      case .drop: .drop
      case .return: .return
      case .jump(let chain): .jump(chain)
      case .goto(let chain): .goto(chain)
      case .queue: .punt(.effect("QUEUE"))
      case .reject: .punt(.effect("REJECT"))
      case .verdictMap: .punt(.unknown("verdict map"))
      case .unknown(let kept): .punt(Effects.cause(kept.name))
      }
    end([(alternatives, outcome)])
  }

  /// A branch as it is when nothing before it was unknown.
  func certain(
    _ branch: ([Conjunction], TranslatedRule.Outcome)
  ) -> ([Conjunction], TranslatedRule.Outcome) {
    guard let cause else { return branch }
    return (branch.0, .punt(cause))
  }

  /// The rule's branches; those that count do so where the rule ends.
  mutating func end(
    _ branches: [([Conjunction], TranslatedRule.Outcome)], overlaps: Bool = false,
    narrowed more: Bool = false
  ) {
    var counts = counted != nil
    if let counted, narrowed || more {
      result.counted = counted
      counts = false
    }
    result.overlaps = overlaps
    if !aside.isEmpty {
      result.branches.append(.init(conditions: aside, outcome: .punt(asideCause), counts: false))
    }
    for (conditions, outcome) in branches where !conditions.isEmpty {
      if outcome == .fallThrough && !counts && !overlaps && !hasEffects { continue }
      if case .punt = outcome {
        result.branches.append(.init(conditions: conditions, outcome: outcome, counts: false))
      } else if spared > 0 {
        let rest = effects.dropLast(spared)
        append(only(conditions, SettledConnection.tracked), effects, outcome, counts)
        if outcome == .fallThrough && !counts && rest.isEmpty { continue }
        append(only(conditions, SettledConnection.untracked), Array(rest), outcome, counts)
      } else {
        append(conditions, effects, outcome, counts)
      }
    }
  }
}

extension RuleWalk {
  private mutating func append(
    _ conditions: [Conjunction], _ effects: [RuleEffect], _ outcome: TranslatedRule.Outcome,
    _ counts: Bool
  ) {
    if conditions.isEmpty { return }
    result.branches.append(
      .init(conditions: conditions, effects: effects, outcome: outcome, counts: counts))
  }

  private func only(_ conditions: [Conjunction], _ connections: ValueSet) -> [Conjunction] {
    conditions.map { conditions in
      var conditions = conditions
      conditions.require(.connection, connections, family)
      return conditions
    }.filter(\.isPossible)
  }
}

extension Target {
  /// Whether it does nothing where there is no connection.
  fileprivate var needsConnection: Bool {
    switch self {
    case .connectionMark: true
    case .mark(let change): change.connection != 0
    default: false
    }
  }
}

/// What has an effect that only the kernel has.
enum Effects {
  static func cause(_ name: String) -> FlatRule.Cause {
    known.contains(name) ? .effect(name) : .unknown(name)
  }

  private static let known: Set<String> = [
    // Targets of iptables.
    "AUDIT", "CHECKSUM", "CLASSIFY", "CLUSTERIP", "CONNMARK", "CONNSECMARK", "CT", "DNAT", "DSCP",
    "ECN", "HL", "HMARK", "IDLETIMER", "LED", "LOG", "MARK", "MASQUERADE", "NETMAP", "NFLOG",
    "NFQUEUE", "NOTRACK", "RATEEST", "REDIRECT", "SECMARK", "SET", "SNAT", "SYNPROXY", "TCPMSS",
    "TCPOPTSTRIP", "TEE", "TOS", "TPROXY", "TRACE", "TTL", "ULOG",
    // Matches of iptables that remember or count.
    "connlimit", "hashlimit", "limit", "nfacct", "quota", "rateest", "recent", "statistic",
    // Expressions of nftables.
    "dnat", "dup", "dynset", "flow_offload", "fwd", "last", "log", "masquerade", "notrack",
    "numgen", "objref", "queue", "redirect", "snat", "synproxy", "tproxy",
  ]
}
