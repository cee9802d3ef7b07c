// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import Testing

extension Kernel {
  /// Rules are read between two equal identities, or they have none.
  @Suite struct RuleReadingTests {
    private let namespace: Namespace
    private let view = ScriptedView()
    private let reader: KernelReader

    init() throws {
      let namespace = try Namespace("reading")
      let view = view
      reader = try namespace.inside { try KernelReader(sysctls: SysctlReader(), live: view) }
      self.namespace = namespace
    }

    private func read(_ parts: Parts, into state: inout NetworkState) throws -> Parts {
      var read = state
      let left = try namespace.inside { reader.read(parts, into: &read) }
      state = read
      return left
    }

    private func epoch(_ number: UInt32, replaces: UInt64 = 0) -> RuleEpoch {
      RuleEpoch([], generation: .init(place: 8, number: number), replaces: replaces)
    }

    @Test func steadyRulesHaveTheIdentityTheyWereReadUnder() throws {
      var state = NetworkState()
      view.script = [epoch(1), epoch(1)]
      #expect(try read(.all, into: &state).isEmpty)
      #expect(state.ruleEpoch == epoch(1) && view.script.isEmpty)
      #expect(state.problems.isEmpty)
    }

    @Test func rulesThatChangeMeanwhileAreReadAgain() throws {
      var state = NetworkState()
      view.script = [epoch(1), epoch(2), epoch(2), epoch(2)]
      #expect(try read(.nftables, into: &state).isEmpty)
      #expect(state.ruleEpoch == epoch(2) && view.script.isEmpty)
    }

    @Test func aCommitUnderWayIsWaitedFor() throws {
      var state = NetworkState()
      view.script = [nil, epoch(2), nil, epoch(2), epoch(2)]
      #expect(try read(.nftables, into: &state).isEmpty)
      #expect(state.ruleEpoch == epoch(2) && view.script.isEmpty)
    }

    @Test func rulesThatNeverComeToRestAreAProblemUntilTheyDo() throws {
      var state = NetworkState()
      view.script = (1...20).map { epoch($0) }
      #expect(try read(.xtables, into: &state) == .rules)
      #expect(state.ruleEpoch == nil && state.problems.map(\.part) == ["rules"])
      #expect(view.script.count == 12)
      view.script = [epoch(30), epoch(30)]
      #expect(try read(.rules, into: &state).isEmpty)
      #expect(state.ruleEpoch == epoch(30) && state.problems.isEmpty)
    }

    @Test func anIdentityThatCannotBeReadIsAProblem() throws {
      var state = NetworkState()
      view.script = []
      #expect(try read(.rules, into: &state).isEmpty)
      #expect(state.ruleEpoch == nil && state.problems.map(\.part) == ["rules"])
    }

    /// An identity stands for all rules: those that changed unnoticed are read with those that were asked
    /// for.
    @Test func whatChangedUnderAnotherIdentityIsReadToo() throws {
      var state = NetworkState()
      view.script = [epoch(1), epoch(1)]
      #expect(try read(.rules, into: &state).isEmpty)
      #expect(state.legacyTables.isEmpty)
      try namespace.run("iptables-legacy -A FORWARD -j DROP")
      view.script = [epoch(2), epoch(2)]
      #expect(try read(.nftables, into: &state).isEmpty)
      #expect(state.legacyTables.isEmpty)  // nothing said that it had changed
      view.script = [epoch(3, replaces: 1), epoch(3, replaces: 1)]
      #expect(try read(.nftables, into: &state).isEmpty)
      #expect(state.legacyTables.map(\.name) == ["filter"])
    }

    @Test func whereNothingCanBeReadLiveThereIsNoIdentity() throws {
      var state = NetworkState()
      let reader = try namespace.inside { try KernelReader(sysctls: SysctlReader(), live: nil) }
      try namespace.run("iptables-legacy -A FORWARD -j DROP")
      var read = state
      let left = try namespace.inside { reader.read(.rules, into: &read) }
      state = read
      #expect(left.isEmpty && state.ruleEpoch == nil && state.legacyTables.count == 1)
    }
  }
}

/// Answers what it is told to, one after the other.
private final class ScriptedView: LiveView {
  var script: [RuleEpoch?] = []

  func identity() throws -> KernelIdentity { KernelIdentity() }
  func hooks() throws -> [NetfilterHook] { [] }
  func devices(_ links: [Int32]) throws -> [DeviceView] { [] }

  func ruleEpoch() throws -> RuleEpoch? {
    guard !script.isEmpty else { throw LabError("no identity is left") }
    return script.removeFirst()
  }
}
