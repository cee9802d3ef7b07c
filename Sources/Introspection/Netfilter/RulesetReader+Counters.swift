// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

extension RulesetReader {
  /// What the rules of nftables that have a counter counted, by `RuleOrigin.lasting`.
  package func readNftablesCounts() throws(NetlinkError) -> [RuleOrigin: Tally] {
    for _ in 0..<Self.attempts {
      var counts: [RuleOrigin: Tally] = [:]
      do throws(NetlinkError) {
        try dump(NFT_MSG_GETRULE, "counters") { payload in
          if let (rule, tally) = Tally.parse(payload) { counts[rule] = tally }
          return .yes
        }
        return counts
      } catch {
        guard case .interrupted = error else { throw error }
      }
    }
    throw .interrupted(what: "reading the nftables counters \(Self.attempts) times")
  }
}

extension Tally {
  /// NFT_MSG_NEWRULE: the rule's first counter; `nil` where it has none.
  package static func parse(_ payload: Bytes) -> (RuleOrigin, Tally)? {
    guard let family = payload[0].flatMap(RuleFamily.init(rawValue:)) else { return nil }
    var rule = RuleOrigin(
      family: family, backend: .nftables, table: "", chain: "", number: 0, handle: 0)
    var tally: Tally?
    for field in Attributes(payload, after: 4) {
      switch field.type {
      case NFTA_RULE_TABLE: rule.table = field.string
      case NFTA_RULE_CHAIN: rule.chain = field.string
      case NFTA_RULE_HANDLE: rule.handle = field.big64 ?? 0
      case NFTA_RULE_EXPRESSIONS:
        for expression in field.nested where tally == nil { tally = Tally(expression.nested) }
      default: break
      }
    }
    return tally.map { (rule, $0) }
  }

  private init?(_ expression: Attributes) {
    guard expression.first(Int(NFTA_EXPR_NAME.rawValue))?.string == "counter",
      let values = expression.first(Int(NFTA_EXPR_DATA.rawValue))?.nested
    else { return nil }
    self.init()
    for field in values {
      switch field.type {
      case NFTA_COUNTER_PACKETS: packets = field.big64 ?? 0
      case NFTA_COUNTER_BYTES: bytes = field.big64 ?? 0
      default: break
      }
    }
  }
}
