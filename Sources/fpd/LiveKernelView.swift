// SPDX-License-Identifier: Apache-2.0
import Datapath
import Introspection

/// Joins the two rooms: what the Datapath's programs read, in Introspection's words.
final class LiveKernelView: LiveView {
  private let source: ObjectSource
  private var view: KernelView
  private var knowsChains = false
  /// Where the replaces of iptables-legacy are counted.
  var replaces: ReplaceCounter?

  init(_ source: ObjectSource) throws(DatapathError) {
    self.source = source
    view = try KernelView(source)
  }

  /// As the kernel has them now. Chains have names as soon as their module tells its types, which may have come
  /// after the programs that look at them.
  private func found() throws -> [KernelView.Hook] {
    let found = try view.hooks()
    let areNameless = found.contains { $0.function.hasPrefix("nft_do_chain") && $0.chain.isEmpty }
    guard areNameless, !knowsChains, KernelLayout.load(of: "nf_tables") != nil else { return found }
    view = try KernelView(source)
    knowsChains = true
    return try view.hooks()
  }

  func identity() throws -> KernelIdentity {
    let read = try view.identity()
    var identity = KernelIdentity()
    identity.hooks = read.hooks
    identity.xtables = read.xtables
    identity.nftables = read.nftables
    identity.devices = read.devices
    if view.namespaceTaps == nil {
      identity.devices = identity.devices &* 31 &+ UInt64(PacketSockets.tapsOnAllDevices())
    }
    identity.deviceSettings = read.device_conf
    identity.routes = read.routes
    identity.policies = read.policies
    identity.replaces = replaces?.count ?? 0
    return identity
  }

  func hooks() throws -> [NetfilterHook] {
    try found().compactMap { hook in
      guard let family = NetfilterHook.Family(rawValue: hook.family),
        let point = NetfilterHook.Point(rawValue: hook.point)
      else { return nil }
      var known = NetfilterHook(
        family: family, point: point, priority: hook.priority, function: hook.function,
        table: hook.table, chain: hook.chain)
      known.address = hook.address
      known.argument = hook.owner
      if hook.rulesetPlace != 0 {
        known.ruleset = .init(place: hook.rulesetPlace, ruleset: hook.ruleset)
      }
      return known
    }
  }

  func ruleEpoch() throws -> RuleEpoch? {
    let replaces = replaces?.count
    let hooks = try hooks()
    guard let generation = view.generation else {
      return RuleEpoch(hooks, generation: nil, replaces: replaces)
    }
    if generation.isUnderWay { return nil }
    return RuleEpoch(
      hooks, generation: .init(place: generation.place, number: generation.number),
      replaces: replaces)
  }

  func devices(_ links: [Int32]) throws -> [DeviceView] {
    let devices = try view.devices(links)
    let everywhere = view.namespaceTaps ?? PacketSockets.tapsOnAllDevices()
    return devices.map { device in
      var view = DeviceView(link: device.index)
      view.tcxIngress = device.record.tcx_ingress
      view.tcxEgress = device.record.tcx_egress
      view.netfilterIngress = device.record.nf_ingress
      view.netfilterEgress = device.record.nf_egress
      view.taps = device.record.taps &+ everywhere
      view.receiveHandler = device.receiveHandler
      view.stripsTags = device.record.strips_tags != 0
      view.receiveHandlerAddress = device.record.rx_handler_address
      return view
    }
  }
}
