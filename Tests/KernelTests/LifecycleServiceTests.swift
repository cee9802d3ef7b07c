// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

extension Kernel {
  /// fpd as a service: what it tells systemd, and whom it lets ask.
  @Suite(.needsFpd) struct LifecycleServiceTests {
    @Test func systemdHearsReadyReloadingAndStopping() throws {
      let directory = try TemporaryDirectory("notify")
      let notify = try NotifySocket(in: directory)
      let namespace = try Namespace("service")
      let fpd = try Fpd(
        in: namespace, environment: ["NOTIFY_SOCKET=\(notify.path)", "WATCHDOG_USEC=200000"])
      #expect(notify.hears("READY=1"), "\(notify.heard)")
      #expect(notify.hears("WATCHDOG=1"), "\(notify.heard)")
      fpd.process.signal(SIGHUP)
      #expect(notify.hears("RELOADING=1"), "\(notify.heard)")
      #expect(notify.hears("READY=1"), "\(notify.heard)")
      #expect(try fpd.stop() == 0)
      #expect(notify.hears("STOPPING=1"), "\(notify.heard)")
    }

    @Test func othersThanRootAreTurnedAwayUnlessTheirGroupMayRead() throws {
      let namespace = try Namespace("peers")
      let fpd = try Fpd(in: namespace)
      chmod(fpd.directory.path, 0o755)
      #expect(try !Self.askAsNobody(fpd).succeeded)
      #expect(try fpd.stop() == 0)

      let open = try Fpd(in: namespace, configuration: "socket_group: nogroup\n")
      chmod(open.directory.path, 0o755)
      let answer = try Self.askAsNobody(open)
      #expect(try JSON(parsing: answer.check().output)["state"]?.string != nil)
      #expect(try open.stop() == 0)
    }

    /// Nobody cannot enter the folder fpctl was built in, so it gets a copy.
    private static func askAsNobody(_ fpd: Fpd) throws -> Completed {
      let copy = "\(fpd.directory.path)/fpctl"
      try Command.run(["cp", Binaries.fpctl, copy]).check()
      return try fpd.namespace.attempt(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
          + [copy, "--socket", fpd.socket, "status", "--json"])
    }

    /// Whatever runs in the background must not hold what a new fpd needs.
    @Test func restartsAtOnceManyTimes() throws {
      let namespace = try Namespace("restarts")
      var fpd = try Fpd(in: namespace)
      for round in 0..<10 {
        if round % 2 == 0 { fpd.kill() } else { #expect(try fpd.stop() == 0) }
        fpd = try Fpd(in: namespace, reusing: fpd)
        try fpd.expectConverged()
      }
      #expect(try fpd.stop() == 0)
    }
  }
}
