// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Connections over TCP that programs could carry if the kernel did not look at their window: the map
/// `fpd_requests` of fpm/live/connection.h, whose records are the tuples that `TrackedStream` reads.
package final class ConnectionRequests {
  static let mapName = "fpd_requests"
  private static let size: UInt32 = 1 << 16
  private static let room = 8192

  let map: Handle
  private let ring: OpaquePointer
  private let bag: UnsafeMutablePointer<fpd_bpf_bag>
  private let room: UnsafeMutablePointer<UInt8>

  package init() throws(DatapathError) {
    map = try Loader.makeMap(
      BPF_MAP_TYPE_RINGBUF, Self.mapName, valueSize: 0, entries: Self.size)
    room = .allocate(capacity: Self.room)
    bag = .allocate(capacity: 1)
    bag.initialize(to: fpd_bpf_bag(bytes: room, room: Self.room, used: 0))
    guard let opened = fpd_bpf_ring_new(map.raw, bag) else {
      let answer = String(cString: strerror(errno))
      bag.deallocate()
      room.deallocate()
      throw DatapathError("opening the ring of connections", answer)
    }
    ring = opened
  }

  deinit {
    ring_buffer__free(ring)
    bag.deallocate()
    room.deallocate()
  }

  /// Readable when a program asks.
  package var descriptor: Int32 { ring_buffer__epoll_fd(ring) }

  /// What was asked for since the last call, a record behind the other; what does not fit is asked for again.
  package func take() -> [UInt8] {
    bag.pointee.used = 0
    _ = fpd_bpf_ring_count(ring)
    return Array(UnsafeBufferPointer(start: room, count: bag.pointee.used))
  }
}
