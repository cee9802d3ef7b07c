// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import Testing

/// One rule given to iptables, and what is to be read back.
struct MatchCase: Sendable {
  let arguments: String
  let matches: [Match]
  /// Of iptables-nft, where it says the same in another way.
  let native: [Match]?
  let target: Target

  init(_ arguments: String, _ matches: [Match], native: [Match]? = nil, target: Target = .accept) {
    (self.arguments, self.matches) = (arguments, matches)
    (self.native, self.target) = (native, target)
  }

  var command: String {
    let words = arguments.split(separator: " ")
    let acts = words.contains("-j") || words.contains("-g")
    return "-A FORWARD \(arguments)" + (acts ? "" : " -j ACCEPT")
  }
}

extension Kernel {
  @Suite struct RulesetMatchTests {
    @Test(arguments: ["iptables-legacy", "iptables-nft"])
    func readsEveryMatchOfIPv4(_ tool: String) throws {
      try Self.check(tool, .ip, MatchCase.common + MatchCase.ipv4)
    }

    @Test(arguments: ["ip6tables-legacy", "ip6tables-nft"])
    func readsEveryMatchOfIPv6(_ tool: String) throws {
      try Self.check(tool, .ip6, MatchCase.common + MatchCase.ipv6)
    }

    private static func check(
      _ tool: String, _ family: RuleFamily, _ cases: [MatchCase]
    ) throws {
      let legacy = tool.hasSuffix("legacy")
      let rules = cases.map(\.command).joined(separator: "\n")
      let namespace = try Namespace("match", ipv6: .quiet)
      let sets = family == .ip ? "inet" : "inet6"
      try namespace.run("ipset create one hash:ip family \(sets)")
      try namespace.run("ipset create two hash:net,port family \(sets)")
      try namespace.run(
        ["\(tool)-restore"], input: "*filter\n:FORWARD DROP\n:user -\n\(rules)\nCOMMIT\n")
      let tables = try namespace.inside {
        let reader = try RulesetReader()
        return try legacy ? reader.readLegacy() : reader.readNftables().tables
      }
      let table = try #require(tables.first { $0.name == "filter" })
      #expect(table.family == family)
      #expect(table.backend == (legacy ? .iptablesLegacy : .iptablesNft))
      let chain = try #require(table.chain(named: "FORWARD"))
      #expect(chain.base?.hook == .forward)
      #expect(chain.base?.policy == .drop)
      #expect(chain.rules.count == cases.count)
      for (rule, expected) in zip(chain.rules, cases) {
        let matches = legacy ? expected.matches : expected.native ?? expected.matches
        #expect(rule.matches == matches, "\(tool) \(expected.arguments)")
        #expect(rule.target == expected.target, "\(tool) \(expected.arguments)")
        #expect(rule.isFullyModelled, "\(tool) \(expected.arguments): \(rule.unmodelled)")
      }
    }
  }
}
