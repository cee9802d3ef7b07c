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

  private var tables: [RuleTable] = []
  private var sets: [IPSet] = []
  private var interfaces: [ClassifierInterface] = []

  /// Compiles what forwarded packets meet in `state`, if that is anything and another than before.
  func follow(_ state: NetworkState) {
    guard state.hooks?.contains(where: \.asksRules) == true else { return forget() }
    let tables = state.legacyTables + state.nftables
    let isKnown = ruleset != nil && tables == self.tables && state.sets == sets
    if !isKnown {
      (self.tables, sets) = (tables, state.sets)
      ruleset = FlatRuleset(family: .ip, tables: tables, sets: sets)
    }
    let interfaces = state.links.map {
      ClassifierInterface(index: UInt32(bitPattern: $0.index), name: $0.name)
    }
    let looksAtThem = image?.shape.usesInterfaces ?? true
    if isKnown, summary != nil, !looksAtThem || interfaces == self.interfaces { return }
    self.interfaces = interfaces
    compile()
  }

  private func compile() {
    guard let ruleset else { return }
    var summary = RulesSummary(ruleset)
    current = nil
    edition += 1
    do {
      image = try Classifier.image(of: ruleset, interfaces: interfaces)
    } catch {
      image = nil
      summary.refusal = error.description
    }
    self.summary = summary
  }

  private func forget() {
    if ruleset != nil { edition += 1 }
    (ruleset, image, summary, current) = (nil, nil, nil, nil)
    (tables, sets, interfaces) = ([], [], [])
  }

  /// What programs are made for.
  var shape: ClassifierShape? { image?.shape }

  /// How users know a rule of the compiled list.
  func rule(_ place: Int) -> String? {
    guard let ruleset, ruleset.rules.indices.contains(place) else { return nil }
    let origin = ruleset.origins[ruleset.rules[place].origin]
    let which = origin.number == 0 ? "policy" : "rule \(origin.number)"
    return "\(origin.backend.rawValue) \(origin.table)/\(origin.chain) \(which)"
  }

  /// The image in the kernel.
  func maps() throws(DatapathError) -> RuleMaps? {
    if let current { return current }
    guard let image else { return nil }
    let maps = try RuleMaps(
      image: image.bytes, counters: image.shape.counters, used: image.counters.count)
    current = maps
    self.image?.bytes = []
    return maps
  }
}

extension NetfilterHook {
  /// Whether rules of a table decide there what becomes of IPv4 packets that are forwarded.
  fileprivate var asksRules: Bool {
    guard family == .ipv4, point.isOnTheWay else { return false }
    switch owner {
    case .nftables, .xtables: return true
    default: return false
    }
  }
}

extension RulesSummary {
  /// Of a list of rules, what a graph tells.
  init(_ ruleset: FlatRuleset) {
    self.init()
    for stage in ruleset.stages {
      if let point = stage.hook.point { chains[Int(point.rawValue)] += 1 }
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

extension ChainHook {
  fileprivate var point: NetfilterHook.Point? {
    switch self {
    case .prerouting: .prerouting
    case .forward: .forward
    case .postrouting: .postrouting
    case .input, .output, .ingress, .egress, .unknown: nil
    }
  }
}
