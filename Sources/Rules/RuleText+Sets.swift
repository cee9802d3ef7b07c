// SPDX-License-Identifier: Apache-2.0
import Introspection

// Look-ups in sets and maps of nftables, in the words of nft.

extension RuleText {
  func nftables(_ lookup: Lookup, _ packet: PacketWords, isMap: Bool) -> String {
    let fields = lookup.fields.map { name($0, packet) }.joined(separator: " . ")
    let operation = isMap ? " vmap " : lookup.negated ? " != " : " "
    return (fields.isEmpty ? "…" : fields) + operation + set(lookup)
  }

  /// A named set by its name, an anonymous one by what is in it.
  private func set(_ lookup: Lookup) -> String {
    guard let set = table.set(named: lookup.set), set.flags.contains(.anonymous) else {
      return "@\(lookup.set)"
    }
    let lengths = lookup.fields.map { Int($0.length) }
    guard let contents = SetContents(set, lengths: lengths) else { return "{ … }" }
    var elements = contents.boxes.map { box in
      zip(lookup.fields, box.ranges).map { value($1, $0) }.joined(separator: " . ")
        + verdict(box.value)
    }
    if let all = contents.catchAll { elements.append("*\(verdict(all.value))") }
    return "{ \(elements.joined(separator: ", ")) }"
  }

  private func verdict(_ value: NamedSet.Element.Value?) -> String {
    switch value {
    case .verdict(let verdict)?: " : \(verdict.word)"
    case nil: ""
    default: " : …"
    }
  }

  // MARK: - Fields

  /// How the values of a field are written.
  private enum Kind {
    case address, transport, interface, mark, number, state, status, direction, raw
  }

  private func name(_ field: PacketField, _ packet: PacketWords) -> String {
    var name = known(field).name
    if name.hasPrefix("th ") { name = packet.ports + name.dropFirst(2) }
    return field.mask.map { "\(name) & \(Self.hexadecimal($0.number))" } ?? name
  }

  private func known(_ field: PacketField) -> (name: String, kind: Kind) {
    switch field.source {
    case .meta(let key): Self.meta(key)
    case .conntrack(let key, _): Self.connection(key)
    case .payload(let base, let offset):
      Self.payload(base, offset, field.length)
        ?? (
          "@\(["ll", "nh", "th", "ih"][Int(min(base, 3))]),\(offset * 8),\(Int(field.length) * 8)",
          .raw
        )
    }
  }

  private static func meta(_ key: UInt32) -> (String, Kind) {
    switch key {
    case 1: ("meta protocol", .raw)
    case 3: ("meta mark", .mark)
    case 4: ("iif", .raw)
    case 5: ("oif", .raw)
    case 6: ("iifname", .interface)
    case 7: ("oifname", .interface)
    case 15: ("meta nfproto", .number)
    case 16: ("meta l4proto", .transport)
    default: ("meta key \(key)", .raw)
    }
  }

  private static func connection(_ key: UInt32) -> (String, Kind) {
    switch key {
    case NFT.Conntrack.state: ("ct state", .state)
    case NFT.Conntrack.direction: ("ct direction", .direction)
    case NFT.Conntrack.status: ("ct status", .status)
    case NFT.Conntrack.mark: ("ct mark", .mark)
    default: ("ct key \(key)", .raw)
    }
  }

  private static func payload(
    _ base: UInt8, _ offset: UInt32, _ length: UInt8
  ) -> (String, Kind)? {
    switch (base, offset, length) {
    case (0, 6, 6): ("ether saddr", .raw)
    case (0, 0, 6): ("ether daddr", .raw)
    case (1, 12, 4): ("ip saddr", .address)
    case (1, 16, 4): ("ip daddr", .address)
    case (1, 8, 16): ("ip6 saddr", .address)
    case (1, 24, 16): ("ip6 daddr", .address)
    case (1, 9, 1): ("ip protocol", .transport)
    case (1, 6, 1): ("ip6 nexthdr", .transport)
    case (1, 8, 1): ("ip ttl", .number)
    case (1, 2, 2): ("ip length", .number)
    case (2, 0, 2): ("th sport", .number)
    case (2, 2, 2): ("th dport", .number)
    case (2, 0, 1): ("icmp type", .number)
    default: nil
    }
  }

  // MARK: - Values

  private func value(_ range: ClosedRange<UInt128>, _ field: PacketField) -> String {
    let kind = known(field).kind
    let (low, high) = (range.lowerBound, range.upperBound)
    if low == high { return value(low, kind, field.length) }
    if kind == .address, let length = Self.prefix(low, high, bits: Int(field.length) * 8) {
      return "\(value(low, kind, field.length))/\(length)"
    }
    if kind == .interface, let name = Self.wildcard(range, field.length) { return name }
    return "\(value(low, kind, field.length))-\(value(high, kind, field.length))"
  }

  private func value(_ number: UInt128, _ kind: Kind, _ length: UInt8) -> String {
    let bytes = RegisterValue(number, count: length).bytes
    switch kind {
    case .address: return Self.address(number, six: length == 16)
    case .transport: return Self.transport(UInt8(truncatingIfNeeded: number))
    case .number: return "\(number)"
    case .interface: return Self.quoted(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
    case .mark: return Self.hexadecimal(Self.host(number), digits: 8)
    case .state: return Self.states(UInt16(truncatingIfNeeded: Self.host(number)))
    case .status: return Self.status(UInt16(truncatingIfNeeded: Self.host(number)))
    case .direction: return Self.direction(isReply: number != 0)
    case .raw: return length == 6 ? Self.mac(bytes) : Self.hexadecimal(number)
    }
  }

  /// Registers hold four bytes in the machine's order.
  private static func host(_ number: UInt128) -> UInt32 {
    UInt32(bigEndian: UInt32(truncatingIfNeeded: number))
  }

  /// The length of the prefix that a range is.
  private static func prefix(_ low: UInt128, _ high: UInt128, bits: Int) -> Int? {
    let differing = low ^ high
    guard differing & (differing &+ 1) == 0, low & differing == 0 else { return nil }
    return bits - differing.nonzeroBitCount
  }

  /// All names that begin alike.
  private static func wildcard(_ range: ClosedRange<UInt128>, _ length: UInt8) -> String? {
    let low = RegisterValue(range.lowerBound, count: length).bytes
    let high = RegisterValue(range.upperBound, count: length).bytes
    let same = zip(low, high).prefix { $0 == $1 }.count
    guard low[same...].allSatisfy({ $0 == 0 }), high[same...].allSatisfy({ $0 == 255 }) else {
      return nil
    }
    return quoted(String(decoding: low[..<same], as: UTF8.self) + "*")
  }

  static func family(_ number: UInt8) -> String {
    switch number {
    case 2: "ipv4"
    case 10: "ipv6"
    default: String(number)
    }
  }

  static func etherType(_ type: UInt16) -> String {
    switch type {
    case 0x0800: "ip"
    case 0x0806: "arp"
    case 0x86dd: "ip6"
    case 0x8100: "vlan"
    default: hexadecimal(type)
    }
  }
}
