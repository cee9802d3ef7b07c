// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Rendering
import Usage

enum Wait: Subcommand {
  static let name = "wait"
  static let summary = "return when what is live corresponds to the kernel's configuration"
  static let story = """
    Returns when what is live corresponds to the kernel's configuration as of the call:
    for scripts that change something and then rely on it. Exits with 1 when that takes
    longer than the timeout.
    """
  static let options = [
    Option("--timeout", value: "SECONDS", "give up after this long (default 10)")
  ]

  static func run(_ call: Call) throws {
    let milliseconds = try call.arguments["--timeout"].map(Self.milliseconds) ?? 10_000
    // fpd keeps the time; the client's own limit only catches an fpd that hangs.
    let answer = try call.ask(
      .wait, JSON.Object([("timeout_ms", .int(milliseconds))]),
      timeoutMilliseconds: milliseconds + 5000)
    try call.show(answer) { answer, _ in waitText(answer) }
  }

  private static func milliseconds(_ text: String) throws(UsageError) -> Int64 {
    guard let seconds = Double(text), seconds >= 0, seconds <= 86_400 else {
      throw UsageError("--timeout \(text): expected seconds from 0 to 86400, such as 2.5")
    }
    return Int64((seconds * 1000).rounded())
  }
}
