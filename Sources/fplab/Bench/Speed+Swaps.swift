// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// A gateway and what a gateway sees: of three packets one is forwarded, one dropped by a rule, one its own.
  func mix() throws {
    let (bed, router) = try routerBed()
    try router.ip(batch: ["route add 10.101.0.0/16 via 10.0.2.2", "addr add 10.102.0.1/32 dev lo"])
    try router.run("iptables-legacy -A FORWARD -d 10.101.0.0/16 -j DROP")
    let left = try bed["left"]
    let traffic = try LoadTraffic(
      from: left.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1"
    ) {
      $0.flows = 255
      $0.destinations = 3
      $0.step = 1 << 16
    }
    let generator = try LoadGenerator(in: left, device: "eth0", traffic)
    let sink = try LoadSink(in: try bed["right"], device: "eth0")
    let socket = try DeafSocket(in: router, port: traffic.port)
    // Two of three come somewhere.
    try forwarding(
      "mix: a third each forwarded, dropped and the gateway's own", through: router, generator,
      to: sink, arrived: { (sink.count.frames + (try socket.dropped())) * 3 / 2 },
      hooks: ["xdp", "tc"], isShort: true)
    bed.close()
  }

  /// What is lost while programs are swapped at full rate.
  func swaps() throws {
    for hook in ["xdp", "tc"] {
      let (bed, router) = try routerBed()
      let frames = quick ? 1_000_000 : 5_000_000
      let sink = try LoadSink(
        in: try bed["right"], device: "eth0", tracking: frames, flows: flows)
      let generator = try generator(in: bed, to: router, sink: sink)
      let fpd = try Self.start(hook, in: router)
      var row = SpeedResults.SwapRow(hook: hook)
      row.absent = try Self.absence([fpd], ["p1", "p2"])
      if row.absent == nil {
        let ports = try ["p1", "p2"].map { try LiveProgram(of: $0, hook, by: fpd) }
        let run = try generator.start(
          .init(frames: frames, time: .seconds(60), window: 192), cpu: cpu)
        var isThere = false
        var programs = ports.map(\.program)
        while !run.hasEnded {
          Terminal.progress("swaps, \(hook): \(row.swaps)")
          // With a bridge beside it a router has another program.
          try router.run(isThere ? "ip link del br9" : "ip link add br9 type bridge")
          isThere.toggle()
          _ = eventually(within: .milliseconds(200), every: .milliseconds(1)) {
            let now = ports.map(\.program)
            defer { programs = now }
            let swapped = zip(now, programs).count { $0 != $1 }
            row.swaps += swapped
            return swapped > 0
          }
        }
        let sent = try run.finish()
        sink.settle()
        row.tally = try sink.tally(sent: sent.frames)
        row.fastShares = try Self.fastShares(fpd, ["p1"])
      }
      results.swaps.append(row)
      try fpd.stop()
      bed.close()
    }
  }
}
