// SPDX-License-Identifier: Apache-2.0
import Introspection

// Rules in the words of iptables-save.

extension RuleText {
  func iptables(_ rule: Rule) -> [String] {
    // The header's conditions come first, in the order iptables-save has them.
    let order = rule.matches.indices.sorted {
      (rule.matches[$0].rank, $0) < (rule.matches[$1].rank, $1)
    }
    var parts: [String] = []
    var transport: UInt8?
    var isNamed = false
    for place in order {
      let match = rule.matches[place]
      if case .transport(let number, negated: false) = match { transport = number }
      // What iptables-nft makes expressions of nftables of.
      if match.isNative, !isNamed, let transport {
        parts.append("-m \(Self.transport(transport))")
        isNamed = true
      }
      parts.append(words(match))
    }
    return parts + words(rule.target)
  }

  private func words(_ target: Target) -> [String] {
    switch target {
    case .fallThrough: []
    case .accept: ["-j ACCEPT"]
    case .drop: ["-j DROP"]
    case .return: ["-j RETURN"]
    case .queue: ["-j QUEUE"]
    case .jump(let chain): ["-j \(chain)"]
    case .goto(let chain): ["-g \(chain)"]
    case .reject(let kind): ["-j REJECT --reject-with \(reject(kind))"]
    case .verdictMap(let lookup): [nftables(lookup, PacketWords(), isMap: true)]
    case .untrack(let alias): [alias ? "-j NOTRACK" : "-j CT --notrack"]
    case .mark(let change) where change.connection == 0:
      ["-j MARK --set-xmark \(hex(change.constant))/\(hex(~change.packet))"]
    case .mark(let change):
      [
        "-j CONNMARK --restore-mark --nfmask \(hex(~change.packet)) "
          + "--ctmask \(hex(change.connection))"
      ]
    case .connectionMark(let change) where change.packet == 0:
      ["-j CONNMARK --set-xmark \(hex(change.constant))/\(hex(~change.connection))"]
    case .connectionMark(let change):
      [
        "-j CONNMARK --save-mark --nfmask \(hex(change.packet)) "
          + "--ctmask \(hex(~change.connection))"
      ]
    case .unknown(let kept): ["-j \(kept.name) …"]
    }
  }

  private func hex(_ number: UInt32) -> String { "0x" + String(number, radix: 16) }

  private func reject(_ kind: UInt32) -> String {
    let names =
      table.family == .ip6
      ? [
        "icmp6-no-route", "icmp6-adm-prohibited", "icmp6-not-neighbour", "icmp6-addr-unreachable",
        "icmp6-port-unreachable", "icmp6-echo-reply", "tcp-reset", "icmp6-policy-fail",
        "icmp6-reject-route",
      ]
      : [
        "icmp-net-unreachable", "icmp-host-unreachable", "icmp-proto-unreachable",
        "icmp-port-unreachable", "icmp-echo-reply", "icmp-net-prohibited", "icmp-host-prohibited",
        "tcp-reset", "icmp-admin-prohibited",
      ]
    return kind < names.count ? names[Int(kind)] : nftables(reject: kind)
  }

  private func not(_ negated: Bool) -> String { negated ? "! " : "" }

  func words(_ match: Match) -> String {
    switch match {
    case .input(let name): "\(not(name.negated))-i \(interface(name))"
    case .output(let name): "\(not(name.negated))-o \(interface(name))"
    case .source(let address): words("s", address)
    case .destination(let address): words("d", address)
    case .transport(let number, let negated): "\(not(negated))-p \(Self.transport(number))"
    case .fragment(let negated): "\(not(negated))-f"
    case .tcp, .udp, .sctp, .icmp, .sourcePort, .destinationPort, .tcpFlags, .icmpType, .multiport:
      transport(match)
    case .addressRange(let ranges): words(ranges)
    case .sourceMAC(let address, let negated):
      "-m mac \(not(negated))--mac-source \(Self.mac(address))"
    case .mark(let mark): "-m mark \(not(mark.negated))--mark \(words(mark))"
    case .connectionMark(let mark): "-m connmark \(not(mark.negated))--mark \(words(mark))"
    case .addressType(let types): words(types)
    case .packetType(let type, let negated):
      "-m pkttype \(not(negated))--pkt-type \(Self.packetType(type))"
    case .length(let low, let high, let negated):
      "-m length \(not(negated))--length \(Self.ports(PortRange(low, high), ":"))"
    case .ttl(let comparison, let value): words(comparison, value)
    case .dscp(let value, let negated):
      "-m dscp \(not(negated))--dscp \(Self.hexadecimal(value, digits: 2))"
    case .tos(let value, let mask, let negated):
      "-m tos \(not(negated))--tos \(Self.hexadecimal(value, digits: 2))"
        + "/\(Self.hexadecimal(mask, digits: 2))"
    case .bridgePort(let port): words(port)
    case .set(let set):
      "-m set \(not(set.negated))--match-set \(ipset(set.index)) "
        + set.dimensions.map { $0 ? "src" : "dst" }.joined(separator: ",")
    case .conntrack(let connection): words(connection)
    case .comment(let text): "-m comment --comment \(Self.isPlain(text) ? text : Self.quoted(text))"
    case .unknown(let kept): "-m \(kept.name) …"
    case .inputIndex, .outputIndex, .family, .etherType, .icmpCode, .destinationMAC, .lookup:
      nftables(match, PacketWords())
    }
  }

