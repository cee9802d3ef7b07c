// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab

/// `fplab soak`: three routers alike, one of them Linux alone, carry the same traffic for an hour while they are
/// changed all the time, and fpd is restarted or killed. What is lost, what is held and what grows is written down.
final class Soak {
  private let options: SoakOptions
  private var sides: [SoakSide] = []
  private var changes: SoakChanges
  private var minutes: [SoakMinute] = []

  static func run(_ arguments: [String]) throws {
    guard let options = try SoakOptions(arguments) else { return Terminal.line(SoakOptions.usage) }
    try Soak(options).run()
  }

  private init(_ options: SoakOptions) {
    self.options = options
    changes = SoakChanges(seed: options.seed)
  }

  private func run() throws {
    _ = Machine.line
    sides = [
      try SoakSide("Linux", hook: nil), try SoakSide("XDP", hook: "xdp"),
      try SoakSide("TC", hook: "tc"),
    ]
    Terminal.line(SoakMinute.header)
    for number in 1...options.minutes {
      // For the first half nothing ends fpd: what it holds can be compared over that time.
      let minute = try minute(number, restarts: number > (options.minutes + 1) / 2)
      minutes.append(minute)
      Terminal.progress("")
      Terminal.line(minute.line)
    }
    let report = SoakReport(options: options, minutes: minutes, changes: changes.count)
    for side in sides { try side.end() }
    let residue = Residue.find()
    try TextFile.write(options.output, report.markdown(residue))
    Terminal.line(
      "\(report.verdicts(residue).joined(separator: "\n"))\nWritten to \(options.output)")
    if !report.isGood(residue) { throw LabError("the soak has found something") }
  }

  private func minute(_ number: Int, restarts: Bool) throws -> SoakMinute {
    let routers = sides.map(\.router)
    let before = changes.count
    // What is left of the minute is for coming to rest.
    let time: Duration = options.length - .seconds(8)
    let end = Instant.now + time
    for side in sides { try side.begin(for: time) }
    var turns = 0
    var event = ""
    while Instant.now < end {
      Terminal.progress("minute \(number): \(changes.count - before) changes")
      try changes.next(in: routers)
      turns += 1
      if restarts, turns == 20 {
        let kind = changes.one(of: SoakSide.Restart.allCases)
        for side in sides { try side.restart(kind) }
        event = kind.rawValue
      }
      usleep(150_000)
    }
    let results = try sides.map { try $0.finish() }
    try changes.undo(in: routers)
    for side in sides { try side.settle() }
    return SoakMinute(
      number: number, changes: changes.count - before, event: event, traffic: results,
      holdings: try sides.compactMap { try $0.holdings() }, objects: Residue.objectsNow())
  }
}

struct SoakOptions {
  static let usage = """
    usage: fplab soak [--minutes N] [--seed N] [--output FILE]
    Three routers alike, Linux alone and fpd on XDP and on TC, forward the same traffic for N minutes (60) while
    their configuration changes several times a second; in the second half fpd is restarted, killed or told to read
    its configuration again once a minute. Ends with 1 when packets are lost that Linux does not lose, or something
    grows. The report is written to FILE (docs/soak.md).
    """
  var minutes = 60
  var seed: UInt64 = 1
  var output = "docs/soak.md"
  let length = Duration.seconds(60)

  /// nil: only the usage is wanted.
  init?(_ arguments: [String]) throws {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      switch argument {
      case "--help", "-h": return nil
      case "--minutes":
        guard let number = rest.popFirst().flatMap({ Int($0) }), (2...10_000).contains(number)
        else {
          throw LabError("--minutes wants a number from 2")
        }
        minutes = number
      case "--seed":
        guard let number = rest.popFirst().flatMap({ UInt64($0) }) else {
          throw LabError("--seed wants a number")
        }
        seed = number
      case "--output":
        guard let path = rest.popFirst() else { throw LabError("--output wants a file") }
        output = path
      default: throw LabError("unknown argument '\(argument)'\n\(Self.usage)")
      }
    }
  }
}
