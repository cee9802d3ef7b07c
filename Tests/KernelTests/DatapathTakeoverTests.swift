// SPDX-License-Identifier: Apache-2.0
import CBPF
import Datapath
import Glibc
import Lab
import Testing

extension Kernel {
  /// What a killed fpd leaves, and what its successor makes of it. A kill is that everything open is
  /// closed and nothing else is done.
  @Suite struct DatapathTakeoverTests {
    typealias Place = DatapathDeploymentTests.Place

    @Test(arguments: Place.allCases)
    func aSuccessorTakesOverWhatStillRuns(place: Place) throws {
      let bench = try DatapathBench()
      let qdiscs = try bench.namespace.run("tc qdisc show dev p1").output
      let held = try leave(bench, [bench.plan(place.hook, reason: 5)], place)
      #expect(try DatapathBench.held().isDisjoint(with: held))
      #expect(try bench.pings())

      let successor = try bench.deployment(pins: bench.pins(), preferClsact: place == .clsact)
      #expect(successor.adoptedCount == 1)
      try bench.apply([bench.plan(place.hook, reason: 6)], to: successor)
      #expect(try bench.settle(successor))
      try DatapathDeploymentTests.expectLive(successor, bench)
      func counters() throws -> [Counter] {
        try #require(successor.attachment(on: bench.interface)).counters()
      }
      #expect(try counters()[5].packets > 0)
      #expect(try bench.pings())
      #expect(try counters()[6].packets > 0)
      try bench.removeAll(successor)
      try DatapathDeploymentTests.expectNothing(bench, successor)
      #expect(try bench.namespace.run("tc qdisc show dev p1").output == qdiscs)
      #expect(eventually { DatapathBench.present(held).isEmpty })
    }

    /// The killed fpd's program drops everything: as long as it is there, nothing gets through.
    @Test(arguments: Place.allCases)
    func whatASuccessorDoesNotWantIsDetached(place: Place) throws {
      let bench = try DatapathBench()
      let held = try leave(bench, [bench.plan(place.hook, drops: true)], place)
      #expect(try !bench.pings(within: .milliseconds(400)))
      let successor = try bench.deployment(pins: bench.pins(), preferClsact: place == .clsact)
      try bench.apply([], to: successor)
      #expect(try bench.pings())
      #expect(eventually { DatapathBench.present(held).isEmpty })
      try bench.removeAll(successor)
      try DatapathDeploymentTests.expectNothing(bench, successor)
    }

    @Test(arguments: Place.allCases)
    func pinsOfAnInterfaceThatIsGoneAreRemoved(place: Place) throws {
      let bench = try DatapathBench()
      let held = try leave(bench, [bench.plan(place.hook)], place)
      try bench.namespace.run("ip link del p1")
      let pins = try bench.pins()
      let successor = try bench.deployment(pins: pins)
      #expect(successor.adoptedCount == 0)
      #expect(try Command.run(["ls", pins.directory]).check().output.isEmpty)
      #expect(eventually { DatapathBench.present(held).isEmpty })
      try bench.removeAll(successor)
    }

    /// In its new namespace it would run a program made for another one.
    @Test(arguments: [Place.xdp, .tcx])
    func anInterfaceThatWasMovedAwayIsLetGo(place: Place) throws {
      let bench = try DatapathBench()
      let held = try leave(bench, [bench.plan(place.hook, drops: true)], place)
      let elsewhere = try Namespace("elsewhere")
      try bench.namespace.run("ip link set p1 netns \(elsewhere.name)")
      // Its number there is free again here, for another device.
      try bench.namespace.run("ip link add name p2 index \(bench.interface) type bridge")
      let successor = try bench.deployment(pins: bench.pins())
      #expect(successor.adoptedCount == 0)
      #expect(try !elsewhere.run("ip link show p1").output.contains("xdp"))
      #expect(eventually { DatapathBench.present(held).isEmpty })
      try bench.removeAll(successor)
    }

    @Test func pinsOfANamespaceThatIsGoneAreSweptByAnother() throws {
      let bench = try DatapathBench()
      let held = try leave(bench, [bench.plan(.xdp)], .xdp)
      let old = try bench.pins().directory
      let mount = "\(bench.directory.path)/bpf"
      let other = try DatapathBench()
      // As long as the interface is there, the other fpd leaves it alone.
      try other.pins(shared: mount).removeAll()
      #expect(access("\(old)/\(bench.interface)-xdp/link", F_OK) == 0)
      try bench.namespace.run("ip link del p1")
      let pins = try other.pins(shared: mount)
      #expect(access(old, F_OK) != 0)
      pins.removeAll()
      #expect(eventually { DatapathBench.present(held).isEmpty })
      try bench.pins().removeAll()
      #expect(try !TextFile.read("/proc/self/mounts").contains(mount))
    }

