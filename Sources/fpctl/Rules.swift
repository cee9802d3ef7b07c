// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Rendering

enum Rules: Subcommand {
  static let name = "rules"
  static let summary = "the rules of all firewalls: where each is decided, and its hits"
  static let story = """
    Shows the rules of iptables-legacy, iptables-nft and nftables, of all tables, of one,
    or of one chain: what each says, whether forwarded packets are decided there by the
    fast path or why not, and how many it counted, with the fast path's.
    """
  static let operands = [
    Operand(name: "TABLE", completion: .nothing), Operand(name: "CHAIN", completion: .nothing),
  ]

  static func run(_ call: Call) throws {
    var wanted = JSON.Object()
    for (name, value) in zip(["table", "chain"], call.arguments.operands) {
      wanted.append(name, .string(value))
    }
    try call.show(try call.ask(.rules, wanted)) { rulesText($0, style: $1) }
  }
}
