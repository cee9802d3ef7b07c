// SPDX-License-Identifier: Apache-2.0
import Introspection
import Testing

/// What the kernel is told of streams whose window it is not to look at.
@Suite struct TrackedStreamTests {
  private static let record: [UInt8] = [10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 80]

  @Test func recordsAreTwoAddressesAndTwoPorts() throws {
    let stream = try #require(TrackedStream(Self.record))
    #expect(stream.source == [10, 0, 0, 1] && stream.destination == [10, 0, 0, 2])
    #expect(stream.sourcePort == [0x30, 0x39] && stream.destinationPort == [0, 80])
    #expect(TrackedStream(Self.record.dropLast()) == nil)
    #expect(TrackedStream(Self.record + [0]) == nil)
    #expect(TrackedStream([]) == nil)
  }

  /// As linux/netfilter/nfnetlink_conntrack.h numbers it; lengths, types, values, padding.
  @Test(arguments: [true, false]) func marksNameTheStreamAndTheFlagsOfBothDirections(
    _ isFirst: Bool
  ) throws {
    let flags: StreamMarker.Flags = isFirst ? .liberal : []
    let mask: StreamMarker.Flags = isFirst ? .liberal : [.unacknowledged]
    let words: [UInt8] = isFirst ? [0x08, 0x08] : [0x00, 0x10]
    let stream = try #require(TrackedStream(Self.record))
    let bytes = StreamMarker.request(flags, of: mask, for: stream).bytes
    // IPCTNL_MSG_CT_NEW of NFNL_SUBSYS_CTNETLINK, and no flag that would have an entry made.
    #expect(Array(bytes[4..<8]) == [0, 1, 0, 0])
    #expect(Array(bytes[16..<20]) == [2, 0, 0, 0])
    let tuple: [UInt8] =
      [52, 0, 1, 0x80]
      + [20, 0, 1, 0x80] + [8, 0, 1, 0, 10, 0, 0, 1] + [8, 0, 2, 0, 10, 0, 0, 2]
      + [28, 0, 2, 0x80] + [5, 0, 1, 0, 6, 0, 0, 0] + [6, 0, 2, 0, 0x30, 0x39, 0, 0]
      + [6, 0, 3, 0, 0, 80, 0, 0]
    let information: [UInt8] =
      [24, 0, 4, 0x80] + [20, 0, 1, 0x80] + [6, 0, 4, 0] + words + [0, 0] + [6, 0, 5, 0] + words
      + [0, 0]
    #expect(Array(bytes[20...]) == tuple + information)
  }
}
