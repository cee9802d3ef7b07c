// SPDX-License-Identifier: Apache-2.0
import Introspection
import Synth
import Testing
import Topology

@Suite struct TopologyVLANTests {
  @Test func aBridgeThatFiltersByVLANIsFastAndItsProgramKnowsVLANs() {
    let state = NetworkState.switching(ports: ["p1"]) { $0.vlanFiltering = true }
    let port = Topology.derive(state)["p1"]
    #expect(port?.fast == [.bridge])
    #expect(port?.hook == .tc)
    #expect(port?.device.meetsVLANs == true)
  }

  @Test func aBridgeThatDoesNotFilterPaysNothing() {
    let port = Topology.derive(.switching(ports: ["p1"]))["p1"]
    #expect(port?.fast == [.bridge])
    #expect(port?.device.meetsVLANs == false)
  }

  @Test func providerBridgesAndSpanningTreesPerVLANStaySlow() {
    let provider = NetworkState.switching(ports: ["p1"]) {
      $0.vlanFiltering = true
      $0.vlanProtocol = 0x88a8
    }
    #expect(Topology.derive(provider)["p1"]?.fast == [])
    let groups = NetworkState.switching(ports: ["p1"]) {
      $0.vlanFiltering = true
      $0.multipleSpanningTree = true
    }
    #expect(Topology.derive(groups)["p1"]?.fast == [])
  }

  @Test(arguments: [true, false]) func routingIntoAFilteringBridgeKnowsVLANs(filters: Bool) {
    var state = NetworkState.switching(ports: ["p1"]) { $0.vlanFiltering = filters }
    state.links.append(.device("eth9", 9))
    state.addAddress(of: "br0", [192, 0, 2, 1])
    state.addAddress(of: "eth9", [198, 51, 100, 1])
    state.forward()
    let interface = Topology.derive(state)["eth9"]
    #expect(interface?.fast == [.router])
    #expect(interface?.device.meetsVLANs == filters)
  }

  /// The program's text tells whether VLANs are in it; the VLANs themselves are read live and are not.
  @Test func theProgramHasVLANsWhereABridgeFilters() throws {
    let template = try Golden.projectFile("templates/\(FastPath.templateName)")
    let fastPath = try FastPath(template, layout: "")
    func program(_ state: NetworkState) throws -> String {
      let graph = Topology.derive(state)
      let port = try #require(graph["p1"])
      return try #require(try fastPath.program(for: port, hooks: graph.hooks)).source
    }
    var filtering = NetworkState.switching(ports: ["p1"]) { $0.vlanFiltering = true }
    let with = try program(filtering)
    #expect(with.contains("#define FILTERS_VLANS 1\n"))
    #expect(try program(.switching(ports: ["p1"])).contains("#define FILTERS_VLANS 0\n"))
    filtering.edit("p1") {
      $0.vlans = [PortVLAN(first: 10, last: 10, pvid: true, untagged: true)]
    }
    #expect(try program(filtering) == with)
  }
}
