// SPDX-License-Identifier: Apache-2.0
import Datapath
import Glibc
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// What goes wrong is told, and packets flow.
  @Suite(.needsFpd) struct FastFaultTests {
    private let bed: Testbed
    private let router: Namespace
    private let directory: TemporaryDirectory

    init() throws {
      bed = try Testbed.hostRouterHost()
      router = try bed["router"]
      directory = try TemporaryDirectory("faults")
      try FastLine.quieten(router)
    }

    private func packetsFlow() throws {
      #expect(try bed["left"].ping("10.0.2.2") == 63)
    }

    private func problems(_ fpd: Fpd, _ what: String) throws -> [String] {
      try (fpd.status()["problems"]?.array ?? []).filter { $0["what"]?.string == what }
        .compactMap { $0["detail"]?.string }
    }

    /// A compiler that is clang for what fpd ships and `script` for what it makes of the configuration.
    private func compiler(_ script: String) throws -> String {
      let path = "\(directory.path)/clang"
      let text = """
        #!/bin/sh
        case " $* " in
          *" -x c - "*) \(script) ;;
          *) exec clang "$@" ;;
        esac

        """
      try Command.run(["sh", "-c", "cat >\(path) && chmod 755 \(path)"], input: text).check()
      return "clang: \(path)\ndefaults:\n  hook: xdp\n"
    }

    // MARK: The compiler

    @Test func compilerThatIsMissing() throws {
      let fpd = try Fpd(in: router, configuration: "clang: /nonexistent/clang\n")
      try fpd.wait()
      let status = try fpd.status()
      #expect(status["state"] == "degraded")
      #expect(try problems(fpd, "data-path").contains { $0.contains("/nonexistent/clang") })
      #expect(try fpd.interface("p1")["accelerated"] == false)
      #expect(try fpd.interface("p1")["reason"]?.string != nil)
      try packetsFlow()
      #expect(try fpd.stop() == 0)
    }

    /// fpd gives up what it does not need, and its compiler has next to nothing.
    @Test func capabilitiesAreGivenUp() throws {
      func limits(_ status: String) -> [String: UInt64] {
        status.split(separator: "\n").reduce(into: [:]) {
          let parts = $1.split(separator: "\t")
          guard parts.count == 2 else { return }
          $0[String(parts[0].dropLast())] = UInt64(parts[1], radix: 16)
        }
      }
      let note = "\(directory.path)/note"
      let script = "cat /proc/self/status >\(note); exec clang \"$@\""
      let fpd = try Fpd(in: router, configuration: try compiler(script))
      try fpd.wait()
      #expect(try fpd.interface("p1")["accelerated"] == true)
      let allowed = Capability.mask(Capability.allCases)
      let own = limits(try TextFile.read("/proc/\(fpd.pid)/status"))
      let tasks = try Command.run(["ls", "/proc/\(fpd.pid)/task"]).check().output
      for task in tasks.split(separator: "\n") {
        let limits = limits(try TextFile.read("/proc/\(fpd.pid)/task/\(task)/status"))
        #expect(limits["CapPrm"] == own["CapPrm"] && limits["NoNewPrivs"] == 1)
      }
      #expect(own["CapBnd"].map { $0 & ~allowed } == 0 && own["CapInh"] == 0)
      #expect(own["CapPrm"] == own["CapBnd"] && own["CapEff"] == own["CapBnd"])
      // Nobody has less here than a root that may do all, or the capabilities of the unit at least.
      #expect(
        own["CapEff"].map { $0 & Capability.mask(Capability.ofService) }
          == Capability.mask(Capability.ofService))
      let compiler = limits(try TextFile.read(note))
      #expect(compiler["CapEff"].map { $0 & ~Capability.mask([.dacReadSearch]) } == 0)
      #expect(compiler["CapPrm"] == compiler["CapEff"] && compiler["NoNewPrivs"] == 1)
      try packetsFlow()
      #expect(try fpd.stop() == 0)
    }

    @Test func compilerThatFails() throws {
      let fpd = try Fpd(
        in: router,
        configuration: compiler("echo 'fastpath.c:7:1: error: no such luck' >&2; exit 1"))
      try fpd.wait()
      #expect(try fpd.status()["state"] == "degraded")
      #expect(try problems(fpd, "data-path").contains { $0.contains("clang failed") })
      #expect(try fpd.interface("p1")["accelerated"] == false)
      #expect(try fpd.interface("p1")["reason"]?.string == "load-failed")
      try packetsFlow()
      // Put right, it is used with the next change.
      _ = try compiler("exec clang \"$@\"")
      try router.sysctl("net.ipv4.conf.p1.rp_filter=1")
      try router.sysctl("net.ipv4.conf.p2.rp_filter=1")
      try fpd.wait()
      #expect(try fpd.interface("p1")["accelerated"] == true)
      try fpd.expectConverged()
      #expect(try fpd.stop() == 0)
    }

    @Test func compilerThatHangs() throws {
      let fpd = try Fpd(in: router, configuration: compiler("exec sleep 1000"))
      #expect(try fpd.status()["state"] == "converging")
      #expect(try fpd.interface("p1")["accelerated"] == false)
      try packetsFlow()
      #expect(try fpd.fpctl("wait --timeout 0.2").status == 1)
      // Other things are followed meanwhile.
      try router.run("ip link add later type bridge")
      #expect(try eventually { try fpd.graph().at("interfaces.later") != nil })
      let compilers = try Command.run(["pgrep", "-P", "\(fpd.pid)"]).output
        .split(separator: "\n").compactMap { pid_t($0) }
      #expect(!compilers.isEmpty && compilers.count <= 2)
      #expect(try fpd.stop(within: .seconds(2)) == 0)
      #expect(compilers.allSatisfy { kill($0, 0) != 0 })
      try packetsFlow()
    }

    @Test func interfaceThatGoesWhileItsProgramIsCompiled() throws {
      let fpd = try Fpd(in: router, configuration: compiler("sleep 0.5; exec clang \"$@\""))
      #expect(try fpd.status()["state"] == "converging")
      try router.run("ip link del p1")
      try fpd.wait()
      try fpd.expectConverged()
      #expect(try fpd.interface("p2")["accelerated"] == true)
      try router.run("ip link del p2")
      try fpd.wait()
      try fpd.expectConverged()
      // A place on a hook is given up when there is time.
      #expect(try eventually { try Command.run(["ls", router.pins()]).output.isEmpty })
      #expect(try fpd.stop() == 0)
    }

    // MARK: The cache

    private func accelerates(cache: String) throws {
      let fpd = try Fpd(
        in: router, configuration: "defaults:\n  hook: xdp\n", cache: cache,
        within: .seconds(20))
      try fpd.wait(.seconds(20))
      try fpd.expectConverged()
      #expect(try fpd.interface("p1")["accelerated"] == true)
      try packetsFlow()
      #expect(try fpd.stop() == 0)
    }

    @Test func cacheThatCannotBeWritten() throws {
      try directory.write("file", "not a directory")
      try accelerates(cache: "\(directory.path)/file")
    }

    @Test func cacheThatIsGarbled() throws {
      let cache = "\(directory.path)/cache"
      try accelerates(cache: cache)
      let files = try Command.run(["ls", cache]).check().output.split(separator: "\n")
      #expect(files.count > 3)
      for (number, file) in files.enumerated() {
        let path = "\(cache)/\(file)"
        let damage =
          switch number % 3 {
          case 0: "truncate -s 1000 '\(path)'"
          case 1: "printf garbage | dd of='\(path)' bs=1 seek=3000 conv=notrunc status=none"
          default: "printf '' >'\(path)'"
          }
        try Command.run(["sh", "-c", damage]).check()
      }
      try accelerates(cache: cache)
    }

    // MARK: Others

    private func attached(_ device: String) throws -> String {
      try router.run("ip -d link show dev \(device)").output
    }

    @Test(arguments: ["xdp", "xdpgeneric"])
    func foreignProgramThatWasThereFirstStays(_ mode: String) throws {
      let object = try ForeignProgram.xdpPass(in: directory)
      try router.run("ip link set p1 \(mode) obj \(object) sec xdp")
      let fpd = try Fpd(in: router, configuration: "defaults:\n  hook: xdp\n")
      try fpd.wait()
      #expect(try fpd.interface("p1")["accelerated"] == false)
      #expect(try fpd.interface("p1")["reason"]?.string == "foreign-xdp")
      #expect(try fpd.interface("p1")["hook"] == "none")
      #expect(try fpd.interface("p2")["accelerated"] == true)
      #expect(try attached("p1").contains("foreign_pass"))
      try packetsFlow()
      // Gone, its place is taken.
      try router.run("ip link set p1 \(mode) off")
      try fpd.wait()
      #expect(try fpd.interface("p1")["accelerated"] == true)
      #expect(try fpd.stop() == 0)
    }

    /// The kernel lets nobody replace what is attached by a link, not even by force; what comes by another
    /// way is noticed and named.
    @Test func foreignProgramsThatComeLater() throws {
      let fpd = try Fpd(in: router, configuration: "defaults:\n  hook: xdp\n")
      try fpd.wait()
      let object = try ForeignProgram.xdpPass(in: directory)
      for mode in ["xdp", "xdpgeneric"] {
        let forced = try router.attempt(
          Command.split("ip -force link set p1 \(mode) obj \(object) sec xdp"))
        #expect(!forced.succeeded)
      }
      try fpd.wait()
      #expect(try fpd.interface("p1")["accelerated"] == true)
      #expect(try !attached("p1").contains("foreign_pass"))
      try packetsFlow()
      #expect(try fpd.stop() == 0)
    }

    @Test func foreignClassifierThatComesLaterIsNamedAndLeft() throws {
      let fpd = try Fpd(in: router, configuration: "defaults:\n  hook: tc\n")
      try fpd.wait()
      #expect(try fpd.interface("p1")["accelerated"] == true)
      let object = try ForeignProgram.classifier(in: directory)
      try router.run("tc qdisc add dev p1 clsact")
      try router.run("tc filter add dev p1 ingress bpf da obj \(object) sec classifier")
      try fpd.wait()
      #expect(try fpd.interface("p1")["accelerated"] == false)
      #expect(try fpd.interface("p1")["reason"]?.string == "foreign-tc-ingress")
      try packetsFlow()
      #expect(try fpd.stop() == 0)
      #expect(try router.run("tc filter show dev p1 ingress").output.contains("classifier"))
    }

    /// Somebody detaches ours by force: packets flow, and fpd comes back with its next look.
    @Test(arguments: ["xdp", "tc"]) func ownProgramThatIsTakenAway(_ hook: String) throws {
      let fpd = try Fpd(in: router, configuration: FastLine.configuration(hook))
      try fpd.wait()
      let index = try router.ifindex(of: "p1")
      try Command.run(
        ["bpftool", "link", "detach", "pinned", "\(router.pins())/\(index)-\(hook)/link"]
      ).check()
      try packetsFlow()
      try router.sysctl("net.ipv4.conf.p1.rp_filter=1")
      try fpd.wait()
      #expect(try fpd.interface("p1")["accelerated"] == true)
      let before = try fpd.stats("p1")
      try packetsFlow()
      #expect(try fpd.stats("p1") != before)
      #expect(try fpd.stop() == 0)
    }

    /// In another namespace it would run a program made for this one.
    @Test(arguments: ["xdp", "tc"]) func interfaceThatIsMovedAway(_ hook: String) throws {
      let fpd = try Fpd(in: router, configuration: FastLine.configuration(hook))
      try fpd.wait()
      let index = try router.ifindex(of: "p1")
      let link = "\(try router.pins())/\(index)-\(hook)"
      #expect(access(link, F_OK) == 0)
      let elsewhere = try Namespace("elsewhere")
      try router.run("ip link set p1 netns \(elsewhere.name)")
      try fpd.wait()
      #expect(eventually { access(link, F_OK) != 0 })
      #expect(try !elsewhere.run("ip -d link show p1").output.contains("prog/xdp"))
      try elsewhere.ip(batch: ["addr add 10.0.1.1/24 dev p1", "link set p1 up"])
      #expect(try bed["left"].ping("10.0.1.1") == 64)
      // Back again it has a place again.
      try elsewhere.run("ip link set p1 netns \(router.name)")
      try router.ip(batch: ["addr add 10.0.1.1/24 dev p1", "link set p1 up"])
      try fpd.wait()
      #expect(try eventually { try fpd.interface("p1")["accelerated"] == true })
      try packetsFlow()
      #expect(try fpd.stop() == 0)
    }

    /// fpd holds the namespace that its name was taken from.
    @Test func namespaceWhoseNameIsGone() throws {
      let other = try Testbed.hostRouterHost()
      let router = try other["router"]
      let left = try other["left"]
      try FastLine.quieten(router)
      let fpd = try Fpd(in: router, configuration: "defaults:\n  hook: xdp\n")
      try fpd.wait()
      let held = try DatapathBench.held(by: fpd.pid)
      try Command.run(["umount", "-l", router.path]).check()
      unlink(router.path)
      try fpd.expectConverged()
      #expect(try left.ping("10.0.2.2") == 63)
      let pins = Set(try Command.run(["ls", "/sys/fs/bpf"]).output.split(separator: "\n"))
      fpd.process.signal(SIGKILL)
      fpd.process.ended(within: .seconds(5))
      // The namespace goes, and with it the devices: links that stay pinned hold nothing up.
      #expect(eventually { (try? left.has(device: "eth0")) == false })
      // A successor elsewhere clears what nobody can reach any more.
      let third = try other["right"]
      let sweeper = try Fpd(in: third, configuration: "defaults:\n  hook: xdp\n")
      #expect(eventually { DatapathBench.present(held).isEmpty })
      let later = Set(try Command.run(["ls", "/sys/fs/bpf"]).output.split(separator: "\n"))
      #expect(pins.subtracting(later).count == 1)
      #expect(try sweeper.stop() == 0)
    }
  }
}
