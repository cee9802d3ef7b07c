// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON

/// `fplab bench`: how soon fpd follows at scale, and what it costs.
final class Bench {
  let quick: Bool
  let directory: String
  var results = Results()

  var repetitions: Int { quick ? 5 : 30 }

  static func run(_ arguments: [String]) throws {
    let options = try BenchOptions<Part>(arguments)
    try Bench(options).run(options)
  }

  private init(_ options: BenchOptions<Part>) {
    (quick, directory) = (options.quick, options.directory)
    results.quick = quick
  }

  private enum Part: String, CaseIterable { case links, rules, routes, programs, firewall }

  private func run(_ options: BenchOptions<Part>) throws {
    _ = Machine.json  // before this benchmark is what keeps the machine busy
    for part in options.parts {
      switch part {
      case .links: try manyLinks()
      case .rules: for kind in IPTables.allCases { try manyRules(kind) }
      case .routes: try manyRoutes()
      case .programs: try programs()
      case .firewall: try firewall()
      }
    }
    Terminal.progress("")
    results.printTables()
    try Report.write(
      "reaction", parts: options.named.map(\.rawValue), to: directory, json: results.json,
      markdown: results.markdown)
  }

  // MARK: One measurement

  /// A change and its opposite, on the interface whose graph shows them.
  struct Change {
    let name: String
    let interface: String
    let make: String
    let undo: String
    let undoName: String
  }

  /// Makes and undoes each change again and again, timing both.
  func measure(_ setting: String, _ fpd: Fpd, _ changes: [Change]) throws {
    let reaction = try Reaction(fpd)
    for change in changes {
      var made: [Double] = []
      var undone: [Double] = []
      var missed = (made: 0, undone: 0)
      for repetition in 1...repetitions {
        Terminal.progress("\(setting): \(change.name) \(repetition)/\(repetitions)")
        if let time = try time(reaction, fpd, change.make, change.interface) {
          made.append(time)
        } else {
          missed.made += 1
        }
        if let time = try time(reaction, fpd, change.undo, change.interface) {
          undone.append(time)
        } else {
          missed.undone += 1
        }
      }
      results.reactions += [
        .init(
          setting: setting, change: change.name, times: Distribution(made), missed: missed.made),
        .init(
          setting: setting, change: change.undoName, times: Distribution(undone),
          missed: missed.undone),
      ]
    }
    try note(setting, fpd)
  }

  private func time(
    _ reaction: Reaction, _ fpd: Fpd, _ command: String, _ interface: String
  ) throws -> Double? {
    let time = try reaction.time(
      { try fpd.namespace.attempt(Command.split(command)) }, on: interface, within: .seconds(2))
    // Between two measurements only: what is still coming must not be taken for the next change.
    try fpd.wait()
    return time?.milliseconds
  }

  func note(_ setting: String, _ fpd: Fpd) throws {
    let usage = try fpd.usage
    results.costs.append(
      .init(setting: setting, residentKilobytes: usage.resident, peakKilobytes: usage.peak))
  }
}
