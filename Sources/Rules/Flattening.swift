// SPDX-License-Identifier: Apache-2.0
import Introspection

/// Lays base chains out as lists, with every chain where it is jumped to.
struct Flattening {
  let family: RuleFamily
  let limit: Int
  let ipsets: [UInt16: IPSet]
  /// Whether destinations may be others before they are routed to.
  var translates = false
  /// Whether there are rules that have packets not tracked.
  var untracks = false
  private(set) var stages: [FlatRuleset.Stage] = []
  private(set) var rules: [FlatRule] = []
  private(set) var origins: [FlatRuleset.Origin] = []
  private var places: [FlatRuleset.Origin: Int] = [:]
  private var ranges = 0
  /// How much was gone through; chains may lead to chains without a rule that is written.
  private var work = 0

  /// Rulesets that people write do not nest so deep; nftables allows 16.
  static let depthLimit = 64

  init(family: RuleFamily, limit: Int, ipsets: [UInt16: IPSet]) {
    (self.family, self.limit, self.ipsets) = (family, limit, ipsets)
  }

  mutating func lay(_ entry: FlatRuleset.Entry) {
    var layout = Layout(
      writer: FlatWriter(continuing: rules, ranges: ranges, limit: limit),
      translator: Translator(
        family: family, hook: entry.base.hook, table: entry.table, ipsets: ipsets,
        view: entry.view ?? .plain, translates: translates, untracks: untracks),
      origins: origins, places: places, work: work,
      workLimit: limit.multipliedReportingOverflow(by: 50).partialValue)
    rules = []  // not to be copied while the layout has them
    let chain = entry.table.table.chains[entry.chain]
    let range = layout.lay(base: chain, entry.base, isPlaced: entry.view != nil)
    (rules, ranges, work) = (layout.writer.rules, layout.writer.rangeCount, layout.work)
    (origins, places) = (layout.origins, layout.places)
    stages.append(
      FlatRuleset.Stage(
        hook: entry.base.hook, priority: entry.base.priority, backend: entry.table.backend,
        table: entry.table.table.name, chain: chain.name, view: entry.view ?? .plain, rules: range))
  }
}

/// One base chain while it is laid out.
private struct Layout {
  var writer: FlatWriter
  var translator: Translator
  var origins: [FlatRuleset.Origin]
  var places: [FlatRuleset.Origin: Int]
  var work: Int
  let workLimit: Int
  /// The chains that a packet is in.
  private var stack: [Int] = []

  init(
    writer: FlatWriter, translator: Translator, origins: [FlatRuleset.Origin],
    places: [FlatRuleset.Origin: Int], work: Int, workLimit: Int
  ) {
    (self.writer, self.translator, self.origins) = (writer, translator, origins)
    (self.places, self.work, self.workLimit) = (places, work, workLimit)
  }

  private var table: TableIndex { translator.table }

  mutating func lay(base chain: Chain, _ base: BaseChain, isPlaced: Bool) -> Range<Int> {
    let policy = writer.label()
    if isPlaced { lay(chain, within: .none, return: policy) }
    writer.place(policy)
    let origin = origin(chain, number: 0, handle: 0)
    let action: FlatRule.Action =
      switch base.policy {
      case _ where !isPlaced: .punt(.unknown("order of hooks"))
      case .accept: .accept
      case .drop: .drop
      default: .punt(.unknown("policy"))
      }
    let counts = table.backend == .iptablesLegacy && base.policy.isKnown
    return writer.finish(action, origin: origin, counts: counts)
  }

  private mutating func lay(
    _ chain: Chain, within context: Conjunction, return: FlatWriter.Label
  ) {
    for (place, rule) in chain.rules.enumerated() {
      work += 1 + translator.work
      translator.work = 0
      if work > workLimit { writer.stop() }
      if writer.isFull { return }
      let origin = origin(chain, number: place + 1, handle: rule.handle)
      let translated = translator.translate(rule, within: context)
      lay(translated, origin, within: context, return: `return`)
      if translated.takesAll(context) { return }
    }
  }

