// SPDX-License-Identifier: Apache-2.0
import Datapath
import Glibc
import Lab
import Testing

extension Kernel {
  /// Programs come to run on interfaces, and go, without fpd around them.
  @Suite struct DatapathDeploymentTests {
    enum Place: CaseIterable {
      case xdp, genericXDP, tcx, clsact
      var hook: Hook {
        switch self {
        case .xdp: .xdp
        case .genericXDP: .genericXDP
        case .tcx, .clsact: .tc
        }
      }
    }

    @Test(arguments: Place.allCases)
    func programsRunAreReplacedAndLeaveNothing(place: Place) throws {
      let bench = try DatapathBench()
      let pins = try bench.pins()
      let deployment = try bench.deployment(pins: pins, preferClsact: place == .clsact)
      let qdiscs = try bench.namespace.run("tc qdisc show dev p1").output
      try bench.apply([bench.plan(place.hook, reason: 5)], to: deployment)
      #expect(try bench.settle(deployment))
      try Self.expectLive(deployment, bench)
      #expect(try bench.pings())
      func counters() throws -> [Counter] {
        try #require(deployment.attachment(on: bench.interface)).counters()
      }
      let first = try counters()
      #expect(first.count == 128 && first[5].packets > 0 && first[5].bytes > first[5].packets * 28)

      // Only a constant differs: nothing is compiled, the counters go on.
      try bench.apply([bench.plan(place.hook, reason: 6, drops: false)], to: deployment)
      try Self.expectLive(deployment, bench)
      #expect(try bench.compilerStarts() == 1)
      #expect(try bench.pings())
      let second = try counters()
      #expect(second[5].packets >= first[5].packets && second[6].packets > 0)

      try bench.apply([bench.plan(place.hook, reason: 6, drops: true)], to: deployment)
      #expect(try bench.settle(deployment))
      try Self.expectLive(deployment, bench)
      #expect(try !bench.pings(within: .milliseconds(400)))

      let held = try DatapathBench.held()
      #expect(held.count >= (place == .clsact ? 4 : 5))
      try bench.apply([], to: deployment)
      #expect(deployment.state(of: bench.interface) == nil)
      #expect(try bench.pings())
      try bench.removeAll(deployment)
      #expect(eventually { DatapathBench.present(held).isEmpty })
      try Self.expectNothing(bench, deployment)
      #expect(try bench.namespace.run("tc qdisc show dev p1").output == qdiscs)
    }

    @Test func aProgramThatDoesNotCompileLeavesThePacketsToTheKernel() throws {
      let bench = try DatapathBench()
      let deployment = try bench.deployment(pins: bench.pins())
      try bench.apply([bench.plan(.xdp, drops: true)], to: deployment)
      #expect(try bench.settle(deployment))
      #expect(try !bench.pings(within: .milliseconds(400)))
      var plan = bench.plan(.xdp)
      plan.source = "#include \"no-such-header.h\"\n"
      try bench.apply([plan], to: deployment)
      #expect(try bench.settle(deployment))
      let failure = try #require(Self.failure(deployment, bench))
      #expect(failure.description.contains("no-such-header.h") && failure.place == nil)
      #expect(try bench.pings())
      // It is not tried again as long as it is the same.
      let starts = try bench.compilerStarts()
      try bench.apply([plan], to: deployment)
      #expect(deployment.isSettled)
      #expect(try bench.compilerStarts() == starts)
      try bench.removeAll(deployment)
    }

    @Test func aProgramTheVerifierRefusesIsReportedInItsWords() throws {
      let bench = try DatapathBench()
      let deployment = try bench.deployment(pins: bench.pins())
      var plan = bench.plan(.xdp)
      plan.source = """
        #include "kernel/helpers.h"
        const volatile struct { u32 reason; } config = { 0 };
        SEC("xdp") int fpd_xdp(void **context)
        {
          return *(int *)context[config.reason ? 0 : 1];
        }
        char fp_license[] SEC("license") = "GPL";
        """
      try bench.apply([plan], to: deployment)
      #expect(try bench.settle(deployment))
      let failure = try #require(Self.failure(deployment, bench))
      #expect(failure.description.contains("invalid"), "\(failure.description)")
      #expect(deployment.attachment(on: bench.interface) == nil)
      #expect(try bench.pings())
      try bench.removeAll(deployment)
    }

    @Test func aForeignXDPProgramIsNotReplaced() throws {
      let bench = try DatapathBench()
      let object = try ForeignProgram.xdpPass(in: bench.directory)
      try bench.namespace.run("ip link set p1 xdp obj \(object) sec xdp")
      let deployment = try bench.deployment(pins: bench.pins())
      try bench.apply([bench.plan(.xdp)], to: deployment)
      #expect(try bench.settle(deployment))
      #expect(Self.failure(deployment, bench)?.place == .foreignProgram)
      try bench.apply([bench.plan(.genericXDP)], to: deployment)
      #expect(try bench.settle(deployment))
      #expect(Self.failure(deployment, bench)?.place == .foreignProgram)
      #expect(try bench.namespace.run("ip link show p1").output.contains("prog/xdp"))
      // As soon as it is gone, the same plan finds its place.
      try bench.namespace.run("ip link set p1 xdp off")
      try bench.apply([bench.plan(.genericXDP)], to: deployment)
      #expect(try bench.settle(deployment))
      try Self.expectLive(deployment, bench)
      try bench.removeAll(deployment)
    }

