// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Synchronization

/// A network namespace of the lab's own, `ip netns exec <name>` can step in. It is removed, with the
/// processes started in it, when it is closed, when nobody holds it any more, and when the program ends.
public final class Namespace: Sendable {
  static let directory = "/run/netns"

  /// How much IPv6 there is in a namespace.
  public enum IPv6: Sendable {
    /// None: no addresses, no noise.
    case off
    /// On, without duplicate address detection, router solicitations and advertisements.
    case quiet
    /// As the kernel comes.
    case kernelDefault
  }

  /// The unique name, under which `ip netns` lists it.
  public let name: String
  public var path: String { "\(Self.directory)/\(name)" }

  private struct Started {
    var processes: [Background] = []
    var closed = false
  }
  private let started = Mutex(Started())

  public init(_ word: String = "ns", loopback: Bool = true, ipv6: IPv6 = .off) throws {
    name = try Leftovers.uniqueName(word)
    var step: UnsafePointer<CChar>?
    let code = lab_namespace_make(Self.directory, "\(Self.directory)/\(name)", &step)
    if code != 0 {
      throw LabError(
        "network namespace \(name): \(step.map { String(cString: $0) } ?? "making it")", code: code,
        hint: code == EPERM ? "this needs root" : "")
    }
    Leftovers.add(namespace: name)
    try set(ipv6)
    if loopback { try run(["ip", "link", "set", "lo", "up"]) }
  }

  deinit { close() }

  private func set(_ ipv6: IPv6) throws {
    switch ipv6 {
    case .kernelDefault: return
    case .off:
      try sysctl(["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"])
    case .quiet:
      try sysctl(
        ["accept_dad", "accept_ra", "router_solicitations", "autoconf"].flatMap {
          ["net.ipv6.conf.all.\($0)=0", "net.ipv6.conf.default.\($0)=0"]
        })
    }
  }

  public func close() {
    let processes = started.withLock { started -> [Background]? in
      if started.closed { return nil }
      started.closed = true
      defer { started.processes = [] }
      return started.processes
    }
    guard let processes else { return }
    for process in processes { process.close() }
    Leftovers.removeNamespace(name)
    Leftovers.forget(namespace: name)
  }

  // MARK: Running things inside

  /// Runs a tool inside and answers what came of it, whatever that is.
  public func attempt(
    _ arguments: [String], input: String? = nil, timeout: Duration = .seconds(30)
  ) throws -> Completed {
    // brctl works through /sys/class/net, where it would find the bridges of the machine itself; ip and
    // tc mount a bpffs below /sys when they load an object, and leave it there. Nor is what is named there.
    let ownSys =
      arguments.first == "brctl" || arguments.contains("obj")
      || arguments.contains { $0.contains("/sys/class/") }
    return try Command.run(
      arguments, namespace: path, input: input, timeout: timeout, ownSys: ownSys)
  }

  /// Runs a tool inside; throws with all it said when it fails.
  @discardableResult public func run(
    _ arguments: [String], input: String? = nil, timeout: Duration = .seconds(30)
  ) throws -> Completed {
    try attempt(arguments, input: input, timeout: timeout).check()
  }

  /// Runs a command line inside, split at blanks.
  @discardableResult public func run(_ line: String, input: String? = nil) throws -> Completed {
    try run(Command.split(line), input: input)
  }

  /// Starts a process that runs beside the test.
  public func start(
    _ arguments: [String], feed: Bool = false, ownSys: Bool = false, environment: [String] = []
  ) throws -> Background {
    let process = try Background(
      arguments, namespace: path, feed: feed, ownSys: ownSys, environment: environment)
    started.withLock { $0.processes.append(process) }
    return process
  }

  /// Runs Swift code on a thread of its own inside the namespace and waits for it.
  public func inside<Result>(_ body: () throws -> Result) throws -> Result {
    try withoutActuallyEscaping(body) { body in
      let job = Job(body)
      var step: UnsafePointer<CChar>?
      let code = lab_namespace_run(
        path,
        { opaque in
          guard let opaque else { return }
          Unmanaged<AnyJob>.fromOpaque(opaque).takeUnretainedValue().run()
        }, Unmanaged<AnyJob>.passUnretained(job).toOpaque(), &step)
      if code != 0 {
        throw LabError(
          "running in namespace \(name): \(step.map { String(cString: $0) } ?? "")", code: code)
      }
      guard let result = job.result else { throw LabError("nothing ran in namespace \(name)") }
      return try result.get()
    }
  }

  private class AnyJob { func run() {} }

  private final class Job<Value>: AnyJob {
    let body: () throws -> Value
    var result: Result<Value, any Error>?
    init(_ body: @escaping () throws -> Value) { self.body = body }
    override func run() { result = Swift.Result(catching: body) }
  }

  /// The processes that live in a namespace, whoever started them.
  static func processes(inNamespaceAt path: String) -> [pid_t] {
    var wanted = stat()
    guard stat(path, &wanted) == 0 else { return [] }
    return Leftovers.entries(of: "/proc").compactMap { pid_t($0) }.filter { pid in
      var seen = stat()
      return stat("/proc/\(pid)/ns/net", &seen) == 0 && seen.st_ino == wanted.st_ino
        && seen.st_dev == wanted.st_dev
    }
  }
}
