// SPDX-License-Identifier: Apache-2.0
import Lab

extension TrialMaker {
  // MARK: Bridges

  mutating func bridge() -> Change {
    let port = chance.one(of: world.ports)
    let bridge = chance.one(of: world.bridges)
    let mac =
      chance.percent(50)
      ? Names.hostMAC(1 + chance.below(world.cables))
      : MAC(number: 0x0b00 + UInt32(chance.below(8)))
    switch chance.below(20) {
    case 0..<4:
      let flag: (String, String) = chance.one(of: [
        ("isolated on", "isolated off"), ("hairpin on", "hairpin off"),
        ("learning off", "learning on"), ("flood off", "flood on"),
        ("mcast_flood off", "mcast_flood on"), ("bcast_flood off", "bcast_flood on"),
        ("locked on learning off", "locked off learning on"),
        ("locked on learning off", "locked off learning on"),
        ("locked on learning off", "locked off learning on"),
        ("neigh_suppress on", "neigh_suppress off"),
        ("guard on", "guard off"), ("root_block on", "root_block off"),
      ])
      return Change(
        "bridge link set dev \(port) \(flag.0)", undo: "bridge link set dev \(port) \(flag.1)")
    case 4, 5:
      let other = chance.one(of: world.ports)
      return Change(
        "bridge link set dev \(port) isolated on", "bridge link set dev \(other) isolated on",
        undo: "bridge link set dev \(port) isolated off",
        "bridge link set dev \(other) isolated off")
    case 6..<8:
      let state = chance.one(of: [0, 1, 2, 4])
      return Change(
        "bridge link set dev \(port) state \(state)", undo: "bridge link set dev \(port) state 3")
    case 8..<11:
      let kind = chance.one(of: ["static", "dynamic", "local", "static sticky", "extern_learn"])
      return Change(
        "bridge fdb replace \(mac) dev \(port) master \(kind)",
        undo: "bridge fdb del \(mac) dev \(port) master")
    case 12:
      return Change("bridge fdb del \(mac) dev \(port) master", undo: "ip link set \(bridge) up")
    case 13:
      return Change(
        "bridge fdb add \(mac) dev \(bridge) self local",
        undo: "bridge fdb del \(mac) dev \(bridge) self")
    case 14:
      return Change("ip link set \(port) nomaster", undo: "ip link set \(port) master \(bridge)")
    case 15:
      return Change("brctl delif \(bridge) \(port)", undo: "ip link set \(port) master \(bridge)")
    case 11, 16:
      let option: (String, String) = chance.one(of: [
        ("mcast_snooping 0", "mcast_snooping 1"), ("group_fwd_mask 0x4000", "group_fwd_mask 0"),
        ("ageing_time 60000", "ageing_time 3000000"), ("nf_call_iptables 1", "nf_call_iptables 0"),
        ("mcast_query_use_ifaddr 1", "mcast_query_use_ifaddr 0"),
        ("no_linklocal_learn 1", "no_linklocal_learn 0"),
      ])
      return Change(
        "ip link set \(bridge) type bridge \(option.0)",
        undo: "ip link set \(bridge) type bridge \(option.1)")
    case 17:
      return Change(
        "ip link set \(bridge) address 02:00:00:00:02:77",
        undo: "ip link set \(bridge) address \(Names.bridgeMAC(Int(bridge.suffix(1)) ?? 0))")
    case 18: return Change("ip link set \(bridge) down", undo: "ip link set \(bridge) up")
    default:
      return Change("ip link set \(bridge) promisc on", undo: "ip link set \(bridge) promisc off")
    }
  }

  /// Rules of ebtables, and nftables' for bridges.
  mutating func bridgeRule() -> Change {
    let port = chance.one(of: world.ports)
    switch chance.below(4) {
    case 0:
      let rule = chance.one(of: [
        "FORWARD -i \(port) -j DROP", "FORWARD -p ARP -j DROP", "FORWARD -o \(port) -j ACCEPT",
        "INPUT -i \(port) -p IPv4 -j DROP", "FORWARD -s 02:00:00:00:0a:01 -j DROP",
      ])
      return Change("ebtables -A \(rule)", undo: "ebtables -D \(rule)")
    case 1:
      return Change(
        "ebtables -t nat -A PREROUTING -i \(port) -j ACCEPT", undo: "ebtables -t nat -F PREROUTING")
    default:
      let statement = chance.one(of: [
        "iifname \(port) drop", "ether type ip ip ttl 2 drop", "counter", "oifname \(port) accept",
      ])
      let hook = chance.one(of: ["prerouting", "forward", "input", "postrouting"])
      return Change(
        """
        nft -f -
        table bridge b {
          chain c { type filter hook \(hook) priority 0;
            \(statement)
          }
        }
        """, undo: "nft delete table bridge b")
    }
  }

