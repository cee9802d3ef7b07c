// SPDX-License-Identifier: Apache-2.0
import Introspection

/// Rules as their users write them: in the words of iptables-save, or of nft. What is not understood is
/// named and followed by an ellipsis.
package struct RuleText {
  let table: RuleTable
  private let ipsets: [UInt16: String]

  /// - Parameter sets: the ipsets that rules may name.
  package init(_ table: RuleTable, sets: [IPSet] = []) {
    self.table = table
    var names: [UInt16: String] = [:]
    for set in sets { if let index = set.index { names[index] = set.name } }
    ipsets = names
  }

  /// All of a rule in one line.
  package func text(_ rule: Rule) -> String {
    (table.backend == .nftables ? nftables(rule) : iptables(rule)).joined(separator: " ")
  }

  /// Which rule an origin is, and what it says: `iptables-legacy filter/FORWARD rule 3: -i eth0 -j DROP`.
  package static func describe(
    _ origin: RuleOrigin, in tables: [RuleTable], sets: [IPSet] = []
  ) -> String {
    let head = "\(tool(origin)) \(origin.table)/\(origin.chain)"
    guard let table = tables.first(where: { $0.holds(origin) }),
      let chain = table.chain(named: origin.chain)
    else { return "\(head) rule \(origin.number)" }
    if origin.number == 0 {
      return "\(head) policy\(chain.base.map { ": \($0.policy.text)" } ?? "")"
    }
    guard let rule = rule(origin, in: chain) else { return "\(head) rule \(origin.number)" }
    let handle = table.backend == .nftables ? " (handle \(rule.handle))" : ""
    return "\(head) rule \(origin.number)\(handle): \(RuleText(table, sets: sets).text(rule))"
  }

  /// By the handle where there is one: numbers change with what stands before.
  private static func rule(_ origin: RuleOrigin, in chain: Chain) -> Rule? {
    let place = origin.number - 1
    if chain.rules.indices.contains(place), chain.rules[place].handle == origin.handle {
      return chain.rules[place]
    }
    if origin.backend != .iptablesLegacy {
      return chain.rules.first { $0.handle == origin.handle }
    }
    return chain.rules.indices.contains(place) ? chain.rules[place] : nil
  }

  private static func tool(_ origin: RuleOrigin) -> String {
    switch (origin.backend, origin.family) {
    case (.iptablesLegacy, .ip6): "ip6tables-legacy"
    case (.iptablesNft, .ip6): "ip6tables-nft"
    case (.nftables, let family): "nftables \(family.name)"
    case (let backend, _): backend.rawValue
    }
  }

  // MARK: - Values

  func ipset(_ index: UInt16) -> String { ipsets[index] ?? "#\(index)" }

  static func transport(_ number: UInt8) -> String {
    switch number {
    case 1: "icmp"
    case 2: "igmp"
    case 6: "tcp"
    case 17: "udp"
    case 33: "dccp"
    case 41: "ipv6"
    case 47: "gre"
    case 50: "esp"
    case 51: "ah"
    case 58: "ipv6-icmp"
    case 89: "ospf"
    case 112: "vrrp"
    case 132: "sctp"
    case 136: "udplite"
    default: String(number)
    }
  }

  static func address(_ number: UInt128, six: Bool) -> String {
    let width: UInt8 = six ? 16 : 4
    return Address.text(RegisterValue(number, count: width).bytes)
  }

  /// The length of the prefix that a mask is; `nil` for one with holes.
  static func prefix(_ mask: UInt128, bits: Int) -> Int? {
    let ones = (0..<bits).prefix { mask >> UInt128(bits - 1 - $0) & 1 == 1 }.count
    let rest: UInt128 = bits - ones >= 128 ? .max : (UInt128(1) << UInt128(bits - ones)) - 1
    return mask & rest == 0 ? ones : nil
  }

  static func hexadecimal(_ number: some BinaryInteger, digits: Int = 1) -> String {
    let text = String(number, radix: 16)
    return "0x" + String(repeating: "0", count: max(0, digits - text.count)) + text
  }

  static func mac(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }

  static func ports(_ range: PortRange, _ separator: String) -> String {
    range.low == range.high ? "\(range.low)" : "\(range.low)\(separator)\(range.high)"
  }

  static let tcpFlags = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"]

  static func tcpFlags(_ bits: UInt8) -> [String] {
    (0..<8).filter { bits & (1 << $0) != 0 }.map { tcpFlags[$0] }
  }

  /// Whether iptables-save writes a text without quotation marks.
  static func isPlain(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { byte in
        UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte & ~0x20
          || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || byte == 0x2d || byte == 0x5f
      }
  }

  /// A comment or a name that may hold anything, within quotation marks.
  static func quoted(_ text: String) -> String {
    "\"\(text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\""))\""
  }

  static let addressTypes = [
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE",
    "PROHIBIT", "THROW", "NAT", "XRESOLVE",
  ]
}

extension Verdict {
  /// As iptables writes a policy.
  package var text: String {
    switch self {
    case .accept: "ACCEPT"
    case .drop: "DROP"
    default: "\(self)"
    }
  }

  /// As nft writes it.
  var word: String {
    switch self {
    case .accept: "accept"
    case .drop: "drop"
    case .return: "return"
    case .continue: "continue"
    case .break: "break"
    case .queue(let number): number == 0 ? "queue" : "queue to \(number)"
    case .jump(let chain): "jump \(chain)"
    case .goto(let chain): "goto \(chain)"
    case .unknown(let number): "verdict \(number)"
    }
  }
}

extension ConntrackMatch.States {
  private static let words: [(states: ConntrackMatch.States, name: String)] = [
    (.invalid, "INVALID"), (.new, "NEW"), (.related, "RELATED"), (.established, "ESTABLISHED"),
    (.untracked, "UNTRACKED"), (.sourceNAT, "SNAT"), (.destinationNAT, "DNAT"),
  ]

  /// The names, in the order iptables has them.
  var names: [String] { Self.words.filter { contains($0.states) }.map(\.name) }

  /// The names, in the order nft has them.
  var words: [String] {
    Self.words.sorted { $0.states.rawValue < $1.states.rawValue }
      .filter { contains($0.states) }.map { $0.name.lowercased() }
  }
}
