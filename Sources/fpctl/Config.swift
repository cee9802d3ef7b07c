// SPDX-License-Identifier: Apache-2.0
import Rendering

enum Config: Subcommand {
  static let name = "config"
  static let summary = "the effective configuration and where each value came from"
  static let story = """
    Shows every value fpd works by, and whether it is a default, stands in the
    configuration file (with the line) or was given on the command line.
    """

  static func run(_ call: Call) throws {
    try call.show(try call.ask(.config)) { configText($0, style: $1) }
  }
}
