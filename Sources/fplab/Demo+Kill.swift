// SPDX-License-Identifier: Apache-2.0
import Lab
import Rendering

extension Demo {
  /// Programs and maps stay when fpd is killed, and the next fpd takes them over: no frame is lost.
  func killTheDaemon() throws {
    title("fpd is killed while packets pass, and starts again")
    try expectAccelerated(["p1", "p2"])
    let frames = 4_000_000
    let sink = try LoadSink(in: hostB, device: "eth0", tracking: frames, flows: 64)
    let traffic = try LoadTraffic(
      from: hostA.mac(of: "eth0"), "10.0.1.2", to: router.mac(of: "p1"), "10.100.0.1"
    ) {
      $0.flows = 64
      $0.destinations = 50
      $0.step = 256
    }
    let generator = try LoadGenerator(in: hostA, device: "eth0", traffic, sink: sink)
    let run = try generator.start(
      .init(frames: frames, time: .seconds(20), rate: 1_000_000, window: 192), cpu: Self.cpu)
    func reach(_ count: Int) {
      _ = eventually(within: .seconds(20)) { run.sent >= count || run.hasEnded }
    }
    reach(frames / 4)
    say("\(Terminal.green("#")) kill -9 \(fpd.pid)")
    fpd.kill()
    let (killed, arrived) = (Instant.now, sink.count.frames)
    reach(frames / 2)
    let gap = Instant.now - killed
    say(
      "For \(gap.milliseconds.text(0)) ms there is no fpd, and \(sink.count.frames - arrived) frames"
        + " arrive: its programs go on.")
    check(sink.count.frames > arrived, "nothing arrived while there was no fpd")
    let begun = Instant.now
    try startDaemon()
    try expectAccelerated(["p1", "p2"])
    say("A new fpd takes over within \((Instant.now - begun).milliseconds.text(0)) ms.")
    check(!run.hasEnded, "the traffic had ended before fpd was back")
    let sent = try run.finish()
    sink.settle()
    let tally = try sink.tally(sent: sent.frames)
    say(Terminal.bold("\(tally)."))
    check(
      sent.frames == frames && tally.lost == 0 && tally.duplicated == 0 && tally.damaged == 0,
      "frames after the kill: \(tally)")
    let forwarded = try counted("forwarded", on: "p1")
    check(
      forwarded > frames / 2, "\(forwarded) of \(frames) frames took the fast path around the kill")
  }
}
