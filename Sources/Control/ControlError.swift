// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Why the control socket cannot be served or reached.
public enum ControlError: Error, Equatable, CustomStringConvertible {
  /// A system call failed: what was tried, on what, and the errno.
  case system(what: String, code: Int32, hint: String)
  /// The path cannot name a socket.
  case badPath(path: String, why: String)
  /// Another fpd answers on this socket.
  case taken(path: String, pid: Int32)
  /// The configured group does not exist.
  case unknownGroup(String)
  /// Nobody answers on the socket.
  case unreachable(path: String, why: String, hint: String)
  /// fpd was reached, but went away or said something that is no answer.
  case broken(path: String, why: String)
  /// fpd was reached and said no.
  case refused(Refusal)

  public var description: String {
    switch self {
    case .system(let what, let code, let hint):
      "\(what): \(reason(code))\(hint.isEmpty ? "" : "; \(hint)")"
    case .badPath(let path, let why): "the socket path \(path) \(why)"
    case .taken(let path, let pid):
      "another fpd (pid \(pid)) already answers on \(path); stop it, or give this one its own "
        + "--socket and --state-dir"
    case .unknownGroup(let name):
      "there is no group \"\(name)\" to give the socket to; create it (groupadd --system \(name)) "
        + "or correct socket_group"
    case .unreachable(let path, let why, let hint): "cannot reach fpd on \(path): \(why)\n\(hint)"
    case .broken(let path, let why): "lost fpd on \(path): \(why)"
    case .refused(let refusal): refusal.description
    }
  }
}

/// The kernel's words for an errno.
func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
