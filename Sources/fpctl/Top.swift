// SPDX-License-Identifier: Apache-2.0
import Control
import Glibc
import OrderedJSON
import Rendering
import Usage

enum TopCommand: Subcommand {
  static let name = "top"
  static let summary = "packets a second on each interface, fast and left to the kernel"
  static let story = """
    Shows what each interface forwards and drops on the fast path and what it leaves to
    the kernel and why, again and again until interrupted. On a terminal the busiest
    interfaces that fit; elsewhere one table after the other, with --json one line each.
    """
  static let operands = [Operand.interface]
  static let options = [
    Option("--interval", value: "SECONDS", "how long to count (default 1)"),
    Option("--count", value: "NUMBER", "end after so many (default: never)"),
    Option(
      "--sort", value: "ORDER", completion: .words(Top.Order.allCases.map(\.rawValue)),
      "by packets, kernel or name (default packets)"),
  ]

  static func run(_ call: Call) throws {
    let interval = try call.arguments["--interval"].map(Self.seconds) ?? 1
    let count = try call.arguments["--count"].map(Self.number)
    let order = try call.arguments["--sort"].map(Self.order) ?? .packets
    var (before, began) = (try call.ask(.stats, call.interface), now())
    var shown = 0
    while count.map({ shown < $0 }) ?? true {
      try rest(interval)
      let status = try call.ask(.status)
      let (after, ended) = (try call.ask(.stats, call.interface), now())
      let top = Top(
        from: before, to: after, status: status, seconds: ended - began, order: order)
      try show(call, top, status, isFirst: shown == 0)
      (before, began) = (after, ended)
      shown += 1
    }
  }

  private static func show(_ call: Call, _ top: Top, _ status: JSON, isFirst: Bool) throws {
    if call.isJSON {
      let line: JSON = [
        "state": status["state"] ?? .null, "generation": status["generation"] ?? .null,
        "interfaces": top.json,
      ]
      return try Output.write(line.text() + "\n")
    }
    let style = Output.style
    let head = statusText(status, style: style).split(separator: "\n").first ?? ""
    guard Output.isTerminal else {
      return try Output.write((isFirst ? "" : "\n") + "\(head)\n\(top.text())")
    }
    // Home, and what is below it gone.
    let lines = Output.height.map { $0 - 3 }
    try Output.write("\u{1b}[H\u{1b}[J\(head)\n\n\(top.text(style: style, lines: lines))")
  }

  private static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// As long as somebody reads: a pipe that nobody reads any more ends it.
  private static func rest(_ seconds: Double) throws {
    var entry = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
    poll(&entry, 1, Int32(seconds * 1000))
    if entry.revents & Int16(POLLERR) != 0 { exit(ExitCode.done) }
  }

  private static func seconds(_ text: String) throws(UsageError) -> Double {
    guard let seconds = Double(text), seconds >= 0.1, seconds <= 3600 else {
      throw UsageError("--interval \(text): expected seconds from 0.1 to 3600")
    }
    return seconds
  }

  private static func number(_ text: String) throws(UsageError) -> Int {
    guard let number = Int(text), number > 0 else {
      throw UsageError("--count \(text): expected a number from 1 on")
    }
    return number
  }

  private static func order(_ text: String) throws(UsageError) -> Top.Order {
    guard let order = Top.Order(rawValue: text) else {
      throw UsageError(
        "--sort \(text): expected packets, kernel or name"
          + suggestion(for: text, among: Top.Order.allCases.map(\.rawValue)))
    }
    return order
  }
}
