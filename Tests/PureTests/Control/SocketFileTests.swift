// SPDX-License-Identifier: Apache-2.0
import CSystem
import Control
import Foundation
import OrderedJSON
import Testing

/// What a path looks like: its kind and mode, nil when there is nothing.
private func mode(_ path: String) -> mode_t? {
  var seen = stat()
  return lstat(path, &seen) == 0 ? seen.st_mode : nil
}

@Suite struct SocketFileTests {
  @Test func makesItsDirectoryAndASocketForRootAndItsGroup() throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    let path = directory.path + "/a/b/fpd.sock"
    let server = try ControlServer(path: path)
    #expect(mode(directory.path + "/a/b") == S_IFDIR | 0o755)
    #expect(mode(path) == S_IFSOCK | 0o660)
    #expect(mode(path + ".lock") == nil)
    server.close()
    #expect(mode(path) == nil)
  }

  @Test func removesTheSocketWithTheServer() throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    let path = directory.path + "/fpd.sock"
    do { _ = try ControlServer(path: path) }
    #expect(mode(path) == nil)
  }

  @Test func leavesASocketAloneThatAnotherPutInItsPlace() throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    let path = directory.path + "/fpd.sock"
    let first = try ControlServer(path: path)
    unlink(path)
    let second = try ControlServer(path: path)
    first.close()
    #expect(mode(path) != nil)
    second.close()
  }

  @Test func refusesASocketThatAnotherAnswersOnAndTellsWho() throws {
    let bench = try SocketBench()
    let error = #expect(throws: ControlError.self) { try ControlServer(path: bench.path) }
    #expect(error == .taken(path: bench.path, pid: getpid()))
    #expect(error?.description.contains("pid \(getpid())") == true)
    let client = try bench.connect()
    client.send(line: #"{"command":"status"}"#)
    #expect(bench.line(client) != nil, "the first goes on")
  }

  @Test func takesOverASocketWhoseOwnerWasKilled() throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    let path = directory.path + "/fpd.sock"
    let stale = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        #expect(bind(stale, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0)
      }
    }
    close(stale)
    #expect(mode(path) != nil)
    let server = try ControlServer(path: path)
    _ = try RawClient(path)
    server.close()
  }

  @Test func neverRemovesWhatIsNoSocket() throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    let path = directory.path + "/precious"
    try "data".write(toFile: path, atomically: false, encoding: .utf8)
    let error = #expect(throws: ControlError.self) { try ControlServer(path: path) }
    #expect(error?.description.contains("no socket") == true)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "data")
    #expect(mode(path + ".lock") == nil)
  }

  @Test(arguments: ["", "@abstract", "/" + String(repeating: "x", count: 200)])
  func refusesAPathThatCannotBeASocket(_ path: String) {
    #expect(throws: ControlError.self) { try ControlServer(path: path) }
  }

  @Test func refusesAGroupThatDoesNotExist() throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    let error = #expect(throws: ControlError.self) {
      try ControlServer(path: directory.path + "/s", readers: "no-such-group-here")
    }
    #expect(error == .unknownGroup("no-such-group-here"))
  }

  @Test func oneOfManyThatStartTogetherWins() async throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    let path = directory.path + "/fpd.sock"
    for _ in 0..<20 {
      let winners = await withTaskGroup(of: Bool.self) { group in
        let gate = DispatchSemaphore(value: 0)
        for _ in 0..<4 {
          group.addTask {
            guard let server = try? ControlServer(path: path) else {
              gate.signal()
              return false
            }
            // The winner stays until the others have lost.
            for _ in 0..<3 where gate.wait(timeout: .now() + 5) == .timedOut { return false }
            server.close()
            return true
          }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(winners == 1)
    }
  }
}
