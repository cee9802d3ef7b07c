// SPDX-License-Identifier: Apache-2.0

/// A ruleset and packets that are sent through it, one after the other.
package struct FirewallTrial: Equatable, Sendable {
  package var firewall: Firewall
  package var packets: [FirewallPacket]

  package init(_ firewall: Firewall, _ packets: [FirewallPacket]) {
    (self.firewall, self.packets) = (firewall, packets)
  }

  /// Ways to make it smaller. Those that have fpd compile another program come last.
  package static var reductions: [Reduction<FirewallTrial>] {
    [packetsLess, rulesLess, piecesLess, elementsLess, chainsLess, setsLess]
      + [policiesLess, anchorsLess, tablesLess, packetsPlainer]
  }

  private typealias Place = (table: Int, chain: Int, rule: Int)

  private static var packetsLess: Reduction<FirewallTrial> {
    Reduction {
      $0.packets.count
    } without: { trial, range in
      var trial = trial
      if range.count < trial.packets.count { trial.packets.removeSubrange(range) }
      return trial
    }
  }

  // MARK: Rules

  private func places(where chosen: (Firewall.Rule) -> Bool) -> [Place] {
    var places: [Place] = []
    for (table, one) in firewall.tables.enumerated() {
      for (chain, two) in one.chains.enumerated() {
        for (rule, three) in two.rules.enumerated() where chosen(three) {
          places.append((table, chain, rule))
        }
      }
    }
    return places
  }

  private func without(rules places: some Sequence<Place>) -> FirewallTrial {
    var trial = self
    for place in Array(places).reversed() {
      trial.firewall.tables[place.table].chains[place.chain].rules.remove(at: place.rule)
    }
    return trial
  }

  private static func rules(
    where chosen: @escaping (Firewall.Rule) -> Bool
  ) -> Reduction<FirewallTrial> {
    Reduction {
      $0.places(where: chosen).count
    } without: { trial, range in
      trial.without(rules: trial.places(where: chosen)[range])
    }
  }

  private static var rulesLess: Reduction<FirewallTrial> { rules { !$0.isAnchor } }
  private static var anchorsLess: Reduction<FirewallTrial> { rules(where: \.isAnchor) }

  // MARK: What rules are made of

  /// Changes the parts in `range` of all that `count` counts in rules.
  private func changing(
    _ range: Range<Int>, _ count: (Firewall.Rule) -> Int,
    _ change: (inout Firewall.Rule, Int) -> Void
  ) -> FirewallTrial {
    var trial = self
    var first = 0
    for place in places(where: { !$0.isAnchor }) {
      var rule = trial.firewall.tables[place.table].chains[place.chain].rules[place.rule]
      let size = count(rule)
      for part in (0..<size).reversed() where range.contains(first + part) { change(&rule, part) }
      first += size
      trial.firewall.tables[place.table].chains[place.chain].rules[place.rule] = rule
    }
    return trial
  }

  private func sum(_ count: (Firewall.Rule) -> Int) -> Int {
    places { !$0.isAnchor }.reduce(0) {
      $0 + count(firewall.tables[$1.table].chains[$1.chain].rules[$1.rule])
    }
  }

  private static var piecesLess: Reduction<FirewallTrial> {
    Reduction {
      $0.sum { $0.pieces.count }
    } without: { trial, range in
      trial.changing(range, { $0.pieces.count }) { $0.pieces.remove(at: $1) }
    }
  }

  private static func elements(_ rule: Firewall.Rule) -> Int {
    rule.pieces.reduce(0) { $0 + $1.elements.count }
  }

  private static func remove(element: Int, from rule: inout Firewall.Rule) {
    var rest = element
    for piece in rule.pieces.indices {
      let count = rule.pieces[piece].elements.count
      if rest < count {
        // An empty list is no list.
        if count > 1 { rule.pieces[piece].elements.remove(at: rest) }
        return
      }
      rest -= count
    }
  }

  private static var elementsLess: Reduction<FirewallTrial> {
    Reduction {
      $0.sum(elements) + $0.namedElements
    } without: { trial, range in
      let first = trial.sum(elements)
      var smaller = trial.changing(range.clamped(to: 0..<first), elements) {
        remove(element: $1, from: &$0)
      }
      smaller.removeNamed { range.contains(first + $0) }
      return smaller
    }
  }

  private var namedElements: Int {
    firewall.sets.reduce(0) { $0 + $1.elements.count }
      + firewall.tables.reduce(0) { $0 + $1.sets.reduce(0) { $0 + $1.elements.count } }
  }

  private mutating func removeNamed(_ chosen: (Int) -> Bool) {
    var first = 0
    func rest(_ elements: [String]) -> [String] {
      defer { first += elements.count }
      return elements.indices.filter { !chosen(first + $0) }.map { elements[$0] }
    }
    for set in firewall.sets.indices {
      firewall.sets[set].elements = rest(firewall.sets[set].elements)
    }
    for table in firewall.tables.indices {
      for set in firewall.tables[table].sets.indices {
        firewall.tables[table].sets[set].elements = rest(firewall.tables[table].sets[set].elements)
      }
    }
  }

  // MARK: Chains, sets, tables

  private var chainPlaces: [(table: Int, chain: Int)] {
    firewall.tables.indices.flatMap { table in
      firewall.tables[table].chains.indices.map { (table, $0) }
    }
  }

  private static var chainsLess: Reduction<FirewallTrial> {
    Reduction {
      $0.chainPlaces.count
    } without: { trial, range in
      var smaller = trial
      for place in trial.chainPlaces[range].reversed() {
        let chain = trial.firewall.tables[place.table].chains[place.chain]
        // What is hooked in goes with its table, or the program is another one.
        if chain.hook != nil { continue }
        smaller.firewall.tables[place.table].remove(chain: chain.name)
      }
      return smaller
    }
  }

  private static var policiesLess: Reduction<FirewallTrial> {
    Reduction {
      $0.chainPlaces.count
    } without: { trial, range in
      var smaller = trial
      for place in trial.chainPlaces[range] {
        smaller.firewall.tables[place.table].chains[place.chain].drops = false
      }
      return smaller
    }
  }

  private static var setsLess: Reduction<FirewallTrial> {
    Reduction {
      $0.firewall.sets.count + $0.firewall.tables.reduce(0) { $0 + $1.sets.count }
    } without: { trial, range in
      var smaller = trial
      var place = 0
      func isLeft() -> Bool {
        defer { place += 1 }
        return !range.contains(place)
      }
      smaller.firewall.sets = trial.firewall.sets.filter { _ in isLeft() }
      for table in trial.firewall.tables.indices {
        smaller.firewall.tables[table].sets = trial.firewall.tables[table].sets.filter { _ in
          isLeft()
        }
      }
      return smaller
    }
  }

  private static var tablesLess: Reduction<FirewallTrial> {
    Reduction {
      $0.firewall.tables.count + $0.chainPlaces.count
    } without: { trial, range in
      var smaller = trial
      let tables = trial.firewall.tables.count
      for (place, chain) in trial.chainPlaces.enumerated().reversed()
      where range.contains(tables + place) {
        smaller.firewall.tables[chain.table].chains.remove(at: chain.chain)
      }
      smaller.firewall.tables = smaller.firewall.tables.enumerated()
        .filter { !range.contains($0.offset) }.map(\.element)
      return smaller
    }
  }

  /// Of each packet, what is peculiar about it.
  private static var packetsPlainer: Reduction<FirewallTrial> {
    let kinds = FirewallPacket.plainer
    return Reduction {
      $0.packets.count > 4 ? 0 : $0.packets.count * kinds.count
    } without: { trial, range in
      var smaller = trial
      for part in range { kinds[part % kinds.count](&smaller.packets[part / kinds.count]) }
      return smaller
    }
  }
}

extension Firewall.Table {
  /// With all that leads to it.
  fileprivate mutating func remove(chain name: String) {
    chains.removeAll { $0.name == name }
    for chain in chains.indices {
      chains[chain].rules.removeAll { $0.chain == name }
      for rule in chains[chain].rules.indices {
        for piece in chains[chain].rules[rule].pieces.indices {
          chains[chain].rules[rule].pieces[piece].elements.removeAll { Self.leads($0, to: name) }
        }
      }
      chains[chain].rules.removeAll { rule in
        rule.pieces.contains { $0.elements.isEmpty && !$0.tail.isEmpty }
      }
    }
    for set in sets.indices { sets[set].elements.removeAll { Self.leads($0, to: name) } }
  }

  private static func leads(_ element: String, to chain: String) -> Bool {
    element.hasSuffix(" \(chain)")
  }
}
