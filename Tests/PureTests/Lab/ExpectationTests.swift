// SPDX-License-Identifier: Apache-2.0
import Lab
import OrderedJSON
import Testing

@Suite struct ExpectationTests {
  private let document: JSON = [
    "interfaces": [
      "p1": [
        "hook": "none",
        "graph": ["bridge": ["conf": ["STP_enabled": true]], "router": ["conf": [:]]],
        "slow_path": [["reason": "ipv6-not-modelled", "scope": "packets"]],
      ],
      "eth0.10": ["hook": "tc"],
    ]
  ]

  @Test(arguments: [
    "interfaces.p1.graph.bridge.conf.STP_enabled == true", "interfaces.p1.hook != \"xdp\"",
    "interfaces.p1.graph nodes bridge router", "interfaces.p1.slow_path has ipv6-not-modelled",
    "interfaces.p1.slow_path lacks forwarding-off", "interfaces.p9 absent",
    "interfaces.[eth0.10].hook == \"tc\"", "interfaces.p1.slow_path.0.scope == \"packets\"",
  ])
  func holds(_ text: String) throws {
    #expect(try Expectation(text).problem(in: document) == nil)
  }

  @Test(arguments: [
    "interfaces.p1.graph.bridge.conf.STP_enabled == false", "interfaces.p1.hook != \"none\"",
    "interfaces.p1.graph nodes router bridge", "interfaces.p1.graph nodes bridge",
    "interfaces.p1.slow_path has forwarding-off", "interfaces.p1.slow_path lacks ipv6-not-modelled",
    "interfaces.p1 absent", "interfaces.p9 present", "interfaces.p9.hook == \"tc\"",
    "interfaces.p9.slow_path lacks x", "interfaces.p9.hook != \"tc\"",
  ])
  func fails(_ text: String) throws {
    #expect(try Expectation(text).problem(in: document) != nil)
  }

  @Test(arguments: ["", "a", "a == ", "a is b", "a has", "a absent now"])
  func refusesWhatItDoesNotUnderstand(_ text: String) {
    #expect(throws: LabError.self) { try Expectation(text) }
  }

  @Test func commandLinesAreSplitAtBlanksOutsideQuotes() {
    #expect(
      Command.split("ip  link set 'a b' \"\" x\"y z\"") == ["ip", "link", "set", "a b", "", "xy z"])
  }
}
