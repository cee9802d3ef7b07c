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
      general: try general(for: interface), config: Self.config(interface, hooks))
  }

  /// The one program that would do on every interface with this hook: it is at hand while the one that
  /// was made for an interface is being compiled. `nil` where it does not do.
  package func general(for interface: InterfaceGraph) throws(TemplateError) -> String? {
    try template.render(with: common(isXDP: interface.hook != .tc, general: true))
  }

  /// What the general programs are, for having them compiled before they are needed.
  package func generals() throws(TemplateError) -> [String] {
    var sources: [String] = []
    for isXDP in [true, false] {
      sources.append(try template.render(with: common(isXDP: isXDP, general: true)))
    }
    return sources
  }

  private func common(isXDP: Bool, general: Bool) -> JSON {
    var variables = JSON.Object()
    variables.append("general", .bool(general))
    variables.append("layout", .string(layout))
    variables.append("reasons", .array(Self.reasons))
    variables.append("hook", .string(isXDP ? "xdp" : "tc"))
    variables.append("context", .string(isXDP ? "struct xdp_md" : "struct __sk_buff"))
    if general {
      variables.append("modules", ["bridge", "router"])
      variables.append("bridge", [:])
      variables.append("router", [:])
      variables.append("routes_into_bridges", .bool(isXDP))
    }
    return .object(variables)
  }

  private func variables(_ interface: InterfaceGraph, _ hooks: HarmlessHooks) -> JSON {
    let isXDP = interface.hook != .tc
    var variables = common(isXDP: isXDP, general: false).object ?? JSON.Object()
    variables.append("veth", .bool(interface.device.isVeth))
    let modules = interface.nodes.filter { interface.fast.contains($0.module) }
    var names: [String] = []
    for name in modules.map(\.module.rawValue) where !names.contains(name) { names.append(name) }
    variables.append("modules", .array(names.map { .string($0) }))
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
      intoBridges = isXDP && interface.device.bridgesExist
    }
    variables.append("routes_into_bridges", .bool(intoBridges))
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
    var flags: UInt64 = 0
    if interface.nodes.first?.module == .bridge, interface.fast.contains(.bridge) { flags |= 1 }
    if interface.fast.contains(.router) { flags |= 2 }
    if hooks.bridge.contains(where: { !$0.isEmpty }) { flags |= 4 }
    if interface.device.isVeth { flags |= 8 }
    var words = [flags, interface.device.receiveHandler]
    for functions in places {
      words.append(UInt64(functions.count))
      words += (0..<4).map { $0 < functions.count ? functions[$0] : 0 }
    }
    return words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
  }
}

package struct FastPathProgram: Equatable, Sendable {
  package let source: String
  /// A program that does the same and is slower, but may be at hand already.
  package let general: String?
  /// What its constant `config` holds.
  package let config: [UInt8]
}
