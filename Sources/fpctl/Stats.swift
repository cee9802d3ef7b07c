// SPDX-License-Identifier: Apache-2.0
import Rendering

enum Stats: Subcommand {
  static let name = "stats"
  static let summary = "packets forwarded, dropped, and handed to the kernel and why"
  static let story = """
    Counts what the fast path did on each interface, or on one, since fpd first attached
    to it.
    """
  static let operands = [Operand.interface]

  static func run(_ call: Call) throws {
    try call.show(try call.ask(.stats, call.interface)) { statsText($0, style: $1) }
  }
}
