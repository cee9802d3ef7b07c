// SPDX-License-Identifier: Apache-2.0
import Introspection

// Rules in the words of nft.

/// What a rule's earlier words say the packet is, so that later ones can be put as users do.
struct PacketWords {
  var transport: UInt8?

  /// The protocol whose ports are meant.
  var ports: String { transport.map(RuleText.transport) ?? "th" }
}

extension RuleText {
  func nftables(_ rule: Rule) -> [String] {
    var packet = PacketWords()
    var parts: [String] = []
    var comment: String?
    var statements = rule.expressions
    var marks = Self.marks(rule.expressions)
    let matches = Self.joined(rule.matches)
    for (place, match) in matches.enumerated() {
      let later = matches[(place + 1)...]
      switch match {
      case .comment(let text): comment = text
      // What nft adds by itself, and leaves out again when it lists a rule.
      case .transport(let number, negated: false):
        packet.transport = number
        let isSaid =
          later.contains(where: \.saysTransport) || rule.target.says { $0.isTransportHeader }
        if !isSaid { parts.append(nftables(match, packet)) }
      case .family(_, negated: false), .etherType(_, negated: false):
        let isSaid = later.contains(where: \.saysFamily) || rule.target.says { $0.isNetworkHeader }
        if !isSaid { parts.append(nftables(match, packet)) }
      case .unknown(let kept) where ["meta", "ct"].contains(kept.name) && !marks.isEmpty:
        parts.append(marks.removeFirst() ?? "\(kept.name) …")
      case .unknown(let kept):
        let place = statements.firstIndex { $0.name == kept.name }
        parts.append(nftables(kept, place.map { statements[$0] }))
        if let place { statements.removeSubrange(...place) }
      default: parts.append(nftables(match, packet))
      }
    }
    if rule.expressions.contains(.counter) { parts.append("counter") }
    parts += verdict(rule.target, packet)
    if let comment { parts.append("comment \(Self.quoted(comment))") }
    return parts
  }

  /// What writes to `meta` and `ct`, in its order; `nil` where it is not understood.
  private static func marks(_ expressions: [RuleExpression]) -> [String?] {
    var registers = Registers()
    var found: [String?] = []
    for expression in expressions {
      switch expression {
      case .meta(NFT.Meta.mark, let to): registers.load(mark: MarkChange(packet: .max), to)
      case .conntrack(NFT.Conntrack.mark, _, let to):
        registers.load(mark: MarkChange(connection: .max), to)
      case .immediate(let to, let value) where value.count == 4:
        registers.forget(to, 4)
        registers.load(mark: MarkChange(constant: Translator.mark(value)), to)
      case .bitwise(let from, let to, let mask, let xor) where mask.count == 4 && xor.count == 4:
        let made = registers.mark(from)
        registers.forget(to, 4)
        if let made {
          registers.load(mark: made.masked(Translator.mark(mask), Translator.mark(xor)), to)
        }
      case .metaWrite(let key, let from):
        let mark = key == NFT.Meta.mark ? registers.mark(from) : nil
        found.append(mark.flatMap(words).map { "meta mark set \($0)" })
      case .conntrackWrite(let key, _, let from):
        let mark = key == NFT.Conntrack.mark ? registers.mark(from) : nil
        found.append(mark.flatMap(words).map { "ct mark set \($0)" })
      case .payload(_, _, _, let to), .meta(_, let to), .conntrack(_, _, let to),
        .immediate(let to, _), .bitwise(_, let to, _, _):
        registers.forget(to, 16)
      default: registers.forgetAll()
      }
    }
    return found
  }

