// SPDX-License-Identifier: Apache-2.0
import Foundation
import Introspection
import Synth
import Testing
import Topology

/// Programs as they are rendered, compared with the files in Fixtures/synth.
@Suite struct FastPathTests {
  @Test(arguments: FastPathShape.allCases)
  func programIsAsKept(_ shape: FastPathShape) throws {
    try Golden.expect(shape.program().source, equals: "synth/\(shape.rawValue).c")
  }

  @Test func everyKeptProgramIsOneThatIsRendered() throws {
    let kept = try Golden.files(in: "synth")
    #expect(Set(kept) == Set(FastPathShape.allCases.map { "\($0.rawValue).c" }))
  }

  @Test(arguments: FastPathShape.allCases)
  func sameGraphGivesTheSameProgram(_ shape: FastPathShape) throws {
    #expect(try shape.program() == shape.program())
  }

  @Test func wiredRouterHasNoBridgeNoVethAndNoWayBack() throws {
    let source = try FastPathShape.routerXDP.program().source
    for absent in ["bridge", "define BRIDGE_", "tc.h", "segment_of", "config.flags"] {
      #expect(!source.contains(absent), "\(absent)")
    }
    #expect(source.contains("#define DEVICE_IS_VETH 0\n"))
    #expect(source.contains("#define ROUTER_CHECKS_PATH 0\n"))
  }

  @Test func onlyVethLooksAtTheSocketBuffer() throws {
    for shape in FastPathShape.allCases where !shape.isGeneral {
      let source = try shape.program().source
      let expected = shape == .routerXDPVeth || shape.isWhole ? 1 : 0
      #expect(source.contains("#define DEVICE_IS_VETH \(expected)\n"), "\(shape)")
    }
  }

  @Test func onlyARouterThatFiltersChecksTheWayBack() throws {
    for shape in FastPathShape.allCases where !shape.isGeneral {
      let source = try shape.program().source
      let checks = source.contains("#define ROUTER_CHECKS_PATH 1\n")
      #expect(checks == (shape == .routerStrict || shape.isWhole), "\(shape)")
    }
  }

  /// A router knows of bridges; on TC those that filter by VLAN are left to their devices.
  private static let carrying: [FastPathShape] = [
    .routerIntoBridges, .bridgeRouterXDP, .bridgeCalledFilterXDP, .bridgeRouterTC,
    .bridgeFilterRouterTC,
  ]

  @Test func onlyWhatHasToDoWithBridgesIncludesThem() throws {
    for shape in FastPathShape.allCases {
      let source = try shape.program().source
      let needed = shape.isBridge || shape.isGeneral || shape == .routerIntoBridges
      #expect(source.contains("#include \"bridge.h\"") == needed, "\(shape)")
      #expect(source.contains("fp_bridge_decide") == (shape.isBridge || shape.isGeneral))
      let carries = shape.isGeneral || Self.carrying.contains(shape)
      #expect(source.contains("fp_bridge_carry") == carries, "\(shape)")
    }
  }

  @Test func onlyABridgeThatFiltersByVLANLooksAtTags() throws {
    for shape in FastPathShape.allCases where shape.isBridge {
      let filters = [.bridgeVLANsXDP, .bridgeVLANsTC].contains(shape) || shape.isWhole
      let source = try shape.program().source
      #expect(source.contains("#define FILTERS_VLANS \(filters ? 1 : 0)\n"), "\(shape)")
    }
  }

  @Test func aSwitchHasNoRouter() throws {
    for shape in [FastPathShape.bridgeXDP, .bridgeTC, .bridgeFiltered, .bridgeVLANsXDP] {
      let source = try shape.program().source
      for absent in ["router", "fp_parse_ipv4", "ROUTER_CHECKS_PATH"] {
        #expect(!source.contains(absent), "\(shape): \(absent)")
      }
    }
  }

  @Test func onlyACalledFirewallMakesABridgeLookAtPackets() throws {
    let plain = try FastPathShape.bridgeXDP.program().source
    #expect(plain.contains("#define BRIDGE_CALLS_IPTABLES 0\n"))
    #expect(plain.contains("#define BRIDGE_PREROUTING 0\n"))
    let filtered = try FastPathShape.bridgeFiltered.program().source
    #expect(filtered.contains("#define BRIDGE_CALLS_IPTABLES 1\n"))
    #expect(filtered.contains("#define BRIDGE_PREROUTING 1\n"))
    #expect(filtered.contains("#define IPV4_PREROUTING 1\n"))
  }

  @Test(arguments: FastPathShape.allCases)
  func aProgramIsOfOneHook(_ shape: FastPathShape) throws {
    let source = try shape.program().source
    #expect(source.contains("#include \"xdp.h\"") == shape.isXDP)
    #expect(source.contains("#include \"tc.h\"") == !shape.isXDP)
    #expect(source.contains("SEC(\"xdp\") int fpd_xdp(") == shape.isXDP)
    #expect(source.contains("SEC(\"tc\") int fpd_tc(") == !shape.isXDP)
  }

