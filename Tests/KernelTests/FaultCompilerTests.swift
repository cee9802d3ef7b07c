// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// No program can be had, or only the general one: packets take the kernel's path, fpctl says why, and when
  /// the fault is gone fpd finds out by itself.
  @Suite(.needsFpd) struct FaultCompilerTests {
    private func line(
      _ hook: String, isFast: Bool, _ prepare: (FaultyCompiler) throws -> Void = { _ in }
    ) throws -> (line: FaultLine, compiler: FaultyCompiler) {
      let directory = try TemporaryDirectory("compiler")
      let compiler = try FaultyCompiler(in: directory)
      try prepare(compiler)
      let line = try FaultLine(hook, isFast: isFast, in: directory) { namespace, text, last in
        try Fpd(
          in: namespace, configuration: compiler.configuration + text, reusing: last,
          cache: "\(directory.path)/cache")
      }
      return (line, compiler)
    }

    /// As when the package is installed later: fpd does not have to be started again.
    @Test(arguments: ["xdp", "tc"]) func compilerIsMissingAndInstalled(_ hook: String) throws {
      let directory = try TemporaryDirectory("compiler")
      let path = "\(directory.path)/clang"
      let line = try FaultLine(hook, isFast: false) { namespace, text, last in
        try Fpd(
          in: namespace, configuration: "clang: \(path)\n" + text, reusing: last,
          cache: "\(directory.path)/cache")
      }
      try line.expect("degraded", "data-path", path)
      try line.expect("degraded", "live-view", path)
      #expect(try line.fpd.interface("p1")["accelerated"] == false)
      #expect(try line.fpd.interface("p1")["reason"]?.string != nil)
      try line.expectSlow()
      try line.change(3)
      _ = try FaultyCompiler(in: directory)
      try line.expectRecovered(within: .seconds(60))
      // What is not announced is seen now.
      try line.router.run("iptables-legacy -A FORWARD -s 10.9.9.9 -j DROP")
      try line.fpd.wait()
      #expect(try line.fpd.interface("p1")["accelerated"] == true)
      try line.change(3)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    /// Killed by the kernel for its memory, by an administrator, by a crash of its own.
    @Test(arguments: [
      "kill -9 $$", "clang \"$@\" | head -c 3000; kill -9 $$",
      "clang \"$@\" | head -c 3000; exit 0",
    ])
    func compilerIsKilledAtTheStart(_ script: String) throws {
      let (line, compiler) = try line("xdp", isFast: false) { try $0.breakDown(script) }
      try line.expect("degraded", "data-path", "clang")
      #expect(try line.fpd.interface("p1")["accelerated"] == false)
      try line.expectSlow()
      try line.change(3)
      // It is tried again meanwhile, and what it says stays what it is.
      let starts = try compiler.starts(in: line.directory)
      #expect(
        try eventually(within: .seconds(20)) {
          try #require(line.fpd.status()["state"] == "degraded")
          return try compiler.starts(in: line.directory) > starts + 1
        })
      compiler.repair()
      try line.expectRecovered(within: .seconds(60))
      try line.change(3)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    /// In the midst of work: the general program does, and fpctl says that it is not the interface's own.
    @Test(arguments: ["xdp", "tc"]) func compilerIsKilledLater(_ hook: String) throws {
      let (line, compiler) = try line(hook, isFast: true)
      try line.expectNoCompiler()
      try compiler.breakDown("clang \"$@\" | head -c 3000; kill -9 $$")
      try line.router.sysctl("net.ipv4.conf.all.rp_filter=2")
      try line.fpd.wait()
      try line.expect("degraded", "data-path", "clang")
      let status = try line.fpd.interface("p1")
      #expect(status["accelerated"] == true && status["program"] == "general", "\(status.text())")
      let before = try line.fpd.stats("p1").forwarded
      line.more(2000)
      #expect(try line.fpd.stats("p1").forwarded > before)
      try line.change(3)
      compiler.repair()
      try line.expectRecovered(within: .seconds(60))
      #expect(try line.fpd.interface("p1")["program"] == "own")
      try line.change(2)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    /// What fpd ships compiles, and the verifier refuses it: as on a kernel nobody has tried it on.
    @Test(arguments: ["xdp", "tc"]) func verifierRefuses(_ hook: String) throws {
      let directory = try TemporaryDirectory("share")
      let binary = try directory.takeFpd()
      let header = "\(directory.path)/fpm/\(hook).h"
      let text = try TextFile.read(header)
      let entrance = "fp_\(hook)_enter(struct packet *packet, struct device *device)\n{\n"
      let halves = text.split(separator: entrance, maxSplits: 1)
      try #require(halves.count == 2)
      // Reads where nothing is.
      try TextFile.write(
        header, halves.joined(separator: entrance + "\t(void)*(volatile u32 *)0xdead000;\n"))
      let line = try FaultLine(hook, isFast: false) { namespace, text, last in
        try Fpd(
          in: namespace, configuration: text, reusing: last, cache: "\(directory.path)/cache",
          binary: binary)
      }
      try line.expect("degraded", "data-path", "into the kernel")
      let words = try line.fpd.status()["problems"]?.text() ?? ""
      #expect(words.contains("invalid mem access"), "\(words)")
      #expect(try line.fpd.interface("p1")["accelerated"] == false)
      try line.expectSlow()
      try line.change(3)
      // The next version comes.
      try TextFile.write(header, text)
      #expect(try line.fpd.stop() == 0)
      try line.fast.restart()
      try line.expectRecovered()
      try line.change(3)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }

    /// Somebody who is not root could change what programs are made of: none is made.
    @Test(arguments: ["fpm/live/fib.h", "templates"])
    func whatOthersCanChangeIsNotUsed(_ place: String) throws {
      let directory = try TemporaryDirectory("share")
      let binary = try directory.takeFpd()
      chown("\(directory.path)/\(place)", 65_534, 65_534)
      let line = try FaultLine("tc", isFast: false) { namespace, text, last in
        try Fpd(
          in: namespace, configuration: text, reusing: last, cache: "\(directory.path)/cache",
          binary: binary)
      }
      try line.expect("degraded", "data-path", "\(place) can be changed by user 65534")
      try line.expectSlow()
      chown("\(directory.path)/\(place)", 0, 0)
      #expect(try line.fpd.stop() == 0)
      try line.fast.restart()
      try line.expectRecovered()
      try line.change(3)
      try line.finish()
      #expect(try line.fpd.stop() == 0)
    }
  }
}
