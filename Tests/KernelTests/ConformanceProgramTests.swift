// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// Other people's programs where no netlink message tells of them.
  @Suite(.needsFpd) struct ConformanceProgramTests {
    @Test(arguments: [(false, "foreign-tc-ingress", "none"), (true, "foreign-tc-egress", "tc")])
    func tcxProgramIsSeenWhileItIsThere(egress: Bool, reason: String, hook: String) throws {
      let bed = try Testbed.hostRouterHost()
      let (router, left) = (try bed["router"], try bed["left"])
      let directory = try TemporaryDirectory("tcx")
      let object = try ForeignProgram.classifier(in: directory)
      let known = try ForeignProgram.ids(named: "foreign_cls")
      // Loaded by way of a filter in another namespace: it needs a holder until it is attached.
      try left.run("tc qdisc add dev eth0 clsact")
      try left.run("tc filter add dev eth0 egress bpf direct-action obj \(object) sec classifier")
      let program = try #require(
        try ForeignProgram.ids(named: "foreign_cls").first { !known.contains($0) })

      let fpd = try Fpd(in: router)
      let seen = try Expectation("interfaces.p1.slow_path has \(reason)")
      #expect(try seen.problem(in: fpd.graph()) != nil)
      var attachment: ForeignProgram.Attachment? = try ForeignProgram.attachTCX(
        program: program, to: "p1", in: router, egress: egress)
      #expect(try eventually { try seen.problem(in: fpd.graph()) == nil })
      #expect(try fpd.graph().at("interfaces.p1.hook")?.string == hook)
      _ = attachment
      attachment = nil
      #expect(try eventually { try seen.problem(in: fpd.graph()) != nil })
      #expect(try fpd.stop() == 0)
    }
  }
}