  private func interface(_ name: InterfaceMatch) -> String {
    name.name + (name.wildcard ? "+" : "")
  }

  private func words(_ letter: String, _ address: AddressMatch) -> String {
    func text(_ value: UInt128, _ mask: UInt128, six: Bool, _ negated: Bool) -> String {
      let length = Self.prefix(mask, bits: six ? 128 : 32).map(String.init)
      let mask = length ?? Self.address(mask, six: six)
      return "\(not(negated))-\(letter) \(Self.address(value, six: six))/\(mask)"
    }
    switch address {
    case .ipv4(let value, let mask, let negated):
      return text(UInt128(value), UInt128(mask), six: false, negated)
    case .ipv6(let value, let mask, let negated): return text(value, mask, six: true, negated)
    }
  }

  // MARK: - Transport headers

  private func transport(_ match: Match) -> String {
    switch match {
    case .tcp(let tcp):
      var parts = ["-m tcp"] + ports(tcp.source, tcp.destination, tcp.inverted)
      if tcp.flagMask != 0 || tcp.inverted.contains(.flags) {
        parts.append(flags(tcp.flagMask, tcp.flagValue, tcp.inverted.contains(.flags)))
      }
      if tcp.option != 0 {
        parts.append("\(not(tcp.inverted.contains(.option)))--tcp-option \(tcp.option)")
      }
      return parts.joined(separator: " ")
    case .udp(let udp):
      return (["-m udp"] + ports(udp.source, udp.destination, udp.inverted)).joined(separator: " ")
    case .sctp(let sctp):
      return (["-m sctp"] + ports(sctp.source ?? .all, sctp.destination ?? .all, sctp.inverted))
        .joined(separator: " ")
    case .icmp(let icmp):
      let (name, option) = icmp.six ? ("icmp6", "icmpv6-type") : ("icmp", "icmp-type")
      return "-m \(name) \(not(icmp.negated))--\(option) \(type(icmp))"
    case .sourcePort(let range, let negated):
      return "\(not(negated))--sport \(Self.ports(range, ":"))"
    case .destinationPort(let range, let negated):
      return "\(not(negated))--dport \(Self.ports(range, ":"))"
    case .tcpFlags(let mask, let value, let negated): return flags(mask, value, negated)
    case .icmpType(let type, let six, let negated):
      return "\(not(negated))--\(six ? "icmpv6-type" : "icmp-type") \(type)"
    case .multiport(let multiport):
      let option =
        switch multiport.side {
        case .source: "sports"
        case .destination: "dports"
        case .either: "ports"
        }
      let ports = multiport.ports.map { Self.ports($0, ":") }.joined(separator: ",")
      return "-m multiport \(not(multiport.negated))--\(option) \(ports)"
    default: return ""
    }
  }

  private func ports(
    _ source: PortRange, _ destination: PortRange, _ inverted: TCPMatch.Inverted
  ) -> [String] {
    var parts: [String] = []
    if source != .all || inverted.contains(.source) {
      parts.append("\(not(inverted.contains(.source)))--sport \(Self.ports(source, ":"))")
    }
    if destination != .all || inverted.contains(.destination) {
      parts.append("\(not(inverted.contains(.destination)))--dport \(Self.ports(destination, ":"))")
    }
    return parts
  }

  private func flags(_ mask: UInt8, _ value: UInt8, _ negated: Bool) -> String {
    func names(_ bits: UInt8) -> String {
      bits == 0 ? "NONE" : Self.tcpFlags(bits).joined(separator: ",")
    }
    return "\(not(negated))--tcp-flags \(names(mask)) \(names(value))"
  }

  private func type(_ icmp: ICMPMatch) -> String {
    if icmp.type == 255 && !icmp.six { return "any" }
    if icmp.lowCode == 0 && icmp.highCode == 255 { return "\(icmp.type)" }
    return icmp.lowCode == icmp.highCode
      ? "\(icmp.type)/\(icmp.lowCode)" : "\(icmp.type)/\(icmp.lowCode)-\(icmp.highCode)"
  }

