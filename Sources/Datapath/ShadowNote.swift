// SPDX-License-Identifier: Apache-2.0
import CBPF

/// What a program in shadow mode decided on a packet.
package struct ShadowNote: Equatable, Sendable {
  package enum Verdict: Sendable {
    case forward, drop
  }

  /// When the first packet of these bytes came, in nanoseconds since the machine started.
  package var time: UInt64 = 0
  /// How many of them nothing has been seen of.
  package var waiting = 1
  package var verdict = Verdict.forward
  package var ingress: Int32 = 0
  package var egress: Int32 = 0
  package var onXDP = true
  /// The kernel was seen to receive one, so what it does with it would be seen as well.
  package var hasArrived = false
  /// Other packets of these bytes were decided on in another way.
  package var isMixed = false
  /// The kernel freed one that was to be forwarded: why, by number, and on which device.
  package var freed: (reason: UInt32, on: Int32)?
  /// As they would leave.
  package var leaving = ShadowHeaders()
  /// As it came, as much as is kept; a tag that the kernel keeps beside it is put in its place.
  package var frame: [UInt8] = []

  package init() {}

  init(_ note: note) {
    time = note.time
    waiting = Int(note.waiting)
    verdict = Int(note.verdict) == NOTE_FORWARD ? .forward : .drop
    ingress = Int32(bitPattern: note.ingress)
    egress = Int32(bitPattern: note.egress)
    onXDP = Int(note.hook) == NOTE_XDP
    isMixed = note.mixed != 0
    hasArrived = note.arrived != 0
    if note.freed != 0 { freed = (note.freed_reason, Int32(bitPattern: note.freed_on)) }
    leaving = ShadowHeaders(note.headers, tag: note.tag, length: note.length)
    let size = min(Int(note.size), NOTE_FRAME_MAX)
    frame = withUnsafeBytes(of: note.frame) { Array($0.prefix(size)) }
    if note.came_with >> 16 != 0, frame.count >= 12 {
      let tag = UInt8(truncatingIfNeeded: note.came_with >> 8)
      frame.insert(
        contentsOf: [0x81, 0, tag, UInt8(truncatingIfNeeded: note.came_with)], at: 12)
    }
  }

  package static func == (left: ShadowNote, right: ShadowNote) -> Bool {
    left.time == right.time && left.frame == right.frame && left.leaving == right.leaving
      && left.egress == right.egress && left.verdict == right.verdict
  }
}

/// A packet with which the kernel did something else.
package struct ShadowDifference: Sendable {
  package enum Kind: String, CaseIterable, Sendable {
    /// Sent, by another device.
    case device = "other-device"
    /// Sent, with another header, tag or length.
    case bytes = "other-bytes"
    /// To be dropped, and sent.
    case sent
    /// To be forwarded, and dropped by the kernel.
    case freed = "dropped"
    /// Received, and neither seen leaving nor ending.
    case gone = "vanished"
  }

  package var note: ShadowNote
  package var kind: Kind
  package var time: UInt64
  /// What the kernel did, where it sent the packet.
  package var egress: Int32 = 0
  package var sent = ShadowHeaders()

  package init(_ note: ShadowNote, _ kind: Kind, at time: UInt64) {
    self.note = note
    self.kind = kind
    self.time = time
  }

  init?(_ difference: difference) {
    guard Kind.allCases.indices.contains(Int(difference.kind)) else { return nil }
    note = ShadowNote(difference.note)
    kind = Kind.allCases[Int(difference.kind)]
    time = difference.time
    egress = Int32(bitPattern: difference.egress)
    sent = ShadowHeaders(difference.headers, tag: difference.tag, length: difference.length)
  }
}

/// What became of the packets that came in by one interface.
package struct ShadowTally: Equatable, Sendable {
  package var agreed: UInt64 = 0
  /// Of packets alike that were decided on in different ways: which is which cannot be told.
  package var mixed: UInt64 = 0
  /// The kernel ran no tracepoints where these were processed.
  package var unseen: UInt64 = 0
  package var differences: [ShadowDifference.Kind: UInt64] = [:]

  package var differing: UInt64 { differences.values.reduce(0, &+) }

  package init() {}

  init(_ results: note_results) {
    agreed = results.agreed
    mixed = results.mixed
    let counts = withUnsafeBytes(of: results.differences) { Array($0.bindMemory(to: UInt64.self)) }
    for (kind, count) in zip(ShadowDifference.Kind.allCases, counts) where count > 0 {
      differences[kind] = count
    }
  }

  package static func + (left: ShadowTally, right: ShadowTally) -> ShadowTally {
    var sum = left
    sum.agreed &+= right.agreed
    sum.mixed &+= right.mixed
    sum.unseen &+= right.unseen
    sum.differences.merge(right.differences, uniquingKeysWith: &+)
    return sum
  }
}
