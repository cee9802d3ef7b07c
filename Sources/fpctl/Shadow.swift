// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Rendering

enum Shadow: Subcommand {
  static let name = "shadow"
  static let summary = "what fpd would have done, compared with what Linux did (fpd --shadow)"
  static let story = """
    Of an fpd in shadow mode: how many packets it would have forwarded and dropped, for
    how many of them Linux did the same, and what was different with the others. Exits
    with 1 when anything was different, and when fpd is not in shadow mode.
    """

  static func run(_ call: Call) throws {
    let answer = try call.ask(.shadow)
    try call.show(answer) { shadowText($0, style: $1) }
    guard answer["shadow"]?.bool == true else {
      throw Failure(text: "fpd is not in shadow mode: start it with --shadow")
    }
    let differing = answer["compared"]?["differing"]?.int ?? 0
    if differing > 0 { throw Failure(text: "Linux did something else with \(differing) packets") }
  }
}
