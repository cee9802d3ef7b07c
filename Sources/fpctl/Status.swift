// SPDX-License-Identifier: Apache-2.0
import Rendering

enum Status: Subcommand {
  static let name = "status"
  static let summary = "how fpd is, and how each interface is accelerated"
  static let story = """
    Shows whether what is live corresponds to the kernel's configuration (converged),
    is about to (converging) or cannot (degraded, with the reason), and for each
    interface the hook in use, its modules, and why it is not accelerated.
    """

  static func run(_ call: Call) throws {
    try call.show(try call.ask(.status, timeoutMilliseconds: 5_000)) { statusText($0, style: $1) }
  }
}
