// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// What `status` answers.
public struct StatusReport: Sendable, Equatable {
  public enum State: String, Sendable, CaseIterable {
    /// What is live corresponds to the kernel's configuration.
    case converged
    /// A change was seen and is being worked on.
    case converging
    /// fpd works, but not with all it should have: see `problems`.
    case degraded
  }

  /// Something that keeps fpd from doing all it should.
  public struct Problem: Sendable, Hashable {
    public var what: String
    public var detail: String

    public init(what: String, detail: String) {
      self.what = what
      self.detail = detail
    }
  }

  public var version: String
  public var state: State
  public var generation: Int64
  public var interfaces: [InterfaceStatus]
  public var problems: [Problem]
  /// Whether fpd only decides.
  public var isShadow: Bool

  public init(
    version: String = Control.version, state: State, generation: Int64,
    interfaces: [InterfaceStatus], problems: [Problem] = [], isShadow: Bool = false
  ) {
    self.version = version
    self.state = state
    self.generation = generation
    self.interfaces = interfaces
    self.problems = problems
    self.isShadow = isShadow
  }

  public var json: JSON {
    var object = JSON.Object()
    object.append("version", .string(version))
    object.append("state", .string(state.rawValue))
    object.append("generation", .int(generation))
    if isShadow { object.append("shadow", true) }
    object.append("interfaces", .array(interfaces.map(\.json)))
    if !problems.isEmpty {
      object.append(
        "problems",
        .array(problems.map { ["what": .string($0.what), "detail": .string($0.detail)] }))
    }
    return .object(object)
  }

  /// Nil when the JSON is no status report.
  public init?(_ json: JSON) {
    guard let version = json["version"]?.string,
      let state = json["state"]?.string.flatMap(State.init(rawValue:)),
      let generation = json["generation"]?.int, let interfaces = json["interfaces"]?.array
    else { return nil }
    self.init(
      version: version, state: state, generation: generation,
      interfaces: interfaces.compactMap(InterfaceStatus.init),
      problems: (json["problems"]?.array ?? []).map {
        Problem(what: $0["what"]?.string ?? "", detail: $0["detail"]?.string ?? "")
      }, isShadow: json["shadow"]?.bool ?? false)
    if self.interfaces.count != interfaces.count { return nil }
  }
}

/// One interface in `status`.
public struct InterfaceStatus: Sendable, Equatable {
  public enum Hook: String, Sendable {
    case xdp
    case xdpGeneric = "xdp-generic"
    case tc
    case none
  }

  public enum Program: String, Sendable {
    /// One that fits every interface, until the interface's own is compiled.
    case general
    case own
  }

  public var name: String
  public var index: Int64
  /// What is attached now.
  public var hook: Hook
  public var accelerated: Bool
  public var modules: [String]
  /// The program that runs; nil where none does.
  public var program: Program?
  /// Why the interface is not accelerated; nil when it is.
  public var reason: String?
  /// The measured share of the last seconds' packets that the fast path finished; nil without traffic.
  public var fastShare: Double?

  public init(
    name: String, index: Int64, hook: Hook, accelerated: Bool, modules: [String],
    program: Program? = nil, reason: String? = nil, fastShare: Double? = nil
  ) {
    self.name = name
    self.index = index
    self.hook = hook
    self.accelerated = accelerated
    self.modules = modules
    self.program = program
    self.reason = reason
    self.fastShare = fastShare
  }

  public var json: JSON {
    [
      "name": .string(name), "ifindex": .int(index), "hook": .string(hook.rawValue),
      "accelerated": .bool(accelerated), "modules": .array(modules.map(JSON.string)),
      "program": program.map { .string($0.rawValue) } ?? .null,
      "reason": reason.map(JSON.string) ?? .null,
      "fast_share": fastShare.map(JSON.double) ?? .null,
    ]
  }

  public init?(_ json: JSON) {
    guard let name = json["name"]?.string, let index = json["ifindex"]?.int,
      let hook = json["hook"]?.string.flatMap(Hook.init(rawValue:)),
      let accelerated = json["accelerated"]?.bool, let modules = json["modules"]?.array
    else { return nil }
    self.init(
      name: name, index: index, hook: hook, accelerated: accelerated,
      modules: modules.compactMap(\.string),
      program: json["program"]?.string.flatMap(Program.init(rawValue:)),
      reason: json["reason"]?.string,
      fastShare: json["fast_share"]?.double)
  }
}
