// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

extension Kernel {
  /// The graph follows what people type, tool by tool.
  @Suite(.needsFpd) struct ConformanceTests {
    static let walks: [Walk] = [
      ConformanceWalks.bridge, ConformanceWalks.firstBridge, ConformanceWalks.ports,
      ConformanceWalks.routing,
      ConformanceWalks.sysctls, ConformanceWalks.legacyRules, ConformanceWalks.nftRules,
      ConformanceWalks.links, ConformanceWalks.trafficControl, ConformanceWalks.ipv6,
    ]

    @Test(arguments: walks) func graphFollows(_ walk: Walk) throws {
      let walker = try Walker(ipv6: walk.ipv6)
      try walker.take(walk)
      #expect(walker.taken > 0)
    }

    @Test func walkIsLongEnough() {
      #expect(Self.walks.map(\.steps.count).reduce(0, +) >= 80)
    }
  }
}
