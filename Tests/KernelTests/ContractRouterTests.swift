// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

extension Kernel {
  /// The fast path does to every packet what the kernel does, or leaves it to the kernel: row by row of
  /// the forwarding contract, on XDP and on TC.
  @Suite(.needsFpd) struct ContractRouterTests {
    private static let groups: [ContractGroup] = [
      ContractGroup(
        "packets", on: .router,
        ContractHeaderCases.plain + ContractHeaderCases.malformed + ContractHeaderCases.priorities),
      ContractGroup("MTU", on: .router, ContractHeaderCases.mtu),
      ContractGroup("link addresses", on: .router, ContractAddressCases.link),
      ContractGroup(
        "addresses", on: .router, ContractAddressCases.destinations + ContractAddressCases.sources),
      ContractGroup(
        "reverse path", on: .router,
        ContractAddressCases.reversePath + ContractAddressCases.forwarding),
      ContractGroup(
        "reverse path at once", on: .router, ContractAddressCases.reversePathAtOnce),
      ContractGroup(
        "routes", on: .router, ContractRouteCases.types + ContractRouteCases.changes),
      ContractGroup("policy rules", on: .router, ContractRouteCases.lasting),
      ContractGroup("local routes", on: .router, ContractRouteCases.local),
      ContractGroup("prefixes", on: .router, ContractRouteCases.prefixes),
      ContractGroup("way back up", on: .router, ContractPrefixCases.climbs),
      ContractGroup("next hops", on: .router, ContractRouteCases.multipath),
      ContractGroup("gateways", on: .router, ContractGatewayCases.gateways),
      ContractGroup("neighbours", on: .router, ContractNeighbourCases.neighbours),
      ContractGroup("devices", on: .router, ContractEgressCases.devices),
      ContractGroup("taps", on: .router, ContractEgressCases.taps),
      ContractGroup("netfilter and IPsec", on: .router, ContractEgressCases.netfilter),
      ContractGroup("iptables-legacy", on: .router, ContractEgressCases.legacy),
      ContractGroup("marks", on: .router, ContractMarkCases.marks),
      ContractGroup("connection tracking", on: .router, ContractTrackingCases.cases),
      ContractGroup("sockets", on: .router, ContractSocketCases.sockets),
      ContractGroup("segments", on: .router, ContractSocketCases.segments),
      ContractGroup("containers", on: .router, hooks: ["tc"], ContractPeerCases.peers),
    ]

    @Test(arguments: groups) func routesAsLinuxDoes(_ group: ContractGroup) throws {
      try ContractRunner(group).run()
    }
  }
}

extension ContractGroup: CustomTestStringConvertible {
  var testDescription: String { name }
}