    @Test func aDriverWithoutXDPIsToldFromAForeignProgram() throws {
      let bench = try DatapathBench()
      try bench.namespace.run("ip link add br0 type bridge")
      let bridge = Int32(try bench.namespace.ifindex(of: "br0"))
      let deployment = try bench.deployment(pins: bench.pins())
      try bench.apply(
        [bench.plan(.xdp, on: bridge), bench.plan(.xdp, on: 4_000_000)], to: deployment)
      #expect(try bench.settle(deployment))
      #expect(Self.failure(deployment, bench, bridge)?.place == .driverWithoutXDP)
      #expect(Self.failure(deployment, bench, 4_000_000)?.place == .noInterface)
      try bench.removeAll(deployment)
    }

    @Test(arguments: [false, true])
    func foreignClassifiersStayWhereTheyAre(preferClsact: Bool) throws {
      let bench = try DatapathBench()
      let object = try ForeignProgram.classifier(in: bench.directory)
      let known = try ForeignProgram.ids(named: "foreign_cls")
      try bench.namespace.run("tc qdisc add dev p1 clsact")
      try bench.namespace.run(
        "tc filter add dev p1 ingress bpf direct-action obj \(object) sec classifier")
      let program = try #require(
        try ForeignProgram.ids(named: "foreign_cls").first { !known.contains($0) })
      var foreign: ForeignProgram.Attachment? = try ForeignProgram.attachTCX(
        program: program, to: "p1", in: bench.namespace)
      let deployment = try bench.deployment(pins: bench.pins(), preferClsact: preferClsact)
      try bench.apply([bench.plan(.tc)], to: deployment)
      #expect(try bench.settle(deployment))
      try Self.expectLive(deployment, bench)
      #expect(try bench.pings())
      #expect(try #require(deployment.attachment(on: bench.interface)).counters()[2].packets > 0)
      try bench.removeAll(deployment)
      let filters = try bench.namespace.run("tc filter show dev p1 ingress").output
      #expect(filters.contains("object") || filters.contains("id \(program)"))
      #expect(!filters.contains("fpd_entry"))
      #expect(try bench.namespace.run("tc qdisc show dev p1").output.contains("clsact"))
      #expect(foreign != nil)
      foreign = nil
    }

    @Test func ownQdiscStaysWhenSomebodyElseUsesIt() throws {
      let bench = try DatapathBench()
      let deployment = try bench.deployment(pins: bench.pins(), preferClsact: true)
      try bench.apply([bench.plan(.tc)], to: deployment)
      #expect(try bench.settle(deployment))
      let object = try ForeignProgram.classifier(in: bench.directory)
      try bench.namespace.run(
        "tc filter add dev p1 egress bpf direct-action obj \(object) sec classifier")
      try bench.removeAll(deployment)
      #expect(
        try bench.namespace.run("tc filter show dev p1 egress").output.contains("classifier"))
      #expect(try bench.namespace.run("tc filter show dev p1 ingress").output.isEmpty)
    }

    @Test(arguments: [Hook.xdp, .tc])
    func aFrameIsExplainedAndNeitherCountedNorSent(hook: Hook) throws {
      let bench = try DatapathBench()
      let deployment = try bench.deployment(pins: bench.pins())
      try bench.apply([bench.plan(hook, reason: 9)], to: deployment)
      #expect(try bench.settle(deployment))
      let attachment = try #require(deployment.attachment(on: bench.interface))
      let frame = [UInt8](1...64)
      let found = try bench.namespace.inside { try attachment.explain(frame) }
      #expect(found.verdict == .forward && found.reason == 9)
      #expect(found.egress == (hook == .xdp ? bench.interface : 7))
      #expect(found.frame == [0xaa] + frame.dropFirst())
      #expect(throws: DatapathError.self) { try attachment.explain([1, 2, 3]) }
      try bench.removeAll(deployment)
    }

    // MARK: What is seen

    static func expectLive(_ deployment: Deployment, _ bench: DatapathBench) throws {
      guard case .live = deployment.state(of: bench.interface) else {
        Issue.record("p1 is \(String(describing: deployment.state(of: bench.interface)))")
        return
      }
    }

    static func failure(
      _ deployment: Deployment, _ bench: DatapathBench, _ interface: Int32? = nil
    ) -> Deployment.Failure? {
      guard case .failed(let failure) = deployment.state(of: interface ?? bench.interface) else {
        return nil
      }
      return failure
    }

    static func expectNothing(_ bench: DatapathBench, _ deployment: Deployment) throws {
      #expect(bench.watched == 0)
      #expect(try !TextFile.read("/proc/self/mounts").contains(bench.directory.path))
      #expect(access("\(bench.directory.path)/bpf", F_OK) != 0)
      #expect(try !bench.namespace.run("ip link show p1").output.contains("xdp"))
    }
  }
}