  // MARK: - Others

  private func words(_ ranges: AddressRangeMatch) -> String {
    func side(_ name: String, _ side: AddressRangeMatch.Side?) -> [String] {
      guard let side else { return [] }
      let low = Self.address(side.low, six: ranges.six)
      return [
        "\(not(side.negated))--\(name)-range \(low)-\(Self.address(side.high, six: ranges.six))"
      ]
    }
    return (["-m iprange"] + side("src", ranges.source) + side("dst", ranges.destination))
      .joined(separator: " ")
  }

  func words(_ mark: MaskedMatch) -> String {
    Self.hexadecimal(mark.value) + (mark.mask == .max ? "" : "/\(Self.hexadecimal(mark.mask))")
  }

  private func words(_ types: AddressTypeMatch) -> String {
    func names(_ set: UInt16) -> String {
      (0..<16).filter { set & (1 << $0) != 0 }
        .map { $0 < Self.addressTypes.count ? Self.addressTypes[$0] : String($0) }
        .joined(separator: ",")
    }
    var parts = ["-m addrtype"]
    if types.source != 0 {
      parts.append(
        "\(not(types.flags.contains(.invertSource)))--src-type \(names(types.source))")
    }
    if types.destination != 0 {
      parts.append(
        "\(not(types.flags.contains(.invertDestination)))--dst-type \(names(types.destination))")
    }
    if types.flags.contains(.limitToInput) { parts.append("--limit-iface-in") }
    if types.flags.contains(.limitToOutput) { parts.append("--limit-iface-out") }
    return parts.joined(separator: " ")
  }

  static func packetType(_ type: UInt8) -> String {
    let names = ["unicast", "broadcast", "multicast", "other", "outgoing"]
    return type < names.count ? names[Int(type)] : String(type)
  }

  private func words(_ comparison: Comparison, _ value: UInt8) -> String {
    let (name, option) = table.family == .ip6 ? ("hl", "hl") : ("ttl", "ttl")
    return switch comparison {
    case .equal: "-m \(name) --\(option)-eq \(value)"
    case .notEqual: "-m \(name) ! --\(option)-eq \(value)"
    case .less: "-m \(name) --\(option)-lt \(value)"
    case .greater: "-m \(name) --\(option)-gt \(value)"
    case .lessOrEqual: "-m \(name) ! --\(option)-gt \(value)"
    case .greaterOrEqual: "-m \(name) ! --\(option)-lt \(value)"
    }
  }

  private func words(_ port: BridgePortMatch) -> String {
    func inverted(_ bit: UInt8) -> String { not(port.inverted & bit != 0) }
    var parts = ["-m physdev"]
    func state(_ bit: UInt8, _ name: String) {
      if port.conditions & bit != 0 { parts.append("\(inverted(bit))--physdev-is-\(name)") }
    }
    state(8, "in")
    if let input = port.input { parts.append("\(inverted(1))--physdev-in \(interface(input))") }
    state(16, "out")
    if let output = port.output { parts.append("\(inverted(2))--physdev-out \(interface(output))") }
    state(4, "bridged")
    return parts.joined(separator: " ")
  }

  private func words(_ connection: ConntrackMatch) -> String {
    func inverted(_ bit: UInt16) -> String { not(connection.inverted & bit != 0) }
    let isAlias = connection.conditions & ConntrackMatch.alias != 0
    var parts = [isAlias ? "-m state" : "-m conntrack"]
    if connection.conditions & ConntrackMatch.state != 0 {
      let states = connection.states.names.joined(separator: ",")
      parts.append(
        "\(inverted(ConntrackMatch.state))--\(isAlias ? "state" : "ctstate") \(states)")
    }
    if connection.conditions & ConntrackMatch.status != 0 {
      let names = ["EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"].enumerated()
      let status = names.filter { connection.status & (1 << UInt16($0.offset)) != 0 }
        .map(\.element).joined(separator: ",")
      parts.append(
        "\(inverted(ConntrackMatch.status))--ctstatus \(status.isEmpty ? "NONE" : status)")
    }
    if connection.conditions & ConntrackMatch.direction != 0 {
      let isReply = connection.inverted & ConntrackMatch.direction != 0
      parts.append("--ctdir \(isReply ? "REPLY" : "ORIGINAL")")
    }
    return parts.joined(separator: " ")
  }
}

extension Match {
  fileprivate var isNative: Bool {
    switch self {
    case .sourcePort, .destinationPort, .tcpFlags: true
    default: false
    }
  }

  fileprivate var rank: Int {
    switch self {
    case .source: 0
    case .destination: 1
    case .input: 2
    case .output: 3
    case .transport: 4
    case .fragment: 5
    default: 6
    }
  }
}