  // MARK: Rules for IP

  mutating func rule() -> Change {
    switch chance.below(10) {
    case 0..<5: return iptables()
    case 5..<8: return nftables()
    case 8: return wholeFirewall()
    default: return setRule()
    }
  }

  private mutating func prefix() -> String {
    let length = chance.one(of: [32, 24, 24, 16, 8])
    return Self.text(routed() & (~UInt32(0) << UInt32(32 - length))) + "/\(length)"
  }

  /// What a rule asks of the connection a packet belongs to.
  private mutating func connectionMatch() -> String {
    chance.one(of: [
      "-m conntrack --ctstate RELATED,ESTABLISHED", "-m conntrack --ctstate INVALID",
      "-m conntrack ! --ctstate NEW", "-m conntrack --ctstate ESTABLISHED --ctdir ORIGINAL",
      "-m conntrack --ctdir REPLY", "-m conntrack --ctstatus ASSURED",
      "-m conntrack ! --ctstatus CONFIRMED", "-m conntrack --ctstate SNAT",
      "-m conntrack ! --ctstate DNAT", "-m connmark --mark 1", "-m connmark ! --mark 0/3",
      "-m conntrack --ctstate ESTABLISHED -p udp", "-m conntrack --ctdir REPLY -s \(prefix())",
      "-d \(Self.text(chance.one(of: world.doors).own ?? 0))/32", "-p tcp --dport 8080",
    ])
  }

  private mutating func iptables() -> Change {
    let port = "p\(1 + chance.below(world.cables))"
    let asksConnection = world.isTracked && chance.percent(60)
    let match =
      asksConnection
      ? connectionMatch()
      : chance.one(of: [
        "", "-s \(prefix())", "-d \(prefix())", "! -d \(prefix())", "-i \(port)", "-o \(port)",
        "-p udp --dport 53", "-p tcp --dport 80", "-p udp -m multiport --dports 22,53,1000:2100",
        "-p tcp --syn", "-p icmp", "-p icmp --icmp-type 8", "-f", "-m ttl --ttl-lt 3",
        "-m tos --tos 0x10", "-m length --length 0:100", "-m mac --mac-source 02:00:00:00:0a:01",
        "-m pkttype --pkt-type unicast", "-m iprange --dst-range 10.9.1.1-10.9.1.200",
        "-m addrtype --dst-type LOCAL", "-m mark --mark 5", "-m u32 --u32 '6&0xFF=0x11'",
        "-m conntrack --ctstate NEW", "-m state --state ESTABLISHED", "-m limit --limit 1/day",
        "-m statistic --mode nth --every 1", "-m comment --comment hello",
      ])
    let target = chance.one(weighted: [
      (40, "DROP"), (20, "ACCEPT"), (8, "REJECT"), (6, "RETURN"), (3, "LOG"),
      (3, "TTL --ttl-dec 1"),
    ])
    let nat = hasNAT ? 4 : 0
    let place: (String, String) = chance.one(weighted: [
      (60, ("filter", "FORWARD")), (6, ("filter", "INPUT")), (6, ("filter", "OUTPUT")),
      (6, ("mangle", "FORWARD")), (4, ("mangle", "PREROUTING")), (4, ("mangle", "POSTROUTING")),
      (4, ("raw", "PREROUTING")), (nat, ("nat", "POSTROUTING")), (nat, ("nat", "PREROUTING")),
    ])
    var action = target
    switch (place.0, place.1) {
    case ("nat", "POSTROUTING"):
      action = chance.one(of: ["MASQUERADE", "ACCEPT", "SNAT --to-source 10.0.3.1"])
    case ("nat", _): action = chance.one(of: ["ACCEPT", "DNAT --to-destination 10.0.2.2"])
    case ("mangle", "PREROUTING"):
      action = chance.one(of: ["MARK --set-mark 5", "DROP", "TOS --set-tos 0x10"])
    case ("filter", _): break
    default: action = chance.one(of: ["DROP", "ACCEPT", "RETURN"])
    }
    if action.hasPrefix("TTL") { action = "DROP" }
    let rule = "\(place.1) \(match) -j \(action)"
    if chance.percent(12) {
      return Change("\(tool) -P FORWARD DROP", undo: "\(tool) -P FORWARD ACCEPT")
    }
    return Change(
      "\(tool) -t \(place.0) \(chance.one(of: ["-A", "-I"])) \(rule)",
      undo: "\(tool) -t \(place.0) -D \(rule)")
  }

