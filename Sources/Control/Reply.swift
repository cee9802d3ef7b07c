// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// Where the answer to one request goes: now, later, or line by line until the client has gone.
/// Belongs to the event loop that owns the server.
public final class Reply {
  private weak var connection: Connection?
  private let serial: UInt64

  init(_ connection: Connection, serial: UInt64) {
    self.connection = connection
    self.serial = serial
  }

  /// A request nobody answered must not leave its client waiting for ever.
  deinit {
    refuse(Refusal(.internal, "fpd dropped the request without an answer"))
  }

  private var current: Connection? {
    guard let connection, connection.pending == serial else { return nil }
    return connection
  }

  /// False once it is answered or the client has gone.
  public var isOpen: Bool { current != nil }

  /// Who asks.
  public var peer: Peer? { connection?.peer }

  /// Answers, and is done.
  public func finish(_ result: JSON) { current?.answer(.result(result), isLast: true) }

  /// Answers no, and is done.
  public func refuse(_ refusal: Refusal) { current?.answer(.refused(refusal), isLast: true) }

  /// Sends one line of many; false when nobody reads them any more.
  @discardableResult public func stream(_ result: JSON) -> Bool {
    current?.answer(.result(result), isLast: false)
    return isOpen
  }

  /// Calls `body` once if the client goes before it is answered.
  public func whenClosed(_ body: @escaping () -> Void) { current?.whenClosed = body }
}
