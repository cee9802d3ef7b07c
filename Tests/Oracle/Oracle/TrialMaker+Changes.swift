// SPDX-License-Identifier: Apache-2.0
import Lab

/// Commands, and those that take them back.
struct Change {
  var lines: [String]
  var undo: [String]

  init(_ lines: String..., undo: String...) { (self.lines, self.undo) = (lines, undo) }
  init(lines: [String], undo: [String]) { (self.lines, self.undo) = (lines, undo) }
}

extension TrialMaker {
  /// Something an administrator might do.
  mutating func change() -> Change {
    if world.hasVLANs, chance.percent(35) { return vlan() }
    if world.isTracked, chance.percent(50) { return connection() }
    let hasBridge = !world.bridges.isEmpty
    let hasIP = !world.devices.isEmpty
    switch chance.below(100) {
    case 0..<22 where hasIP: return route()
    case 22..<30 where hasIP: return address()
    case 30..<37 where hasIP: return neighbour()
    case 37..<44: return link()
    case 44..<54 where hasIP: return sysctl()
    case 54..<60 where hasIP && hasPolicies: return policy()
    case 60..<75 where hasBridge: return bridge()
    case 75..<90 where hasIP: return rule()
    case 90..<94 where hasBridge: return bridgeRule()
    case 94..<97: return traffic()
    case 97..<98: return tap()
    default: return hasIP ? chance.percent(50) ? route() : rule() : bridge()
    }
  }

  mutating func device() -> String {
    chance.one(of: world.devices.isEmpty ? ["p1"] : world.devices)
  }

  /// An address that packets can be sent on to.
  private mutating func gateway() -> String {
    let door = chance.one(of: world.doors)
    return Self.text(chance.percent(80) ? door.address : chance.one(of: door.neighbours))
  }

  private mutating func network() -> String {
    let length = chance.one(of: [32, 32, 31, 30, 25, 24, 24, 17, 16, 15, 12, 8])
    return Self.text(routed() & (~UInt32(0) << UInt32(32 - length))) + "/\(length)"
  }

  // MARK: IP

  private mutating func route() -> Change {
    let to = chance.percent(8) ? "default" : network()
    let verb = chance.one(of: ["add", "replace", "append", "prepend"])
    let back = "ip route del \(to)"
    switch chance.below(27) {
    case 0..<6: return Change("ip route \(verb) \(to) via \(gateway())", undo: back)
    case 6..<8: return Change("ip route \(verb) \(to) dev \(device())", undo: back)
    case 8:
      let kind = chance.one(of: ["blackhole", "unreachable", "prohibit", "throw"])
      return Change("ip route \(verb) \(kind) \(to)", undo: "ip route del \(kind) \(to)")
    case 9 where hasPolicies:
      let kind = chance.one(of: ["local", "broadcast", "multicast"])
      return Change(
        "ip route add \(kind) \(to) dev \(device())", undo: "ip route del \(kind) \(to)")
    case 10:
      return Change("ip route \(verb) \(to) via \(gateway()) dev \(device()) onlink", undo: back)
    case 11, 24..<27:
      let mtu = chance.one(of: ["mtu 600", "mtu lock 1200", "mtu 1400", "advmss 500", "realm 5"])
      return Change("ip route \(verb) \(to) via \(gateway()) \(mtu)", undo: back)
    case 12:
      let tos = chance.one(of: ["0x10", "0x08", "0x04", "0xb8"])
      return Change(
        "ip route add \(to) tos \(tos) via \(gateway())", undo: "ip route del \(to) tos \(tos)")
    case 13:
      return Change("ip route \(verb) \(to) via \(gateway()) src \(own())", undo: back)
    case 14:
      let metric = chance.one(of: [1, 100, 4000])
      return Change(
        "ip route add \(to) via \(gateway()) metric \(metric)",
        undo: "ip route del \(to) metric \(metric)")
    case 15, 16:
      return Change(
        "ip route \(verb) \(to) nexthop via \(gateway()) weight \(1 + chance.below(3)) "
          + "nexthop via \(gateway())", undo: back)
    case 17:
      let number = 10 + chance.below(5)
      return Change(
        "ip nexthop add id \(number) via \(gateway()) dev \(device())",
        "ip route \(verb) \(to) nhid \(number)", undo: back, "ip nexthop del id \(number)")
    case 18:
      return Change(
        "ip nexthop add id 21 via \(gateway()) dev \(device())",
        "ip nexthop add id 22 via \(gateway()) dev \(device())",
        "ip nexthop add id 23 group 21/22,3", "ip route \(verb) \(to) nhid 23",
        undo: back, "ip nexthop del id 23", "ip nexthop del id 22", "ip nexthop del id 21")
    case 19:
      return Change(
        "ip nexthop add id 31 blackhole", "ip route \(verb) \(to) nhid 31",
        undo: back, "ip nexthop del id 31")
    case 20:
      // Something that is there is taken away.
      let gone = chance.one(of: ["10.9.0.0/16", "10.10.0.0/16", "10.77.0.0/16", "default"])
      return Change("ip route del \(gone)", undo: "ip route replace \(gone) via \(gateway())")
    case 21:
      return Change("ip route flush cache", undo: "ip route flush cache")
    case 22:
      let base = 0x0a09_0000 | UInt32(chance.below(4)) << 8
      let lines = (0..<40).map {
        "ip route add \(Self.text(base + UInt32($0)))/32 via \(gateway())"
      }
      return Change(
        lines: lines, undo: (0..<40).map { "ip route del \(Self.text(base + UInt32($0)))/32" })
    default:
      return Change(
        "ip route \(verb) \(to) encap ip id 5 dst 10.0.3.2 via \(gateway())", undo: back)
    }
  }

