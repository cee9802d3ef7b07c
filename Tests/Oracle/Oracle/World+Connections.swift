// SPDX-License-Identifier: Apache-2.0
import Lab

/// A connection that a trial knows of, by what is seen of it on both sides.
struct Flow {
  var isStream: Bool
  /// Places in `World.doors`: where who began is, and where who answers.
  var (client, server): (Int, Int)
  /// As who began sees it, and as who answers does.
  var (asked, answers): (Way, Way)

  /// What Linux makes of an RST depends on what it has seen of the connection, and so does what it makes of a SYN
  /// behind it: a beginning, or nothing.
  var mayBeReset: Bool { asked.sourcePort % 2 == 0 }
  var wasReset = false
  var isGreeted = false

  struct Way: Equatable {
    var (source, destination): (UInt32, UInt32)
    var (sourcePort, destinationPort): (UInt16, UInt16)

    var back: Way {
      Way(
        source: destination, destination: source, sourcePort: destinationPort,
        destinationPort: sourcePort)
    }
  }
}

extension World {
  /// A router that follows connections and translates addresses; the window of TCP is mostly not looked at.
  static func connections(_ chance: inout Chance) -> World {
    var build: [String] = []
    for port in 1...4 {
      build += [
        "ip link set p\(port) up", "ip addr add 10.0.\(port).1/24 dev p\(port)",
        "ip neigh add 10.0.\(port).2 lladdr \(Names.hostMAC(port)) dev p\(port) nud permanent",
        "ip neigh add 10.0.\(port).3 lladdr \(Names.hostMAC(port)) dev p\(port) nud permanent",
      ]
    }
    build += [
      "ip route add 10.9.0.0/16 via 10.0.2.2", "ip route add 10.10.0.0/16 via 10.0.3.2",
      "ip route add default via 10.0.4.2",
    ]
    let tool = chance.one(of: ["iptables-legacy", "iptables-nft"])
    switch chance.below(4) {
    case 0:
      build.append(
        """
        nft -f -
        table ip n {
          chain out { type nat hook postrouting priority 100; oifname "p4" masquerade; }
          chain in { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.0.3.2:80; }
        }
        """)
    case 1:
      // Followed, and not translated.
      build.append(
        """
        nft -f -
        table ip n {
          chain i { type filter hook input priority 0; ct state invalid drop; }
        }
        """)
    default:
      build += [
        "\(tool) -t nat -A POSTROUTING -o p4 -j MASQUERADE",
        "\(tool) -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.0.3.2:80",
      ]
    }
    let rules: [String] = chance.one(weighted: [
      (30, []),
      (
        20,
        [
          "-P FORWARD DROP", "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
          "-A FORWARD -i p1 -j ACCEPT",
        ]
      ),
      (
        15,
        [
          "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
          "-A FORWARD -m conntrack --ctstate ESTABLISHED --ctdir REPLY -j ACCEPT",
          "-A FORWARD -p udp --dport 53 -j DROP", "-A FORWARD -m connmark --mark 2 -j DROP",
        ]
      ),
      (
        15,
        [
          "-t raw -A PREROUTING -p udp --dport 443 -j DROP",
          "-t raw -A PREROUTING -d 10.0.1.1/32 ! -i p1 -j DROP",
          "-t mangle -A PREROUTING -p tcp --dport 2222 -j DROP",
          "-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT", "-A FORWARD -d 10.0.3.2/32 -j DROP",
        ]
      ),
      (
        20,
        [
          "-t raw -A PREROUTING -p udp --dport 53 -j CT --notrack",
          "-t raw -A PREROUTING -s 10.0.1.0/24 -p tcp --dport 443 -j NOTRACK",
          "-t raw -A PREROUTING -p icmp -m conntrack ! --ctstate UNTRACKED -j CT --notrack",
          "-t raw -A PREROUTING -p udp --dport 2222 -j DROP",
          "-t mangle -A PREROUTING -j CONNMARK --restore-mark",
          "-A FORWARD -m mark --mark 2 -j DROP", "-A FORWARD -m conntrack --ctstate UNTRACKED",
          "-A FORWARD -m conntrack --ctstate NEW,INVALID -i p3 -j DROP",
          "-A FORWARD -m connmark ! --mark 1 -m conntrack --ctdir REPLY -j ACCEPT",
        ]
      ),
    ])
    build += rules.map { "\(tool) \($0)" }
    if chance.percent(25) {
      build.append(
        """
        nft -f -
        table inet fw {
          chain early {
            type filter hook prerouting priority raw;
            \(chance.percent(50) ? "udp dport 80 notrack" : "counter")
          }
          chain forward {
            type filter hook forward priority filter; policy drop;
            ct state vmap { established : accept, related : accept, untracked : accept, invalid : drop }
            iifname "p1" counter accept
            ct status dnat accept
          }
          chain before {
            type filter hook prerouting priority mangle;
            ip daddr 10.0.4.1 tcp dport 8080 counter
            ct direction reply ct mark 1 counter drop
          }
        }
        """)
    }
    // It is there as soon as connections are followed.
    build.append(
      "sysctl net.netfilter.nf_conntrack_tcp_be_liberal=\(chance.percent(75) ? 1 : 0)")
    // Connections that are picked up in their midst clash, and then NAT draws ports by chance.
    build.append("sysctl net.netfilter.nf_conntrack_tcp_loose=0")
    return World(
      name: "connections", build: build, doors: (1...4).map(door),
      devices: ["p1", "p2", "p3", "p4"], isTracked: true,
      networks: [0x0a09_0000, 0x0a0a_0000, 0x0808_0000])
  }
}