  private mutating func origin(_ chain: Chain, number: Int, handle: UInt64) -> Int {
    let origin = FlatRuleset.Origin(
      family: table.family, backend: table.backend, table: table.table.name, chain: chain.name,
      number: number, handle: handle)
    if let place = places[origin] { return place }
    places[origin] = origins.count
    origins.append(origin)
    return origins.count - 1
  }

  // MARK: One rule

  /// A chain whose rules stand behind the branches that lead to it.
  private struct Deferred {
    var chain: String
    var isGoto: Bool
    var label: FlatWriter.Label
  }

  private mutating func lay(
    _ rule: TranslatedRule, _ origin: Int, within context: Conjunction, return: FlatWriter.Label
  ) {
    count(rule.counted, origin)
    let after = writer.label()
    var deferred: [Deferred] = []
    for (place, branch) in rule.branches.enumerated() {
      guard branch.effects.isEmpty else {
        lay(branch, origin, within: context, return: `return`)
        continue
      }
      let isLast = place + 1 == rule.branches.count
      let apart = isLast || !rule.overlaps
      for conditions in branch.conditions {
        let only = branch.conditions.count == 1
        switch branch.outcome {
        case .fallThrough where apart && only:
          if branch.counts { writer.write(conditions, .next, origin: origin, counts: true) }
        case .fallThrough:
          writer.skip(conditions, to: after, origin: origin, counts: branch.counts)
        case .accept:
          writer.write(conditions, .accept, origin: origin, counts: branch.counts)
        case .drop: writer.write(conditions, .drop, origin: origin, counts: branch.counts)
        // Where the chain ends.
        case .return where rule.takesAll(context):
          if branch.counts { writer.write(conditions, .next, origin: origin, counts: true) }
        case .return:
          writer.skip(conditions, to: `return`, origin: origin, counts: branch.counts)
        case .punt(let cause):
          writer.write(conditions, .punt(cause), origin: origin, counts: false)
        case .jump(let name), .goto(let name):
          let isGoto = branch.outcome == .goto(name)
          guard let chain = enterable(name) else {
            let cause = FlatRule.Cause.unknown("chain \(name)")
            writer.write(conditions, .punt(cause), origin: origin, counts: false)
            continue
          }
          if only && !conditions.isHeavy {
            if branch.counts { writer.write(conditions, .next, origin: origin, counts: true) }
            enter(chain, within: conditions, return: isGoto ? `return` : after)
            if isGoto {
              writer.skip(conditions, to: `return`, origin: origin, counts: false)
            } else if !apart {
              writer.skip(conditions, to: after, origin: origin, counts: false)
            }
          } else {
            let known = deferred.first { $0.chain == name && $0.isGoto == isGoto }
            let label = known?.label ?? writer.label()
            if known == nil {
              deferred.append(Deferred(chain: name, isGoto: isGoto, label: label))
            }
            writer.skip(conditions, to: label, origin: origin, counts: branch.counts)
          }
        }
      }
    }
    lay(deferred, origin, within: context.light, return: `return`, after: after)
    writer.place(after)
  }

  /// What changes something, and then ends as the rule says.
  private mutating func lay(
    _ branch: TranslatedRule.Branch, _ origin: Int, within context: Conjunction,
    return: FlatWriter.Label
  ) {
    let (body, after) = (writer.label(), writer.label())
    var effects = branch.effects[...]
    // Until the first change whoever meets the rule is as the rule has found it.
    while case .connectionMark(let change)? = effects.first {
      for conditions in branch.conditions { punt(conditions, changing: change, origin) }
      effects.removeFirst()
    }
    let isWhole = effects.count < 2 && branch.outcome == .fallThrough
    for conditions in branch.conditions {
      writer.skip(
        conditions, changing: effects.first?.change, to: isWhole ? after : body, origin: origin,
        counts: branch.counts)
    }
    if !isWhole {
      // Behind it nobody asks again what may have changed.
      let context = context.light
      writer.skip(context, to: after, origin: origin, counts: false)
      writer.place(body)
      for effect in effects.dropFirst() {
        if case .connectionMark(let change) = effect { punt(context, changing: change, origin) }
        guard let change = effect.change else { continue }
        let next = writer.label()
        writer.skip(context, changing: change, to: next, origin: origin, counts: false)
        writer.place(next)
      }
      end(branch.outcome, origin, within: context, return: `return`, after: after)
    }
    writer.place(after)
  }

