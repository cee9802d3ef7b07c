// SPDX-License-Identifier: Apache-2.0
import Datapath
import Introspection
import Rules
import Topology

/// The firewall's rules, compiled: laid out when they are others, made into an image when that or the
/// interfaces are others, and given to the kernel when a program wants them.
final class Rulebook {
  private(set) var ruleset: FlatRuleset?
  private(set) var summary: RulesSummary?
  /// Another whenever the rules were compiled again.
  private(set) var edition = 0
  /// Without its bytes once they are in the kernel.
  private var image: ClassifierImage?
  private var current: RuleMaps?
  /// What is in the kernel, or was a moment ago.
  private var issues: [Issue] = []
  private let objects: ObjectSource
  private let log: Log
  private var finder: KernelSets?
  /// Rules ask sets that were not found: they had another name a moment ago.
  private var lacksSets = false

  private var tables: [RuleTable] = []
  private var hooks: [NetfilterHook] = []
  private var sets: [IPSet] = []
  private var interfaces: [ClassifierInterface] = []

  /// An image in the kernel, and what has been read of its counters.
  private struct Issue {
    let maps: RuleMaps
    let tables: [RuleTable]
    var meter: RuleMeter
    /// Whether another took its place before the counters were last read.
    var isSpent = false
  }

  init(objects: ObjectSource, log: Log) {
    self.objects = objects
    self.log = log
  }

  /// Compiles what forwarded packets meet in `state`, if that is anything and another than before.
  func follow(_ state: NetworkState) {
    guard state.hooks?.contains(where: \.asksRules) == true else { return forget() }
    let tables = state.legacyTables + state.nftables
    let hooks = (state.hooks ?? []).filter(\.seesRouted).map(\.place)
    let isKnown =
      ruleset != nil && tables == self.tables && state.sets == sets && hooks == self.hooks
    if !isKnown {
      (self.tables, sets, self.hooks) = (tables, state.sets, hooks)
      ruleset = FlatRuleset(family: .ip, tables: tables, sets: sets, hooks: hooks)
    }
    let interfaces = state.links.map {
      ClassifierInterface(index: UInt32(bitPattern: $0.index), name: $0.name)
    }
    let looksAtThem = image?.shape.usesInterfaces ?? true
    let isCurrent = !looksAtThem || interfaces == self.interfaces
    if isKnown, summary != nil, isCurrent, !lacksSets { return }
    self.interfaces = interfaces
    compile()
  }

  private func compile() {
    guard let ruleset else { return }
    var summary = RulesSummary(ruleset)
    current = nil
    edition += 1
    do {
      let sets = ruleset.asksSets ? setsAddress() : nil
      lacksSets = ruleset.asksSets && sets == nil
      image = try Classifier.image(of: ruleset, interfaces: interfaces, sets: sets)
    } catch {
      image = nil
      summary.refusal = error.description
    }
    self.summary = summary
  }

  private func forget() {
    if ruleset != nil { edition += 1 }
    (ruleset, image, summary, current) = (nil, nil, nil, nil)
    (tables, sets, hooks, interfaces) = ([], [], [], [])
  }

  /// What programs are made for.
  var shape: ClassifierShape? { image?.shape }

  /// How users know a rule of the compiled list.
  func rule(_ place: Int) -> String? {
    guard let ruleset, ruleset.rules.indices.contains(place) else { return nil }
    let origin = ruleset.origins[ruleset.rules[place].origin]
    return RuleText.describe(origin, in: tables, sets: sets)
  }

  /// The image in the kernel.
  func maps() throws(DatapathError) -> RuleMaps? {
    if let current { return current }
    guard let image else { return nil }
    let maps = try RuleMaps(
      image: image.bytes, counters: image.shape.counters, used: image.counters.count)
    current = maps
    if let ruleset {
      issues.append(
        Issue(
          maps: maps, tables: tables, meter: RuleMeter(ruleset, counters: image.counters)))
    }
    self.image?.bytes = []
    return maps
  }

  /// Tells what programs have counted since the last call, by the rules of the tables they were made from.
  func takeCounts(_ enter: ([RuleOrigin: Tally], [RuleTable]) -> Void) {
    for place in issues.indices {
      guard let counters = try? issues[place].maps.counters() else { continue }
      let tallies = counters.map { Tally(packets: $0.packets, bytes: $0.bytes) }
      enter(issues[place].meter.advance(tallies), issues[place].tables)
    }
    issues.removeAll(where: \.isSpent)
    for place in issues.indices where issues[place].maps !== current {
      issues[place].isSpent = true
    }
  }

  /// Where the kernel keeps the ipsets of the namespace; without, rules that ask them are its own.
  private func setsAddress() -> UInt64? {
    do {
      let finder = try finder ?? KernelSets(objects)
      self.finder = finder
      return try finder.address(
        holding: sets.compactMap { set in
          set.index.map { .init(index: $0, name: set.name, type: set.type) }
        })
    } catch {
      log.notice("rules that ask ipsets are left to the kernel: \(error)")
      return nil
    }
  }
}

extension NetfilterHook {
  /// Whether rules of a table decide there what becomes of IPv4 packets that are forwarded.
  fileprivate var asksRules: Bool {
    guard seesRouted else { return false }
    switch owner {
    case .nftables, .xtables: return true
    default: return false
    }
  }

  /// Whose function it is and where, without which rules it has at the moment.
  fileprivate var place: NetfilterHook {
    var place = self
    (place.address, place.argument, place.ruleset) = (0, 0, nil)
    return place
  }
}

extension RulesSummary {
  /// Of a list of rules, what a graph tells.
  init(_ ruleset: FlatRuleset) {
    self.init()
    for stage in ruleset.stages {
      if let point = stage.hook.pointOnTheWay { chains[Int(point.rawValue)] += 1 }
    }
    for decision in ruleset.decisions.values {
      guard case .punted(let causes) = decision else { continue }
      punted += 1
      for cause in causes {
        switch cause {
        case .unknown(let name): unknown.append(name)
        case .effect(let name): effects.append(name)
        case .tooMany: unknown.append(cause.description)
        }
      }
    }
    unknown = Set(unknown).sorted()
    effects = Set(effects).sorted()
  }
}

extension FlatRuleset {
  fileprivate var asksSets: Bool {
    rules.contains { rule in
      rule.conditions.contains { condition in
        if case .late(.ipset) = condition { true } else { false }
      }
    }
  }
}
