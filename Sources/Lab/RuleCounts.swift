// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// What the rules of nftables have counted, a line for each that counts.
package enum RuleCounts {
  /// As fpd tells them.
  package static func told(_ rules: JSON, except hook: String? = nil) -> [String] {
    var lines: [String] = []
    for table in rules["tables"]?.array ?? [] {
      for chain in table["chains"]?.array ?? []
      where hook == nil || chain["hook"]?.string != hook {
        for rule in chain["rules"]?.array ?? [] {
          guard let handle = rule["handle"]?.int, let packets = rule["packets"]?.int,
            let bytes = rule["bytes"]?.int
          else { continue }
          let words = [table["family"], table["name"], chain["name"]].map { $0?.string ?? "?" }
          lines.append("\(words) \(handle): \(packets) \(bytes)")
        }
      }
    }
    return lines.sorted()
  }

  /// As `nft -a list ruleset` does.
  package static func listed(_ listing: String, except hook: String? = nil) -> [String] {
    var lines: [String] = []
    var (table, chain, isLeftOut) = (["?", "?"], "?", false)
    for line in listing.split(separator: "\n") {
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
      if words.first == "table", words.count > 2 { table = [words[1], words[2]] }
      if words.first == "chain", words.count > 1 { (chain, isLeftOut) = (words[1], false) }
      // type filter hook output priority 0; policy accept;
      if words.first == "type", words.count > 3, let hook { isLeftOut = words[3] == hook }
      if isLeftOut { continue }
      guard let counter = words.firstIndex(of: "counter"), words.count > counter + 4,
        words[counter + 1] == "packets", words[words.count - 2] == "handle"
      else { continue }
      let handle = words[words.count - 1]
      lines.append("\(table + [chain]) \(handle): \(words[counter + 2]) \(words[counter + 4])")
    }
    return lines.sorted()
  }
}
