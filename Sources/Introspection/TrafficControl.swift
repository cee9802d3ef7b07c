// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

/// A queueing discipline on a device.
package struct Qdisc: Equatable, Sendable {
  package var link: Int32
  package var kind: String
  package var handle: UInt32
  package var parent: UInt32

  package init(link: Int32, kind: String, handle: UInt32, parent: UInt32) {
    self.link = link
    self.kind = kind
    self.handle = handle
    self.parent = parent
  }

  package static let root: UInt32 = 0xffff_ffff
  package static let ingress: UInt32 = 0xffff_fff1

  /// Reads an RTM_NEWQDISC message's payload.
  package static func parse(_ payload: Bytes) -> Qdisc? {
    guard let link = payload.load(4, as: Int32.self), let handle = payload.load(8, as: UInt32.self),
      let parent = payload.load(12, as: UInt32.self), payload.count >= 20,
      let kind = Attributes(payload, after: 20).first(TCA_KIND)?.string
    else { return nil }
    return Qdisc(link: link, kind: kind, handle: handle, parent: parent)
  }

  /// Whether it leaves packets alone: it holds filters only, or is what a device has when nobody
  /// asked for more. A shaper, and an fq_codel somebody set up by hand, does not.
  package var isPlain: Bool {
    switch kind {
    case "noqueue", "mq", "pfifo_fast", "clsact", "ingress": true
    case "fq_codel": handle == 0
    default: false
    }
  }
}

/// A tc filter on a device.
package struct TrafficFilter: Equatable, Sendable {
  package enum Side: String, Sendable { case ingress, egress, root }
  package var link: Int32
  package var side: Side
  package var kind: String
  package var priority: UInt16
  package var handle: UInt32
  /// For BPF classifiers: the program's name and id.
  package var program: String = ""
  package var programID: UInt32 = 0

  /// Reads an RTM_NEWTFILTER message's payload, dumped for one side of a device.
  package static func parse(_ payload: Bytes, side: Side) -> TrafficFilter? {
    guard let link = payload.load(4, as: Int32.self), let handle = payload.load(8, as: UInt32.self),
      let info = payload.load(16, as: UInt32.self), payload.count >= 20
    else { return nil }
    var filter = TrafficFilter(
      link: link, side: side, kind: "", priority: UInt16(info >> 16), handle: handle)
    for attribute in Attributes(payload, after: 20) {
      if attribute.type == TCA_KIND { filter.kind = attribute.string }
      if attribute.type == TCA_OPTIONS, filter.kind == "bpf" {
        for option in attribute.nested {
          if option.type == 7 { filter.program = option.string }  // TCA_BPF_NAME
          if option.type == 11 { filter.programID = option.u32 ?? 0 }  // TCA_BPF_ID
        }
      }
    }
    return filter.kind.isEmpty ? nil : filter
  }
}
