// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab

/// What grows: packets, CPUs, tables.
extension Speed {
  /// A router and larger and larger frames.
  func sizes() throws {
    for length in quick ? [60, 508, 1514] : [60, 124, 252, 508, 1020, 1514] {
      let (bed, router) = try routerBed()
      try forwarding(
        "router, frames of \(length + 4) bytes", through: router,
        generator(in: bed, to: router, length: length),
        to: LoadSink(in: try bed["right"], device: "eth0"), beside: [.redirect], hooks: ["xdp"],
        isShort: true)
      bed.close()
    }
  }

  /// A router, and a gateway with 100 rules, of which each CPU has two ports: generator, router and sink are on it.
  func cores() throws {
    let bed = Testbed()
    let router = try bed.add("router")
    try router.sysctl("net.ipv4.ip_forward=1")
    var lines: [LoadMeasurement.Line] = []
    for number in 0...cpu {
      let (left, right) = (try bed.add("left\(number)"), try bed.add("right\(number)"))
      let (near, far) = ("10.\(number).1", "10.\(number).2")
      let ports = [2 * number + 1, 2 * number + 2].map { "p\($0)" }
      try bed.cable(.init(left, "eth0", "\(near).2/24"), .init(router, ports[0], "\(near).1/24"))
      try bed.cable(.init(right, "eth0", "\(far).2/24"), .init(router, ports[1], "\(far).1/24"))
      let mac = try right.mac(of: "eth0")
      try router.ip(
        batch: ["neigh replace \(far).2 lladdr \(mac) dev \(ports[1]) nud permanent"]
          + (0..<prefixes).map { "route add 10.\(100 + number).\($0).0/24 via \(far).2" })
      try router.run("ethtool -K \(ports[0]) gro on")
      let sink = try LoadSink(in: right, device: "eth0")
      guard let source = IPv4Address("\(near).2"),
        let destination = IPv4Address("10.\(100 + number).0.1")
      else { throw LabError("addresses of CPU \(number)") }
      let traffic = try LoadTraffic(
        from: left.mac(of: "eth0"), source, to: router.mac(of: ports[0]), destination
      ) { spread(&$0) }
      lines.append(
        .init(
          try LoadGenerator(in: left, device: "eth0", traffic), cpu: number,
          arrived: { sink.count.frames }))
    }
    for rules in [0, 100] {
      try Self.iptables.load(rules, router)
      for count in quick ? [cpu + 1] : Array(1...cpu + 1) {
        let used = Array(lines.suffix(count))
        try measure(
          "\(rules > 0 ? "gateway, 100 rules" : "router"), on \(count) CPUs",
          [
            Way(name: Self.linux, lines: used) { .kernel },
            Way(name: "fpd, xdp", lines: used) {
              .fpd(try Self.start("xdp", in: router), (1...2 * (self.cpu + 1)).map { "p\($0)" })
            },
          ], isShort: true)
      }
    }
    bed.close()
  }

  /// Tables that grow, all of which is used: routes, and a bridge's stations.
  func scale() throws {
    for routes in quick ? [50, 10_000] : [50, 10_000, 1_000_000] { try router(routes: routes) }
    for stations in quick ? [50, 10_000] : [50, 1000, 100_000] {
      try bridge("bridge, \(stations) stations", stations: stations, flows: stations) {
        try forwarding(
          $0, through: $1, $2, to: $3, beside: [.stations], hooks: ["xdp"], isShort: true)
      }
    }
  }

  private func router(routes: Int) throws {
    let (bed, router) = try routerBed()
    Terminal.progress("\(routes) routes")
    let first: IPv4Address = "20.0.0.0"
    try router.ip(
      batch: (0..<routes).lazy.map {
        "route add \(IPv4Address(first.value + UInt32($0) * 16))/28 via 10.0.2.2"
      })
    let left = try bed["left"]
    let traffic = try LoadTraffic(
      from: left.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "20.0.0.1"
    ) {
      $0.flows = routes
      $0.destinations = routes
      $0.step = 16
    }
    try forwarding(
      "router, \(routes) routes", through: router,
      LoadGenerator(in: left, device: "eth0", traffic),
      to: LoadSink(in: try bed["right"], device: "eth0"), beside: [.routes], hooks: ["xdp"],
      isShort: true)
    bed.close()
  }
}