  private static func words(_ mark: MarkChange) -> String? {
    let constant = hexadecimal(mark.constant, digits: 8)
    let (name, mask): (String, UInt32)
    switch (mark.packet, mark.connection) {
    case (0, 0): return constant
    case (let kept, 0): (name, mask) = ("meta mark", kept)
    case (0, let kept): (name, mask) = ("ct mark", kept)
    default: return nil
    }
    // What is cleared and then turned was meant to be set.
    let set = mark.constant & ~mask
    let parts = [("&", mask | set, UInt32.max), ("^", mark.constant ^ set, 0), ("|", set, 0)]
    return parts.filter { $0.1 != $0.2 }.reduce(name) {
      "\($0) \($1.0) \(hexadecimal($1.1, digits: 8))"
    }
  }

  /// Ranges that nft compares with one end after the other in one piece.
  private static func joined(_ matches: [Match]) -> [Match] {
    var joined: [Match] = []
    for match in matches {
      if let last = joined.last, let both = last.joined(with: match) {
        joined[joined.count - 1] = both
      } else {
        joined.append(match)
      }
    }
    return joined
  }

  private func verdict(_ target: Target, _ packet: PacketWords) -> [String] {
    switch target {
    case .fallThrough: []
    case .accept: ["accept"]
    case .drop: ["drop"]
    case .return: ["return"]
    case .queue: ["queue"]
    case .jump(let chain): ["jump \(chain)"]
    case .goto(let chain): ["goto \(chain)"]
    case .reject(let kind): [nftables(reject: kind)]
    case .verdictMap(let lookup): [nftables(lookup, packet, isMap: true)]
    case .mark, .connectionMark: ["meta …"]
    case .untrack: ["notrack"]
    case .unknown(let kept): ["\(kept.name) …"]
    }
  }

  /// 0x10000, the kind of answer, its code.
  func nftables(reject kind: UInt32) -> String {
    let code = kind & 0xff
    return switch (kind >> 8 & 0xff, code) {
    // What it is without saying so.
    case (0, 3) where table.family == .ip, (0, 4) where table.family == .ip6, (2, 1): "reject"
    case (1, _): "reject with tcp reset"
    case (2, _): "reject with icmpx \(code)"
    default: "reject with icmp \(code)"
    }
  }

  private func nftables(_ kept: UnknownExtension, _ statement: RuleExpression?) -> String {
    switch statement {
    case .limit(let limit)?:
      let over = limit.flags & 1 != 0 ? "over " : ""
      let units: [UInt64: String] = [
        1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week",
      ]
      let unit = units[limit.unit] ?? "\(limit.unit) seconds"
      return limit.type == 0
        ? "limit rate \(over)\(limit.rate)/\(unit) burst \(limit.burst) packets"
        : "limit rate \(over)\(limit.rate) bytes/\(unit) burst \(limit.burst) bytes"
    case .log(let log)?:
      let prefix = log.prefix.isEmpty ? "" : " prefix \(Self.quoted(log.prefix))"
      return "log\(prefix)\(log.group.map { " group \($0)" } ?? "")"
    case .untrack?: return "notrack"
    default: return "\(kept.name) …"
    }
  }

  private func unless(_ negated: Bool) -> String { negated ? "!= " : "" }

