// SPDX-License-Identifier: Apache-2.0
import Netlink

// A rule of iptables-legacy is one `struct ipt_entry` or `struct ip6t_entry`: the header's conditions,
// then matches, then a target.

extension Rule {
  /// Decodes a rule of iptables-legacy.
  ///
  /// - Parameter target: what libiptc says the target's name is; `nil` to take it from the entry,
  ///   where jumps are offsets.
  /// - Returns: `nil` when the entry does not hold together.
  package static func xtables(
    entry: Bytes, family: RuleFamily, line: UInt64, target: String? = nil
  ) -> Rule? {
    let six = family == .ip6
    let layout = six ? EntryLayout.ip6 : .ip
    guard let targetOffset = entry.load(layout.targetOffset, as: UInt16.self).map(Int.init),
      targetOffset >= layout.size, let targetBytes = entry.dropping(targetOffset),
      let matches = entry.slice(layout.size, targetOffset - layout.size)
    else { return nil }
    var rule = Rule(handle: line)
    guard six ? rule.header6(entry) : rule.header4(entry) else { return nil }
    guard rule.append(matches, family) else { return nil }
    let goto = (entry[layout.flags] ?? 0) & layout.goto != 0
    guard let decoded = Target.xtables(targetBytes, name: target, goto: goto)
    else { return nil }
    rule.target = decoded
    return rule
  }

  private struct EntryLayout {
    let size: Int
    let targetOffset: Int
    let flags: Int
    let goto: UInt8
    static let ip = EntryLayout(size: 112, targetOffset: 88, flags: 82, goto: 2)
    static let ip6 = EntryLayout(size: 168, targetOffset: 140, flags: 131, goto: 4)
  }

  /// `struct ipt_ip`: src, dst, smsk, dmsk, iniface, outiface and their masks, proto, flags, invflags.
  private mutating func header4(_ entry: Bytes) -> Bool {
    guard let source = entry.loadBig(0, as: UInt32.self),
      let destination = entry.loadBig(4, as: UInt32.self),
      let sourceMask = entry.loadBig(8, as: UInt32.self),
      let destinationMask = entry.loadBig(12, as: UInt32.self),
      let proto = entry.load(80, as: UInt16.self), let flags = entry[82], let inverted = entry[83]
    else { return false }
    interfaces(entry, 16, inverted)
    if sourceMask != 0 || inverted & 8 != 0 {
      matches.append(.source(.ipv4(source, mask: sourceMask, negated: inverted & 8 != 0)))
    }
    if destinationMask != 0 || inverted & 0x10 != 0 {
      matches.append(
        .destination(.ipv4(destination, mask: destinationMask, negated: inverted & 0x10 != 0)))
    }
    transport(proto, inverted)
    if flags & 1 != 0 { matches.append(.fragment(negated: inverted & 0x20 != 0)) }
    // Inverting a condition that is not there makes a rule that never matches.
    let strange = inverted & 0x20 != 0 && flags & 1 == 0
    if flags & ~3 != 0 || inverted & 0x84 != 0 || strange { unknownHeader(flags, inverted) }
    return true
  }

  /// `struct ip6t_ip6`: as above, and a traffic class that no kernel looks at.
  private mutating func header6(_ entry: Bytes) -> Bool {
    guard let source = entry.address6(0), let destination = entry.address6(16),
      let sourceMask = entry.address6(32), let destinationMask = entry.address6(48),
      let proto = entry.load(128, as: UInt16.self), let flags = entry[131],
      let inverted = entry[132]
    else { return false }
    interfaces(entry, 64, inverted)
    if sourceMask != 0 || inverted & 8 != 0 {
      matches.append(.source(.ipv6(source, mask: sourceMask, negated: inverted & 8 != 0)))
    }
    if destinationMask != 0 || inverted & 0x10 != 0 {
      matches.append(
        .destination(.ipv6(destination, mask: destinationMask, negated: inverted & 0x10 != 0)))
    }
    if flags & 1 != 0 { transport(proto, inverted, evenZero: true) }
    if flags & ~5 != 0 || inverted & 0xa4 != 0 { unknownHeader(flags, inverted) }
    return true
  }

  private mutating func interfaces(_ entry: Bytes, _ offset: Int, _ inverted: UInt8) {
    let input = entry.interface(offset, mask: offset + 32, negated: inverted & 1 != 0)
    let output = entry.interface(offset + 16, mask: offset + 48, negated: inverted & 2 != 0)
    if let input, let output {
      if let input { matches.append(.input(input)) }
      if let output { matches.append(.output(output)) }
      // `! -i +`: a negation of anything matches nothing.
      if (input == nil && inverted & 1 != 0) || (output == nil && inverted & 2 != 0) {
        unknownHeader(0, inverted)
      }
    } else if let names = entry.slice(offset, 64) {
      matches.append(.unknown(UnknownExtension("interface mask", names)))
    }
  }

