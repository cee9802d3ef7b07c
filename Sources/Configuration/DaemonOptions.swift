// SPDX-License-Identifier: Apache-2.0
import Usage

/// What fpd's command line says; nil where it says nothing.
public struct DaemonOptions: Equatable, Sendable {
  public var config: String?
  public var socket: String?
  public var stateDirectory: String?
  public var cacheDirectory: String?
  public var logLevel: LogLevel?
  public var shadow = false

  public init() {}
}

/// What a command line of fpd asks for.
public enum DaemonInvocation: Equatable, Sendable {
  case run(DaemonOptions)
  /// Print this to standard output and exit with 0.
  case show(String)

  public static let options: [Option] = [
    Option(
      "--config", value: "FILE", completion: .file,
      "the configuration (default \(Configuration.defaultFile))"),
    Option(
      "--socket", value: "PATH", completion: .file,
      "where fpctl finds fpd (default \(Configuration().socket.value))"),
    Option(
      "--state-dir", value: "DIR", completion: .directory,
      "what must survive a restart (default \(Configuration().stateDirectory.value))"),
    Option(
      "--cache-dir", value: "DIR", completion: .directory,
      "compiled programs (default \(Configuration().cacheDirectory.value))"),
    Option(
      "--log-level", value: "LEVEL", completion: .words(LogLevel.allCases.map(\.rawValue)),
      "error, warning, notice, info or debug (default \(Configuration().logLevel.value.rawValue))"),
    Option("--shadow", "only decide, and compare with what Linux does"),
    .help,
    Option("--version", "show the version"),
  ]

  /// Reads a command line (without the program's name).
  public init(_ words: [String], version: String) throws(UsageError) {
    let arguments = try Arguments(words, options: Self.options)
    if arguments.has("--help") {
      self = .show(Self.help)
      return
    }
    if arguments.has("--version") {
      self = .show("fpd \(version)\n")
      return
    }
    if let word = arguments.operands.first {
      throw UsageError("unexpected \"\(word)\": fpd takes options only")
    }
    var options = DaemonOptions()
    options.config = arguments["--config"]
    options.socket = arguments["--socket"]
    options.stateDirectory = arguments["--state-dir"]
    options.cacheDirectory = arguments["--cache-dir"]
    options.shadow = arguments.has("--shadow")
    if let word = arguments["--log-level"] {
      let known = LogLevel.allCases.map(\.rawValue)
      guard let level = LogLevel(rawValue: word) else {
        throw UsageError(
          "--log-level \(word): expected \(known.joined(separator: ", "))"
            + suggestion(for: word, among: known))
      }
      options.logLevel = level
    }
    self = .run(options)
  }

  public static let help = """
    Usage: fpd [OPTION]...

    Watches the configuration of the network namespace it is started in and keeps a
    fast path for it. Runs in the foreground and logs to standard error.

    \(columns(options.map { ($0.shown, $0.summary) }))
    SIGHUP reads the configuration again, SIGTERM removes all fpd made and ends it.
    See fpd(8), fpd.yaml(5) and fpctl(8).

    """
}
