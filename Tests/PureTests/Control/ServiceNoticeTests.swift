// SPDX-License-Identifier: Apache-2.0
import CSystem
import Control
import Foundation
import Testing

/// The service manager's end of a notification socket.
private final class NotifySocket {
  let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)

  init(_ name: String) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(name.utf8)
    if name.hasPrefix("@") { bytes[0] = 0 }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        #expect(bind(descriptor, $0, socklen_t(2 + bytes.count)) == 0)
      }
    }
  }

  deinit { close(descriptor) }

  func next() -> String? {
    var chunk = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &chunk, chunk.count, Int32(MSG_DONTWAIT))
    return count < 0 ? nil : String(decoding: chunk.prefix(count), as: UTF8.self)
  }
}

@Suite struct ServiceNoticeTests {
  @Test(arguments: [true, false])
  func tellsTheManagerWhatHappens(isAbstract: Bool) throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    let name = (isAbstract ? "@fpd-test-" : "") + directory.path + "/notify"
    let manager = NotifySocket(name)
    let notice = ServiceNotice { $0 == "NOTIFY_SOCKET" ? name : nil }
    notice.ready("watching 3 interfaces\nREADY=0")
    #expect(manager.next() == "READY=1\nSTATUS=watching 3 interfaces READY=0")
    notice.reloading()
    let reloading = try #require(manager.next())
    let time = try #require(reloading.split(separator: "=").last.flatMap { Int64($0) })
    #expect(reloading == "RELOADING=1\nMONOTONIC_USEC=\(time)" && time > 0)
    notice.watchdog()
    notice.status("busy")
    notice.stopping()
    notice.stillStopping("leaving", within: .seconds(30))
    #expect(
      (0..<5).map { _ in manager.next() } == [
        "WATCHDOG=1", "STATUS=busy", "STOPPING=1",
        "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=leaving", nil,
      ])
  }

  @Test(arguments: [
    nil, "", "relative", "/nowhere/at/all", "@" + String(repeating: "x", count: 200),
  ])
  func isSilentWithoutAManager(_ path: String?) {
    ServiceNotice { $0 == "NOTIFY_SOCKET" ? path : nil }.ready("fine")
  }

  @Test(
    arguments: [
      (["WATCHDOG_USEC": "30000000"], 15000), (["WATCHDOG_USEC": "1000"], 1),
      (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "\(getpid())"], 15000),
      (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"], nil),
      (["WATCHDOG_USEC": "nonsense"], nil), (["WATCHDOG_USEC": "-5"], nil), ([:], nil),
    ] as [([String: String], Int64?)])
  func knowsHowOftenTheWatchdogWantsToHear(_ environment: [String: String], _ expected: Int64?) {
    #expect(ServiceNotice { environment[$0] }.watchdogMilliseconds == expected)
  }
}
