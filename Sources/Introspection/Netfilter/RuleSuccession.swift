// SPDX-License-Identifier: Apache-2.0

/// Which rule of a table is which of a later reading of it, told by what the rules say, as nothing else
/// tells rules of iptables-legacy apart.
///
/// A rule is followed within its chain: to the same number where an equal rule stands, else to the first
/// equal rule that no other is followed to. A rule that is not found is gone, and so is a policy with its
/// chain.
package struct RuleSuccession {
  /// For each chain of before the numbers its rules have now, 0 for those that are gone.
  private var numbers: [String: [Int]] = [:]
  private var based: Set<String> = []

  package init(from old: RuleTable, to new: RuleTable) {
    let later = Dictionary(
      new.chains.indices.map { (new.chains[$0].name, $0) }, uniquingKeysWith: { first, _ in first })
    for chain in old.chains {
      guard let place = later[chain.name] else { continue }
      let successor = new.chains[place]
      if chain.base != nil && successor.base != nil { based.insert(chain.name) }
      numbers[chain.name] = Self.follow(chain.rules, successor.rules)
    }
  }

  /// The number that a rule has now, 0 for a policy; `nil` where it is gone.
  package func number(_ number: Int, in chain: String) -> Int? {
    if number == 0 { return based.contains(chain) ? 0 : nil }
    guard let numbers = numbers[chain], numbers.indices.contains(number - 1) else { return nil }
    let found = numbers[number - 1]
    return found == 0 ? nil : found
  }

  private struct Content: Hashable {
    var matches: [Match]
    var target: Target

    init(_ rule: Rule) { (matches, target) = (rule.matches, rule.target) }
  }

  private static func follow(_ old: [Rule], _ new: [Rule]) -> [Int] {
    var found = [Int](repeating: 0, count: old.count)
    var taken = [Bool](repeating: false, count: new.count)
    for place in old.indices where place < new.count {
      guard old[place].says(new[place]) else { continue }
      found[place] = place + 1
      taken[place] = true
    }
    // Chains that are as they were need no look-up.
    guard found.contains(0) else { return found }
    var free: [Content: [Int]] = [:]
    for place in new.indices.reversed() where !taken[place] {
      free[Content(new[place]), default: []].append(place + 1)
    }
    for place in old.indices where found[place] == 0 {
      found[place] = free[Content(old[place])]?.popLast() ?? 0
    }
    return found
  }
}

extension Rule {
  /// Whether two rules say the same, wherever they stand.
  func says(_ other: Rule) -> Bool { matches == other.matches && target == other.target }
}