  private mutating func own() -> String {
    Self.text(chance.one(of: world.doors).own ?? 0x0a00_0101)
  }

  private mutating func address() -> Change {
    let device = device()
    let one = Self.text(chance.percent(50) ? destination(from: world.doors[0]) : routed())
    let length = chance.one(of: [32, 31, 30, 24, 16])
    switch chance.below(8) {
    case 0..<4:
      return Change(
        "ip addr add \(one)/\(length) dev \(device)",
        undo: "ip addr del \(one)/\(length) dev \(device)")
    case 4:
      return Change(
        "ip addr add \(one)/24 broadcast + dev \(device)",
        undo: "ip addr del \(one)/24 dev \(device)")
    case 5:
      return Change(
        "ip addr add \(one) peer \(Self.text(routed())) dev \(device)",
        undo: "ip addr flush to \(one) dev \(device)")
    case 6: return Change("ip addr add \(one)/32 dev lo", undo: "ip addr del \(one)/32 dev lo")
    default:
      let door = chance.one(of: world.doors)
      guard let own = door.own, world.devices.contains("p\(door.port)") else {
        return Change("ip addr add \(one)/32 dev lo", undo: "ip addr del \(one)/32 dev lo")
      }
      let line = "\(Self.text(own))/24 dev p\(door.port)"
      return Change("ip addr del \(line)", undo: "ip addr add \(line)")
    }
  }

  private mutating func neighbour() -> Change {
    let door = chance.one(of: world.doors)
    let device =
      world.devices.contains("p\(door.port)") ? "p\(door.port)" : world.bridges.first ?? "p1"
    let address = Self.text(chance.percent(60) ? door.address : chance.one(of: door.neighbours))
    let state = chance.one(of: ["permanent", "reachable", "stale", "noarp", "delay", "probe"])
    let mac =
      chance.percent(50) ? Names.hostMAC(door.port) : MAC(number: 0x0b00 + UInt32(chance.below(8)))
    let back =
      "ip neigh replace \(address) lladdr \(Names.hostMAC(door.port)) dev \(device) nud permanent"
    switch chance.below(8) {
    case 0..<5:
      let state = ["delay", "probe"].contains(state) ? "stale" : state
      return Change(
        "ip neigh replace \(address) lladdr \(mac) dev \(device) nud \(state)", undo: back)
    case 5: return Change("ip neigh del \(address) dev \(device)", undo: back)
    case 6: return Change("ip neigh flush dev \(device)", undo: back)
    default:
      return Change(
        "ip neigh add proxy \(Self.text(routed())) dev \(device)",
        undo: "ip neigh flush proxy dev \(device)")
    }
  }

