// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// What forwards, and a host on either side of it.
  struct StreamBed {
    let bed: Testbed
    let forwarder, client, server: Namespace
    let address: IPv4Address
  }

  /// TCP on the hook where GSO packets stay whole: through a router, between two containers, to the
  /// router itself, which fpd looks at and hands on, and masqueraded.
  func streams() throws {
    try streams("through a router") {
      let bed = try Testbed.hostRouterHost()
      return StreamBed(
        bed: bed, forwarder: try bed["router"], client: try bed["left"], server: try bed["right"],
        address: "10.0.2.2")
    }
    try streams("to the router itself") {
      let bed = try Testbed.hostRouterHost()
      return StreamBed(
        bed: bed, forwarder: try bed["router"], client: try bed["left"], server: try bed["router"],
        address: "10.0.1.1")
    }
    try streams("containers on a bridge") {
      let bed = try Testbed.bridged(hosts: 2)
      return StreamBed(
        bed: bed, forwarder: try bed["switch"], client: try bed["h1"], server: try bed["h2"],
        address: "10.0.0.2")
    }
    try streams("masqueraded, out of a container", follows: true) {
      let bed = try Testbed.hostRouterHost()
      let router = try bed["router"]
      try router.run("iptables-legacy -t nat -A POSTROUTING -o p2 -j MASQUERADE")
      return StreamBed(
        bed: bed, forwarder: router, client: try bed["left"], server: try bed["right"],
        address: "10.0.2.2")
    }
  }

  /// Linux and fpd side by side, each in a bed of its own, so that from one to the other nothing has to be started:
  /// what disturbs the machine for more than a moment disturbs both. Half of the rounds are run in new beds.
  private func streams(
    _ setting: String, follows: Bool = false, _ make: () throws -> StreamBed
  ) throws {
    let cable = Testbed()
    let (near, far) = (try cable.add("near"), try cable.add("far"))
    try cable.cable(.init(near, "eth0", "10.0.1.2/24"), .init(far, "eth0", "10.0.1.1/24"))
    var rows = ["no hop: a cable", Self.linux, "fpd, tc"].map {
      SpeedResults.StreamRow(setting: setting, way: $0)
    }
    for half in 0..<2 {
      let (plain, fast) = (try make(), try make())
      let fpd = try Self.start("tc", in: fast.forwarder, follows: follows)
      rows[2].absent = try Self.absence([fpd], ["p1", "p2"])
      let streams = [
        stream(near, far, "10.0.1.1"), stream(plain.client, plain.server, plain.address),
        stream(fast.client, fast.server, fast.address),
      ]
      for round in 0..<streamRounds / 2 {
        for place in Self.order(of: rows.count, in: round) where rows[place].absent == nil {
          Terminal.progress(
            "TCP \(setting): \(rows[place].way) "
              + "\(half * (streamRounds / 2) + round + 1)/\(streamRounds)")
          try measure(streams[place], &rows[place])
        }
      }
      if rows[2].absent == nil {
        rows[2].fastShares += try Self.fastShares(fpd, ["p1", "p2"])
      }
      try fpd.stop()
      plain.bed.close()
      fast.bed.close()
    }
    results.streams += rows
    cable.close()
  }

  private func stream(
    _ from: Namespace, _ to: Namespace, _ address: IPv4Address
  ) -> LoadStream {
    LoadStream(from: from, to: to, address, clientCPU: cpu, serverCPU: cpu)
  }

  private func measure(_ stream: LoadStream, _ row: inout SpeedResults.StreamRow) throws {
    // The receiver has a CPU of its own, as far as there is one, where the clock counts; what it all costs is
    // steadier where nobody waits for another CPU.
    var apart = stream
    apart.serverCPU = max(0, cpu - 1)
    row.gigabits.append(
      try apart.bulk(streamTime, warmUp: streamTime / 2).perSecond * 8 / 1e9)
    let bulk = try stream.bulk(streamTime, warmUp: streamTime / 2)
    row.busyPerGigabyte.append(bulk.busy.milliseconds / (Double(bulk.count) / 1e9))
    row.transactions.append(
      try stream.requests(streamTime, warmUp: streamTime / 2, sessions: Self.sessions)
        .perBusySecond / 1e3)
  }
}