extension TrialMaker {
  /// What happens to connections, besides packets.
  mutating func connection() -> Change {
    switch chance.below(20) {
    case 0..<11: return newFlow()
    case 11 where !flows.isEmpty:
      return Change("conntrack -D \(Self.options(chance.one(of: flows)))", undo: "conntrack -L")
    case 12:
      return Change("conntrack -F", undo: "conntrack -L")
    case 13:
      return Change(
        "sysctl net.netfilter.nf_conntrack_checksum=0",
        undo: "sysctl net.netfilter.nf_conntrack_checksum=1")
    case 14:
      return Change(
        "sysctl net.netfilter.nf_conntrack_tcp_be_liberal=0",
        undo: "sysctl net.netfilter.nf_conntrack_tcp_be_liberal=1")
    case 15:
      return Change(
        "sysctl net.netfilter.nf_conntrack_acct=1", undo: "sysctl net.netfilter.nf_conntrack_acct=0"
      )
    case 16 where !flows.isEmpty:
      return Change(
        "conntrack -U \(Self.options(chance.one(of: flows))) -m \(1 + chance.below(3))",
        undo: "conntrack -L")
    case 17: return Change("nft flush ruleset", undo: "conntrack -L")
    default:
      let hook = chance.one(of: [("prerouting", -100), ("postrouting", 100)])
      return Change(
        """
        nft -f -
        table ip nat\(number) {
          chain c { type nat hook \(hook.0) priority \(hook.1); }
        }
        """, undo: "nft delete table ip nat\(number)")
    }
  }

  private static func options(_ flow: Flow) -> String {
    let way = flow.asked
    return "-p \(flow.isStream ? "tcp" : "udp") -s \(text(way.source)) -d \(text(way.destination)) "
      + "--sport \(way.sourcePort) --dport \(way.destinationPort)"
  }

  /// A connection of the kernel's, most often one that is well under way.
  private mutating func newFlow() -> Change {
    var lines: [String] = []
    for _ in 0..<1 + chance.below(4) {
      let flow = flow()
      flows.append(flow)
      var line = "conntrack -I \(Self.options(flow)) -t 1200"
      if flow.isStream {
        let state = chance.one(weighted: [
          (85, "ESTABLISHED"), (5, "SYN_RECV"), (4, "FIN_WAIT"), (3, "TIME_WAIT"),
          (3, "CLOSE_WAIT"),
        ])
        line += " --state \(state)"
      }
      let status = chance.one(weighted: [
        (85, " -u SEEN_REPLY,ASSURED"), (6, " -u SEEN_REPLY"), (4, ""),
        (5, " -u SEEN_REPLY,ASSURED,FIXED_TIMEOUT"),
      ])
      line += status
      if chance.percent(30) { line += " -m \(1 + chance.below(3))" }
      let back = flow.answers.back
      if back.source != flow.asked.destination || back.sourcePort != flow.asked.destinationPort {
        line += " -g \(Self.text(flow.answers.destination)):\(flow.answers.destinationPort)"
      }
      if flow.answers.source != flow.asked.source
        || flow.answers.sourcePort != flow.asked.sourcePort
      {
        line += " -n \(Self.text(flow.answers.source)):\(flow.answers.sourcePort)"
      }
      lines.append(line)
    }
    if flows.count > 24 { flows.removeFirst(flows.count - 24) }
    return Change(lines: lines, undo: [])
  }