  private mutating func policy() -> Change {
    let table = 100 + chance.below(3)
    let from = network()
    var selector = chance.one(of: [
      "from \(from)", "to \(from)", "iif \(device())", "tos 0x10", "fwmark 5", "ipproto udp",
      "dport 80", "from \(from) iif \(device())", "not to \(from)", "oif \(device())",
    ])
    selector += " priority \(50 + chance.below(50))"
    switch chance.below(6) {
    case 0..<3:
      return Change(
        "ip route replace default via \(gateway()) table \(table)",
        "ip rule add \(selector) lookup \(table)",
        undo: "ip rule del \(selector) lookup \(table)", "ip route flush table \(table)")
    case 3:
      let action = chance.one(of: ["blackhole", "unreachable", "prohibit"])
      return Change("ip rule add \(selector) \(action)", undo: "ip rule del \(selector) \(action)")
    case 4:
      return Change(
        "ip rule add priority 10 lookup main suppress_prefixlength 0",
        undo: "ip rule del priority 10 lookup main suppress_prefixlength 0")
    default:
      return Change(
        "ip rule add priority 20 from all lookup main",
        undo: "ip rule del priority 20 from all lookup main")
    }
  }

  private mutating func sysctl() -> Change {
    let place = chance.percent(35) ? "all" : device()
    let conf = "sysctl net.ipv4.conf.\(place)"
    let often: [(key: String, values: [Int], usual: Int)] = [
      ("\(conf).rp_filter", [0, 1, 1, 2], 0), ("\(conf).rp_filter", [0, 1, 2, 2], 0),
      ("\(conf).forwarding", [0], 1), ("\(conf).accept_local", [1], 0),
      ("\(conf).send_redirects", [0, 1], 1),
    ]
    let rest: [(key: String, values: [Int], usual: Int)] = [
      ("\(conf).forwarding", [0], 1), ("sysctl net.ipv4.ip_forward", [0], 1),
      ("\(conf).accept_local", [1], 0), ("\(conf).route_localnet", [1], 0),
      ("\(conf).send_redirects", [0, 1], 1), ("\(conf).log_martians", [1], 0),
      ("\(conf).src_valid_mark", [1], 0), ("\(conf).ignore_routes_with_linkdown", [1], 0),
      ("\(conf).proxy_arp", [1], 0), ("\(conf).disable_policy", [1], 0),
      ("\(conf).disable_xfrm", [1], 0), ("\(conf).bc_forwarding", [1], 0),
      ("\(conf).accept_source_route", [0, 1], 0), ("\(conf).shared_media", [0], 1),
      ("\(conf).secure_redirects", [0], 1), ("\(conf).arp_ignore", [1, 2, 8], 0),
      ("\(conf).arp_filter", [1], 0), ("\(conf).promote_secondaries", [1], 0),
      ("\(conf).drop_unicast_in_l2_multicast", [1], 0), ("\(conf).accept_redirects", [0], 1),
      ("sysctl net.ipv4.fib_multipath_hash_policy", [1, 2, 3], 0),
      ("sysctl net.ipv4.fib_multipath_use_neigh", [1], 0),
      ("sysctl net.ipv4.ip_forward_update_priority", [0], 1),
      ("sysctl net.ipv4.ip_forward_use_pmtu", [1], 0),
      ("sysctl net.ipv4.ip_no_pmtu_disc", [1], 0),
      ("sysctl net.ipv4.ip_early_demux", [0], 1),
      ("sysctl net.ipv4.icmp_echo_ignore_all", [1], 0),
      ("sysctl net.ipv4.ip_default_ttl", [7], 64),
      ("sysctl net.ipv4.icmp_errors_use_inbound_ifaddr", [1], 0),
      ("sysctl net.ipv4.min_adv_mss", [300], 48),
    ]
    let one = chance.one(of: chance.percent(50) ? often : rest)
    return Change("\(one.key)=\(chance.one(of: one.values))", undo: "\(one.key)=\(one.usual)")
  }

