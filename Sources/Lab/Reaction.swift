// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// Measures how soon fpd's graph follows a change, without asking fpd to look: it holds a `monitor`
/// stream open, and with each new generation reads the graph to see whether the change is in it.
public final class Reaction {
  private let fpd: Fpd
  private let monitor: ControlLine
  private let reader: ControlLine

  public init(_ fpd: Fpd) throws {
    self.fpd = fpd
    monitor = try fpd.connect()
    reader = try fpd.connect()
    try monitor.say("monitor")
    // What is live now comes first, where fpd tells it; then the stream is known to be open.
    _ = try? monitor.line(by: .now + .milliseconds(100))
  }

  /// One interface's part of the live graph, or all interfaces; nil where there is no such interface.
  public func graph(of interface: String? = nil) throws -> JSON? {
    let all = try request(interface)
    return interface.map { all?.at("interfaces.[\($0)]") } ?? all?["interfaces"]
  }

  private func request(_ interface: String?) throws -> JSON? {
    let named = interface.map { [(key: "interface", value: JSON.string($0))] } ?? []
    try reader.say("graph", JSON.Object(named))
    return try reader.answer()["result"]
  }

  /// Makes a change and measures from its return until the graph of `interface` (or of all) differs
  /// from what it was, or `shows` what it should. Nil when it did not within `limit`.
  public func time(
    _ change: () throws -> Completed, on interface: String? = nil, within limit: Duration,
    shows: ((JSON?) -> Bool)? = nil
  ) throws -> Duration? {
    let before = try graph(of: interface)
    while (try? monitor.line(by: .now)) != nil {}
    let returned = try change().check().returned
    let deadline = returned + limit
    while Instant.now < deadline {
      guard let line = try? monitor.line(by: deadline) else { return nil }
      let heard = Instant.now
      guard !line.isEmpty else { continue }
      let now = try graph(of: interface)
      if shows.map({ $0(now) }) ?? (now != before) { return max(.zero, heard - returned) }
    }
    return nil
  }
}
