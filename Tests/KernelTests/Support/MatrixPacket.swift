// SPDX-License-Identifier: Apache-2.0
import Lab

/// One packet that is sent through the rules of a case, as it differs from the others.
struct MatrixPacket: Sendable {
  /// Where it comes from and goes to unless it says otherwise: no two cases of a group share an address.
  struct Place: Sendable {
    let number: Int

    private func address(_ network: UInt32) -> IPv4Address {
      IPv4Address(network + UInt32(number / 250) << 8 + UInt32(number % 250 + 1))
    }
    /// Behind host A.
    var source: IPv4Address { address(0x0a4d_0000) }
    /// Behind host B.
    var destination: IPv4Address { address(0x0a09_0000) }
    /// Behind host C, or D where there are bridges.
    var other: IPv4Address { address(0x0a0a_0000) }
    var chain: String { "c\(number)" }

    /// With `$S`, `$D`, `$E` and `$C` in a line put in.
    func fill(_ line: String) -> String {
      var filled = ""
      var rest = line[...]
      while let mark = rest.firstIndex(of: "$") {
        filled += rest[..<mark]
        let letter = rest.index(after: mark)
        switch letter < rest.endIndex ? rest[letter] : " " {
        case "S": filled += "\(source)"
        case "D": filled += "\(destination)"
        case "E": filled += "\(other)"
        case "C": filled += chain
        default:
          filled += "$"
          rest = rest[letter...]
          continue
        }
        rest = rest[rest.index(after: letter)...]
      }
      return filled + rest
    }
  }

  private enum Goal: Sendable { case own, other, address(IPv4Address) }

  private var host = ContractHost.a
  private var mac: MAC?
  private var source: IPv4Address?
  private var goal = Goal.own
  private var transport: Transport
  private var ttl: UInt8 = 64
  private var tos: UInt8 = 0
  private var offset: UInt16 = 0
  private var more = false

  private init(_ transport: Transport) { self.transport = transport }

  /// `size`: of the whole IP packet.
  static func udp(_ port: UInt16 = 2000, from source: UInt16 = 1000, size: Int = 40) -> Self {
    Self(
      .udp(
        from: source, to: port, (0..<max(0, size - 28)).map { UInt8(truncatingIfNeeded: $0) }))
  }

  static func tcp(
    _ port: UInt16 = 2000, from source: UInt16 = 1000, _ flags: Transport.TCP.Flags = .ack,
    options: [UInt8] = []
  ) -> Self {
    Self(.tcp(.init(from: source, to: port, flags) { $0.options = options }))
  }

  static func icmp(_ type: UInt8, _ code: UInt8 = 0) -> Self {
    Self(.icmp(type: type, code: code, [1, 2, 3, 4, 5, 6, 7, 8]))
  }

  /// A protocol that begins with ports: SCTP, DCCP, UDP-Lite.
  static func ports(
    _ number: UInt8, _ port: UInt16 = 2000, from source: UInt16 = 1000
  ) -> Self {
    let ports = [source, port].flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
    return Self(.raw(protocol: number, ports + [UInt8](repeating: 0, count: 24)))
  }

  static func raw(_ number: UInt8, _ bytes: [UInt8] = Array(0..<20)) -> Self {
    Self(.raw(protocol: number, bytes))
  }

  private func having(_ change: (inout Self) -> Void) -> Self {
    var packet = self
    change(&packet)
    return packet
  }

  func at(_ host: ContractHost) -> Self { having { $0.host = host } }
  func mac(_ mac: MAC) -> Self { having { $0.mac = mac } }
  func from(_ address: IPv4Address) -> Self { having { $0.source = address } }
  func to(_ address: IPv4Address) -> Self { having { $0.goal = .address(address) } }
  /// To host C instead of B, or where there are bridges to D instead of C.
  var toC: Self { having { $0.goal = .other } }
  func ttl(_ ttl: UInt8) -> Self { having { $0.ttl = ttl } }
  func tos(_ tos: UInt8) -> Self { having { $0.tos = tos } }
  /// A fragment, `offset` times eight bytes into its datagram.
  func fragment(_ offset: UInt16, more: Bool = false) -> Self {
    having { ($0.offset, $0.more) = (offset, more) }
  }
  var first: Self { fragment(0, more: true) }

  func addresses(in place: Place) -> (from: IPv4Address, to: IPv4Address) {
    switch goal {
    case .own: (source ?? place.source, place.destination)
    case .other: (source ?? place.source, place.other)
    case .address(let address): (source ?? place.source, address)
    }
  }

  func shot(in place: Place, id: UInt16, on topology: ContractTopology) -> Shot {
    let (from, to) = addresses(in: place)
    let ip = IPv4(from: from, to: to, transport) {
      ($0.ttl, $0.tos, $0.identification) = (ttl, tos, id)
      ($0.fragmentOffset, $0.moreFragments) = (offset, more)
    }
    let isBridged = topology.isBridge && (host == .a || host == .b)
    let gateway = isBridged ? ContractHost.bridgeMAC : host.gateway
    return Shot(host: host, bytes: Packet(from: mac ?? host.mac, to: gateway, .ipv4(ip)).bytes)
  }
}
