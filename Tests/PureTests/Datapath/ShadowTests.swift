// SPDX-License-Identifier: Apache-2.0
import Datapath
import Foundation
import Glibc
import Lab
import Testing

@Suite struct ShadowHeadersTests {
  private static let frame: [UInt8] =
    [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 32, 0, 7, 0x40, 0, 64, 17, 0x66, 0x55]
    + [10, 0, 1, 2, 10, 0, 2, 2, 0, 1, 0, 9, 0, 12, 0, 0, 1, 2, 3, 4]

  @Test func aPacketIsSummed() {
    let headers = ShadowHeaders(frame: Self.frame, length: 46)
    #expect(
      headers.summary
        == "02:00:00:00:00:02 > 02:00:00:00:00:01, 10.0.1.2 > 10.0.2.2, UDP, TTL 64, id 7, 46 bytes"
    )
  }

  @Test func aTagIsTakenOff() {
    let tagged = Array(Self.frame[..<12]) + [0x81, 0, 0x60, 5] + Array(Self.frame[12...])
    let headers = ShadowHeaders(frame: tagged, length: 46)
    let plain = ShadowHeaders(frame: Self.frame, length: 46)
    #expect(headers.bytes == plain.bytes && headers.tag == 0x6005)
    #expect(plain.differences(in: headers) == ["VLAN tag 5 priority 3"])
    #expect(headers.summary.contains(", VLAN 5, 10.0.1.2"))
  }

  /// Each byte of what is compared belongs to something that has a name.
  @Test func everyByteShowsWhereItDiffers() {
    let own = ShadowHeaders(frame: Self.frame, length: 46)
    for place in own.bytes.indices {
      var other = own
      other.bytes[place] ^= 1
      #expect(!own.differences(in: other).isEmpty, "byte \(place)")
    }
    var longer = own
    longer.length = 47
    #expect(own.differences(in: longer) == ["length 47"])
    #expect(own.differences(in: own).isEmpty)
  }

  @Test func whatIsNoIPv4IsShownAsItIs() {
    let short = ShadowHeaders(frame: Array(Self.frame[..<12]) + [0x88, 0xcc, 1], length: 15)
    #expect(short.summary.hasSuffix("02:00:00:00:00:01, protocol 0x88cc, 15 bytes"))
    #expect(ShadowHeaders(frame: [], length: 0).summary.hasSuffix("0 bytes"))
  }
}

@Suite struct CaptureFileTests {
  private let directory: TemporaryDirectory
  private var path: String { "\(directory.path)/shadow.pcap" }

  init() throws { directory = try TemporaryDirectory() }

  @Test func framesAreReadBack() throws {
    let file = CaptureFile(path: path)
    #expect(access(path, F_OK) != 0, "nothing is made before there is a frame")
    let frames = (1...3).map { [UInt8](repeating: UInt8($0), count: 60 + $0) }
    for (number, frame) in frames.enumerated() {
      try file.write(frame, length: 100, time: UInt64(number) * 1_000_001_000)
    }
    let read = try PcapFile.read(path)
    #expect(read.map(\.bytes) == frames)
    #expect(read.map(\.time) == [0, 1_000_001_000, 2_000_002_000])
    #expect(file.frames == 3)
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
  }

  @Test func aFullFileMakesRoom() throws {
    let file = CaptureFile(path: path, largest: 24 + 2 * 76)
    for number in 1...5 as ClosedRange<UInt8> {
      try file.write([UInt8](repeating: number, count: 60), length: 60, time: 0)
    }
    #expect(try PcapFile.read(path).map { $0.bytes[0] } == [5])
    #expect(try PcapFile.read(file.olderPath).map { $0.bytes[0] } == [3, 4])
  }

  @Test func aFormerFileIsKeptOnce() throws {
    for number in 1...3 as ClosedRange<UInt8> {
      try CaptureFile(path: path).write([UInt8](repeating: number, count: 60), length: 60, time: 0)
    }
    #expect(try PcapFile.read(path).map { $0.bytes[0] } == [3])
    #expect(try PcapFile.read("\(path).1").map { $0.bytes[0] } == [2])
  }

  @Test func longFramesAreCut() throws {
    try CaptureFile(path: path, snapLength: 64).write(
      [UInt8](repeating: 1, count: 100), length: 1500, time: 0)
    #expect(try PcapFile.read(path).map(\.bytes.count) == [64])
  }

  @Test func whatCannotBeWrittenIsSaid() {
    let file = CaptureFile(path: "/nowhere/shadow.pcap")
    #expect(throws: DatapathError.self) { try file.write([1], length: 1, time: 0) }
  }
}
