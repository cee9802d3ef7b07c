// SPDX-License-Identifier: Apache-2.0
import Lab

/// What fpd's counters must say about the frames of a case.
enum Fate: Sendable {
  /// Every frame was forwarded by the fast path, none punted.
  case fast
  /// Every frame was dropped by the fast path.
  case dropped
  /// Every frame was left to the kernel for this reason, or for one of several: `route-type|no-route`.
  case punted(String)
  /// The fast path forwarded nothing: why not is its own affair.
  case slow
  /// Exactly these counters grew, by so much.
  case counts([String: Int])
  /// This counter grew.
  case grows(String)
  /// This counter grew, and that one did not.
  case growsWithout(String, String)
  /// Forwarded or punted: only what the hosts see counts.
  case either
}

/// A frame a host puts on its cable.
struct Shot: Sendable {
  let host: ContractHost
  var bytes: [UInt8]
}

/// One row of the forwarding contract as something that happens: what is configured, what is sent, and
/// what becomes of it. What the hosts see must be the same with fpd and without, byte for byte.
struct ContractCase: Sendable {
  typealias Action = @Sendable (ContractBed) throws -> [String]

  let name: String
  /// Commands before, with which fpd has come to terms when the frames are sent. `A: …` runs on host A;
  /// without a host's letter it is the router's.
  var setup: [String]
  /// Commands that are run while fpd is stopped: it cannot react, and the frames come at once.
  var sudden: [String]
  /// What takes the commands back, where that cannot be told from them.
  var undo: [String]
  /// Frames before that are not looked at.
  var learn: [Shot]
  var frames: [Shot]
  /// Instead of frames: something done on the hosts; its words are compared too.
  var action: Action?
  /// Devices of the router to listen on while the frames are sent; `any` for all.
  var taps: [String]
  /// Commands whose output, after the frames, must be the same.
  var observe: [String]
  /// How many frames come out at the hosts with fpd off; nil where that is not the kernel's alone to say.
  var sees: Int?
  /// How long to listen for what comes late.
  var patience: Duration
  /// Not where a case is about what arrives: what is on the cable depends on the moment then.
  var comparesFrames = true
  let fate: Fate
  let fateOnTC: Fate?

  init(
    _ name: String, setup: [String] = [], sudden: [String] = [], undo: [String] = [],
    learn: [Shot] = [], _ frames: [Shot] = [], action: Action? = nil, taps: [String] = [],
    observe: [String] = [], sees: Int? = nil, patience: Duration = .milliseconds(6), _ fate: Fate,
    tc: Fate? = nil
  ) {
    self.name = name
    self.setup = setup
    self.sudden = sudden
    self.undo = undo
    self.learn = learn
    self.frames = frames
    self.action = action
    self.taps = taps
    self.observe = observe
    self.sees = sees
    self.patience = patience
    self.fate = fate
    fateOnTC = tc
  }

  /// The same, with the words of its action compared and not each frame on the way.
  var comparingWords: ContractCase {
    var row = self
    row.comparesFrames = false
    return row
  }

  func fate(on hook: String) -> Fate { hook == "tc" ? fateOnTC ?? fate : fate }

  /// The router's devices that must be accelerated before the frames come.
  var ingress: [String] {
    if case .slow = fate { return [] }
    let hosts = frames.isEmpty ? [.a] : frames.map(\.host)
    return Set(hosts.map(\.port)).sorted()
  }
}

/// Cases that share one network and one fpd.
struct ContractGroup: Sendable {
  let name: String
  let topology: ContractTopology
  let hooks: [String]
  let cases: [ContractCase]

  init(
    _ name: String, on topology: ContractTopology, hooks: [String] = ["xdp", "tc"],
    _ cases: [ContractCase]
  ) {
    self.name = name
    self.topology = topology
    self.hooks = hooks
    self.cases = cases
  }
}
