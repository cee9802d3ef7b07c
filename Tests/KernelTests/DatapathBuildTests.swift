// SPDX-License-Identifier: Apache-2.0
import Datapath
import Glibc
import Lab
import Testing

extension Kernel {
  /// Compilers beside the loop.
  @Suite struct DatapathBuildTests {
    @Test func oneSourceOnManyInterfacesIsCompiledOnce() throws {
      let bench = try DatapathBench()
      try bench.namespace.ip(
        batch: (1...4).map { "link add v\($0) type veth peer name w\($0)" })
      let interfaces = try (1...4).map { Int32(try bench.namespace.ifindex(of: "v\($0)")) }
      let deployment = try bench.deployment(pins: bench.pins())
      try bench.apply(interfaces.map { bench.plan(.xdp, on: $0) }, to: deployment)
      #expect(!deployment.isSettled)
      #expect(try bench.settle(deployment))
      for interface in interfaces {
        guard case .live = deployment.state(of: interface) else {
          Issue.record("\(interface): \(String(describing: deployment.state(of: interface)))")
          continue
        }
      }
      #expect(try bench.compilerStarts() == 1)
      try bench.removeAll(deployment)
    }

    @Test func anOvertakenResultIsKeptButNotRun() throws {
      let bench = try DatapathBench()
      let deployment = try bench.deployment(pins: bench.pins())
      let (old, new) = (bench.plan(.xdp, drops: true), bench.plan(.xdp))
      try bench.apply([old], to: deployment)
      try bench.apply([new], to: deployment)
      #expect(try bench.settle(deployment))
      #expect(try bench.pings())
      #expect(try bench.compilerStarts() == 2)
      // The old one is at hand: nothing is compiled when it is wanted again.
      #expect(try bench.run(within: .seconds(20)) { bench.watched == 0 })
      try bench.apply([old], to: deployment)
      #expect(deployment.isSettled)
      #expect(try !bench.pings(within: .milliseconds(400)))
      #expect(try bench.compilerStarts() == 2)
      try bench.removeAll(deployment)
    }

    @Test func noMoreThanTwoCompilersRunAtOnce() throws {
      let bench = try DatapathBench()
      try bench.namespace.ip(
        batch: (1...5).map { "link add v\($0) type veth peer name w\($0)" })
      let interfaces = try (1...5).map { Int32(try bench.namespace.ifindex(of: "v\($0)")) }
      let deployment = try bench.deployment(pins: bench.pins())
      var most = 0
      try bench.apply(
        interfaces.map { bench.plan(.xdp, note: "\($0)", on: $0) }, to: deployment)
      #expect(try bench.settle(deployment, each: { most = max(most, $0) }))
      // A compiler and its timer.
      #expect(most == 4)
      #expect(try bench.compilerStarts() == 5)
      try bench.removeAll(deployment)
    }

    @Test func aCompilerThatHangsIsEndedAndReported() throws {
      let bench = try DatapathBench()
      let objects = try bench.objects(
        bench.compiler("exec cat /dev/zero >/dev/null", timeLimit: .seconds(1)))
      let deployment = try bench.deployment(objects: objects, pins: bench.pins())
      try bench.apply([bench.plan(.xdp)], to: deployment)
      #expect(try bench.settle(deployment))
      let failure = try #require(DatapathDeploymentTests.failure(deployment, bench))
      #expect(failure.description.contains("took longer than 1"))
      #expect(bench.watched == 0)
      try bench.removeAll(deployment)
    }

    @Test func compilersEndWithTheDeployment() throws {
      let bench = try DatapathBench()
      let objects = try bench.objects(bench.compiler("exec cat /dev/zero >/dev/null"))
      let deployment = try bench.deployment(objects: objects, pins: bench.pins())
      try bench.apply([bench.plan(.xdp)], to: deployment)
      #expect(bench.watched == 2)
      try bench.removeAll(deployment)
      try DatapathDeploymentTests.expectNothing(bench, deployment)
    }

    @Test func aMissingCompilerIsReported() throws {
      let bench = try DatapathBench()
      let objects = ObjectSource(
        share: ".", compiler: nil, cache: ObjectCache(directory: "\(bench.directory.path)/none"))
      let deployment = try bench.deployment(objects: objects, pins: bench.pins())
      try bench.apply([bench.plan(.xdp)], to: deployment)
      #expect(deployment.isSettled)
      let failure = try #require(DatapathDeploymentTests.failure(deployment, bench))
      #expect(failure.description.contains("no clang"))
      try bench.removeAll(deployment)
    }
  }
}
