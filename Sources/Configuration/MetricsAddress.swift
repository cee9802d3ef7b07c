// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Where metrics are served: to this machine only.
public enum MetricsAddress: Equatable, Sendable, CustomStringConvertible {
  case unix(path: String)
  /// One of 127.0.0.0/8.
  case ipv4(String, port: UInt16)
  /// `::1`, the only one there is.
  case ipv6(port: UInt16)

  static let longestPath = 107
  static let expected = "unix:/PATH, 127.0.0.1:PORT or \"[::1]:PORT\""

  struct Refusal: Error {
    let text: String
  }

  public var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    case .ipv4(let host, let port): "\(host):\(port)"
    case .ipv6(let port): "[::1]:\(port)"
    }
  }

  /// Reads what `metrics:` says.
  init(_ text: String) throws(Refusal) {
    if text.hasPrefix("unix:") {
      self = .unix(path: try Self.path(String(text.dropFirst(5))))
      return
    }
    let shown = "\"\(abridged(text))\""
    let unexpected = Refusal(text: "found \(shown), expected \(Self.expected)")
    guard let colon = text.lastIndex(of: ":") else { throw unexpected }
    let host = text[..<colon]
    let isIPv6 = host.hasPrefix("[") && host.hasSuffix("]")
    let address = String(isIPv6 ? host.dropFirst().dropLast() : host)
    guard let bytes = Self.bytes(address, isIPv6 ? AF_INET6 : AF_INET) else { throw unexpected }
    let digits = text[text.index(after: colon)...]
    guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let port = UInt16(digits), port > 0
    else {
      throw Refusal(text: "found \(shown), expected a port from 1 to 65535 after the last colon")
    }
    guard isIPv6 ? bytes == [UInt8](repeating: 0, count: 15) + [1] : bytes[0] == 127 else {
      throw Refusal(
        text: "\(shown) is not a loopback address (127.0.0.0/8 or ::1): metrics are served to this "
          + "machine only, since nobody is asked who they are")
    }
    self = isIPv6 ? .ipv6(port: port) : .ipv4(address, port: port)
  }

  private static func path(_ path: String) throws(Refusal) -> String {
    guard path.hasPrefix("/") else {
      throw Refusal(text: "found \"unix:\(abridged(path))\", expected an absolute path after unix:")
    }
    if path.utf8.count > longestPath {
      throw Refusal(
        text: "found a path of \(path.utf8.count) bytes, expected at most \(longestPath)")
    }
    return path
  }

  private static func bytes(_ text: String, _ family: Int32) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 16)
    return inet_pton(family, text, &bytes) == 1 ? bytes : nil
  }
}
