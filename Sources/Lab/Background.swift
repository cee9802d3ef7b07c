// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// A process that runs beside the test; killed, with all it started, when it is closed or forgotten.
public final class Background: Sendable {
  public let arguments: [String]
  private let process: Spawned
  private let directory: TemporaryDirectory
  private let input: Mutex<Int32>
  private let status = Mutex<Int32?>(nil)

  public var pid: Int32 { process.pid }
  private var log: String { "\(directory.path)/log" }

  /// Starts a process in the namespace at `path`; what it prints is kept in a file of its own. With
  /// `feed` its standard input is a pipe for `write(_:)`.
  public init(
    _ arguments: [String], namespace path: String?, feed: Bool = false, ownSys: Bool = false,
    environment: [String] = []
  ) throws {
    self.arguments = arguments
    directory = try TemporaryDirectory("process")
    let file = Descriptor(
      owning: open("\(directory.path)/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644))
    if file.raw < 0 { throw LabError("making \(directory.path)/log", code: errno) }
    if feed {
      let pipe = try Pipe()
      process = try Spawned(
        arguments, namespace: path, input: pipe.read.raw, output: file.raw, errors: file.raw,
        ownSys: ownSys, environment: environment)
      input = Mutex(dup(pipe.write.raw))
      input.withLock { _ = fcntl($0, F_SETFD, FD_CLOEXEC) }
    } else {
      process = try Spawned(
        arguments, namespace: path, output: file.raw, errors: file.raw, ownSys: ownSys,
        environment: environment)
      input = Mutex(-1)
    }
    Leftovers.add(process: process.pid)
  }

  deinit { close() }

  /// All it has printed so far, standard output and errors together.
  public var output: String { (try? TextFile.read(log)) ?? "" }

  public var isRunning: Bool { status.withLock { $0 == nil } && !process.hasEnded }

  /// Writes to its standard input, waiting while the pipe is full.
  public func write(_ text: String) throws {
    var rest = Array(text.utf8)[...]
    let descriptor = input.withLock { $0 }
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      if count < 0 {
        throw LabError("feeding `\(Command.line(arguments))`", code: errno, hint: output)
      }
      rest = rest.dropFirst(count)
    }
  }

  /// Tells it that no more input comes.
  public func endInput() {
    input.withLock {
      if $0 >= 0 { Glibc.close($0) }
      $0 = -1
    }
  }

  public func signal(_ number: Int32) { if isRunning { kill(pid, number) } }

  /// Waits for its end: the exit status (128 + n for signal n), nil when it still runs by then.
  @discardableResult public func ended(within limit: Duration) -> Int32? {
    if let known = status.withLock({ $0 }) { return known }
    guard process.ended(by: .now + limit) else { return nil }
    return status.withLock { status in
      if status == nil {
        status = process.wait()
        Leftovers.forget(process: process.pid)
      }
      return status
    }
  }

  /// Waits until it has printed `text`.
  public func waitForOutput(_ text: String, within limit: Duration = .seconds(5)) throws {
    let seen = eventually(within: limit) { output.contains(text) || !isRunning }
    guard seen && output.contains(text) else {
      throw LabError(
        "`\(Command.line(arguments))` did not print '\(text)' within \(limit); it printed:\n"
          + output)
    }
  }

  /// Ends it: SIGTERM, and SIGKILL when that does not do. Answers the exit status.
  @discardableResult public func stop(within limit: Duration = .seconds(5)) -> Int32? {
    signal(SIGTERM)
    if let status = ended(within: limit) { return status }
    process.killGroup()
    return ended(within: .seconds(5))
  }

  public func close() {
    endInput()
    if status.withLock({ $0 }) == nil {
      process.killGroup()
      ended(within: .seconds(10))
    }
    directory.close()
  }
}
