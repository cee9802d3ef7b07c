// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

/// A connection as the kernel has it: two-way, assured and confirmed, whatever else.
struct TestConnection: Equatable {
  var isReply = false
  /// There is none that is like that.
  var isMissing = false
  /// The packet belongs to none because rules have said so.
  var isUntracked = false
  var mark: UInt32 = 0
  /// `IPS_*` beside those three: EXPECTED 1, SRC_NAT 0x10, DST_NAT 0x20, SRC_NAT_DONE 0x80, DST_NAT_DONE 0x100.
  var more: UInt16 = 0
  /// What a packet is addressed to before NAT, and comes from behind it, where that is another.
  var arriving: (address: UInt128, port: UInt16)?
  var leaving: (address: UInt128, port: UInt16)?

  static func == (a: TestConnection, b: TestConnection) -> Bool {
    (a.isReply, a.mark, a.more) == (b.isReply, b.mark, b.more)
  }

  /// IPS_SEEN_REPLY, IPS_ASSURED, IPS_CONFIRMED.
  var status: UInt16 { more | 0b1110 }

  /// How `Field.connection` has it.
  var number: UInt128 {
    var number: UInt128 = isReply ? 1 : 0
    if more & 0x001 != 0 { number += 2 }
    if more & 0x010 != 0 { number += 4 }
    if more & 0x020 != 0 { number += 8 }
    if more & 0x080 != 0 { number += 16 }
    if more & 0x100 != 0 { number += 32 }
    if isMissing { number = 64 }
    return isUntracked ? number + 128 : number
  }
}

/// How far the kernel is with a packet.
struct TestProgress: Equatable {
  enum Tracking { case never, notYet, done, left }
  var tracking = Tracking.never
  /// Its destination is still to be translated; its source has been.
  var isBeforeNAT = false
  var isBehindNAT = false
}

extension TestPacket {
  /// As it comes in where connections are tracked.
  var untracked: TestPacket {
    var packet = self
    packet.progress.tracking = .notYet
    if let arriving = connection.arriving {
      (packet.destination, packet.destinationPort) = arriving
      packet.progress.isBeforeNAT = true
    }
    return packet
  }

  /// Behind a hook of the kernel's own, for a packet that was `whole` between NAT in and out.
  mutating func pass(_ hook: NetfilterHook, _ whole: TestPacket) {
    switch (hook.owner, hook.point) {
    case (.conntrack, .prerouting) where progress.tracking == .notYet: progress.tracking = .done
    case (.nat, .prerouting) where progress.tracking == .done:
      (destination, destinationPort) = (whole.destination, whole.destinationPort)
      progress.isBeforeNAT = false
    case (.nat, .postrouting) where progress.tracking == .done:
      guard let leaving = connection.leaving else { break }
      (source, sourcePort) = leaving
      progress.isBehindNAT = true
    default: break
    }
  }

  // MARK: As the kernel's sources have it

  /// conntrack_mt().
  func meets(_ match: ConntrackMatch) -> Bool? {
    if progress.tracking == .never { return nil }
    let (flags, invert) = (match.conditions, match.inverted)
    let found = progress.tracking == .done
    // ESTABLISHED and ESTABLISHED_REPLY are one state.
    var statebit: UInt16 =
      switch progress.tracking {
      case .done: 1 << 1
      case .left: 1 << 8
      default: 1 << 0
      }
    if flags & 1 != 0 {
      if found {
        if connection.status & 0x10 != 0 { statebit |= 1 << 6 }
        if connection.status & 0x20 != 0 { statebit |= 1 << 7 }
      }
      if (match.states.rawValue & statebit != 0) == (invert & 1 != 0) { return false }
    }
    if !found { return flags & 1 != 0 }
    if flags & 1 << 12 != 0, !connection.isReply == (invert & 1 << 12 != 0) { return false }
    if flags & 1 << 6 != 0, (match.status & connection.status != 0) == (invert & 1 << 6 != 0) {
      return false
    }
    return true
  }

  /// connmark_mt().
  func meets(connectionMark mark: MaskedMatch) -> Bool? {
    switch progress.tracking {
    case .never: nil
    case .notYet, .left: false
    case .done: (connection.mark & mark.mask == mark.value) != mark.negated
    }
  }

  enum Loaded { case bytes([UInt8]), breaks, unknown }

  /// nft_ct_get_eval().
  func connection(_ key: UInt32) -> Loaded {
    func host(_ number: UInt32) -> Loaded { .bytes(withUnsafeBytes(of: number) { Array($0) }) }
    if progress.tracking == .never { return .unknown }
    if key == 0 {
      return host(progress.tracking == .done ? 2 : progress.tracking == .left ? 1 << 6 : 1)
    }
    if progress.tracking != .done { return .breaks }
    switch key {
    case 1: return .bytes([connection.isReply ? 1 : 0, 0, 0, 0])
    case 2: return host(UInt32(connection.status))
    case 3: return host(connection.mark)
    default: return .unknown
    }
  }
}
