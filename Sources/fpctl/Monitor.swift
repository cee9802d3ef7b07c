// SPDX-License-Identifier: Apache-2.0
import Control
import Glibc
import Rendering

enum Monitor: Subcommand {
  static let name = "monitor"
  static let summary = "a line for each new generation, as it comes"
  static let story = """
    Follows fpd until interrupted: one line each time the kernel's configuration changed
    in a way that changes the graph.
    """

  static func run(_ call: Call) throws {
    var client = try ControlClient(path: call.socket)
    var failure: (any Error)?
    try client.follow(Request(.monitor), while: STDOUT_FILENO) { event in
      do {
        // One line an event, also on a terminal: that is what makes the JSON a stream.
        let style = Output.style
        try Output.write(call.isJSON ? event.text() + "\n" : monitorLine(event, style: style))
        return true
      } catch {
        failure = error
        return false
      }
    }
    if let failure { throw failure }
  }
}
