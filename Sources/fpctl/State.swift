// SPDX-License-Identifier: Apache-2.0
import Rendering

enum State: Subcommand {
  static let name = "state"
  static let summary = "what fpd has read of the kernel's configuration"
  static let story = """
    Shows what the graph is derived from: links, addresses, policy rules, kinds of
    routes, qdiscs and filters, sysctls, netfilter hooks and whose they are, tables
    and chains of every firewall, ipsets, connection tracking.
    """

  static func run(_ call: Call) throws {
    try call.show(try call.ask(.state)) { outline($0, style: $1) }
  }
}
