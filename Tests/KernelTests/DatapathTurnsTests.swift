// SPDX-License-Identifier: Apache-2.0
import Datapath
import Lab
import Testing

extension Kernel {
  /// Many interfaces: what waits for its turn keeps neither the loop nor what runs already waiting.
  @Suite struct DatapathTurnsTests {
    /// What the loop is asked to do next.
    private final class Loop {
      private(set) var work: [() -> Void] = []
      func add(_ next: @escaping () -> Void) { work.append(next) }
      func turn(_ bench: DatapathBench) throws {
        let now = work
        work = []
        try bench.namespace.inside { now.forEach { $0() } }
      }
    }

    @Test(arguments: [Hook.xdp, .tc]) func interfacesTakeTurns(_ hook: Hook) throws {
      let bench = try DatapathBench()
      try bench.namespace.ip(
        batch: (1...5).map { "link add v\($0) type veth peer name w\($0)" })
      let others = try (1...5).map { Int32(try bench.namespace.ifindex(of: "v\($0)")) }.sorted()
      let loop = Loop()
      // As if everything took long.
      let deployment = try bench.deployment(pins: bench.pins(), patience: .zero)
      deployment.soon = loop.add
      deployment.later = loop.add
      func live() -> [Int32] {
        ([bench.interface] + others).filter {
          if case .live? = deployment.state(of: $0) { true } else { false }
        }
      }
      try bench.apply([bench.plan(hook)], to: deployment)
      #expect(try bench.settle(deployment))
      #expect(live() == [bench.interface] && loop.work.isEmpty)

      let fresh = others.map { bench.plan(hook, on: $0) }
      try bench.apply([bench.plan(hook)] + fresh, to: deployment)
      #expect(live() == [bench.interface, others[0]])
      try loop.turn(bench)
      #expect(live() == [bench.interface, others[0], others[1]] && !deployment.isSettled)

      // A change where something runs does not wait for those; nor do they start anew.
      try bench.apply([bench.plan(hook, drops: true)] + fresh, to: deployment)
      #expect(try bench.run(within: .seconds(20)) { live().contains(bench.interface) })
      #expect(try !bench.pings(within: .milliseconds(300)))
      try bench.apply([bench.plan(hook)] + fresh, to: deployment)
      #expect(try bench.pings())
      let soFar = live().count
      // One that is not wanted any more loses its turn.
      let wanted = [bench.plan(hook)] + fresh.dropLast()
      try bench.apply(wanted, to: deployment)
      for _ in 0..<20 where !deployment.isSettled { try loop.turn(bench) }
      #expect(soFar < 5)
      #expect(live() == [bench.interface] + others.dropLast())
      #expect(deployment.state(of: others[4]) == nil)
      while !loop.work.isEmpty { try loop.turn(bench) }

      // All are left to the kernel at once, and the hooks one after the other.
      try bench.apply([bench.plan(hook, drops: true)], to: deployment)
      #expect(try bench.settle(deployment))
      try bench.apply([], to: deployment)
      #expect(try bench.pings())
      var turns = 0
      while !loop.work.isEmpty, turns < 20 {
        try loop.turn(bench)
        turns += 1
        let left = deployment.attachments.count
        #expect(loop.work.isEmpty == (left == 0), "\(left) after \(turns)")
      }
      #expect(deployment.attachments.isEmpty && turns >= 4)
      try bench.removeAll(deployment)
    }
  }
}