  private mutating func transport(_ proto: UInt16, _ inverted: UInt8, evenZero: Bool = false) {
    guard proto != 0 || evenZero else { return }
    guard let number = UInt8(exactly: proto) else { return unknownHeader(0, inverted) }
    matches.append(.transport(number, negated: inverted & 0x40 != 0))
  }

  private mutating func unknownHeader(_ flags: UInt8, _ inverted: UInt8) {
    let both = UInt64(flags) << 8 | UInt64(inverted)
    matches.append(.unknown(UnknownExtension("header flags", fingerprint: both)))
  }

  /// `struct xt_entry_match`: u16 size, name of 29 bytes, revision, and the match's own blob.
  private mutating func append(_ bytes: Bytes, _ family: RuleFamily) -> Bool {
    var rest = bytes
    while rest.count > 0 {
      guard let size = rest.load(0, as: UInt16.self).map(Int.init), size >= 32,
        let name = rest.slice(2, 29)?.string, let revision = rest[31],
        let info = rest.slice(32, size - 32), let next = rest.dropping(size)
      else { return false }
      matches.append(.xtables(name, revision: revision, info, family: family))
      rest = next
    }
    return true
  }
}

extension Target {
  /// Decodes `struct xt_entry_target`: u16 size, name of 29 bytes, revision, blob. The standard
  /// target has no name; its blob is a verdict.
  static func xtables(_ bytes: Bytes, name: String?, goto: Bool) -> Target? {
    guard let size = bytes.load(0, as: UInt16.self).map(Int.init), size >= 32,
      let own = bytes.slice(2, 29)?.string, let revision = bytes[31],
      let info = bytes.slice(32, size - 32)
    else { return nil }
    if own.isEmpty || own == "standard" {
      if let name { return named(name, goto: goto) }
      return info.load(0, as: Int32.self).map { standard($0, goto: goto) }
    }
    return xtables(own, revision: revision, info)
  }

  /// An extension's blob, alike in iptables-legacy and iptables-nft.
  package static func xtables(_ name: String, revision: UInt8, _ info: Bytes) -> Target {
    if name == "REJECT", revision == 0, let kind = info.load(0, as: UInt32.self) {
      return .reject(kind)
    }
    if let marks = marks(name, revision, info) { return marks }
    if let untrack = untrack(name, revision, info) { return untrack }
    return .unknown(UnknownExtension(name, revision: revision, info))
  }

  /// `struct xt_mark_tginfo2`, `xt_connmark_tginfo1` and 2. What shifts is not among them.
  private static func marks(_ name: String, _ revision: UInt8, _ info: Bytes) -> Target? {
    guard let first = info.load(0, as: UInt32.self), let second = info.load(4, as: UInt32.self)
    else { return nil }
    switch (name, revision) {
    case ("MARK", 2):
      return info.count == 8 ? .mark(MarkChange(packet: ~second, constant: first)) : nil
    case ("CONNMARK", 1), ("CONNMARK", 2):
      guard info.count == 16, let third = info.load(8, as: UInt32.self),
        let mode = info[revision == 1 ? 12 : 14], revision == 1 || info[13] == 0
      else { return nil }
      switch mode {
      case 0: return .connectionMark(MarkChange(connection: ~second, constant: first))
      case 1: return .connectionMark(MarkChange(packet: third, connection: ~second))
      // Without a connection nothing is done: a change that takes nothing of one's mark is not taken for MARK.
      case 2 where second != 0: return .mark(MarkChange(packet: ~third, connection: second))
      default: return nil
      }
    default: return nil
    }
  }

  /// xt_ct_tg_check(): `struct xt_ct_target_info` begins with its flags, of which this one has the others ignored.
  private static func untrack(_ name: String, _ revision: UInt8, _ info: Bytes) -> Target? {
    switch (name, revision) {
    case ("NOTRACK", 0): return .untrack(alias: true)
    case ("CT", 0...2):
      guard let flags = info.load(0, as: UInt16.self), flags & ~3 == 0, flags & 1 != 0 else {
        return nil
      }
      return .untrack(alias: flags & 2 != 0)
    default: return nil
    }
  }

  private static func named(_ name: String, goto: Bool) -> Target {
    switch name {
    case "": .fallThrough
    case "ACCEPT": .accept
    case "DROP": .drop
    case "RETURN": .return
    case "QUEUE": .queue
    default: goto ? .goto(name) : .jump(name)
    }
  }

  /// A verdict as the kernel stores it: `-NF_DROP - 1` and so on, or a jump to an offset.
  private static func standard(_ verdict: Int32, goto: Bool) -> Target {
    switch verdict {
    case -1: .drop
    case -2: .accept
    case -4: .queue
    case -5: .return
    case 0...: goto ? .goto("@\(verdict)") : .jump("@\(verdict)")
    default: .unknown(UnknownExtension("verdict \(verdict)"))
    }
  }
}
