// SPDX-License-Identifier: Apache-2.0

/// What a rule does with a packet that meets all its conditions.
package enum Target: Hashable, Sendable {
  /// Nothing: the next rule is tried. The rule counts, at most.
  case fallThrough
  case accept
  case drop
  case `return`
  case queue
  case jump(String)
  case goto(String)
  /// Answered with an error, as the kernel numbers kinds of REJECT.
  case reject(UInt32)
  /// The verdict is what a look-up in a verdict map of the table yields (nftables).
  indirect case verdictMap(Lookup)
  /// The packet gets another mark (MARK, CONNMARK --restore-mark).
  case mark(MarkChange)
  /// Its connection does (CONNMARK --set-mark, --save-mark).
  case connectionMark(MarkChange)
  /// The packet is not to be tracked (CT --notrack; or NOTRACK, as it was once called and can be still).
  case untrack(alias: Bool)
  /// An extension that is known by name alone: its effect is not.
  indirect case unknown(UnknownExtension)

  package var isUntrack: Bool { if case .untrack = self { true } else { false } }
}

/// A mark made of the packet's and its connection's:
/// `(mark & packet) ^ (connection's mark & connection) ^ constant`.
package struct MarkChange: Hashable, Sendable {
  package var packet: UInt32
  package var connection: UInt32
  package var constant: UInt32

  package init(packet: UInt32 = 0, connection: UInt32 = 0, constant: UInt32 = 0) {
    (self.packet, self.connection, self.constant) = (packet, connection, constant)
  }

  package func mark(_ packet: UInt32, _ connection: UInt32) -> UInt32 {
    (packet & self.packet) ^ (connection & self.connection) ^ constant
  }

  /// `(mark & mask) ^ xor`
  package func masked(_ mask: UInt32, _ xor: UInt32) -> MarkChange {
    MarkChange(
      packet: packet & mask, connection: connection & mask, constant: constant & mask ^ xor)
  }
}

/// An nftables verdict.
package enum Verdict: Hashable, Sendable {
  case accept, drop, `return`, `continue`, `break`
  case queue(UInt16)
  case jump(String)
  case goto(String)
  case unknown(Int32)
}

/// A look-up of packet fields in a set or map.
package struct Lookup: Hashable, Sendable {
  package var set: String
  /// What is looked up, one field after the other (more than one in a concatenation).
  package var fields: [PacketField]
  package var negated: Bool

  package init(set: String, fields: [PacketField], negated: Bool) {
    self.set = set
    self.fields = fields
    self.negated = negated
  }
}

/// Where a value comes from that nftables loads into a register.
package struct PacketField: Hashable, Sendable {
  package var source: Source
  /// How many bytes.
  package var length: UInt8
  /// What the value is ANDed with; `nil` when it is taken as it is.
  package var mask: RegisterValue?

  package enum Source: Hashable, Sendable {
    /// `NFT_PAYLOAD_*_HEADER` and the offset in that header.
    case payload(base: UInt8, offset: UInt32)
    /// `NFT_META_*`.
    case meta(UInt32)
    /// `NFT_CT_*` and the direction, 2 for none.
    case conntrack(UInt32, direction: UInt8)
  }

  package init(source: Source, length: UInt8, mask: RegisterValue? = nil) {
    self.source = source
    self.length = length
    self.mask = mask
  }
}
