// SPDX-License-Identifier: Apache-2.0
import Glibc
import OrderedJSON

/// Where the binaries under test are.
public enum Binaries {
  private static func find(_ name: String, _ variable: String) -> String {
    if let path = getenv(variable) { return String(cString: path) }
    return ".build/release/\(name)"
  }

  /// `.build/release/fpd`, or what FPD_BIN names.
  public static var fpd: String { find("fpd", "FPD_BIN") }
  /// `.build/release/fpctl`, or what FPCTL_BIN names.
  public static var fpctl: String { find("fpctl", "FPCTL_BIN") }
}

/// A running fpd with a socket, a state directory and a cache of its own.
public final class Fpd {
  public let namespace: Namespace
  public let directory: TemporaryDirectory
  public let process: Background
  private let ownsDirectory: Bool

  public var pid: Int32 { process.pid }
  public var socket: String { "\(directory.path)/fpd.sock" }
  public var configuration: String { "\(directory.path)/fpd.yaml" }
  public var log: String { process.output }

  /// Starts fpd in a namespace and waits until it answers. `reusing` keeps the directory (socket, state,
  /// cache) of an fpd that has ended. `cache` is a directory for compiled objects beside the one that all
  /// share; with `ownSys` it sees another /sys, without a bpffs. `binary` is an fpd with files of its own.
  /// `state` is another directory than `state` in its own.
  public init(
    in namespace: Namespace, configuration: String? = nil, logLevel: String = "debug",
    reusing previous: Fpd? = nil, cache: String? = nil, ownSys: Bool = false,
    environment: [String] = [], binary: String = Binaries.fpd,
    state: String? = nil, within limit: Duration = .seconds(30)
  ) throws {
    self.namespace = namespace
    directory = try previous?.directory ?? TemporaryDirectory("daemon")
    ownsDirectory = previous == nil
    if let configuration { try directory.write("fpd.yaml", configuration) }
    process = try Self.start(
      in: namespace, directory: directory.path, configured: configuration != nil,
      logLevel: logLevel, cache: cache, ownSys: ownSys, environment: environment,
      binary: binary, state: state)
    try waitUntilItAnswers(limit)
  }

  deinit { process.close() }

  /// Compiled objects are shared by all that are started here: only the first has to compile.
  private static let cache = Result { try TemporaryDirectory("cache", lasting: true) }

  /// The command line that starts fpd with everything of its own under `directory`.
  public static func arguments(
    directory: String, configured: Bool = false, logLevel: String = "debug", cache: String? = nil,
    binary: String = Binaries.fpd, state: String? = nil
  ) throws -> [String] {
    try [binary, "--socket", "\(directory)/fpd.sock", "--state-dir", state ?? "\(directory)/state"]
      + ["--cache-dir", cache ?? Self.cache.get().path, "--log-level", logLevel]
      + (configured ? ["--config", "\(directory)/fpd.yaml"] : [])
  }

  private static func start(
    in namespace: Namespace, directory: String, configured: Bool, logLevel: String, cache: String?,
    ownSys: Bool, environment: [String], binary: String, state: String?
  ) throws -> Background {
    guard access(binary, X_OK) == 0 else {
      throw LabError("\(binary) is not there: build it first, or name it in FPD_BIN")
    }
    return try namespace.start(
      try arguments(
        directory: directory, configured: configured, logLevel: logLevel, cache: cache,
        binary: binary, state: state),
      ownSys: ownSys, environment: environment)
  }

  private func waitUntilItAnswers(_ limit: Duration) throws {
    let answers = eventually(within: limit) {
      !process.isRunning || (try? connect().ask("status", within: .seconds(1))) != nil
    }
    guard answers && process.isRunning else {
      let ended = process.ended(within: .zero).map { "it ended with status \($0)" }
      throw LabError(
        "fpd did not answer on \(socket) within \(limit)"
          + "\(ended.map { " (\($0))" } ?? ""); its log:\n\(log)")
    }
  }

  /// A new connection to its socket.
  public func connect() throws -> ControlLine { try ControlLine(socket) }

  // MARK: What it says

  public func status() throws -> JSON { try connect().ask("status") }

  public func stats() throws -> JSON { try connect().ask("stats") }

  /// The graph document, of all interfaces or of one.
  public func graph(_ interface: String? = nil) throws -> JSON {
    var arguments = JSON.Object()
    if let interface { arguments["interface"] = .string(interface) }
    return try connect().ask("graph", arguments)
  }

  /// Waits until the graph corresponds to the kernel's configuration as of this call.
  @discardableResult public func wait(_ limit: Duration = .seconds(30)) throws -> JSON {
    try connect().ask(
      "wait", JSON.Object([(key: "timeout_ms", value: .number(limit.nanoseconds / 1_000_000))]),
      within: limit + .seconds(2))
  }

  /// The number of the graph that is live now.
  public func generation() throws -> Int64 {
    guard let generation = try status()["generation"]?.int else {
      throw LabError("fpd's status tells no generation")
    }
    return generation
  }

  /// Runs the real fpctl against it and answers what came of it.
  public func fpctl(_ arguments: [String], timeout: Duration = .seconds(20)) throws -> Completed {
    try namespace.attempt([Binaries.fpctl, "--socket", socket] + arguments, timeout: timeout)
  }

  public func fpctl(_ line: String) throws -> Completed { try fpctl(Command.split(line)) }

  // MARK: What it costs

  public var usage: ProcessUsage { get throws { try ProcessUsage(of: pid) } }

  /// How many files, sockets and BPF objects it has open.
  public func descriptors() throws -> Int {
    let count = Leftovers.entries(of: "/proc/\(pid)/fd").count
    if count == 0 { throw LabError("what fpd has open cannot be listed") }
    return count
  }

  // MARK: Its end

  /// SIGTERM, and the exit status that came of it.
  @discardableResult public func stop(within limit: Duration = .seconds(5)) throws -> Int32 {
    process.signal(SIGTERM)
    guard let status = process.ended(within: limit) else {
      throw LabError("fpd still ran \(limit) after SIGTERM; its log:\n\(log)")
    }
    return status
  }

  /// SIGSTOP: what the kernel is told from here on, it does not hear of, until it is sent SIGCONT.
  package func freeze() throws {
    process.signal(SIGSTOP)
    let isStopped = try eventually(within: .seconds(2), every: .microseconds(200)) {
      try TextFile.read("/proc/\(pid)/status").contains("State:\tT")
    }
    if !isStopped { throw LabError("fpd did not stop on SIGSTOP") }
  }

  /// SIGKILL.
  public func kill() {
    process.signal(SIGKILL)
    process.ended(within: .seconds(5))
  }
}

/// What a process uses, as /proc tells.
public struct ProcessUsage: Sendable {
  /// Resident memory in kilobytes, now and at most so far.
  public let resident: Int
  public let peak: Int
  /// Time on a CPU since its start.
  public let cpu: Duration

  public init(of pid: Int32) throws {
    let status = try TextFile.read("/proc/\(pid)/status")
    func field(_ name: String) -> Int {
      let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
      return line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
        .flatMap { Int($0) } ?? 0
    }
    resident = field("VmRSS")
    peak = field("VmHWM")
    // Nanoseconds, where /proc/PID/stat counts ticks of 10 ms.
    let tasks = Leftovers.entries(of: "/proc/\(pid)/task")
    let times = tasks.compactMap { task in
      (try? TextFile.read("/proc/\(pid)/task/\(task)/schedstat"))?
        .split(separator: " ").first.flatMap { Int64($0) }
    }
    cpu = .nanoseconds(times.reduce(0, +))
  }
}