    @Test func aTornSetOfPinsIsRemoved() throws {
      let bench = try DatapathBench()
      let held = try leave(bench, [bench.plan(.xdp, drops: true)], .xdp)
      let pins = try bench.pins()
      #expect(unlink("\(pins.directory)/\(bench.interface)-xdp/slot") == 0)
      let successor = try bench.deployment(pins: pins)
      #expect(successor.adoptedCount == 0)
      #expect(try bench.pings())
      #expect(eventually { DatapathBench.present(held).isEmpty })
      try bench.removeAll(successor)
    }

    @Test func theSystemsOwnBpffsIsUsedWhereThereIsOne() throws {
      let bench = try DatapathBench()
      // A bpffs of somebody else's: another bench makes it and keeps something in it.
      let other = try DatapathBench()
      let foreign = try other.pins()
      let mount = "\(other.directory.path)/bpf"
      let pins = try bench.pins(shared: mount)
      #expect(pins.directory.hasPrefix(mount + "/fpd-"))
      let deployment = try bench.deployment(pins: pins)
      try bench.apply([bench.plan(.xdp)], to: deployment)
      #expect(try bench.settle(deployment))
      #expect(access("\(pins.directory)/\(bench.interface)-xdp/link", F_OK) == 0)
      try bench.removeAll(deployment)
      #expect(access(pins.directory, F_OK) != 0)
      // It is not ours to unmount.
      #expect(try TextFile.read("/proc/self/mounts").contains(mount))
      foreign.removeAll()
      #expect(try !TextFile.read("/proc/self/mounts").contains(mount))
    }

    @Test func aDirectoryThatOthersCanChangeIsRefused() throws {
      let bench = try DatapathBench()
      let pins = try bench.pins()
      #expect(chmod(pins.directory, 0o777) == 0)
      #expect { _ = try bench.pins() } throws: { "\($0)".contains("not ours alone") }
      #expect(chmod(pins.directory, 0o700) == 0)
      pins.removeAll()
    }

    /// What programs compare with goes on counting, and for the successor's programs as well.
    @Test(arguments: Place.allCases)
    func aSuccessorGoesOnCountingReplaces(place: Place) throws {
      let bench = try DatapathBench()
      let held = try leave(bench, [bench.plan(place.hook)], place, counts: true)
      let pin = "\(try bench.pins().directory)/\(bench.interface)-\(place.hook.rawValue)"
      func count() throws -> UInt64 {
        let map = bpf_obj_get("\(pin)/replaces")
        try #require(map >= 0)
        defer { close(map) }
        var (place, number): (UInt32, UInt64) = (0, 0)
        try #require(bpf_map_lookup_elem(map, &place, &number) == 0)
        return number
      }
      let before = try count()
      try bench.far.run("iptables-legacy -A FORWARD -j DROP")
      let after = try count()
      #expect(after > before)
      let successor = try bench.deployment(
        pins: bench.pins(), preferClsact: place == .clsact, counts: true)
      try bench.apply([bench.plan(place.hook, reason: 6)], to: successor)
      #expect(try bench.settle(successor))
      #expect(try #require(successor.replaces?.count) >= after)
      try bench.far.run("iptables-legacy -F")
      #expect(try #require(successor.replaces?.count) > after)
      #expect(try count() == successor.replaces?.count)
      try bench.removeAll(successor)
      #expect(access(pin, F_OK) != 0)
      _ = consume successor
      #expect(eventually { DatapathBench.present(held).isEmpty })
    }

    /// A predecessor that did not count: from now on it is kept with what it attached.
    @Test func aCounterIsPinnedWithWhatWasThereBefore() throws {
      let bench = try DatapathBench()
      _ = try leave(bench, [bench.plan(.xdp)], .xdp)
      let pin = "\(try bench.pins().directory)/\(bench.interface)-xdp"
      #expect(access("\(pin)/counting", F_OK) != 0)
      let successor = try bench.deployment(pins: bench.pins(), counts: true)
      #expect(access("\(pin)/counting", F_OK) == 0 && access("\(pin)/replaces", F_OK) == 0)
      try bench.removeAll(successor)
      #expect(access(pin, F_OK) != 0)
    }

    /// Deploys, and is killed; answers what it held.
    private func leave(
      _ bench: DatapathBench, _ plans: [InterfacePlan], _ place: Place, counts: Bool = false
    ) throws -> Set<String> {
      let deployment = try bench.deployment(
        pins: bench.pins(), preferClsact: place == .clsact, counts: counts)
      try bench.apply(plans, to: deployment)
      #expect(try bench.settle(deployment))
      try DatapathDeploymentTests.expectLive(deployment, bench)
      _ = try bench.pings(within: .milliseconds(400))
      return try DatapathBench.held()
    }
  }
}
