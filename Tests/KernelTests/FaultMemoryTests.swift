// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// fpd runs out of memory: in a control group of its own, whose limit is pulled tight.
  @Suite(.needsFpd) struct FaultMemoryTests {
    /// The compiler is killed for it, as the greater one of the two; fpd does with the general program, and
    /// tries again until there is room.
    @Test(
      .enabled(if: MemoryGroup.isPossible, "needs a memory controller"), arguments: ["xdp", "tc"])
    func noRoomForTheCompiler(_ hook: String) throws {
      let group = try MemoryGroup()
      let directory = try TemporaryDirectory("memory")
      let line = try FaultLine(hook) { namespace, text, last in
        let fpd = try Fpd(
          in: namespace, configuration: text, reusing: last, cache: "\(directory.path)/cache")
        try group.add(fpd.pid)
        return fpd
      }
      try line.expectNoCompiler()
      // Room for fpd, not for clang, which takes some fifty megabytes. What fpd took before it was put
      // here counts elsewhere.
      try group.limit(to: group.usage + (8 << 20))
      try line.router.sysctl("net.ipv4.conf.all.rp_filter=2")
      try line.fpd.wait()
      try line.expect("degraded", "data-path", "clang")
      #expect(try group.kills > 0)
      #expect(try line.fpd.interface("p1")["accelerated"] == true)
      try line.change(5)
      try group.limit(to: nil)
      try line.expectRecovered(within: .seconds(60))
      try line.change(2)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    /// No page is left: a program cannot be loaded, or fpd is killed itself. What runs goes on, and is right.
    @Test(
      .enabled(if: MemoryGroup.isPossible, "needs a memory controller"), arguments: ["xdp", "tc"])
    func noRoomToLoad(_ hook: String) throws {
      let group = try MemoryGroup()
      let line = try FaultLine(hook) { namespace, text, last in
        let fpd = try Fpd(in: namespace, configuration: text, reusing: last)
        try group.add(fpd.pid)
        return fpd
      }
      // Compiled before, so that there is only loading to be done.
      try line.router.sysctl("net.ipv4.conf.all.rp_filter=2")
      try line.fpd.wait()
      try line.router.sysctl("net.ipv4.conf.all.rp_filter=0")
      try line.fpd.wait()
      try group.limit(to: group.usage)
      let rules = (0..<20_000).map { "-A FORWARD -s 10.9.\($0 / 250).\($0 % 250) -j DROP\n" }
      var round = 0
      let happened = try eventually(within: .seconds(20), every: .milliseconds(50)) {
        round += 1
        try line.router.sysctl("net.ipv4.conf.all.rp_filter=\(round.isMultiple(of: 2) ? 0 : 2)")
        if round == 3 {
          try line.router.restore(.legacy, "*filter\n\(rules.joined())COMMIT\n")
        }
        try line.change()
        if !line.fpd.process.isRunning { return true }
        return (try? line.fpd.status()["state"] == "degraded") ?? false
      }
      #expect(happened, "\(line.fpd.log.suffix(2000))")
      if let status = line.fpd.process.ended(within: .milliseconds(100)) {
        print("\(hook): fpd itself was killed after \(round) changes")
        #expect(status == 128 + SIGKILL)
        #expect(try line.fpd.fpctl("status").status == 3)
        try line.change(5)
        try group.limit(to: nil)
        try line.fast.restart()
      } else {
        print("\(hook): \(try line.fpd.status()["problems"]?.text() ?? "")")
        try line.change(5)
        try group.limit(to: nil)
      }
      try line.expectRecovered(within: .seconds(60))
      try line.change(2)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }
  }
}

/// A control group with a limit of memory, of either version; gone when nobody holds it any more.
private final class MemoryGroup {
  private static let trees = (first: "/sys/fs/cgroup/memory", second: "/sys/fs/cgroup")
  private let path: String
  private let isSecond: Bool

  /// Where the processes of this one are, which may be a place in the tree.
  private static func parent() -> (path: String, isSecond: Bool)? {
    let groups = (try? TextFile.read("/proc/self/cgroup"))?.split(separator: "\n") ?? []
    if let own = groups.first(where: { $0.contains(":memory:") })?.split(separator: ":").last {
      let path = "\(trees.first)\(own)"
      return access("\(path)/memory.limit_in_bytes", W_OK) == 0 ? (path, false) : nil
    }
    // Only groups without processes hand a controller down: at the top there is one.
    let handed = (try? TextFile.read("\(trees.second)/cgroup.subtree_control")) ?? ""
    return handed.contains("memory") ? (trees.second, true) : nil
  }

  static let isPossible = parent() != nil

  init() throws {
    let parent = try #require(Self.parent())
    isSecond = parent.isSecond
    path = "\(parent.path)/fpd-lab-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    if mkdir(path, 0o755) != 0 { throw LabError("making \(path)", code: errno) }
  }

  deinit { _ = eventually { rmdir(path) == 0 } }

  func add(_ pid: pid_t) throws { try TextFile.write("\(path)/cgroup.procs", "\(pid)") }

  var usage: Int {
    get throws {
      try number(isSecond ? "memory.current" : "memory.usage_in_bytes")
    }
  }

  /// How many processes were killed for want of memory.
  var kills: Int {
    get throws {
      let text = try TextFile.read("\(path)/\(isSecond ? "memory.events" : "memory.oom_control")")
      let line = text.split(separator: "\n").first { $0.hasPrefix("oom_kill ") }
      return line?.split(separator: " ").last.flatMap { Int($0) } ?? 0
    }
  }

  func limit(to bytes: Int?) throws {
    try TextFile.write(
      "\(path)/\(isSecond ? "memory.max" : "memory.limit_in_bytes")",
      bytes.map(String.init) ?? (isSecond ? "max" : "-1"))
  }

  private func number(_ name: String) throws -> Int {
    let text = try TextFile.read("\(path)/\(name)")
    return try #require(Int(text.prefix { $0.isNumber }))
  }
}
