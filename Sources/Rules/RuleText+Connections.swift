// SPDX-License-Identifier: Apache-2.0
import Introspection

// What rules ask of connections, in the words of nft.

extension RuleText {
  /// `nil` where nft has no words for it.
  func nftables(_ connection: ConntrackMatch) -> String? {
    func not(_ condition: UInt16) -> String { connection.inverted & condition != 0 ? "! " : "" }
    switch connection.conditions {
    case ConntrackMatch.state:
      return "ct state \(not(ConntrackMatch.state))"
        + connection.states.words.joined(separator: ",")
    case ConntrackMatch.status:
      return "ct status \(not(ConntrackMatch.status))" + Self.status(connection.status)
    case ConntrackMatch.direction:
      let isReply = connection.inverted & ConntrackMatch.direction != 0
      return "ct direction \(Self.direction(isReply: isReply))"
    default: return nil
    }
  }

  /// nftables' bits.
  static func states(_ bits: UInt16) -> String {
    let words = ConntrackMatch.States(bits: bits)?.words ?? []
    return words.isEmpty ? hexadecimal(bits) : words.joined(separator: ",")
  }

  /// `IPS_*`.
  static func status(_ bits: UInt16) -> String {
    let names = [
      0: "expected", 1: "seen-reply", 2: "assured", 3: "confirmed", 4: "snat", 5: "dnat",
      9: "dying",
    ]
    let places = (0..<16).filter { bits & 1 << $0 != 0 }
    let words = places.compactMap { names[$0] }
    // nft writes out what it has no names for.
    return words.isEmpty || words.count < places.count
      ? hexadecimal(bits) : words.joined(separator: ",")
  }

  static func direction(isReply: Bool) -> String { isReply ? "reply" : "original" }
}
