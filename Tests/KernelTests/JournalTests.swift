// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Lab
import Testing

extension Kernel {
  /// What fpd tells the journal, in place of which a socket listens.
  @Suite(.needsFpd) struct JournalTests {
    /// Starts fpd with a journal at the place where systemd has it, in a mount namespace of its own.
    private static func start(
      in namespace: Namespace, _ directory: TemporaryDirectory, _ errors: String
    ) throws -> Background {
      let script = """
        mount -t tmpfs fpd-lab /run && mkdir -p /run/systemd/journal &&
        mount --bind "$1" /run/systemd/journal || exit 99
        exec 2>>"$2"
        JOURNAL_STREAM=$(stat -L -c %d:%i "$3") || exit 98
        export JOURNAL_STREAM
        shift 3
        exec "$@"
        """
      return try namespace.start(
        ["unshare", "--mount", "sh", "-c", script, "sh", directory.path + "/journal"]
          + [directory.path + "/errors", errors]
          + Fpd.arguments(directory: directory.path, logLevel: "info"))
    }

    /// What came on standard error so far.
    private static func errors(in directory: TemporaryDirectory) -> String {
      (try? TextFile.read(directory.path + "/errors")) ?? ""
    }

    private static func journal(in directory: TemporaryDirectory) throws -> JournalSocket {
      mkdir(directory.path + "/journal", 0o755)
      return try JournalSocket(directory.path + "/journal/socket")
    }

    @Test func entriesHaveFields() throws {
      let directory = try TemporaryDirectory("journal")
      let journal = try Self.journal(in: directory)
      let bed = try Testbed.hostRouterHost()
      defer { withExtendedLifetime(bed) {} }  // not only until its last use
      let fpd = try Self.start(in: bed["router"], directory, directory.path + "/errors")
      let start = try #require(journal.entry(within: .seconds(20)) { $0["FPD_GENERATION"] != nil })
      #expect(start["SYSLOG_IDENTIFIER"] == "fpd" && start["MESSAGE"]?.isEmpty == false)
      let fast = try #require(
        journal.entry(within: .seconds(60)) {
          $0["FPD_INTERFACE"] == "p1" && $0["MESSAGE"]?.contains("accelerated on tc") == true
        }, "\(journal.heard)")
      #expect(fast["PRIORITY"] == "6" && fast["FPD_GENERATION"].flatMap { Int($0) } != nil)
      #expect(
        journal.heard.contains {
          $0["FPD_INTERFACE"] == "lo" && $0["FPD_REASON"] == "loopback" && $0["PRIORITY"] == "6"
        })
      try bed["router"].run("ip link set p1 down")
      let slow = journal.entry(within: .seconds(10)) {
        $0["FPD_INTERFACE"] == "p1" && $0["FPD_REASON"] == "link-down"
      }
      #expect(slow?["MESSAGE"]?.contains("p1: the link is administratively down") == true)
      // Nothing is said twice.
      #expect(Self.errors(in: directory) == "")
      #expect(fpd.stop(within: .seconds(10)) == 0)
      #expect(journal.entry(within: .seconds(5)) { $0["MESSAGE"] == "stopped" } != nil)
    }

    /// Standard error is a file, whatever the variable says of another.
    @Test func elsewhereItIsText() throws {
      let directory = try TemporaryDirectory("journal")
      let journal = try Self.journal(in: directory)
      let namespace = try Namespace("text")
      defer { withExtendedLifetime(namespace) {} }  // not only until its last use
      let fpd = try Self.start(in: namespace, directory, "/dev/null")
      #expect(
        eventually(within: .seconds(20)) {
          Self.errors(in: directory).contains("fpd: notice: fpd ")
        })
      #expect(fpd.stop(within: .seconds(10)) == 0)
      #expect(journal.entry(within: .zero) { _ in true } == nil)
    }

    /// The journal is not there for a moment: what it would have got is on standard error, with the priority in front.
    @Test func withoutAListenerTheTextHasItsPriority() throws {
      let directory = try TemporaryDirectory("journal")
      mkdir(directory.path + "/journal", 0o755)
      let namespace = try Namespace("text")
      defer { withExtendedLifetime(namespace) {} }  // not only until its last use
      let fpd = try Self.start(in: namespace, directory, directory.path + "/errors")
      #expect(
        eventually(within: .seconds(20)) { Self.errors(in: directory).contains("<5>fpd ") })
      #expect(fpd.stop(within: .seconds(10)) == 0)
    }
  }
}
