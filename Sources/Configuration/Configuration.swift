// SPDX-License-Identifier: Apache-2.0
import Glibc
import OrderedJSON

/// Where a value comes from.
public enum Source: Equatable, Sendable, CustomStringConvertible {
  case builtIn
  case file(String, line: Int)
  case option(String)

  public var description: String {
    switch self {
    case .builtIn: "default"
    case .file(let path, let line): "\(path):\(line)"
    case .option(let name): "command line \(name)"
    }
  }
}

/// A value that knows where it comes from.
public struct Sourced<Value: Equatable & Sendable>: Equatable, Sendable {
  public var value: Value
  public var source: Source

  public init(_ value: Value, from source: Source = .builtIn) {
    self.value = value
    self.source = source
  }
}

/// Which hook fpd may use on an interface.
public enum HookChoice: String, CaseIterable, Sendable {
  /// The best that the device and what else uses it allow.
  case auto
  case xdp
  case xdpGeneric = "xdp-generic"
  case tc
  /// Leave the interface to the kernel.
  case off
}

public enum LogLevel: String, CaseIterable, Sendable {
  case error, warning, notice, info, debug
}

/// Which packets of tracked connections are accelerated: none, those for which nothing has to change, or also
/// those over TCP whose window the kernel is told not to look at.
public enum ConnectionChoice: String, Sendable, CaseIterable {
  case off, exact, follow
}

/// What fpd works by: defaults, overridden by the file, overridden by the command line.
public struct Configuration: Equatable, Sendable {
  /// What the file says about interfaces of one name, or of all names a shell pattern fits.
  public struct InterfaceRule: Equatable, Sendable {
    public let pattern: String
    public let hook: Sourced<HookChoice>?

    var isExact: Bool { !pattern.contains { "*?[".contains($0) } }

    func fits(_ name: String) -> Bool {
      isExact ? pattern == name : fnmatch(pattern, name, 0) == 0
    }
  }

  public static let defaultFile = "/etc/fpd/fpd.yaml"

  public var defaultHook = Sourced(HookChoice.auto)
  public var interfaces: [InterfaceRule] = []
  public var socket = Sourced("/run/fpd/fpd.sock")
  public var socketGroup = Sourced<String?>(nil)
  public var stateDirectory = Sourced("/run/fpd")
  public var cacheDirectory = Sourced("/var/cache/fpd")
  public var logLevel = Sourced(LogLevel.notice)
  public var clang = Sourced("clang")
  public var connections = Sourced(ConnectionChoice.follow)
  /// Where metrics are served; `nil` where they are not.
  public var metrics = Sourced<MetricsAddress?>(nil)
  /// Only decide, and compare with what the kernel does.
  public var shadow = Sourced(false)

  public init() {}

  /// The hook for an interface: its own name's rule, else the first pattern that fits, else the
  /// default. A rule without a hook leaves the question to the next.
  public func hook(for name: String) -> Sourced<HookChoice> {
    let exact = interfaces.first { $0.isExact && $0.fits(name) && $0.hook != nil }
    let fitting = exact ?? interfaces.first { !$0.isExact && $0.fits(name) && $0.hook != nil }
    return fitting?.hook ?? defaultHook
  }

  /// What `fpctl config` answers: every value, and where it came from.
  public var json: JSON {
    var rows: [JSON] = []
    func add(_ key: String, _ value: JSON, _ source: Source) {
      rows.append(["key": .string(key), "value": value, "source": .string(source.description)])
    }
    add("defaults.hook", .string(defaultHook.value.rawValue), defaultHook.source)
    for rule in interfaces {
      guard let hook = rule.hook else { continue }
      add("interfaces.\(rule.pattern).hook", .string(hook.value.rawValue), hook.source)
    }
    add("socket", .string(socket.value), socket.source)
    add("socket_group", socketGroup.value.map(JSON.string) ?? .null, socketGroup.source)
    add("state_dir", .string(stateDirectory.value), stateDirectory.source)
    add("cache_dir", .string(cacheDirectory.value), cacheDirectory.source)
    add("log_level", .string(logLevel.value.rawValue), logLevel.source)
    add("clang", .string(clang.value), clang.source)
    add("connections", .string(connections.value.rawValue), connections.source)
    add(
      "metrics", metrics.value.map { .string($0.description) } ?? .null, metrics.source)
    add("shadow", .bool(shadow.value), shadow.source)
    return .array(rows)
  }
}
