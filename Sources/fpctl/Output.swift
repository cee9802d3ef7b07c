// SPDX-License-Identifier: Apache-2.0
import Control
import Glibc
import Rendering

/// Standard output.
enum Output {
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Colours only where someone looks, and did not ask for none (https://no-color.org).
  static var style: Style {
    guard isTerminal else { return .plain }
    let isPlain = variable("NO_COLOR") != nil || variable("TERM") == "dumb"
    var size = winsize()
    let isKnown = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col >= 40
    return Style(hasColour: !isPlain, width: isKnown ? Int(size.ws_col) : nil)
  }

  /// How many lines the terminal has.
  static var height: Int? {
    var size = winsize()
    guard isTerminal, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0
    else { return nil }
    return Int(size.ws_row)
  }

  /// Writes all of the text; a reader that has gone ends the program quietly.
  static func write(_ text: String) throws {
    let code = send(text, to: STDOUT_FILENO)
    if code == EPIPE { exit(ExitCode.done) }
    if code != 0 {
      throw Failure(text: "writing the answer: \(String(cString: strerror(code)))")
    }
  }

  /// Answers the errno, 0 when all went out.
  static func send(_ text: String, to descriptor: Int32) -> Int32 {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&entry, 1, -1)
      } else if errno != EINTR {
        return errno
      }
    }
    return 0
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
  }
}