  /// What decides is the same text; only what is done about it is not.
  @Test(arguments: FastPathShape.allCases)
  func shadowModeChangesTheEndAlone(_ shape: FastPathShape) throws {
    let hook = shape.isXDP ? "xdp" : "tc"
    let acting = try shape.program().source.split(separator: "\n", omittingEmptySubsequences: false)
    let deciding = try shape.program(isShadow: true).source
      .split(separator: "\n", omittingEmptySubsequences: false)
    let changes = deciding.difference(from: acting)
    func lines(_ changes: [CollectionDifference<Substring>.Change]) -> [Substring] {
      changes.map { change in
        switch change {
        case .insert(_, let line, _), .remove(_, let line, _): line
        }
      }
    }
    #expect(lines(changes.removals) == ["\treturn fp_\(hook)_finish(context, &packet, outcome);"])
    #expect(
      lines(changes.insertions) == [
        "#include \"shadow.h\"", "\t/* the kernel does what is to be done */",
        "\treturn fp_\(hook)_shadow(context, &packet, outcome);",
      ])
  }

  @Test func thereAreTwoGeneralPrograms() throws {
    let template = try Golden.projectFile("templates/\(FastPath.templateName)")
    let generals = try FastPath(template, layout: FastPathShape.layout).generals()
    #expect(
      generals == [
        try FastPathShape.generalXDP.program().source, try FastPathShape.generalTC.program().source,
      ])
  }

  @Test func noProgramWhereNothingIsFinished() throws {
    let template = try Golden.projectFile("templates/\(FastPath.templateName)")
    let fastPath = try FastPath(template, layout: "")
    let graph = Topology.derive(.router())
    var interface = try #require(graph["eth1"])
    #expect(try fastPath.program(for: interface, hooks: graph.hooks) != nil)
    interface.fast = []
    #expect(try fastPath.program(for: interface, hooks: graph.hooks) == nil)
    interface.fast = [.router]
    interface.hook = .none
    #expect(try fastPath.program(for: interface, hooks: graph.hooks) == nil)
  }

  // MARK: Constants

  /// Words of `config`: flags, rx_handler, and for each of eight hooks a count and twelve functions.
  private func words(_ config: [UInt8]) -> [UInt64] {
    stride(from: 0, to: config.count, by: 8).map { start in
      config[start..<start + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
  }

  /// struct fpd_config as C counts it, from the text of the header.
  @Test func configIsAsLargeAsItsStructure() throws {
    let header = try Golden.projectFile("fpm/packet.h")
    func number(_ pattern: String) throws -> Int {
      let match = try #require(try Regex(pattern).firstMatch(in: header), "\(pattern)")
      return try #require(match.output[1].substring.flatMap { Int($0) })
    }
    let functions = try number(#"enum \{ HOOK_FUNCTIONS = (\d+) \}"#)
    #expect(header.contains("u64 functions[HOOK_FUNCTIONS];"))
    let structure = try #require(
      header.range(of: "struct fpd_config {").flatMap { start in
        header[start.upperBound...].range(of: "};").map { start.upperBound..<$0.lowerBound }
      })
    let members = header[structure].split(separator: "\n").filter { $0.contains(";") }
    let plain = members.count { $0.contains("u64 ") }
    let hooks = try number(#"struct expected_hook ipv4\[(\d+)\];"#)
    let bridges = try number(#"struct expected_hook bridge\[(\d+)\];"#)
    #expect(members.count == plain + 3 && members.last?.contains("expected_rules rules;") == true)
    #expect(functions == HarmlessHooks.capacity)
    // What follows is written for those that judge by rules only.
    let size = plain + (hooks + bridges) * (1 + functions)
    for shape in FastPathShape.allCases {
      let rules = shape.classifier == nil ? 0 : (hooks + bridges) * functions + 20
      #expect(try shape.program().config.count == 8 * (size + rules), "\(shape)")
    }
  }

  @Test func configTellsWhatStandsOnEachHook() throws {
    let filtered = words(try FastPathShape.bridgeFiltered.program().config)
    let size = 1 + HarmlessHooks.capacity
    let hooks = stride(from: 2, to: filtered.count, by: size).map {
      Array(filtered[$0..<$0 + size])
    }
    func one(_ function: UInt64) -> [UInt64] {
      [1, function] + [UInt64](repeating: 0, count: size - 2)
    }
    let none = [UInt64](repeating: 0, count: size)
    #expect(
      hooks == [
        one(0x51), none, none,  // IPv4: prerouting, forward, postrouting
        one(0x61), none, one(0x62), none, one(0x63),
      ])
    let routed = words(try FastPathShape.routerHooks.program().config)
    #expect(Array(routed[2..<2 + 3 * size]) == one(0x51) + none + one(0x52))
  }

  @Test func flagsTellTheGeneralProgramWhatToDo() throws {
    func flags(_ shape: FastPathShape) throws -> UInt64 { words(try shape.program().config)[0] }
    #expect(try flags(.routerXDP) == 2)
    #expect(try flags(.routerXDPVeth) == 2 | 8)
    #expect(try flags(.bridgeXDP) == 1)
    #expect(try flags(.bridgeFiltered) == 1 | 4)
    #expect(try flags(.bridgeRouterTC) == 1 | 2)
    // A router that has bridges behind it is not on a port itself.
    #expect(try flags(.routerIntoBridges) == 2)
    let header = try Golden.projectFile("fpm/packet.h")
    for (place, name) in ["BRIDGE", "ROUTER", "CALLS_IPTABLES", "VETH"].enumerated() {
      #expect(header.contains("CONFIG_\(name) = 1 << \(place),"))
    }
  }

  @Test func theReceiveHandlerIsTheBridges() throws {
    var state = NetworkState.wiredSwitch()
    var view = DeviceView(link: 3)
    view.receiveHandler = "br_handle_frame [bridge]"
    view.receiveHandlerAddress = 0xffff_ffff_8123_4567
    state.deviceViews = [view]
    let graph = Topology.derive(state)
    let template = try Golden.projectFile("templates/\(FastPath.templateName)")
    let fastPath = try FastPath(template, layout: "")
    let port = try #require(graph["p1"])
    let program = try #require(try fastPath.program(for: port, hooks: graph.hooks))
    #expect(words(program.config)[1] == 0xffff_ffff_8123_4567)
  }
}
