// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Rendering
import Usage

enum Graph: Subcommand {
  static let name = "graph"
  static let summary = "what the kernel does with packets, interface by interface"
  static let story = """
    Shows the processing graph that is live now: the modules a packet passes on each
    interface, in order, with their settings, and what stays with the kernel.
    """
  static let formats = ["tree", "json", "dot", "svg"]
  static let operands = [Operand.interface]
  static let options = [
    Option(
      "--format", value: "FORMAT", completion: .words(formats),
      "tree (default), json, dot or svg")
  ]

  static func run(_ call: Call) throws {
    let format = call.arguments["--format"]
    if let format, !formats.contains(format) {
      throw UsageError(
        "--format \(format): expected \(formats.joined(separator: ", "))"
          + suggestion(for: format, among: formats))
    }
    if call.isJSON, let format, format != "json" {
      throw UsageError("--json and --format \(format) contradict each other")
    }
    let graph = try call.ask(.graph, call.interface)
    switch format {
    case "dot": try Output.write(dot(graph))
    case "svg": try Output.write(svg(graph))
    case "json": try Output.write(graph.text(pretty: Output.isTerminal) + "\n")
    default: try call.show(graph) { tree($0, style: $1) }
    }
  }
}
