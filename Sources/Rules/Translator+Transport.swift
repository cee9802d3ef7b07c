// SPDX-License-Identifier: Apache-2.0
import Introspection

// Matches on the transport header: none is met by a later fragment, also when negated.

extension Translator {
  /// TCP, UDP, DCCP, SCTP and UDP-Lite, whose headers begin with ports.
  static let withPorts: [UInt8] = [6, 17, 33, 132, 136]

  /// Whether earlier conditions leave only packets of these protocols.
  func isSettled(_ met: Conjunction, _ protocols: [UInt8]) -> Bool {
    guard let values = met[.transport] else { return false }
    return values.ranges.allSatisfy { range in
      range.upperBound - range.lowerBound < 256
        && range.allSatisfy { protocols.contains(UInt8(truncatingIfNeeded: $0)) }
    }
  }

  /// The protocol whose messages have a type and a code.
  var controlProtocol: UInt8 { family == .ip ? 1 : 58 }

  func transportHeader(_ match: Match, _ met: Conjunction) -> Step {
    var met = met
    require(&met, .laterFragment, ValueSet(0))
    switch match {
    case .tcp(let tcp): return self.tcp(tcp, met)
    case .udp(let udp):
      guard isSettled(met, [17, 136]) else { return unknown("udp", met) }
      return ports(udp.source, udp.destination, udp.inverted, met)
    case .sctp(let sctp):
      guard isSettled(met, [132]) else { return unknown("sctp", met) }
      return ports(sctp.source, sctp.destination, sctp.inverted, met)
    case .icmp(let icmp): return self.icmp(icmp, met)
    case .multiport(let multiport): return self.multiport(multiport, met)
    case .sourcePort(let range, let negated):
      return ports(range, nil, negated ? .source : [], met, settled: Self.withPorts)
    case .destinationPort(let range, let negated):
      return ports(nil, range, negated ? .destination : [], met, settled: Self.withPorts)
    case .tcpFlags(let mask, let value, let negated):
      guard isSettled(met, [6]) else { return unknown("tcp flags", met) }
      let flags = Self.bytes(value: value, mask: mask, negated: negated)
      return one(met) { require(&$0, .tcpFlags, flags) }
    case .icmpType(let type, let six, let negated):
      let low = UInt128(type) * 256
      return control(ValueSet(low...low + 255), six, negated, met)
    case .icmpCode(let code, let six, let negated):
      let codes = (0...255).map { UInt128($0) * 256 + UInt128(code) }.map { $0...$0 }
      return control(ValueSet(codes), six, negated, met)
    default: return unknown("transport", met)
    }
  }

  private func tcp(_ tcp: TCPMatch, _ met: Conjunction) -> Step {
    guard isSettled(met, [6]) else { return unknown("tcp", met) }
    let flags = Self.bytes(
      value: tcp.flagValue, mask: tcp.flagMask, negated: tcp.inverted.contains(.flags))
    let step = ports(tcp.source, tcp.destination, tcp.inverted, met)
    guard case .alternatives(var found) = step else { return step }
    for place in found.indices { require(&found[place], .tcpFlags, flags) }
    // A packet whose options end too early is dropped.
    return tcp.option == 0
      ? .alternatives(found) : .unknown(.unknown("tcp option"), found, .any)
  }

  private func ports(
    _ source: PortRange?, _ destination: PortRange?, _ inverted: TCPMatch.Inverted,
    _ met: Conjunction, settled: [UInt8]? = nil
  ) -> Step {
    if let settled, !isSettled(met, settled) { return unknown("ports", met) }
    return one(met) {
      if let source {
        let negated = inverted.contains(.source)
        require(&$0, .sourcePort, values(.sourcePort, source.low, source.high, negated))
      }
      if let destination {
        let negated = inverted.contains(.destination)
        require(
          &$0, .destinationPort,
          values(.destinationPort, destination.low, destination.high, negated))
      }
    }
  }

  private func multiport(_ match: MultiportMatch, _ met: Conjunction) -> Step {
    guard isSettled(met, Self.withPorts) else { return unknown("multiport", met) }
    let wanted = ValueSet(
      match.ports.filter { $0.low <= $0.high }.map { UInt128($0.low)...UInt128($0.high) })
    let others = wanted.complement(upTo: 0xffff)
    let ports = match.negated ? others : wanted
    switch match.side {
    case .source: return one(met) { require(&$0, .sourcePort, ports) }
    case .destination: return one(met) { require(&$0, .destinationPort, ports) }
    case .either where match.negated:
      return one(met) {
        require(&$0, .sourcePort, others)
        require(&$0, .destinationPort, others)
      }
    case .either:
      // Apart from each other, so that no packet is met twice.
      var (source, destination) = (met, met)
      require(&source, .sourcePort, wanted)
      require(&destination, .sourcePort, others)
      require(&destination, .destinationPort, wanted)
      return .alternatives([source, destination])
    }
  }

  /// In IPv4's match type 255 is any (`icmp_type_code_match`); in IPv6's it is 255.
  private func icmp(_ match: ICMPMatch, _ met: Conjunction) -> Step {
    var values = ValueSet.none
    let type = UInt128(match.type) * 256
    if match.type == 255 && !match.six {
      values = ValueSet(0...0xffff)
    } else if match.lowCode <= match.highCode {
      values = ValueSet(type + UInt128(match.lowCode)...type + UInt128(match.highCode))
    }
    return control(values, match.six, match.negated, met)
  }

  private func control(
    _ values: ValueSet, _ six: Bool, _ negated: Bool, _ met: Conjunction
  ) -> Step {
    guard six == (family == .ip6), isSettled(met, [controlProtocol]) else {
      return unknown(six ? "icmp6" : "icmp", met)
    }
    return one(met) {
      require(&$0, .icmp, negated ? values.complement(upTo: 0xffff) : values)
    }
  }
}
