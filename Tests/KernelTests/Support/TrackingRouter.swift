// SPDX-License-Identifier: Apache-2.0
import Lab

/// Two hosts and a router between them that follows connections, with fpd.
final class TrackingRouter {
  let bed: Testbed
  let fpd: Fpd
  var router: Namespace { get throws { try bed["router"] } }
  var inside: Namespace { get throws { try bed["left"] } }
  var outside: Namespace { get throws { try bed["right"] } }

  /// `prepare` sets the router up, before fpd is started.
  init(
    _ hook: String, connections: String? = nil, prepare: (Namespace) throws -> Void
  ) throws {
    bed = try Testbed.hostRouterHost()
    let router = try bed["router"]
    try prepare(router)
    for host in [try bed["left"], try bed["right"]] {
      // On XDP a frame has its checksum, and who is to take it has NAPI.
      let rest = hook == "xdp" ? "tx off tso off gso off txvlan off" : ""
      try host.run("ethtool -K eth0 gro on \(rest)")
    }
    fpd = try Fpd(
      in: router,
      configuration: FastLine.configuration(hook)
        + (connections.map { "connections: \($0)\n" } ?? ""))
    try fpd.wait()
  }

  func table() throws -> [String] {
    try router.attempt(["conntrack", "-L"]).output.split(separator: "\n").map(String.init)
  }

  /// Packets that came in by an interface: what was forwarded of them, and all.
  func counts(_ interface: String) throws -> (fast: Int64, all: Int64) {
    let stats = try fpd.stats(interface)
    let punted = stats.punted.values.reduce(0, +)
    return (stats.forwarded, stats.forwarded + stats.dropped + punted)
  }
}