  func nftables(_ match: Match, _ packet: PacketWords) -> String {
    switch match {
    case .input(let name): "iifname \(interface(name))"
    case .output(let name): "oifname \(interface(name))"
    case .inputIndex(let index, let negated): "iif \(unless(negated))\(index)"
    case .outputIndex(let index, let negated): "oif \(unless(negated))\(index)"
    case .source(let address): nftables("saddr", address)
    case .destination(let address): nftables("daddr", address)
    case .transport(let number, let negated):
      "meta l4proto \(unless(negated))\(Self.transport(number))"
    case .family(let number, let negated):
      "meta nfproto \(unless(negated))\(RuleText.family(number))"
    case .etherType(let type, let negated):
      "meta protocol \(unless(negated))\(RuleText.etherType(type))"
    case .fragment(let negated): "ip frag-off & 0x1fff \(negated ? "==" : "!=") 0"
    case .sourcePort(let range, let negated):
      "\(packet.ports) sport \(unless(negated))\(Self.ports(range, "-"))"
    case .destinationPort(let range, let negated):
      "\(packet.ports) dport \(unless(negated))\(Self.ports(range, "-"))"
    case .tcpFlags(let mask, let value, let negated):
      "tcp flags \(flags(mask, value, negated))"
    case .icmpType(let type, let six, let negated):
      "\(six ? "icmpv6" : "icmp") type \(unless(negated))\(six ? String(type) : Self.icmp(type))"
    case .icmpCode(let code, let six, let negated):
      "\(six ? "icmpv6" : "icmp") code \(unless(negated))\(code)"
    case .addressRange(let ranges): nftables(ranges)
    case .sourceMAC(let address, let negated): "ether saddr \(unless(negated))\(Self.mac(address))"
    case .destinationMAC(let address, let negated):
      "ether daddr \(unless(negated))\(Self.mac(address))"
    case .mark(let mark): "meta mark \(nftables(mark))"
    case .connectionMark(let mark): "ct mark \(nftables(mark))"
    case .packetType(let type, let negated):
      "meta pkttype \(unless(negated))\(type == 0 ? "host" : Self.packetType(type))"
    case .length(let low, let high, let negated):
      "ip length \(unless(negated))\(Self.ports(PortRange(low, high), "-"))"
    case .ttl(let comparison, let value): "ip ttl \(symbol(comparison))\(value)"
    case .dscp(let value, let negated): "ip dscp \(unless(negated))\(Self.hexadecimal(value))"
    case .conntrack(let connection): nftables(connection) ?? words(match)
    case .lookup(let lookup): nftables(lookup, packet, isMap: false)
    case .comment(let text): "comment \(Self.quoted(text))"
    // Matches of iptables within a rule of nft.
    case .tcp, .udp, .sctp, .icmp, .multiport, .addressType, .tos, .bridgePort, .set, .unknown:
      words(match)
    }
  }

  private func interface(_ name: InterfaceMatch) -> String {
    "\(unless(name.negated))\(Self.quoted(name.name + (name.wildcard ? "*" : "")))"
  }

  private func nftables(_ side: String, _ address: AddressMatch) -> String {
    func text(_ value: UInt128, _ mask: UInt128, six: Bool, _ negated: Bool) -> String {
      let head = "\(six ? "ip6" : "ip") \(side)"
      let bits = six ? 128 : 32
      let value = Self.address(value, six: six)
      guard let length = Self.prefix(mask, bits: bits) else {
        return "\(head) & \(Self.address(mask, six: six)) \(negated ? "!=" : "==") \(value)"
      }
      return "\(head) \(unless(negated))\(value)\(length == bits ? "" : "/\(length)")"
    }
    switch address {
    case .ipv4(let value, let mask, let negated):
      return text(UInt128(value), UInt128(mask), six: false, negated)
    case .ipv6(let value, let mask, let negated): return text(value, mask, six: true, negated)
    }
  }

  private func nftables(_ ranges: AddressRangeMatch) -> String {
    func side(_ name: String, _ side: AddressRangeMatch.Side?) -> [String] {
      guard let side else { return [] }
      let (low, high) = (side.low, side.high)
      return [
        "\(ranges.six ? "ip6" : "ip") \(name) \(unless(side.negated))\(Self.address(low, six: ranges.six))"
          + "-\(Self.address(high, six: ranges.six))"
      ]
    }
    return (side("saddr", ranges.source) + side("daddr", ranges.destination))
      .joined(separator: " ")
  }

  private func nftables(_ mark: MaskedMatch) -> String {
    let value = Self.hexadecimal(mark.value, digits: 8)
    if mark.mask == .max { return "\(unless(mark.negated))\(value)" }
    return "& \(Self.hexadecimal(mark.mask, digits: 8)) \(mark.negated ? "!=" : "==") \(value)"
  }

  private static func icmp(_ type: UInt8) -> String {
    switch type {
    case 0: "echo-reply"
    case 3: "destination-unreachable"
    case 4: "source-quench"
    case 5: "redirect"
    case 8: "echo-request"
    case 9: "router-advertisement"
    case 10: "router-solicitation"
    case 11: "time-exceeded"
    case 12: "parameter-problem"
    default: String(type)
    }
  }

