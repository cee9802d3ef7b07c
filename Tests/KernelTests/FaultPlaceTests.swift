// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// Disks are full, what is kept is damaged, a bpffs is missing: packets do not notice, and fpctl says so.
  @Suite(.needsFpd) struct FaultPlaceTests {
    /// A disk of its own at a directory, for as long as it is held.
    private final class Disk {
      let path: String

      init(_ size: String, in directory: TemporaryDirectory) throws {
        path = "\(directory.path)/disk"
        mkdir(path, 0o755)
        try Command.run(["mount", "-t", "tmpfs", "-o", "size=\(size),mode=755", "fpd-lab", path])
          .check()
      }

      func grow(to size: String) throws {
        try Command.run(["mount", "-o", "remount,size=\(size)", path]).check()
      }

      var files: [String] {
        get throws {
          try Command.run(["ls", path]).check().output.split(separator: "\n").map(String.init)
        }
      }

      deinit { umount2(path, Int32(MNT_DETACH)) }
    }

    /// The disk is full in the midst of an object: no half ones are left, and as soon as there is room all
    /// that was compiled is kept, so that the next fpd compiles nothing.
    @Test(arguments: ["xdp", "tc"], ["4k", "40k"])
    func diskOfTheCacheIsFull(_ hook: String, _ size: String) throws {
      let directory = try TemporaryDirectory("full")
      let disk = try Disk(size, in: directory)
      let compiler = try FaultyCompiler(in: directory)
      let line = try FaultLine(hook, in: directory) { namespace, text, last in
        try Fpd(
          in: namespace, configuration: compiler.configuration + text, reusing: last,
          cache: disk.path)
      }
      try line.expect("converged", "cache", "No space left on device")
      #expect(try line.fpd.interface("p1")["accelerated"] == true)
      #expect(try disk.files.allSatisfy { $0.hasSuffix(".fpo") })
      try line.change(3)
      // What is made meanwhile runs all the same.
      try line.router.sysctl("net.ipv4.conf.all.rp_filter=2")
      try line.fpd.wait()
      #expect(try line.fpd.interface("p1")["accelerated"] == true)
      try line.expect("converged", "cache", disk.path)

      try line.expectNoCompiler()
      try disk.grow(to: "16m")
      try line.expectRecovered(within: .seconds(60))
      #expect(try disk.files.count > 4 && disk.files.allSatisfy { $0.hasSuffix(".fpo") })
      let starts = try compiler.starts(in: directory)
      line.fpd.kill()
      try line.fast.restart()
      try line.expectRecovered()
      #expect(try compiler.starts(in: directory) == starts)
      try line.change(2)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    /// Every object is damaged, in one way after the other, while fpd runs; it is made anew by the next one that
    /// wants it.
    @Test(arguments: ["xdp", "tc"]) func objectsInTheCacheAreDamaged(_ hook: String) throws {
      let directory = try TemporaryDirectory("damaged")
      let cache = "\(directory.path)/cache"
      let compiler = try FaultyCompiler(in: directory)
      let line = try FaultLine(hook, in: directory) { namespace, text, last in
        try Fpd(
          in: namespace, configuration: compiler.configuration + text, reusing: last, cache: cache)
      }
      try line.expectNoCompiler()
      let damages = [
        "truncate -s 1000 ", "printf garbage | dd bs=1 seek=3000 conv=notrunc status=none of=",
        "truncate -s 0 ", "head -c 4000 /dev/urandom >",
      ]
      for damage in damages {
        try Command.run(["sh", "-c", "for file in \(cache)/*; do \(damage)\"$file\"; done"]).check()
        try line.change(2)
        let starts = try compiler.starts(in: directory)
        line.fpd.kill()
        try line.fast.restart()
        try line.expectRecovered()
        #expect(try compiler.starts(in: directory) > starts, "\(damage)")
        try line.change(2)
      }
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    /// Nothing where everybody has a bpffs, in fpd's own mount namespace: it has one of its own, which goes
    /// with it when it is killed. The kernel takes over, until there is the next.
    @Test(arguments: ["xdp", "tc"]) func bpffsIsNotMounted(_ hook: String) throws {
      let line = try FaultLine(hook) { namespace, text, last in
        try Fpd(in: namespace, configuration: text, reusing: last, ownSys: true)
      }
      try line.expectRecovered()
      #expect(access(try line.router.pins(), F_OK) != 0)
      try line.change(2)
      line.fpd.kill()
      try line.expectSlow()
      try line.change(3)
      try line.fast.restart()
      try line.expectRecovered()
      try line.change(2)
      // Those on their way while the hook is taken away.
      try line.finish(among: 600)
      #expect(try line.fpd.stop() == 0)
    }

    /// Nor can one be mounted.
    @Test(arguments: ["xdp", "tc"]) func bpffsCannotBeMounted(_ hook: String) throws {
      let directory = try TemporaryDirectory("state")
      let state = try directory.write("state", "not a directory")
      let line = try FaultLine(hook) { namespace, text, last in
        try Fpd(
          in: namespace, configuration: text, reusing: last, ownSys: true, state: state)
      }
      try line.expect("degraded", "pins", "leave nothing to take over")
      #expect(try line.fpd.interface("p1")["accelerated"] == true)
      try line.change(3)
      line.fpd.kill()
      try line.expectSlow()
      try line.change(3)
      unlink(state)
      try line.fast.restart()
      try line.expectRecovered()
      try line.change(2)
      try line.finish(among: 600)
      #expect(try line.fpd.stop() == 0)
    }
  }
}
