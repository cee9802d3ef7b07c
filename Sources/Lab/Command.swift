// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// A command that has run to its end.
public struct Completed: Sendable {
  public let arguments: [String]
  /// The exit status; 128 + n where signal n ended it.
  public let status: Int32
  public let output: String
  public let errors: String
  /// When the command returned.
  public let returned: Instant
  public let duration: Duration

  public var succeeded: Bool { status == 0 }
  public var commandLine: String { Command.line(arguments) }

  /// Throws with everything the command said unless it succeeded.
  @discardableResult public func check() throws -> Completed {
    if succeeded { return self }
    let said = [errors, output].map(Command.trim).filter { !$0.isEmpty }
    throw LabError(
      "`\(commandLine)` ended with status \(status): "
        + (said.isEmpty ? "it said nothing" : said.joined(separator: "\n")))
  }
}

/// Real tools, run to their end with what they print captured.
public enum Command {
  static let environment: [String] = {
    var list = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]
    for name in ["HOME", "TMPDIR", "FPD_BIN", "TERM"] {
      if let value = getenv(name) { list.append("\(name)=\(String(cString: value))") }
    }
    return list
  }()

  /// Splits a command line at blanks; single and double quotes keep blanks inside a word.
  public static func split(_ line: String) -> [String] {
    var words: [String] = []
    var word: String?
    var quote: Character?
    for character in line {
      switch (character, quote) {
      case (let c, let open?) where c == open: quote = nil
      case ("'", nil), ("\"", nil):
        quote = character
        word = word ?? ""
      case (" ", nil), ("\n", nil), ("\t", nil):
        if let done = word { words.append(done) }
        word = nil
      default: word = (word ?? "") + String(character)
      }
    }
    if let word { words.append(word) }
    return words
  }

  /// The words as one would type them.
  public static func line(_ words: [String]) -> String {
    words.map { $0.isEmpty || $0.contains(where: { " '\"\n\t".contains($0) }) ? "'\($0)'" : $0 }
      .joined(separator: " ")
  }

  static func trim(_ text: String) -> String {
    var text = Substring(text)
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }

  /// Runs a command in the network namespace at `path` (this one if nil), feeding it `input`.
  /// A command that outlives `timeout` is killed with all it started, and that is an error.
  public static func run(
    _ arguments: [String], namespace path: String? = nil, input: String? = nil,
    timeout: Duration = .seconds(30), ownSys: Bool = false
  ) throws -> Completed {
    var intake = try Pipe()
    var outlet = try Pipe()
    var complaints = try Pipe()
    let started = Instant.now
    let process = try Spawned(
      arguments, namespace: path, input: input == nil ? -1 : intake.read.raw,
      output: outlet.write.raw, errors: complaints.write.raw, ownSys: ownSys)
    intake.read.close()
    outlet.write.close()
    complaints.write.close()
    if input == nil { intake.write.close() }
    var exchange = Exchange(
      input: Array((input ?? "").utf8), pipe: intake.write.raw, output: outlet.read.raw,
      errors: complaints.read.raw, process: process.pidfd)
    let finished = exchange.run(until: started + timeout) { intake.write.close() }
    if !finished { process.killGroup() }
    let status = process.wait()
    let returned = exchange.ended ?? Instant.now
    guard finished else {
      throw LabError(
        "`\(line(arguments))` was still running after \(timeout) and was killed; it had said: "
          + trim(exchange.text(1) + exchange.text(0)))
    }
    return Completed(
      arguments: arguments, status: status, output: exchange.text(0), errors: exchange.text(1),
      returned: returned, duration: returned - started)
  }
}

/// Feeds a process and collects what it says, until it has ended.
private struct Exchange {
  let input: [UInt8]
  let pipe: Int32
  let outlets: [Int32]
  let process: Int32
  var fed = 0
  var collected: [[UInt8]] = [[], []]
  var open = [true, true]
  var ended: Instant?

  init(input: [UInt8], pipe: Int32, output: Int32, errors: Int32, process: Int32) {
    self.input = input
    self.pipe = pipe
    self.outlets = [output, errors]
    self.process = process
    for raw in [pipe, output, errors] where raw >= 0 {
      _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) | O_NONBLOCK)
    }
  }

  func text(_ index: Int) -> String { String(decoding: collected[index], as: UTF8.self) }

  mutating func run(until deadline: Instant, closeInput: () -> Void) -> Bool {
    var feeding = pipe >= 0
    if feeding && input.isEmpty {
      closeInput()
      feeding = false
    }
    while ended == nil {
      var waits = [
        pollfd(fd: feeding ? pipe : -1, events: Int16(POLLOUT), revents: 0),
        pollfd(fd: open[0] ? outlets[0] : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: open[1] ? outlets[1] : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: process, events: Int16(POLLIN), revents: 0),
      ]
      let ready = poll(&waits, 4, deadline.pollTimeout)
      if ready == 0 { return false }
      if ready < 0 { continue }
      if waits[3].revents != 0 { ended = Instant.now }
      if waits[0].revents != 0 && !feed() {
        closeInput()
        feeding = false
      }
      for index in 0...1 where waits[index + 1].revents != 0 { drain(index) }
    }
    // What the process left in the pipes; its own children may hold them open, and are not waited for.
    for index in 0...1 where open[index] { drain(index) }
    return true
  }

  /// Writes what the pipe takes; false when all is written or nobody reads.
  private mutating func feed() -> Bool {
    let count = input[fed...].withUnsafeBytes { write(pipe, $0.baseAddress, $0.count) }
    if count < 0 { return errno == EAGAIN || errno == EINTR }
    fed += count
    return fed < input.count
  }

  private mutating func drain(_ index: Int) {
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(outlets[index], &chunk, chunk.count)
      if count > 0 {
        collected[index].append(contentsOf: chunk[..<count])
        continue
      }
      if count == 0 || (errno != EAGAIN && errno != EINTR) { open[index] = false }
      return
    }
  }
}
