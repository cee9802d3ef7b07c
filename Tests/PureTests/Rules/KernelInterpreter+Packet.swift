// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules

// What packets look like to the kernel's matches: byte by byte for nftables, by field for iptables.

extension TestPacket {
  private func hops(_ hook: ChainHook) -> UInt8 { hook == .prerouting ? ttl : ttl - 1 }

  /// - Parameter blind: read a later fragment as if it had a transport header.
  func bytes(
    _ base: UInt8, _ offset: Int, _ length: Int, _ hook: ChainHook, blind: Bool = false
  ) -> [UInt8]? {
    if base == 2 && laterFragment && !blind { return nil }
    let header: [UInt8] =
      switch base {
      case 0: [0, 0, 0, 0, 0, 9] + sourceMAC + [8, 0]
      case 1: family == .ip ? header4(hook) : header6(hook)
      default: transportHeader
      }
    guard offset + length <= header.count else { return nil }
    return Array(header[offset..<(offset + length)])
  }

  private func big(_ number: UInt128, _ count: Int) -> [UInt8] {
    (0..<count).reversed().map { UInt8(truncatingIfNeeded: number >> UInt128($0 * 8)) }
  }

  private func header4(_ hook: ChainHook) -> [UInt8] {
    [0x45, tos] + big(UInt128(length), 2) + [0, 1] + (laterFragment ? [0x20, 10] : [0x40, 0])
      + [hops(hook), transport, 0, 0] + big(source, 4) + big(destination, 4)
  }

  private func header6(_ hook: ChainHook) -> [UInt8] {
    [0x60 | tos >> 4, tos << 4, 1, 2] + big(UInt128(length) - 40, 2) + [transport, hops(hook)]
      + big(source, 16) + big(destination, 16)
  }

  private var transportHeader: [UInt8] {
    guard [6, 17, 33, 132, 136].contains(transport) else {
      return [type, code] + [UInt8](repeating: 0x5a, count: 18)
    }
    let ports = big(UInt128(sourcePort), 2) + big(UInt128(destinationPort), 2)
    return ports + [0, 0, 0, 1, 0, 0, 0, 2, 0x50] + [tcpFlags] + [0, 0, 0, 0, 0, 0]
  }

  func meta(_ key: UInt32) -> [UInt8]? {
    func name(_ text: String) -> [UInt8] {
      Array(text.utf8) + [UInt8](repeating: 0, count: 16 - text.utf8.count)
    }
    func host(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number) { Array($0) } }
    switch key {
    case 1: return family == .ip ? [8, 0] : [0x86, 0xdd]
    case 3: return host(mark)
    case 4: return host(inputIndex)
    case 5: return host(outputIndex)
    case 6: return name(input)
    case 7: return name(output)
    case 15: return [family.rawValue]
    case 16: return [transport]
    case 19: return [0]
    default: return nil
    }
  }

  /// `nil` where nobody knows.
  func meets(_ match: Match, _ hook: ChainHook) -> Bool? {
    func within(_ number: UInt16, _ range: PortRange) -> Bool {
      number >= range.low && number <= range.high
    }
    switch match {
    case .comment: return true
    case .input(let interface): return meets(interface, input)
    case .output(let interface): return meets(interface, output)
    case .source(.ipv4(let value, let mask, let negated)):
      return (UInt32(truncatingIfNeeded: source) & mask == value) != negated
    case .destination(.ipv4(let value, let mask, let negated)):
      return (UInt32(truncatingIfNeeded: destination) & mask == value) != negated
    case .source(.ipv6(let value, let mask, let negated)):
      return (source & mask == value) != negated
    case .destination(.ipv6(let value, let mask, let negated)):
      return (destination & mask == value) != negated
    case .transport(let number, let negated): return (transport == number) != negated
    case .fragment(let negated): return laterFragment != negated
    case .mark(let wanted): return (mark & wanted.mask == wanted.value) != wanted.negated
    case .length(let low, let high, let negated):
      return within(length, PortRange(low, high)) != negated
    case .ttl(let comparison, let value):
      switch comparison {
      case .equal: return hops(hook) == value
      case .notEqual: return hops(hook) != value
      case .less: return hops(hook) < value
      case .lessOrEqual: return hops(hook) <= value
      case .greater: return hops(hook) > value
      case .greaterOrEqual: return hops(hook) >= value
      }
    case .dscp(let value, let negated): return (tos >> 2 == value) != negated
    case .tos(let value, let mask, let negated): return (tos & mask == value) != negated
    case .packetType(let type, let negated): return (type == 0) != negated
    case .sourceMAC(let address, let negated): return (sourceMAC == address) != negated
    case .addressType(let types):
      if types.source != 0 {
        let met = types.source & 1 << (progress.isBehindNAT ? 2 : sourceType) != 0
        if met == types.flags.contains(.invertSource) { return false }
      }
      if types.destination != 0 {
        // What is sent to an address that is translated is sent to the router itself: RTN_LOCAL.
        let met = types.destination & (progress.isBeforeNAT ? 4 : 2) != 0
        if met == types.flags.contains(.invertDestination) { return false }
      }
      return true
    case .addressRange(let ranges):
      for case (let side?, let address) in [
        (ranges.source, source), (ranges.destination, destination),
      ] {
        if (address >= side.low && address <= side.high) == side.negated { return false }
      }
      return true
    case .set(let set):
      // Another address is in other sets.
      let isAnother = set.dimensions.contains {
        $0 ? progress.isBehindNAT : progress.isBeforeNAT
      }
      return (ipsets.contains(set.index) != isAnother) != set.negated
    case .conntrack(let match): return meets(match)
    case .connectionMark(let mark): return meets(connectionMark: mark)
    case .tcp(let tcp):
      if laterFragment { return false }
      return within(sourcePort, tcp.source) != tcp.inverted.contains(.source)
        && within(destinationPort, tcp.destination) != tcp.inverted.contains(.destination)
        && (tcpFlags & tcp.flagMask == tcp.flagValue) != tcp.inverted.contains(.flags)
    case .udp(let udp):
      if laterFragment { return false }
      return within(sourcePort, udp.source) != udp.inverted.contains(.source)
        && within(destinationPort, udp.destination) != udp.inverted.contains(.destination)
    case .sctp(let sctp):
      if laterFragment { return false }
      return within(sourcePort, sctp.source ?? .all) != sctp.inverted.contains(.source)
        && within(destinationPort, sctp.destination ?? .all)
          != sctp.inverted.contains(.destination)
    case .icmp(let icmp):
      if laterFragment { return false }
      let any = icmp.type == 255 && !icmp.six
      let met = icmp.type == type && code >= icmp.lowCode && code <= icmp.highCode
      return (any || met) != icmp.negated
    case .multiport(let multiport):
      if laterFragment { return false }
      for range in multiport.ports {
        let (from, to) = (within(sourcePort, range), within(destinationPort, range))
        switch multiport.side {
        case .source where from: return !multiport.negated
        case .destination where to: return !multiport.negated
        case .either where from || to: return !multiport.negated
        default: continue
        }
      }
      return multiport.negated
    default: return nil
    }
  }

  private func meets(_ match: InterfaceMatch, _ name: String) -> Bool {
    (match.wildcard ? name.hasPrefix(match.name) : name == match.name) != match.negated
  }
}
