// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// A packet socket on one device: sends frames as they are and hears what passes.
public final class Capture: Sendable {
  private let socket: Int32
  private let ifindex: UInt32
  private let what: String

  /// Opens on `device` inside `namespace`; frames are heard from here on.
  public init(_ device: String, in namespace: Namespace) throws {
    let index = try namespace.ifindex(of: device)
    let opened = try namespace.inside { lab_packet_open(index) }
    what = "a packet socket on \(device) in \(namespace.name)"
    if opened < 0 { throw LabError("opening \(what)", code: -opened) }
    socket = opened
    ifindex = index
  }

  deinit { close(socket) }

  /// Sends a frame out of the device.
  public func send(_ packet: Packet) throws { try send(packet.bytes) }

  public func send(_ bytes: [UInt8]) throws {
    let code = bytes.withUnsafeBytes {
      lab_packet_send(socket, ifindex, $0.baseAddress, $0.count)
    }
    if code != 0 { throw LabError("sending \(bytes.count) bytes through \(what)", code: code) }
  }

  /// The next frame that passes, or nil when the deadline does.
  public func next(by deadline: Instant) throws -> Frame? {
    var buffer = [UInt8](repeating: 0, count: 1 << 17)
    while true {
      var packet = lab_packet()
      let count = buffer.withUnsafeMutableBytes {
        lab_packet_receive(socket, $0.baseAddress, $0.count, &packet)
      }
      if count >= 0 {
        return Frame(
          Array(buffer[..<count]), time: packet.nanoseconds, outgoing: packet.outgoing != 0)
      }
      if count != -Int(EAGAIN) { throw LabError("hearing from \(what)", code: Int32(-count)) }
      var wait = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      if poll(&wait, 1, deadline.pollTimeout) == 0 { return nil }
    }
  }

  /// The first arriving frame that fits, or nil when none came in time.
  public func first(
    within limit: Duration = .seconds(2), where fits: (Frame) -> Bool
  ) throws -> Frame? {
    let deadline = Instant.now + limit
    while let frame = try next(by: deadline) {
      if !frame.outgoing && fits(frame) { return frame }
    }
    return nil
  }

  /// Everything that passes until `enough` says so or the deadline passes.
  public func frames(
    within limit: Duration, until enough: ([Frame]) -> Bool = { _ in false }
  ) throws -> [Frame] {
    let deadline = Instant.now + limit
    var seen: [Frame] = []
    while !enough(seen), let frame = try next(by: deadline) { seen.append(frame) }
    return seen
  }
}
