// SPDX-License-Identifier: Apache-2.0
import Introspection

/// What a loaded value is, in terms of what packets have.
enum Loaded {
  /// `(number & mask) >> shift`, in network order or in the machine's.
  case wide(Field, mask: UInt128, shift: Int, hostOrder: Bool)
  /// Whatever function of a field of 16 bits at most.
  case narrow(Field, (UInt128) -> UInt128)
  /// The fragment offset: 0 or not is all that can be asked.
  case fragmentOffset
  case interface(Condition.Direction)
  case interfaceIndex(Condition.Direction)
  case sourceMAC
  case constant(UInt128)
}

/// A loaded value cut into what it consists of: nft loads neighbouring fields at once.
struct LoadedPiece {
  var content: Loaded
  /// How many bytes it is long.
  var length: Int
}

extension Translator {
  /// What a value consists of for packets that meet `met`; `nil` where that is not known.
  func pieces(_ value: Registers.Value, _ met: Conjunction) -> [LoadedPiece]? {
    switch value.source {
    case .meta(let key): meta(key, value).map { [LoadedPiece(content: $0, length: value.length)] }
    case .conntrack(let key, _):
      connection(key, value).map { [LoadedPiece(content: $0, length: value.length)] }
    case .payload(let base, let offset):
      payload(base, Int(clamping: offset), value, met)
    }
  }

  private func meta(_ key: UInt32, _ value: Registers.Value) -> Loaded? {
    switch key {
    case NFT.Meta.mark:
      let mask = value.mask.map { Self.swap32($0) } ?? 0xffff_ffff
      return .wide(.mark, mask: mask, shift: 0, hostOrder: !value.swapped)
    case NFT.Meta.transport where value.mask == nil:
      return .wide(.transport, mask: 0xff, shift: 0, hostOrder: false)
    case NFT.Meta.family: return .constant(UInt128(family.rawValue) & (value.mask ?? .max))
    case NFT.Meta.proto:
      return .constant((family == .ip ? 0x0800 : 0x86dd) & (value.mask ?? .max))
    case NFT.Meta.packetType: return .constant(0)
    case NFT.Meta.inputName where value.mask == nil: return .interface(.input)
    case NFT.Meta.outputName where value.mask == nil && hook != .prerouting:
      return .interface(.output)
    case NFT.Meta.input where value.mask == nil && !value.swapped: return .interfaceIndex(.input)
    case NFT.Meta.output where value.mask == nil && !value.swapped && hook != .prerouting:
      return .interfaceIndex(.output)
    default: return nil
    }
  }

  private func payload(
    _ base: UInt8, _ offset: Int, _ value: Registers.Value, _ met: Conjunction
  ) -> [LoadedPiece]? {
    var pieces: [LoadedPiece] = []
    var done = 0
    while done < value.length {
      let left = value.length - done
      guard let piece = piece(base, offset + done, left, value.mask, met) else { return nil }
      // A mask over several fields is not taken apart.
      if value.mask != nil && piece.length != value.length { return nil }
      pieces.append(piece)
      done += piece.length
    }
    return pieces
  }

  /// The field that begins at an offset, of `left` bytes at most.
  private func piece(
    _ base: UInt8, _ offset: Int, _ left: Int, _ mask: UInt128?, _ met: Conjunction
  ) -> LoadedPiece? {
    switch base {
    case NFT.Payload.network where family == .ip: network4(offset, left, mask)
    case NFT.Payload.network: network6(offset, left, mask)
    case NFT.Payload.transport: transport(offset, left, mask, met)
    case NFT.Payload.link:
      offset == 6 && left == 6 && mask == nil && hook != .postrouting
        ? LoadedPiece(content: .sourceMAC, length: 6) : nil
    default: nil
    }
  }

  private func network4(_ offset: Int, _ left: Int, _ mask: UInt128?) -> LoadedPiece? {
    switch offset {
    case 1: whole(.tos, 1, left, mask)
    case 2: whole(.length, 2, left, mask)
    case 6 where left == 2 && mask == 0x1fff: LoadedPiece(content: .fragmentOffset, length: 2)
    case 8: whole(.ttl, 1, left, mask)
    case 9: whole(.transport, 1, left, mask)
    case 12..<16: part(.source, of: 4, offset - 12, left, mask)
    case 16..<20: part(.destination, of: 4, offset - 16, left, mask)
    default: nil
    }
  }

  private func network6(_ offset: Int, _ left: Int, _ mask: UInt128?) -> LoadedPiece? {
    switch offset {
    // Version, traffic class, flow label: of the two bytes the middle eight bits.
    case 0 where left == 2 && (mask ?? .max) & ~0x0ff0 == 0:
      LoadedPiece(content: .narrow(.tos) { ($0 << 4) & (mask ?? 0) }, length: 2)
    // Packets with extension headers are never asked about.
    case 6: whole(.transport, 1, left, mask)
    case 7: whole(.ttl, 1, left, mask)
    case 8..<24: part(.source, of: 16, offset - 8, left, mask)
    case 24..<40: part(.destination, of: 16, offset - 24, left, mask)
    default: nil
    }
  }

  private func transport(
    _ offset: Int, _ left: Int, _ mask: UInt128?, _ met: Conjunction
  ) -> LoadedPiece? {
    if isSettled(met, Self.withPorts) {
      switch offset {
      case 0: return whole(.sourcePort, 2, left, mask)
      case 2: return whole(.destinationPort, 2, left, mask)
      case 13 where isSettled(met, [6]): return whole(.tcpFlags, 1, left, mask)
      default: return nil
      }
    }
    guard isSettled(met, [controlProtocol]) else { return nil }
    switch (offset, left) {
    case (0, 1):
      return LoadedPiece(content: .narrow(.icmp) { ($0 >> 8) & (mask ?? 0xff) }, length: 1)
    case (1, 1): return LoadedPiece(content: .narrow(.icmp) { $0 & (mask ?? 0xff) }, length: 1)
    case (0, 2): return whole(.icmp, 2, left, mask)
    default: return nil
    }
  }

  /// A field of a few bytes, loaded whole.
  private func whole(_ field: Field, _ size: Int, _ left: Int, _ mask: UInt128?) -> LoadedPiece? {
    guard left >= size else { return nil }
    if let mask {
      guard left == size else { return nil }
      return LoadedPiece(content: .narrow(field) { $0 & mask }, length: size)
    }
    let all = (UInt128(1) << UInt128(size * 8)) - 1
    return LoadedPiece(
      content: .wide(field, mask: all, shift: 0, hostOrder: false), length: size)
  }

  /// Some bytes of an address.
  private func part(
    _ field: Field, of size: Int, _ offset: Int, _ left: Int, _ mask: UInt128?
  ) -> LoadedPiece {
    let length = min(left, size - offset)
    let shift = 8 * (size - offset - length)
    let ones: UInt128 = length >= 16 ? .max : (UInt128(1) << UInt128(length * 8)) - 1
    return LoadedPiece(
      content: .wide(
        field, mask: ((mask ?? ones) & ones) << UInt128(shift), shift: shift, hostOrder: false),
      length: length)
  }

  /// Four bytes in network order as a number in the machine's, and back.
  static func swap32(_ number: UInt128) -> UInt128 {
    UInt128(UInt32(bigEndian: UInt32(truncatingIfNeeded: number)))
  }
}