  private mutating func flow() -> Flow {
    number &+= 1
    let (client, server) = (chance.below(4), chance.below(4))
    let (near, far) = (world.doors[client], world.doors[server])
    let remote = chance.percent(60) ? far.address : far.neighbours[0]
    var asked = Flow.Way(
      source: near.address, destination: remote, sourcePort: 3000 &+ number % 5000,
      destinationPort: chance.one(of: [53, 80, 443]))
    var answers = asked
    if chance.percent(45) {
      answers.source = far.own ?? far.address
      if chance.percent(50) { answers.sourcePort = 40_000 &+ number % 20_000 }
    }
    if chance.percent(35) {
      asked.destination = near.own ?? near.address
      if chance.percent(60) { asked.destinationPort = chance.one(of: [8080, 2222]) }
    }
    return Flow(
      isStream: chance.percent(50), client: client, server: server, asked: asked, answers: answers)
  }

  /// Has both sides of most new streams acknowledge something: others the fast path leaves alone.
  mutating func acknowledgements() -> [Trial.Shot] {
    var shots: [Trial.Shot] = []
    for place in flows.indices where flows[place].isStream && !flows[place].isGreeted {
      flows[place].isGreeted = true
      guard chance.percent(85) else { continue }
      let flow = flows[place]
      shots += [(flow.client, flow.asked), (flow.server, flow.answers.back)].map { place, way in
        let door = world.doors[place]
        let segment = Transport.TCP(from: way.sourcePort, to: way.destinationPort, .ack) {
          $0.sequence = 1
          $0.acknowledgement = 1
        }
        number &+= 1
        var packet = IPv4(
          from: IPv4Address(way.source), to: IPv4Address(way.destination), .tcp(segment))
        packet.identification = number
        return Trial.Shot(
          door.port, Packet(from: Names.hostMAC(door.port), to: door.gateway, .ipv4(packet)).bytes)
      }
    }
    return shots
  }

  /// A packet of a connection, from either side.
  mutating func flowing() -> Trial.Shot {
    let place = chance.below(flows.count)
    let flow = flows[place]
    let isAnswer = chance.percent(45)
    let door = world.doors[isAnswer ? flow.server : flow.client]
    let way = isAnswer ? flow.answers.back : flow.asked
    let checksum: Transport.ChecksumChoice =
      chance.one(weighted: [(92, .right), (5, .wrong), (3, .none)])
    var transport = Transport.udp(
      from: way.sourcePort, to: way.destinationPort, payload(8), checksum: checksum)
    if flow.isStream {
      var flags = chance.one(weighted: [
        (60, 16), (24, 24), (3, 17), (2, 4), (2, 20), (2, 2), (1, 18), (2, 0), (1, 48), (3, 208),
      ])
      if !flow.mayBeReset { flags &= ~4 }
      if flow.wasReset, flags & 2 != 0 { flags = 16 }
      flows[place].wasReset = flow.wasReset || flags & 4 != 0
      transport = .tcp(
        Transport.TCP(from: way.sourcePort, to: way.destinationPort, .init(rawValue: UInt8(flags)))
        {
          $0.sequence = UInt32(number) << 12
          $0.acknowledgement = UInt32(number) << 11
          if checksum == .wrong { $0.checksum = .wrong }
          if chance.percent(20) { $0.options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2] }
          if chance.percent(70) { $0.payload = payload(20) }
        })
    }
    var packet = IPv4(
      from: IPv4Address(way.source), to: IPv4Address(way.destination), transport)
    number &+= 1
    packet.identification = number
    vary(&packet, carries: 3, of: 24)
    var frame = Packet(from: Names.hostMAC(door.port), to: door.gateway, .ipv4(packet))
    if chance.percent(4) { frame.paddedTo = 60 }
    guard !flow.isStream, chance.percent(3) else { return Trial.Shot(door.port, frame.bytes) }
    // A datagram that ends within its header, which goes on behind the packet.
    let rest = UInt8(chance.below(8))
    packet.claimedLength = 20 + UInt16(rest)
    frame = Packet(from: Names.hostMAC(door.port), to: door.gateway, .ipv4(packet))
    var bytes = frame.bytes
    if bytes.count >= 42 { bytes.replaceSubrange(38..<42, with: [0, rest, 0, 0]) }
    return Trial.Shot(door.port, bytes)
  }
}
