// SPDX-License-Identifier: Apache-2.0
import Lab

/// What a person knows of a configuration, and what Linux does with the frames of a flow under it. Written
/// without a look at fpd, and held against Linux alone by the same tests.
struct CoherenceModel {
  enum Topology: String, CaseIterable, Sendable { case router, bridge, both }

  typealias Outcome = LoadWitness.Outcome

  /// A station is known by its MAC address.
  enum Station: Hashable {
    /// One that bridged flows are sent to.
    case numbered(Int)
    /// A host's, as the neighbour table has it: one of two.
    case ofHost(Int, other: Bool)

    var mac: String {
      switch self {
      case .numbered(let number): "02:00:00:00:10:0\(String(number, radix: 16))"
      case .ofHost(let host, let other): "02:00:00:00:2\(other ? 1 : 0):0\(host)"
      }
    }

    var isOther: Bool { if case .ofHost(_, true) = self { true } else { false } }
  }

  enum Route: Equatable {
    case via(Int)
    case nowhere(String)
  }

  static let flows = 16
  static let hosts = 3
  let topology: Topology

  // Routing.
  var routes: [Int: Route] = [:]
  var addresses: Set<Int> = []
  var policies: Set<Int> = []
  var hasOtherStation: Set<Int> = []
  var reversePath = 0
  var isForwarding = true

  // Rules, each way of its own.
  var legacy: Set<Int> = []
  var nftables: Set<Int> = []
  var elements: Set<Int> = []
  var members: Set<Int> = []

  // Devices, by the host behind.
  var isDown: Set<Int> = []
  var isSmall: Set<Int> = []

  // Bridging.
  var ports: Set<Int> = []
  var entries: [Station: Int] = [:]
  var isIsolated: Set<Int> = []
  var filtered: Set<Int> = []

  init(_ topology: Topology) {
    self.topology = topology
    switch topology {
    case .router: break
    case .bridge: ports = [0, 1, 2]
    case .both: ports = [0, 1]
    }
    for station in bridgedStations { entries[.numbered(station)] = station % ports.count }
    guard topology == .both else { return }
    for host in ports {
      entries[.ofHost(host, other: false)] = host
      entries[.ofHost(host, other: true)] = host
    }
  }

  // MARK: What is where

  /// The stations that flows are sent to in turn; the last of them is the router where there is one besides
  /// the bridge.
  var bridgedStations: Range<Int> {
    switch topology {
    case .router: 0..<0
    case .bridge: 0..<Self.flows
    case .both: 0..<3
    }
  }

  var stationsCount: Int { topology == .both ? 4 : max(1, bridgedStations.count) }

  func isRouted(_ flow: Int) -> Bool {
    !bridgedStations.contains(flow % stationsCount) || topology == .router
  }

  var routedFlows: [Int] { (0..<Self.flows).filter(isRouted) }

  /// Whether a host is reached through the bridge.
  func isBehindBridge(_ host: Int) -> Bool { topology == .both && host < 2 || topology == .bridge }

  /// Of flows with an odd number the source is elsewhere than where they come from.
  func comesFromElsewhere(_ flow: Int) -> Bool { !flow.isMultiple(of: 2) }

  // MARK: What Linux does

  func outcome(of flow: Int) -> Outcome {
    isRouted(flow) ? routed(flow) : bridged(flow % stationsCount)
  }

  var outcomes: [Outcome] { (0..<Self.flows).map(outcome) }

  private func routed(_ flow: Int) -> Outcome {
    let isDropped = [legacy, nftables, elements, members, addresses, policies].contains {
      $0.contains(flow)
    }
    if isDropped || !isForwarding || reversePath == 1 && comesFromElsewhere(flow) {
      return .nothing
    }
    guard case .via(let host) = routes[flow] ?? .via(0) else { return .nothing }
    let isOther = hasOtherStation.contains(host)
    if isBehindBridge(host) { return carried(to: .ofHost(host, other: isOther)) }
    return .host(host, other: isOther, inPieces: isSmall.contains(host))
  }

  private func bridged(_ station: Int) -> Outcome {
    if filtered.contains(station) { return .nothing }
    guard let host = entries[.numbered(station)], !isIsolated.contains(host) else {
      return .nothing
    }
    return carried(to: .numbered(station))
  }

  private func carried(to station: Station) -> Outcome {
    guard let host = entries[station], ports.contains(host), !isDown.contains(host),
      !isSmall.contains(host)
    else { return .nothing }
    return .host(host, other: station.isOther)
  }
}
