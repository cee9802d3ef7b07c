// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// A packet socket for tests that change the network under it: it stays when its device goes down and
/// comes back, and it can hear all devices of a namespace at once, as `tcpdump -i any` does.
public final class Tap: Sendable {
  public let what: String
  private let socket: Int32
  private let ifindex: UInt32
  private let namespace: Namespace

  /// Opens on `device` inside `namespace`, on all devices when there is none.
  public init(_ device: String?, in namespace: Namespace) throws {
    self.namespace = namespace
    let index = try device.map { try namespace.ifindex(of: $0) } ?? 0
    what = "a tap on \(device ?? "all devices") in \(namespace.name)"
    let opened = try namespace.inside { lab_packet_open(index) }
    if opened < 0 { throw LabError("opening \(what)", code: -opened) }
    socket = opened
    ifindex = index
  }

  deinit { close(socket) }

  /// Sends a frame as it is.
  public func send(_ bytes: [UInt8]) throws {
    let code = bytes.withUnsafeBytes {
      lab_packet_send(socket, ifindex, $0.baseAddress, $0.count)
    }
    if code != 0 { throw LabError("sending \(bytes.count) bytes through \(what)", code: code) }
  }

  /// Sends IPv4 without options that carries TCP or UDP as a local sender does: its checksum, which lacks all
  /// but the pseudo header, is for the device to fill in, and so is cutting it into segments of `segment` bytes,
  /// unless that is 0.
  package func send(_ bytes: [UInt8], offloading segment: Int) throws {
    guard bytes.count > 54 else { throw LabError("\(bytes.count) bytes have no TCP header") }
    let isTCP = bytes[23] == 6
    var offload = lab_offload()
    offload.header_length = UInt16(isTCP ? 34 + Int(bytes[46] >> 4) * 4 : 42)
    offload.segment = UInt16(segment)
    offload.checksum_start = 34
    offload.checksum_offset = isTCP ? 16 : 6
    let code = try namespace.inside {
      bytes.withUnsafeBytes {
        lab_packet_send_offloaded(ifindex, $0.baseAddress, $0.count, &offload)
      }
    }
    if code != 0 { throw LabError("sending \(bytes.count) bytes through \(what)", code: code) }
  }

  /// What has passed and was not taken yet; what the host itself sent only when asked for.
  public func take(outgoing: Bool = false) throws -> [Frame] {
    var frames: [Frame] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 17)
    while true {
      var packet = lab_packet()
      let count = buffer.withUnsafeMutableBytes {
        lab_packet_receive(socket, $0.baseAddress, $0.count, &packet)
      }
      if count == -Int(EAGAIN) { return frames }
      if count == -Int(ENETDOWN) { continue }  // Told once when the device goes down.
      if count < 0 { throw LabError("hearing from \(what)", code: Int32(-count)) }
      if packet.outgoing != 0 && !outgoing { continue }
      frames.append(
        Frame(Array(buffer[..<count]), time: packet.nanoseconds, outgoing: packet.outgoing != 0))
    }
  }

  /// Waits until one of the taps has something to take; false when the deadline passes first.
  public static func wait(for taps: [Tap], by deadline: Instant) -> Bool {
    while true {
      var waits = taps.map { pollfd(fd: $0.socket, events: Int16(POLLIN), revents: 0) }
      let ready = poll(&waits, nfds_t(waits.count), deadline.pollTimeout)
      if ready >= 0 { return ready > 0 }
      if errno != EINTR { return false }
    }
  }
}
