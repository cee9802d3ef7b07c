// SPDX-License-Identifier: Apache-2.0
import Introspection
import OrderedJSON
import Rules
import Topology

/// Turns an interface's graph into a program. Pure: the same graph gives the same text.
package struct FastPath: Sendable {
  private let template: Template
  private let layout: String
  private let isShadow: Bool

  /// `text` is the template; `layout` is where things lie in the kernel's memory. Programs for shadow mode
  /// note what they decide instead of doing it.
  package init(
    _ text: String, layout: String, isShadow: Bool = false
  ) throws(TemplateError) {
    self.layout = layout
    self.isShadow = isShadow
    template = try Template(text, name: Self.templateName)
  }

  package static let templateName = "fastpath.c.tmpl"

  /// The program for an interface; `nil` when it would only hand packets on. `cache` keeps the texts of
  /// shapes that many interfaces have. One that judges by rules is made for `rules`, and not without.
  package func program(
    for interface: InterfaceGraph, hooks: HarmlessHooks, rules: JudgedRules? = nil,
    cache: inout [String: String]
  ) throws(TemplateError) -> FastPathProgram? {
    guard interface.hook != .none, !interface.fast.isEmpty else { return nil }
    let rules = interface.judgesRules ? rules : nil
    let expected = rules.flatMap { ExpectedRules($0.epoch) }
    if interface.judgesRules, expected == nil { return nil }
    let isXDP = interface.hook != .tc
    let shape = shape(interface, hooks, rules?.shape)
    let filtersVLANs = shape["filters_vlans"] == true
    return FastPathProgram(
      source: try text(shape, isXDP, &cache),
      // The general program knows nothing of rules.
      general: filtersVLANs || interface.judgesRules || interface.device.rulesExist
        ? nil : try text(Self.generalShape(isXDP), isXDP, &cache),
      config: Self.config(interface, hooks, expected))
  }

  package func program(
    for interface: InterfaceGraph, hooks: HarmlessHooks, rules: JudgedRules? = nil
  ) throws(TemplateError) -> FastPathProgram? {
    var cache: [String: String] = [:]
    return try program(for: interface, hooks: hooks, rules: rules, cache: &cache)
  }

  private func text(
    _ shape: JSON.Object, _ isXDP: Bool, _ cache: inout [String: String]
  ) throws(TemplateError) -> String {
    let key = (isXDP ? "xdp " : "tc ") + JSON.object(shape).text()
    if let known = cache[key] { return known }
    var variables = shape
    variables.append("layout", .string(layout))
    variables.append("reasons", .array(Self.reasons))
    variables.append("hook", .string(isXDP ? "xdp" : "tc"))
    variables.append("shadow", .bool(isShadow))
    variables.append("context", .string(isXDP ? "struct xdp_md" : "struct __sk_buff"))
    let text = try template.render(with: .object(variables))
    cache[key] = text
    return text
  }

  /// The programs that would do on every interface with a hook: they are at hand while the one that was
  /// made for an interface is being compiled.
  package func generals() throws(TemplateError) -> [String] {
    var cache: [String: String] = [:]
    var sources: [String] = []
    for isXDP in [true, false] {
      sources.append(try text(Self.generalShape(isXDP), isXDP, &cache))
    }
    return sources
  }

  private static func generalShape(_ isXDP: Bool) -> JSON.Object {
    JSON.Object([
      ("general", true), ("modules", ["bridge", "router"]), ("bridge", [:]), ("router", [:]),
      ("routes_into_bridges", true), ("judges_bridged", false),
    ])
  }

  private func shape(
    _ interface: InterfaceGraph, _ hooks: HarmlessHooks, _ rules: ClassifierShape?
  ) -> JSON.Object {
    let isXDP = interface.hook != .tc
    var variables = JSON.Object([("general", false)])
    let isBehind = interface.hook == .genericXDP
    variables.append("veth", .bool(interface.device.isVeth && !isBehind))
    variables.append("behind_veth", .bool(interface.device.isVeth && isBehind))
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
    variables.append("rules_exist", .bool(interface.device.rulesExist))
    variables.append("judges_bridged", .bool(interface.device.judgesBridged))
    variables.append("calls_iptables", .bool(hooks.bridge.contains { !$0.isEmpty }))
    if let bridge = modules.first(where: { $0.module == .bridge }), bridge.conf["bridge"] != nil {
      variables.append("bridge", [:])
    }
    var intoBridges = false
    if let rules { variables.append("filter", ["definitions": .string(rules.definitions)]) }
    if let connections = modules.first(where: { $0.module == .conntrack }) {
      variables.append(
        "connections",
        [
          "nat": connections.conf["nat"] ?? false, "marks": connections.conf["marks"] ?? false,
          "renew_at_once": .bool(!(rules?.precedesTracking ?? false)),
        ])
    }
    if let router = modules.first(where: { $0.module == .router }) {
      let checks = router.conf["rp_filter"]?.string != "off"
      variables.append("router", ["checks_path": .bool(checks)])
      // On TC the bridge's own device takes what this would not carry: all of it where tags are to be written.
      intoBridges = interface.device.bridgesExist && (isXDP || !interface.device.meetsVLANs)
    }
    variables.append("routes_into_bridges", .bool(intoBridges))
    let bridges = intoBridges || modules.contains { $0.module == .bridge }
    variables.append("filters_vlans", .bool(bridges && interface.device.meetsVLANs))
    return variables
  }

  private static let reasons: [JSON] = Reason.counted.compactMap { reason in
    guard let counter = reason.counter else { return nil }
    let name = reason.rawValue.uppercased().split(separator: "-").joined(separator: "_")
    return ["name": .string(name), "counter": .number(counter)]
  }

  /// struct fpd_config of fpm/packet.h, without its end where no rules are judged.
  private static func config(
    _ interface: InterfaceGraph, _ hooks: HarmlessHooks, _ rules: ExpectedRules?
  ) -> [UInt8] {
    var flags: UInt64 = 0
    if interface.nodes.first?.module == .bridge, interface.fast.contains(.bridge) { flags |= 1 }
    if interface.fast.contains(.router) { flags |= 2 }
    if hooks.bridge.contains(where: { !$0.isEmpty }) { flags |= 4 }
    if interface.device.isVeth { flags |= interface.hook == .genericXDP ? 16 : 8 }
    return bytes(
      of: [flags, interface.device.receiveHandler] + words(of: hooks) + (rules?.words ?? []))
  }
}

/// What programs that judge by rules are made from.
package struct JudgedRules: Equatable, Sendable {
  /// Which rules the kernel had.
  package var epoch: RuleEpoch
  package var shape: ClassifierShape

  package init(epoch: RuleEpoch, shape: ClassifierShape) {
    self.epoch = epoch
    self.shape = shape
  }
}

package struct FastPathProgram: Equatable, Sendable {
  package let source: String
  /// A program that does the same and is slower, but may be at hand already.
  package let general: String?
  /// What its constant `config` holds.
  package let config: [UInt8]
}
