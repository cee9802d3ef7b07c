// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

extension Kernel {
  /// What holds the fast path against Linux can itself tell right from wrong.
  @Suite struct ContractHarnessTests {
    private static func heard(_ shots: [Shot], at place: String = "B") -> ContractResult {
      ContractResult(heard: [place: shots.map { Frame($0.bytes) }])
    }
    private static let good = Shot.burst { .udp(id: $0) }

    private func differ(_ one: ContractResult, _ other: ContractResult, _ fate: Fate = .fast)
      -> Bool
    {
      !ContractComparison.problems(one, other, of: fate).isEmpty
    }

    @Test func sameFramesAreNoProblem() {
      #expect(!differ(Self.heard(Self.good), Self.heard(Self.good)))
      let two = [Shot.udp(), Shot.udp(to: "10.0.2.9")]
      #expect(!differ(Self.heard(two), Self.heard(two.reversed())), "two flows have no order")
    }

    @Test(arguments: 0..<54) func everyByteCounts(_ place: Int) {
      let changed = Self.good.dropLast() + [Self.good[2].editing { $0[place] ^= 1 }]
      #expect(differ(Self.heard(Array(changed)), Self.heard(Self.good)))
    }

    @Test func orderNumberAndPlaceCount() {
      #expect(differ(Self.heard(Self.good.reversed()), Self.heard(Self.good)))
      #expect(differ(Self.heard(Self.good.dropLast()), Self.heard(Self.good)))
      #expect(differ(Self.heard(Self.good + [Self.good[0]]), Self.heard(Self.good)))
      #expect(differ(Self.heard(Self.good.map { $0.padded(by: 6) }), Self.heard(Self.good)))
      #expect(differ(Self.heard(Self.good, at: "C"), Self.heard(Self.good)))
      #expect(differ(Self.heard([]), Self.heard(Self.good)))
    }

    @Test func whatTheKernelCountsIsTheKernels() {
      let counted = ContractResult(kernel: ["InHdrErrors": 1])
      #expect(differ(ContractResult(), counted, .punted("malformed")))
      #expect(!differ(ContractResult(), counted, .fast))
    }

    @Test func generatedICMPMayDifferInItsIdentificationOnly() {
      func unreachable(_ id: UInt16, code: UInt8 = 0) -> Shot {
        .frame(
          to: ContractHost.a.mac,
          .ipv4(
            IPv4(from: "10.0.1.1", to: "10.0.1.2", .icmp(type: 3, code: code)) {
              $0.identification = id
            }))
      }
      let reference = Self.heard([unreachable(1)])
      #expect(!differ(Self.heard([unreachable(2)]), reference))
      #expect(differ(Self.heard([unreachable(2, code: 1)]), reference))
      #expect(differ(Self.heard([unreachable(2).editing { $0[24] ^= 1 }]), reference))
    }

    @Test func countersMustSayWhatHappened() {
      func wrong(_ counters: [String: Int], _ fate: Fate) -> Bool {
        !ContractComparison.problems(counters: counters, frames: 3, fate).isEmpty
      }
      #expect(!wrong(["forwarded": 3], .fast))
      #expect(wrong(["forwarded": 2], .fast))
      #expect(wrong(["forwarded": 3, "neighbour": 1], .fast))
      #expect(wrong([:], .fast))
      #expect(!wrong(["neighbour": 3], .punted("neighbour|changed")))
      #expect(!wrong(["neighbour": 2, "changed": 1], .punted("neighbour|changed")))
      #expect(wrong(["neighbour": 2, "malformed": 1], .punted("neighbour|changed")))
      #expect(wrong(["neighbour": 3, "forwarded": 1], .punted("neighbour")))
      #expect(wrong(["forwarded": 1], .slow))
      #expect(!wrong(["forwarded": 2, "padding": 1], .counts(["forwarded": 2, "padding": 1])))
      #expect(wrong(["forwarded": 3], .counts(["forwarded": 2, "padding": 1])))
    }
  }
}