  private mutating func punt(_ conditions: Conjunction, changing change: MarkChange, _ origin: Int)
  {
    for found in translator.changing(change, conditions) {
      writer.write(found, .punt(.newMark), origin: origin, counts: false)
    }
  }

  /// What becomes of whoever arrives here.
  private mutating func end(
    _ outcome: TranslatedRule.Outcome, _ origin: Int, within context: Conjunction,
    return: FlatWriter.Label, after: FlatWriter.Label
  ) {
    switch outcome {
    case .fallThrough: break
    case .accept: writer.write(context, .accept, origin: origin, counts: false)
    case .drop: writer.write(context, .drop, origin: origin, counts: false)
    case .punt(let cause): writer.write(context, .punt(cause), origin: origin, counts: false)
    case .return: writer.skip(context, to: `return`, origin: origin, counts: false)
    case .jump(let name), .goto(let name):
      guard let chain = enterable(name) else {
        let cause = FlatRule.Cause.unknown("chain \(name)")
        return writer.write(context, .punt(cause), origin: origin, counts: false)
      }
      let isGoto = outcome == .goto(name)
      enter(chain, within: context, return: isGoto ? `return` : after)
      if isGoto { writer.skip(context, to: `return`, origin: origin, counts: false) }
    }
  }

  /// A counter with conditions behind it. Each packet is counted once, whichever conditions it meets.
  private mutating func count(_ conditions: [Conjunction], _ origin: Int) {
    let after = writer.label()
    for conditions in conditions {
      writer.skip(conditions, to: after, origin: origin, counts: true)
    }
    writer.place(after)
  }

  /// Chains that are reached by skips, so that their rules need not ask again what led there.
  private mutating func lay(
    _ deferred: [Deferred], _ origin: Int, within context: Conjunction, return: FlatWriter.Label,
    after: FlatWriter.Label
  ) {
    guard !deferred.isEmpty else { return }
    writer.skip(context, to: after, origin: origin, counts: false)
    for (place, body) in deferred.enumerated() {
      writer.place(body.label)
      guard let chain = enterable(body.chain) else { continue }
      enter(chain, within: context, return: body.isGoto ? `return` : after)
      if body.isGoto {
        writer.skip(context, to: `return`, origin: origin, counts: false)
      } else if place + 1 < deferred.count {
        writer.skip(context, to: after, origin: origin, counts: false)
      }
    }
  }

  private func enterable(_ name: String) -> Int? {
    guard let chain = table.chain(name), !stack.contains(chain),
      stack.count < Flattening.depthLimit
    else { return nil }
    return chain
  }

  private mutating func enter(
    _ chain: Int, within context: Conjunction, return: FlatWriter.Label
  ) {
    stack.append(chain)
    lay(table.table.chains[chain], within: context, return: `return`)
    stack.removeLast()
  }
}

extension TranslatedRule {
  /// Whether no packet that arrives at the rule comes to the next one.
  func takesAll(_ context: Conjunction) -> Bool {
    guard branches.count == 1, branches[0].conditions.count == 1,
      branches[0].conditions[0].steps == context.steps
    else { return false }
    switch branches[0].outcome {
    case .accept, .drop, .return, .goto, .punt: return true
    case .fallThrough, .jump: return false
    }
  }
}

extension Verdict {
  fileprivate var isKnown: Bool { self == .accept || self == .drop }
}