  private func flags(_ mask: UInt8, _ value: UInt8, _ negated: Bool) -> String {
    func names(_ bits: UInt8) -> String {
      bits == 0 ? "0x0" : Self.tcpFlags(bits).map { $0.lowercased() }.joined(separator: ",")
    }
    if value == 0 { return "\(negated ? "" : "! ")\(names(mask))" }
    if mask == 0xff { return "\(negated ? "!=" : "==") \(names(value))" }
    return "\(unless(negated))\(names(value)) / \(names(mask))"
  }

  private func symbol(_ comparison: Comparison) -> String {
    switch comparison {
    case .equal: ""
    case .notEqual: "!= "
    case .less: "< "
    case .lessOrEqual: "<= "
    case .greater: "> "
    case .greaterOrEqual: ">= "
    }
  }
}

extension Match {
  /// Whether nft's words for it name the transport protocol.
  fileprivate var saysTransport: Bool {
    switch self {
    case .sourcePort, .destinationPort, .tcpFlags, .icmpType, .icmpCode: true
    case .lookup(let lookup): lookup.fields.contains { $0.source.isTransportHeader }
    default: false
    }
  }

  /// Whether they name IPv4 or IPv6.
  fileprivate var saysFamily: Bool {
    switch self {
    case .source, .destination, .addressRange, .ttl, .dscp, .length, .icmpType, .icmpCode: true
    case .lookup(let lookup): lookup.fields.contains { $0.source.isNetworkHeader }
    default: false
    }
  }

  /// Two ranges of one field as one.
  fileprivate func joined(with match: Match) -> Match? {
    func overlap(_ a: PortRange, _ b: PortRange) -> PortRange? {
      let (low, high) = (max(a.low, b.low), min(a.high, b.high))
      return low <= high ? PortRange(low, high) : nil
    }
    return switch (self, match) {
    case (.sourcePort(let a, negated: false), .sourcePort(let b, negated: false)):
      overlap(a, b).map { .sourcePort($0, negated: false) }
    case (.destinationPort(let a, negated: false), .destinationPort(let b, negated: false)):
      overlap(a, b).map { .destinationPort($0, negated: false) }
    case (.length(let low, let high, negated: false), .length(let low2, let high2, negated: false)):
      overlap(PortRange(low, high), PortRange(low2, high2))
        .map { .length($0.low, $0.high, negated: false) }
    case (.addressRange(let a), .addressRange(let b)): a.joined(with: b).map { .addressRange($0) }
    default: nil
    }
  }
}

extension AddressRangeMatch {
  fileprivate func joined(with other: AddressRangeMatch) -> AddressRangeMatch? {
    func overlap(_ a: Side?, _ b: Side?) -> Side? {
      guard let a, let b, !a.negated, !b.negated else { return nil }
      let (low, high) = (max(a.low, b.low), min(a.high, b.high))
      return low <= high ? Side(low: low, high: high, negated: false) : nil
    }
    let (from, to) = (overlap(source, other.source), overlap(destination, other.destination))
    guard six == other.six, (from == nil) != (to == nil),
      (from == nil) == (source == nil && other.source == nil),
      (to == nil) == (destination == nil && other.destination == nil)
    else { return nil }
    return AddressRangeMatch(six: six, source: from, destination: to)
  }
}

extension Target {
  /// Whether a verdict map is asked with a field of some kind.
  fileprivate func says(_ isMeant: (PacketField.Source) -> Bool) -> Bool {
    guard case .verdictMap(let lookup) = self else { return false }
    return lookup.fields.contains { isMeant($0.source) }
  }
}

extension PacketField.Source {
  fileprivate var isTransportHeader: Bool {
    if case .payload(2, _) = self { true } else { false }
  }
  fileprivate var isNetworkHeader: Bool {
    if case .payload(1, _) = self { true } else { false }
  }
}