  private mutating func nftables() -> Change {
    let name = "t\(chance.below(3))"
    let family = chance.one(of: ["ip", "inet"])
    let hook = chance.one(weighted: [
      (70, "forward"), (8, "prerouting"), (8, "postrouting"), (6, "input"), (4, "output"),
    ])
    var lines: [String] = []
    for _ in 0..<1 + chance.below(5) {
      let match = chance.one(of: [
        "", "ip saddr \(prefix())", "ip daddr \(prefix())", "ip daddr != \(prefix())",
        "udp dport 53", "tcp dport { 22, 80, 1000-2000 }",
        "iifname p\(1 + chance.below(world.cables))",
        "oifname p\(1 + chance.below(world.cables))", "ip ttl < 3", "ip protocol icmp",
        "meta length 60-200", "ip daddr { 10.9.0.0/24, 10.0.2.2 }", "ip frag-off & 0x1fff != 0",
        "ether saddr 02:00:00:00:0a:01", "ct state established", "meta mark 5",
        "ip saddr . udp dport { 10.0.1.2 . 53, 10.0.2.2 . 80 }",
      ])
      let verdict = chance.one(weighted: [
        (40, "drop"), (30, "accept"), (15, ""), (5, "reject"), (5, "continue"), (5, "return"),
      ])
      lines.append("    \(match) \(chance.percent(50) ? "counter " : "")\(verdict)")
    }
    let policy = chance.percent(15) ? "drop" : "accept"
    let priority = chance.one(of: [-300, -150, -1, 0, 10, 100])
    return Change(
      """
      nft -f -
      table \(family) \(name) {
        chain c { type filter hook \(hook) priority \(priority); policy \(policy);
      \(lines.joined(separator: "\n"))
        }
      }
      """, undo: "nft delete table \(family) \(name)")
  }

  /// The rules of some other test, all at once.
  private mutating func wholeFirewall() -> Change {
    let kind: Firewall.Tool = tool == "iptables-nft" ? .nft : .legacy
    let seed = UInt64(chance.below(1 << 30))
    var maker = FirewallMaker(FirewallMaker.Look(kind, 3, seed: seed), seed: seed)
    let firewall = maker.make()
    let tables = Set(firewall.tables.map(\.name)).union(["filter"]).sorted()
    var lines: [String] = []
    if !firewall.sets.isEmpty { lines.append("ipset -exist restore\n" + firewall.setScript) }
    lines.append("\(tool)-restore\n" + firewall.script)
    let empty = tables.map {
      "*\($0)\n" + (["filter", "mangle", "security"].contains($0) ? ":FORWARD ACCEPT\n" : "")
        + "COMMIT\n"
    }.joined()
    return Change(lines: lines, undo: ["\(tool)-restore\n" + empty])
  }

  private mutating func setRule() -> Change {
    let kind = chance.one(of: [
      ("hash:ip", Self.text(routed())), ("hash:net", prefix()),
      ("hash:ip,port", "\(Self.text(routed())),udp:53"),
    ])
    let name = "s\(chance.below(1000))"
    let side = kind.0 == "hash:ip,port" ? "dst,dst" : chance.one(of: ["src", "dst"])
    let rule = "FORWARD -m set --match-set \(name) \(side) -j DROP"
    return Change(
      "ipset create \(name) \(kind.0)", "ipset add \(name) \(kind.1)", "\(tool) -I \(rule)",
      undo: "\(tool) -D \(rule)", "ipset destroy \(name)")
  }
}
