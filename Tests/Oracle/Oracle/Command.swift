// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Usage

/// The command line of `fporacle`.
package enum OracleCommand {
  static let options: [Option] = [
    Option("--seed", value: "N", "which trials (default 1)"),
    Option("--first", value: "N", "begin with the trial of this number (default 0)"),
    Option("--trials", value: "N", "end after so many"),
    Option("--pairs", value: "N", "end after so many pairs of a configuration and a packet"),
    Option("--hours", value: "H", "end after so long; fractions are allowed"),
    Option("--hook", value: "HOOK", completion: .words(["xdp", "tc"]), "only xdp, or only tc"),
    Option(
      "--kind", value: "KIND", completion: .words(Campaign.kinds),
      "only networks that need more of the kernel: \(Campaign.kinds.joined(separator: ", "))"),
    Option(
      "--replay", value: "FILE", completion: .file, "do the trial in a file, and nothing else"),
    Option("--dry", "compare Linux with itself"),
    Option("--show", "print the trials instead of doing them"),
    Option("--count", "count their distinct pairs instead of doing them"),
    Option("--shrink", value: "S", "make a difference smaller for at most S seconds (default 60)"),
    Option("--failures", value: "N", "end after so many differences (default 3)"),
    Option(
      "--keep", value: "DIR", completion: .directory, "write trials that differ to files there"),
    .help,
  ]

  static let help = """
    Usage: fporacle [OPTION]...

    Does the same with the same packets in two routers, one with fpd and one without, and
    compares all that can be seen of them: see docs/oracle.md. Needs root. Exits with 1 when
    something differs. Without a limit it does 20 trials.

    \(columns(options.map { ($0.shown, $0.summary) }))

    """

  package static func main() {
    do {
      let arguments = try Arguments(CommandLine.arguments.dropFirst(), options: options)
      if arguments.has("--help") {
        print(help, terminator: "")
        return
      }
      exit(try run(arguments) ? 0 : 1)
    } catch let error as UsageError {
      complain("fporacle: \(error)\nTry 'fporacle --help'.")
      exit(2)
    } catch {
      complain("fporacle: \(error)")
      exit(1)
    }
  }

  private static func complain(_ text: String) {
    fflush(nil)
    _ = (text + "\n").withCString { write(STDERR_FILENO, $0, strlen($0)) }
  }

  private static func number(_ arguments: Arguments, _ name: String) throws -> Int? {
    guard let text = arguments[name] else { return nil }
    guard let number = Int(text), number >= 0 else {
      throw UsageError("\(name) \(text): a number is expected")
    }
    return number
  }

  private static func run(_ arguments: Arguments) throws -> Bool {
    var campaign = Campaign()
    campaign.isDry = arguments.has("--dry")
    if let seed = try number(arguments, "--seed") { campaign.seed = UInt64(seed) }
    if let first = try number(arguments, "--first") { campaign.first = first }
    if let pairs = try number(arguments, "--pairs") { campaign.pairs = pairs }
    if let seconds = try number(arguments, "--shrink") { campaign.shrinking = .seconds(seconds) }
    if let most = try number(arguments, "--failures") { campaign.failuresMax = most }
    if let text = arguments["--hours"] {
      guard let hours = Double(text), hours > 0 else {
        throw UsageError("--hours \(text): a number is expected")
      }
      campaign.time = .seconds(hours * 3600)
    }
    if let trials = try number(arguments, "--trials") {
      campaign.trials = trials
    } else if campaign.time == nil, campaign.pairs == .max {
      campaign.trials = 20
    }
    if let hook = arguments["--hook"] {
      guard campaign.hooks.contains(hook) else { throw UsageError("--hook \(hook): xdp or tc") }
      campaign.hooks = [hook]
    }
    if let kind = arguments["--kind"] {
      guard Campaign.kinds.contains(kind) else {
        throw UsageError("--kind \(kind): one of \(Campaign.kinds.joined(separator: ", "))")
      }
      campaign.kind = kind
    }
    campaign.directory = arguments["--keep"]
    if let path = arguments["--replay"] { return try replay(path, campaign) }
    if arguments.has("--show") {
      for number in campaign.first..<campaign.first + min(campaign.trials, 1000) {
        print("# trial \(number)\n\(campaign.trial(number).listing)")
      }
      return true
    }
    if arguments.has("--count") {
      guard campaign.trials < 1_000_000 else { throw UsageError("--count: how many trials?") }
      print(campaign.count())
      return true
    }
    let summary = try campaign.run()
    print("seed \(campaign.seed), from trial \(campaign.first): \(summary.text)")
    return summary.failures.isEmpty
  }

  private static func replay(_ path: String, _ campaign: Campaign) throws -> Bool {
    let json = try JSON(parsing: TextFile.read(path))
    let trial = try Trial(json)
    print(trial.listing)
    var isSame = true
    for hook in campaign.hooks {
      let outcome = try Runner(hook: hook, isDry: campaign.isDry).run(trial)
      let words = outcome.problems.joined(separator: "\n  ")
      print("\(hook): \(outcome.isSame ? "no difference" : "stage \(outcome.stage): \(words)")")
      print("  \(outcome.fates)")
      if !outcome.isSame { isSame = false }
    }
    return isSame
  }
}
