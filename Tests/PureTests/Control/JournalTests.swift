// SPDX-License-Identifier: Apache-2.0
import CSystem
import Control
import Foundation
import Testing

/// Entries for the journal, byte by byte as systemd documents them, and when they are sent.
@Suite struct JournalTests {
  @Test func fieldsAreLines() {
    var entry = JournalEntry()
    entry.add("MESSAGE", "eth0: accelerated on xdp = fast")
    entry.add("PRIORITY", "6")
    entry.add("EMPTY", "")
    #expect(
      String(decoding: entry.bytes, as: UTF8.self)
        == "MESSAGE=eth0: accelerated on xdp = fast\nPRIORITY=6\nEMPTY=\n")
  }

  /// Or what was quoted from a compiler could add fields of its own.
  @Test func valuesOfSeveralLinesHaveTheirLengthBefore() {
    var entry = JournalEntry()
    entry.add("MESSAGE", "clang failed:\nPRIORITY=0\n")
    entry.add("PRIORITY", "4")
    let length: [UInt8] = [25, 0, 0, 0, 0, 0, 0, 0]
    #expect(
      entry.bytes == Array("MESSAGE\n".utf8) + length
        + Array("clang failed:\nPRIORITY=0\n\nPRIORITY=4\n".utf8))
    var long = JournalEntry()
    long.add("M", String(repeating: "é\n", count: 100_000))
    #expect(long.bytes.count == 2 + 8 + 300_000 + 1)
    #expect(Array(long.bytes[2..<10]) == [0xe0, 0x93, 4, 0, 0, 0, 0, 0])
  }

  /// What a listener on a path of its own hears.
  private final class Listener {
    let path: String
    private let directory: TemporaryDirectory
    private let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)

    init() throws {
      directory = try TemporaryDirectory()
      path = directory.path + "/socket"
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
      let code = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      try #require(code == 0)
    }

    deinit { close(descriptor) }

    func next() -> [UInt8]? {
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = recv(descriptor, &chunk, chunk.count, Int32(MSG_DONTWAIT))
      return count < 0 ? nil : Array(chunk.prefix(count))
    }
  }

  private static func stream(_ descriptor: Int32) -> String {
    var seen = stat()
    fstat(descriptor, &seen)
    return "\(seen.st_dev):\(seen.st_ino)"
  }

  @Test func entriesAreSentWhereStandardErrorIsTheJournal() throws {
    let listener = try Listener()
    let file = open("/dev/null", O_WRONLY)
    defer { close(file) }
    let journal = try #require(
      Journal(errors: file, path: listener.path) {
        $0 == "JOURNAL_STREAM" ? Self.stream(file) : nil
      })
    var entry = JournalEntry()
    entry.add("MESSAGE", "one\ntwo")
    #expect(journal.send(entry) && listener.next() == entry.bytes && listener.next() == nil)
    // What is too long for a datagram, or what nobody hears, is for standard error.
    var long = JournalEntry()
    long.add("MESSAGE", String(repeating: "x", count: 64 << 20))
    #expect(!journal.send(long))
    unlink(listener.path)
    #expect(!journal.send(entry))
  }

  @Test(arguments: [nil, "", "0:0", "8:", "nonsense", "1:2:3"])
  func otherwiseThereIsNoJournal(_ stream: String?) {
    #expect(Journal(path: "/nowhere") { $0 == "JOURNAL_STREAM" ? stream : nil } == nil)
  }

  /// The variable stays when standard error is sent elsewhere.
  @Test func standardErrorThatIsAnotherIsNotTheJournal() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let null = open("/dev/null", O_WRONLY)
    defer { close(null) }
    #expect(Journal(errors: null, path: "/nowhere") { _ in Self.stream(ends[1]) } == nil)
    #expect(Journal(errors: ends[1], path: "/nowhere") { _ in Self.stream(ends[1]) } != nil)
  }
}
