// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Topology

/// Turns an interface's graph into a program. Pure: the same graph gives the same text.
package struct FastPath: Sendable {
  private let template: Template
  private let layout: String

  /// `read` gives a template's text by its name; `layout` is where things lie in the kernel's memory.
  package init(_ text: String, layout: String) throws(TemplateError) {
    self.layout = layout
    template = try Template(text, name: Self.templateName)
  }

  package static let templateName = "fastpath.c.tmpl"

  /// The program for an interface; `nil` when it would only hand packets on.
  package func program(
    for interface: InterfaceGraph, hooks: HarmlessHooks
  ) throws(TemplateError) -> FastPathProgram? {
    guard interface.hook != .none, !interface.fast.isEmpty else { return nil }
    return FastPathProgram(
      source: try template.render(with: variables(interface, hooks)),
      config: Self.config(interface, hooks))
  }

  private func variables(_ interface: InterfaceGraph, _ hooks: HarmlessHooks) -> JSON {
    let isXDP = interface.hook != .tc
    var variables = JSON.Object()
    variables.append("layout", .string(layout))
    variables.append("hook", .string(isXDP ? "xdp" : "tc"))
    variables.append("context", .string(isXDP ? "struct xdp_md" : "struct __sk_buff"))
    variables.append("veth", .bool(interface.device.isVeth))
    let modules = interface.nodes.filter { interface.fast.contains($0.module) }
    var names: [String] = []
    for name in modules.map(\.module.rawValue) where !names.contains(name) { names.append(name) }
    variables.append("modules", .array(names.map { .string($0) }))
    variables.append("reasons", .array(Self.reasons))
    variables.append(
      "hooks",
      [
        "ipv4": .array(hooks.ipv4.map { .number($0.count) }),
        "bridge": .array(hooks.bridge.map { .number($0.count) }),
      ])
    variables.append("calls_iptables", .bool(hooks.bridge.contains { !$0.isEmpty }))
    if let bridge = modules.first(where: { $0.module == .bridge }), bridge.conf["bridge"] != nil {
      variables.append("bridge", .object(bridge.conf))
    }
    var intoBridges = false
    if let router = modules.first(where: { $0.module == .router }) {
      let checks = router.conf["rp_filter"]?.string != "off"
      variables.append("router", ["checks_path": .bool(checks)])
      intoBridges = isXDP && router.next == .bridge
    }
    variables.append("routes_into_bridges", .bool(intoBridges))
    let bridges = intoBridges || modules.contains { $0.module == .bridge }
    variables.append("filters_vlans", .bool(bridges && interface.device.meetsVLANs))
    return .object(variables)
  }

  private static let reasons: [JSON] = Reason.counted.compactMap { reason in
    guard let counter = reason.counter else { return nil }
    let name = reason.rawValue.uppercased().split(separator: "-").joined(separator: "_")
    return ["name": .string(name), "counter": .number(counter)]
  }

  /// struct fpd_config of fpm/packet.h.
  private static func config(_ interface: InterfaceGraph, _ hooks: HarmlessHooks) -> [UInt8] {
    let places = [hooks.ipv4[0], hooks.ipv4[2], hooks.ipv4[4]] + hooks.bridge
    var words = [interface.device.receiveHandler]
    for functions in places {
      words += (0..<4).map { $0 < functions.count ? functions[$0] : 0 }
    }
    return words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
  }
}

package struct FastPathProgram: Equatable, Sendable {
  package let source: String
  /// What its constant `config` holds.
  package let config: [UInt8]
}
