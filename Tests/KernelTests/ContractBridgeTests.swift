// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

extension Kernel {
  /// The fast path does to every frame what the kernel's bridge does, or leaves it to the bridge.
  @Suite(.needsFpd) struct ContractBridgeTests {
    private static let groups: [ContractGroup] = [
      ContractGroup("frames", on: .bridge, ContractBridgeCases.frames),
      ContractGroup("ports", on: .bridge, ContractBridgeCases.ports),
      ContractGroup("forwarding database", on: .bridge, ContractStationCases.entries),
      ContractGroup("bridge filters", on: .bridge, ContractBridgeFilterCases.filters),
      ContractGroup("br_netfilter", on: .filteredBridge, ContractBridgeFilterCases.brNetfilter),
      ContractGroup(
        "containers on a bridge", on: .bridge, hooks: ["tc"], ContractPeerCases.bridged),
      ContractGroup("bridge and router", on: .bridgeRouter, ContractBridgeFilterCases.routed),
    ]

    @Test(arguments: groups) func bridgesAsLinuxDoes(_ group: ContractGroup) throws {
      try ContractRunner(group).run()
    }
  }
}