  // MARK: Links

  private mutating func link() -> Change {
    let port = "p\(1 + chance.below(world.cables))"
    switch chance.below(12) {
    case 0..<2: return Change("ip link set \(port) down", undo: "ip link set \(port) up")
    case 2:
      return Change(
        "ip link set \(port) down", "ip link set \(port) up", undo: "ip link set \(port) up")
    case 3..<6:
      let mtu = chance.one(of: [576, 1280, 1400, 1499, 1501, 2000, 3000])
      return Change("ip link set \(port) mtu \(mtu)", undo: "ip link set \(port) mtu 1500")
    case 6:
      return Change(
        "ip link set \(port) address 02:00:00:00:01:7\(port.last ?? "1")",
        undo: "ip link set \(port) address \(Names.gatewayMAC(Int(port.dropFirst()) ?? 1))")
    case 7: return Change("ip link set \(port) promisc on", undo: "ip link set \(port) promisc off")
    case 8: return Change("ip link set \(port) arp off", undo: "ip link set \(port) arp on")
    case 9:
      return Change(
        "ip link set \(port) allmulticast on", undo: "ip link set \(port) allmulticast off")
    case 10:
      let feature = chance.one(of: ["gro", "tx", "txvlan", "rxvlan", "sg", "tso"])
      return Change("ethtool -K \(port) \(feature) off", undo: "ethtool -K \(port) \(feature) on")
    default:
      return Change("ip link set \(port) alias uplink", undo: "ip link set \(port) txqueuelen 500")
    }
  }

  private mutating func traffic() -> Change {
    let port = "p\(1 + chance.below(world.cables))"
    let gone = "tc qdisc del dev \(port) root"
    let action = chance.one(of: ["drop", "ok", "pipe"])
    switch chance.below(7) {
    case 0:
      let kind = chance.one(of: [
        "pfifo limit 50", "pfifo_fast", "fq_codel", "prio", "sfq", "bfifo",
      ])
      return Change("tc qdisc add dev \(port) root \(kind)", undo: gone)
    case 1:
      return Change(
        "tc qdisc add dev \(port) root tbf rate 1gbit burst 100kb latency 10ms", undo: gone)
    case 2:
      return Change(
        "tc qdisc add dev \(port) root handle 1: htb default 1",
        "tc class add dev \(port) parent 1: classid 1:1 htb rate 1gbit", undo: gone)
    case 3, 4:
      let hook = chance.one(of: ["ingress", "egress"])
      return Change(
        "tc qdisc add dev \(port) clsact",
        "tc filter add dev \(port) \(hook) protocol ip matchall action gact \(action)",
        undo: "tc qdisc del dev \(port) clsact")
    case 5:
      return Change(
        "tc qdisc add dev \(port) clsact",
        "tc filter add dev \(port) egress protocol ip u32 match ip ttl 63 0xff action drop",
        undo: "tc qdisc del dev \(port) clsact")
    default:
      let all = "0.0.0.0/0"
      let (from, to) = (chance.percent(50) ? all : network(), chance.percent(50) ? all : network())
      let policy = "dir \(chance.one(of: ["fwd", "out", "in"])) src \(from) dst \(to)"
      return Change(
        "ip xfrm policy add \(policy) action \(chance.one(of: ["block", "allow"]))",
        undo: "ip xfrm policy del \(policy)")
    }
  }

  private mutating func tap() -> Change {
    let device = chance.one(of: world.devices + world.ports + ["any"])
    return Change("tap \(device)", undo: "untap \(device)")
  }
}
