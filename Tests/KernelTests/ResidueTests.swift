// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  @Suite struct ResidueTests {
    @Test func whatIsStillThereIsFoundAndWhatIsClosedIsNot() throws {
      let namespace = try Namespace("left")
      #expect(Residue.find(within: .zero).contains("namespace \(namespace.name)"))
      namespace.close()
      #expect(!Residue.find(within: .zero).contains("namespace \(namespace.name)"))
    }

    /// An XDP program of our name on a device, and nobody who holds it: what a crash would leave.
    @Test func programOfOurNameWithoutHolderIsFound() throws {
      let directory = try TemporaryDirectory("program")
      let namespace = try Namespace("program")
      let object = try ForeignProgram.xdpPass(in: directory, named: "fpd_left")
      try namespace.run("ip link add v0 type veth peer name v1")
      try namespace.run("ip link set v0 xdpgeneric obj \(object) sec xdp")
      let found = Residue.find(within: .zero)
      #expect(found.contains { $0.hasPrefix("BPF prog fpd_left") })
      try namespace.run("ip link del v0")
      let gone = eventually {
        !Residue.find(within: .zero).contains { $0.hasPrefix("BPF prog fpd_left") }
      }
      #expect(gone)
    }

    @Test func programEndedBySignalRemovesItsNamespaces() throws {
      let fplab = ".build/release/fplab"
      try #require(access(fplab, X_OK) == 0, "build it first")
      let process = try Background([fplab, "shell"], namespace: nil, feed: true)
      try process.waitForOutput("nsenter")
      let mine = { (name: String) in name.hasPrefix("fpd-\(process.pid)-") }
      let before = try Command.run(["ls", "/run/netns"]).check().output
      #expect(before.split(separator: "\n").contains { mine(String($0)) })
      process.signal(SIGTERM)
      #expect(process.ended(within: .seconds(5)) == 128 + SIGTERM)
      let after = try Command.run(["ls", "/run/netns"]).check().output
      #expect(!after.split(separator: "\n").contains { mine(String($0)) })
    }
  }
}
