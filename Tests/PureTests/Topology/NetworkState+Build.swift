// SPDX-License-Identifier: Apache-2.0
import Introspection

// States as tests need them: small, complete and explicit.

extension Link {
  static func device(_ name: String, _ index: Int32) -> Link {
    var link = Link()
    link.name = name
    link.index = index
    link.hardware = Link.ethernet
    link.up = true
    link.carrier = true
    link.mtu = 1500
    link.address = [2, 0, 0, 0, 0, UInt8(index)]
    return link
  }

  static func veth(_ name: String, _ index: Int32) -> Link {
    var link = device(name, index)
    link.kind = .veth
    link.kindName = "veth"
    return link
  }
}

extension NetworkState {
  static func namespace(_ links: [Link]) -> NetworkState {
    var loopback = Link.device("lo", 1)
    loopback.hardware = Link.loopback
    var state = NetworkState()
    state.links = [loopback] + links
    state.hooks = []
    state.deviceViews = []
    return state
  }

  /// Two wired interfaces with addresses, forwarding on.
  static func router() -> NetworkState {
    var state = namespace([.device("eth1", 2), .device("eth2", 3)])
    state.addAddress(of: "eth1", [192, 0, 2, 1])
    state.addAddress(of: "eth2", [198, 51, 100, 1])
    state.forward()
    return state
  }

  /// A bridge `br0` with ports.
  static func switching(
    ports: [String], _ edit: (inout BridgeSettings) -> Void = { _ in }
  ) -> NetworkState {
    var settings = BridgeSettings()
    edit(&settings)
    var bridge = Link.device("br0", 2)
    bridge.kind = .bridge(settings)
    bridge.kindName = "bridge"
    var links = [bridge]
    for (place, name) in ports.enumerated() {
      var link = Link.veth(name, Int32(3 + place))
      link.master = 2
      link.slaveKind = "bridge"
      var port = BridgePort()
      port.state = .forwarding
      link.port = port
      links.append(link)
    }
    return namespace(links)
  }

  mutating func edit(_ name: String, _ change: (inout Link) -> Void) {
    for place in links.indices where links[place].name == name { change(&links[place]) }
  }

  mutating func addAddress(of name: String, _ bytes: [UInt8]) {
    guard let link = links.first(where: { $0.name == name }) else { return }
    addresses.append(
      Address(link: link.index, family: .ipv4, bytes: bytes, prefixLength: 24, scope: 0))
    routes.ipv4.insert(.plain)
  }

  mutating func forward() {
    sysctls.forwarding = true
    for place in links.indices { links[place].settings.forwarding = true }
  }
}

extension RuleTable {
  /// A table `filter` of iptables-legacy with rules in one chain.
  static func filter(
    rules: Int, unmodelled: Int = 0, hook: ChainHook = .forward, policy: Verdict = .accept
  ) -> RuleTable {
    var table = RuleTable(family: .ip, name: "filter", backend: .iptablesLegacy)
    var chain = Chain(
      name: hook.name.uppercased(),
      base: BaseChain(hook: hook, priority: 0, type: "filter", policy: policy))
    for place in 0..<rules {
      var rule = Rule(handle: UInt64(place + 1))
      rule.target = place < unmodelled ? .unknown(UnknownExtension("LOG")) : .drop
      chain.rules.append(rule)
    }
    table.chains = [chain]
    return table
  }
}

extension NetfilterHook {
  static func legacy(_ point: Point) -> NetfilterHook {
    NetfilterHook(
      family: .ipv4, point: point, priority: 0, function: "ipt_do_table", table: "filter", chain: ""
    )
  }
}
