// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// Tells the service manager how fpd is: sd_notify(3), which is one datagram of text to
/// $NOTIFY_SOCKET. Written out here because libsystemd, for these lines, would bring liblzma,
/// libgcrypt and more into a daemon that holds CAP_BPF.
public struct ServiceNotice: Sendable {
  private let path: String?
  /// How often a WATCHDOG=1 is due (half of what the manager waits); nil when it does not watch.
  public let watchdogMilliseconds: Int64?

  /// `environment` answers the value of a variable; nothing is sent where NOTIFY_SOCKET is not set.
  public init(environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }) {
    path = environment("NOTIFY_SOCKET").flatMap {
      $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil
    }
    let isForUs = environment("WATCHDOG_PID").map { Int32($0) == getpid() } ?? true
    let interval = environment("WATCHDOG_USEC").flatMap { Int64($0) } ?? 0
    watchdogMilliseconds = isForUs && interval > 0 ? max(1, interval / 2000) : nil
  }

  /// The first fast path is live.
  public func ready(_ status: String) { send(["READY=1", "STATUS=\(status)"]) }

  /// The configuration is being read again; followed by `ready`. The time lets the manager tell this
  /// reload's notice from one of an earlier reload.
  public func reloading() {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    let microseconds = Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1000
    send(["RELOADING=1", "MONOTONIC_USEC=\(microseconds)"])
  }

  public func stopping() { send(["STOPPING=1"]) }
  /// Not done yet: the manager is to wait for as long again.
  public func stillStopping(_ status: String, within time: Duration) {
    send(["EXTEND_TIMEOUT_USEC=\(time.components.seconds * 1_000_000)", "STATUS=\(status)"])
  }
  public func status(_ text: String) { send(["STATUS=\(text)"]) }
  public func watchdog() { send(["WATCHDOG=1"]) }

  /// A line of our own must stay one line. Failure is ignored: the service manager is not the service.
  private func send(_ lines: [String]) {
    guard let path, let address = UnixAddress(path) else { return }
    let socket = Descriptor(unixSocket(SOCK_DGRAM, nonBlocking: true))
    guard socket.number >= 0, address.apply(socket.number, connect) == 0 else { return }
    let text = lines.map { $0.split(whereSeparator: \.isNewline).joined(separator: " ") }
      .joined(separator: "\n")
    _ = Array(text.utf8).withUnsafeBytes {
      Glibc.send(socket.number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
  }
}
