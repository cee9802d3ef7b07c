// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

/// A router under load at full rate while things go wrong with its fpd: no frame is lost, and what the
/// kernel is configured to do is done from the next frame on. Every second frame goes to a destination that
/// has a route into nothing now and then.
final class FaultLine {
  let fast: FastLine
  let directory: TemporaryDirectory
  private let run: LoadGenerator.Run
  private var isOn = false
  private var judged: [(frames: Range<Int>, isOn: Bool)] = []
  private var begin = 0

  private static let tracked = 120_000_000
  /// What may be under way: a window, and what a device has taken at once.
  private static let margin = 192 + 64
  private static let switched: UInt64 = 0x5555_5555_5555_5555

  var router: Namespace { fast.middle }
  var fpd: Fpd { fast.fpd }

  /// `begin` starts fpd; `isFast` says that p1 is accelerated then.
  init(
    _ hook: String, isFast: Bool = true, in directory: TemporaryDirectory? = nil,
    begin: @escaping FastLine.Beginning = Fpd.begin
  ) throws {
    self.directory = try directory ?? TemporaryDirectory("fault")
    fast = try FastLine(
      .router, hook: hook, tracking: Self.tracked, destinations: 2, isFast: isFast, begin: begin)
    run = try fast.start(frames: Self.tracked)
    more()
  }

  // MARK: Packets

  /// A change, and back: both are obeyed by the next packet.
  func change(_ times: Int = 1) throws {
    for _ in 0..<times {
      try turn(true)
      try turn(false)
    }
  }

  private func turn(_ on: Bool) throws {
    end()
    try router.run("ip route \(on ? "add" : "del") blackhole \(DropSwitch.destination)/32")
    begin = run.sent
    isOn = on
    more()
  }

  /// What is sent to the destination meanwhile may come or not.
  func unjudged(_ body: () throws -> Void) throws {
    end()
    try body()
    begin = run.sent
    more()
  }

  private func end() {
    let end = run.sent - Self.margin
    if begin < end { judged.append((begin..<end, isOn)) }
  }

  /// Some frames more pass.
  func more(_ frames: Int = 500) { fast.more(frames + Self.margin, of: run) }

  /// Nothing was lost but what had to be, and `among` frames at most that were on their way when fpd's
  /// place on the hook went with it.
  func finish(among missing: Int = 0) throws {
    end()
    let tally = try fast.finish(run)
    let sink = fast.line.sink
    var lost = 0
    for (frames, isOn) in judged {
      let sent = LoadSink.count(frames, places: Self.switched)
      let came = try sink.arrived(frames, places: Self.switched)
      if isOn {
        #expect(came == 0, "\(came) of \(sent) came in \(frames)")
      } else {
        lost += sent - came
      }
    }
    let others = LoadSink.count(0..<tally.sent, places: ~Self.switched)
    lost += try others - sink.arrived(0..<tally.sent, places: ~Self.switched)
    #expect((0...missing).contains(lost), "\(lost) lost: \(tally)")
    #expect(tally.duplicated == 0 && tally.damaged == 0, "\(tally)")
    #expect(judged.contains(where: \.isOn) && judged.contains { !$0.isOn })
    print("\(fast.hook): \(tally.sent) frames, \(judged.count) times judged, \(lost) lost")
  }

  // MARK: What fpd says

  /// It says so, and how it is.
  func expect(
    _ state: String, _ what: String? = nil, _ words: String = "",
    within limit: Duration = .seconds(20)
  ) throws {
    let seen = try eventually(within: limit, every: .milliseconds(20)) {
      let status = try fpd.status()
      guard status["state"]?.string == state else { return false }
      let problems = status["problems"]?.array ?? []
      guard let what else { return problems.isEmpty }
      return problems.contains {
        $0["what"]?.string == what && $0["detail"]?.string?.contains(words) == true
      }
    }
    let status = try fpd.status().text()
    #expect(seen, "not \(state), \(what ?? "without problems") \(words): \(status)")
    // The same, for people.
    var told = try fpd.fpctl("status")
    let isTold = try eventually(within: limit, every: .milliseconds(20)) {
      told = try fpd.fpctl("status")
      // Converging it may be at any time, for what the kernel does by itself.
      guard told.status == 0, told.output.contains("  \(state)  ") else { return false }
      return what.map { told.output.contains("  \($0): ") } ?? true
    }
    #expect(isTold, "\(told.output)\(told.errors)")
  }

  /// Nothing is wrong, and the fast path does what there is to do.
  func expectRecovered(within limit: Duration = .seconds(20)) throws {
    let isFast = try eventually(within: limit, every: .milliseconds(20)) {
      try fpd.status()["state"] == "converged" && fpd.interface("p1")["accelerated"] == true
    }
    let status = try fpd.status().text()
    #expect(isFast, "\(status)\n\(fpd.log.suffix(2000))")
    try expect("converged")
    try fpd.wait()
    let before = try fpd.stats("p1").forwarded
    more(1000)
    #expect(try fpd.stats("p1").forwarded > before)
  }

  /// All has been compiled that may be needed at any time.
  func expectNoCompiler() throws {
    var idle = 0
    let isIdle = try eventually(within: .seconds(30), every: .milliseconds(10)) {
      idle = try Command.run(["pgrep", "-P", "\(fpd.pid)"]).output.isEmpty ? idle + 1 : 0
      return idle > 20
    }
    #expect(isIdle, "a compiler is still at work")
  }

  /// Programs go on without fpd: the kernel forwards nothing of it.
  func expectStillFast() throws {
    more()
    let before = try router.forwardedByKernel()
    more(2000)
    #expect(try router.forwardedByKernel() == before)
  }

  /// The kernel has forwarded some of what was sent meanwhile.
  func expectSlow() throws {
    let before = try router.forwardedByKernel()
    more(1000)
    #expect(try router.forwardedByKernel() > before)
  }
}

/// A compiler that is clang, but where a file says otherwise for what fpd makes of the configuration.
struct FaultyCompiler {
  let path: String
  private let orders: String

  init(in directory: TemporaryDirectory) throws {
    path = "\(directory.path)/clang"
    orders = "\(directory.path)/orders"
    let text = """
      #!/bin/sh
      echo started >>\(directory.path)/starts
      case " $* " in
        *" -x c - "*) test -e \(orders) && . \(orders) ;;
      esac
      exec clang "$@"

      """
    // Written by another process: see "text file busy".
    try Command.run(["sh", "-c", "cat >\(path) && chmod 755 \(path)"], input: text).check()
  }

  var configuration: String { "clang: \(path)\n" }

  /// From now on `script` is run instead.
  func breakDown(_ script: String) throws { try TextFile.write(orders, script + "\n") }

  func repair() { unlink(orders) }

  func starts(in directory: TemporaryDirectory) throws -> Int {
    try TextFile.read("\(directory.path)/starts").split(separator: "\n").count
  }
}
