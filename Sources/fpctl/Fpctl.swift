// SPDX-License-Identifier: Apache-2.0
import Control
import Glibc
import Usage

/// The exit codes scripts may rely on.
enum ExitCode {
  static let done: Int32 = 0
  static let answeredNo: Int32 = 1
  static let usage: Int32 = 2
  static let unreachable: Int32 = 3
}

enum Fpctl {
  /// In the order the help shows them.
  static var commands: [any Subcommand.Type] {
    [
      Status.self, Graph.self, Stats.self, TopCommand.self, Rules.self, Why.self, Shadow.self,
      Wait.self,
      Config.self, Monitor.self, State.self, Completion.self, Help.self,
    ]
  }

  static let socketOption = Option(
    "--socket", value: "PATH", completion: .file, "where fpd listens (default \(defaultSocketPath))"
  )
  static let jsonOption = Option("--json", "answer in JSON, for programs")
  static let versionOption = Option("--version", "show the version")
  static let globalOptions = [socketOption, jsonOption, .help, versionOption]

  static func command(_ name: String) -> (any Subcommand.Type)? {
    commands.first { $0.name == name }
  }

  static func run(_ words: [String]) -> Int32 {
    do {
      try dispatch(words)
      return ExitCode.done
    } catch let error as UsageError {
      return fail("\(error)", hint: "see: fpctl \(mentioned(in: words))--help", ExitCode.usage)
    } catch let error as ControlError {
      return fail("\(error)", exitCode(error))
    } catch let error as Failure {
      return fail(error.text, ExitCode.answeredNo)
    } catch {
      return fail("\(error)", ExitCode.answeredNo)
    }
  }

  private static func dispatch(_ words: [String]) throws {
    let before = try Arguments(words, options: globalOptions, stopAtOperand: true)
    if before.has("--version") { return try Output.write("fpctl \(Control.version)\n") }
    guard let name = before.operands.first else {
      if before.has("--help") { return try Output.write(Help.overview) }
      throw UsageError("no command given; the commands are \(names.joined(separator: ", "))")
    }
    guard let command = command(name) else {
      throw UsageError("unknown command \"\(name)\"\(suggestion(for: name, among: names))")
    }
    if before.has("--help") { return try Output.write(Help.text(command)) }
    let rest = Array(before.operands.dropFirst())
    let after = try Arguments(rest, options: command.options + globalOptions)
    if after.has("--help") { return try Output.write(Help.text(command)) }
    if after.has("--version") { return try Output.write("fpctl \(Control.version)\n") }
    if after.operands.count > command.operands.count {
      let extra = after.operands[command.operands.count]
      throw UsageError("unexpected \"\(extra)\" after \(name)")
    }
    if before["--socket"] != nil, after["--socket"] != nil {
      throw UsageError("--socket is given twice")
    }
    let call = Call(
      arguments: after, socket: before["--socket"] ?? after["--socket"] ?? defaultSocketPath,
      isJSON: before.has("--json") || after.has("--json"))
    try command.run(call)
  }

  private static var names: [String] { commands.map { $0.name } }

  private static func mentioned(in words: [String]) -> String {
    words.first { command($0) != nil }.map { "\($0) " } ?? ""
  }

  private static func exitCode(_ error: ControlError) -> Int32 {
    switch error {
    case .refused(let refusal): refusal.kind == .usage ? ExitCode.usage : ExitCode.answeredNo
    case .badPath: ExitCode.usage
    default: ExitCode.unreachable
    }
  }

  private static func fail(_ text: String, hint: String? = nil, _ code: Int32) -> Int32 {
    let lines = "fpctl: \(text)\n" + (hint.map { "\($0)\n" } ?? "")
    _ = Output.send(lines, to: STDERR_FILENO)
    return code
  }
}

/// Why a command failed that is not fpd's doing.
struct Failure: Error {
  let text: String
}
