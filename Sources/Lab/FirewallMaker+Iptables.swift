// SPDX-License-Identifier: Apache-2.0

extension FirewallMaker {
  typealias Piece = Firewall.Piece
  typealias Hint = Firewall.Hint

  /// Where a chain of iptables may be come from.
  struct Place {
    let table: String
    /// The chain that is hooked in; none where several lead to it.
    let base: String?
    /// Chains behind it, with how many rules a packet may meet there at most.
    var below: [(name: String, size: Int)] = []
  }

  private static let bases = [
    "raw": ["PREROUTING"], "mangle": ["PREROUTING", "FORWARD", "POSTROUTING"],
    "filter": ["FORWARD"], "security": ["FORWARD"],
  ]
  /// More would be laid out than there is room for.
  private static let sizeMax = 1500

  mutating func makeTables(_ count: Int) {
    if look.features.contains(.sets) { makeSets() }
    for name in look.isWide ? ["raw", "mangle", "filter", "security"] : ["filter"] {
      var table = Firewall.Table(name: name)
      let isMain = name == "filter"
      let share = look.isWide ? (isMain ? count / 2 : count / 6) : count
      let bases = Self.bases[name] ?? []
      for base in bases { table.chains += chains(of: base, in: name, max(1, share / bases.count)) }
      if isMain {
        for chain in table.chains.indices where table.chains[chain].hook != nil {
          table.chains[chain].rules.insert(contentsOf: anchors(), at: 0)
        }
      }
      firewall.tables.append(table)
    }
  }

  /// A chain that is hooked in and those it leads to, which have their rules in common.
  private mutating func chains(
    of base: String, in table: String, _ count: Int
  ) -> [Firewall.Chain] {
    let users = count < 3 ? 0 : chance.below(min(9, count / 2))
    var place = Place(table: table, base: base)
    var chains: [Firewall.Chain] = []
    for number in (0...users).reversed() {
      var chain = Firewall.Chain(name: number == 0 ? base : "\(base.prefix(4))_\(number)")
      chain.hook = number == 0 ? base : nil
      chain.drops = number == 0 && table != "raw" && chance.percent(22)
      var size = 0
      for _ in 0..<max(1, count / (users + 1)) {
        let rule = rule(at: place, isFirst: number == 0, room: Self.sizeMax - size)
        size += 1 + (place.below.first { $0.name == rule.chain }?.size ?? 0)
        chain.rules.append(rule)
      }
      place.below.append((chain.name, size))
      chains.append(chain)
    }
    return chains.reversed()
  }

  private mutating func rule(at place: Place, isFirst: Bool, room: Int) -> Firewall.Rule {
    var rule = Firewall.Rule()
    let targets = place.below.filter { $0.size < room }
    let leads = !targets.isEmpty && chance.percent(isFirst ? 35 : 18)
    // What leads to other rules should not ask for the same as they do.
    rule.pieces = leads && chance.percent(75) ? few() : conditions(at: place, isFirst: isFirst)
    let endings = Self.endings(rule.pieces)
    if leads {
      let target = chance.one(of: targets.suffix(4)).name
      rule.chain = target
      rule.action = chance.percent(endings / 2) ? "-g \(target)" : "-j \(target)"
    } else if look.features.contains(.marking), chance.percent(15) {
      let (value, mask) = marking()
      rule.action = "-j MARK --set-xmark \(value)/\(mask)"
    } else if chance.percent(strange), chance.percent(20 + endings) {
      rule.action = "-j " + strangeTarget(at: place)
    } else if chance.percent(endings) {
      rule.action = chance.one(weighted: [(4, "-j ACCEPT"), (5, "-j DROP"), (2, "-j RETURN")])
    } else if !isFirst, chance.percent(8) {
      rule.action = "-j RETURN"
    }
    if chance.percent(strange / 3) {
      let place = chance.below(rule.pieces.count + 1)
      rule.pieces.insert(strangeMatch(), at: place)
    }
    if chance.percent(3) {
      rule.pieces.append(Piece("-m comment --comment \"words \(chance.below(9))\""))
    }
    return rule
  }

  /// What a mark becomes, and under which mask.
  mutating func marking() -> (value: Int, mask: Int) {
    (chance.one(of: [0, 1, 5, 7, 0x10, 0x50]), chance.one(of: [0xffff_ffff, 7, 0x50, 1]))
  }

  private mutating func strangeTarget(at place: Place) -> String {
    var some = ["LOG", "LOG --log-prefix words", "NFLOG --nflog-group 5"]
    some += ["NFQUEUE --queue-num 7 --queue-bypass"]
    if place.table == "filter" {
      some += [
        "REJECT", "REJECT --reject-with icmp-host-prohibited",
        "REJECT --reject-with icmp-net-unreachable",
      ]
    }
    if place.table == "mangle" {
      some += ["TOS --set-tos 4", "DSCP --set-dscp 5", "TTL --ttl-dec 1"]
    }
    return chance.one(of: some)
  }

  /// Some of them change by being asked.
  private mutating func strangeMatch() -> Piece {
    Piece(
      chance.one(of: [
        "-m limit --limit 1/hour --limit-burst 3", "-m statistic --mode nth --every 3 --packet 1",
        "-m quota --quota 500", "-m recent --set --name \(mark)",
        "-m recent --rcheck --name \(mark)",
        "-m time --timestart 00:00 --timestop 23:59:59", "-m string --string abc --algo bm",
        "-m u32 --u32 0>>22&0x3C@4=5", "-m ecn --ecn-ip-ect 1",
        "-m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 2 --hashlimit-name \(mark)",
        "-m cpu ! --cpu 77",
      ]))
  }

  // MARK: Conditions

  private mutating func few() -> [Piece] {
    switch chance.below(4) {
    case 0: address(isSource: true)
    case 1: address(isSource: false)
    case 2: transport()
    default: []
    }
  }

  private mutating func conditions(at place: Place, isFirst: Bool) -> [Piece] {
    var pieces: [Piece] = []
    if chance.percent(55) { pieces += address(isSource: true) }
    if chance.percent(60) { pieces += address(isSource: false) }
    if has(.input, 20), !(isFirst && place.base == "POSTROUTING") { pieces.append(interface(true)) }
    if has(.output, 20), !(isFirst && place.base == "PREROUTING") {
      pieces.append(interface(false))
    }
    pieces += transport()
    let looks: [(Feature, Int, (inout Self) -> Piece)] = [
      (.length, 10, { $0.length() }), (.ttl, 10, { $0.ttl() }), (.tos, 10, { $0.tos() }),
      (.mark, 7, { $0.markMatch(masked: false) }), (.maskedMark, 6, { $0.markMatch(masked: true) }),
      (.packetType, 7, { $0.packetType() }), (.sourceType, 7, { $0.addressType() }),
      (.sets, 25, { $0.setMatch() }),
    ]
    for (feature, share, make) in looks where has(feature, share) { pieces.append(make(&self)) }
    if place.base != "POSTROUTING", place.base != nil, has(.mac, 8) { pieces.append(mac()) }
    return pieces
  }

  mutating func has(_ feature: Feature, _ hundredths: Int) -> Bool {
    look.features.contains(feature) && chance.percent(hundredths)
  }

  /// With `!` in front, a fifth of the time.
  private mutating func maybe(_ text: String, _ hint: Hint?, before: String = "") -> Piece {
    let isNegated = chance.percent(20)
    var piece = Piece(before + (isNegated ? "! " : "") + text)
    if let hint { piece.hints = [isNegated ? hint.inverted : hint] }
    return piece
  }

  private mutating func address(isSource: Bool) -> [Piece] {
    let option = isSource ? "-s" : "-d"
    let field: Firewall.Field = isSource ? .source : .destination
    if look.features.contains(isSource ? .maskedSource : .maskedDestination), chance.percent(15) {
      let (value, mask, hint) = masked(isSource)
      return [maybe("\(option) \(Self.text(value))/\(Self.text(mask))", hint)]
    }
    switch chance.below(10) {
    case 0..<4:
      let one = address(isSource)
      return [maybe("\(option) \(Self.text(one))", edges(field, one, one, upTo: .max))]
    case 4..<8:
      let (first, last, length) = network(isSource)
      return [
        maybe("\(option) \(Self.text(first))/\(length)", edges(field, first, last, upTo: .max))
      ]
    default:
      let (first, last) = range(of: isSource ? sources : destinations)
      return [
        maybe(
          "--\(isSource ? "src" : "dst")-range \(Self.text(first))-\(Self.text(last))",
          edges(field, first, last, upTo: .max), before: "-m iprange ")
      ]
    }
  }

  private mutating func interface(_ isInput: Bool) -> Piece {
    let port = 1 + chance.below(3)
    let others = [1, 2, 3].filter { $0 != port }.map { UInt32($0) }
    let name = chance.one(weighted: [
      (6, "p\(port)"), (2, "p\(port)+"), (1, "p+"), (1, "p\(port)1"), (1, "eth+"), (1, "+"),
    ])
    let hint =
      isInput ? Hint(.host, inside: [UInt32(port)], outside: others) : leaving(by: port)
    return maybe("-\(isInput ? "i" : "o") \(name)", hint)
  }

  private mutating func transport() -> [Piece] {
    switch chance.below(100) {
    case 0..<30: return []
    case 30..<68:
      let (name, number) = Self.protocols[chance.below(2)]
      var pieces = [Piece("-p \(name)", Hint(.transport, inside: [number], outside: [17, 6, 1]))]
      if chance.percent(75) { pieces += ports(name) }
      if name == "tcp", has(.flags, 25) { pieces.append(tcpFlags()) }
      return pieces
    case 68..<78 where look.features.contains(.icmp):
      let icmp = [Piece("-p icmp", Hint(.transport, inside: [1], outside: [17]))]
      return chance.percent(80) ? icmp + [icmpType()] : icmp
    case 78..<84:
      return [Piece("-p sctp", Hint(.transport, inside: [132]))] + ports("sctp")
    case 84..<94:
      let (name, number) = chance.one(of: Self.protocols)
      return [maybe("-p \(name)", Hint(.transport, inside: [number], outside: [6, 17]))]
    default: return [maybe("-f", Hint(.fragment, inside: [2], outside: [0, 1]))]
    }
  }

  private mutating func ports(_ name: String) -> [Piece] {
    if name != "sctp", chance.percent(30) { return [multiport()] }
    var pieces: [Piece] = []
    for (option, field) in [("--sport", Firewall.Field.sourcePort), ("--dport", .destinationPort)]
    where chance.percent(option == "--dport" ? 80 : 25) {
      let (first, last) = range(of: ports)
      let text = chance.percent(55) ? "\(first)" : "\(first):\(last)"
      let end = text.contains(":") ? last : first
      pieces.append(
        maybe("\(option) \(text)", edges(field, first, end, upTo: 0xffff), before: "-m \(name) "))
    }
    return pieces
  }

  private mutating func multiport() -> Piece {
    let (option, fields) = chance.one(of: [
      ("--dports", [Firewall.Field.destinationPort]), ("--sports", [.sourcePort]),
      ("--ports", [.sourcePort, .destinationPort]),
    ])
    let isNegated = chance.percent(20)
    var piece = Piece("-m multiport \(isNegated ? "! " : "")\(option) ")
    piece.separator = ","
    var values: [Hint] = []
    for _ in 0...chance.below(6) {
      let (first, last) = range(of: ports)
      let isRange = chance.percent(30) && first < last
      piece.elements.append(isRange ? "\(first):\(last)" : "\(first)")
      values.append(edges(fields[0], first, isRange ? last : first, upTo: 0xffff))
    }
    for field in fields {
      let hint = Hint(field, inside: values.flatMap(\.inside), outside: values.flatMap(\.outside))
      piece.hints.append(isNegated ? hint.inverted : hint)
    }
    return piece
  }

  private mutating func tcpFlags() -> Piece {
    let mask = flagBits()
    let value = UInt32(chance.below(64)) & mask
    func names(_ bits: UInt32) -> String {
      let some = Self.flagNames.enumerated().filter { bits >> UInt32($0.offset) & 1 != 0 }
      return some.isEmpty ? "NONE" : some.map(\.element).joined(separator: ",")
    }
    let hint = Hint(
      .flags, inside: [value, value | ~mask & 63],
      outside: [value ^ (mask & (~mask &+ 1)), ~value & 63])
    return maybe("--tcp-flags \(names(mask)) \(names(value))", hint, before: "-m tcp ")
  }

  private mutating func icmpType() -> Piece {
    let type = UInt32(chance.one(of: [0, 3, 8, 11, 13]))
    let code = UInt32(chance.one(of: [0, 1, 4]))
    let isExact = chance.percent(50)
    let hint = Hint(
      .icmp, inside: isExact ? [type << 8 | code] : [type << 8, type << 8 | 7],
      outside: [(type + 1) << 8 | code, isExact ? type << 8 | (code + 1) : (type ^ 1) << 8])
    return maybe("--icmp-type \(isExact ? "\(type)/\(code)" : "\(type)")", hint, before: "-m icmp ")
  }

  private mutating func length() -> Piece {
    let (first, last) = range(from: 40, below: 400)
    return maybe(
      "--length \(first):\(last)", edges(.length, first, last, upTo: 1500), before: "-m length ")
  }

  private mutating func ttl() -> Piece {
    let value = UInt32(chance.one(of: [1, 2, 9, 63, 64, 127, 254]))
    let option = chance.one(of: ["eq", "lt", "gt"])
    let hint = Hint(
      .ttl, inside: [value, value + 1], outside: [max(1, value) - 1, min(value + 2, 255)])
    if option == "eq" { return maybe("--ttl-eq \(value)", hint, before: "-m ttl ") }
    return Piece("-m ttl --ttl-\(option) \(value)", hint)
  }

  private mutating func tos() -> Piece {
    if chance.percent(50) {
      let value = UInt32(chance.below(64))
      let hint = edges(.tos, value << 2, value << 2 | 3, upTo: 255)
      return maybe("--dscp \(value)", hint, before: "-m dscp ")
    }
    let mask = UInt32(chance.one(of: [0xff, 0x3f, 0xf0, 0x11]))
    let value = UInt32(chance.below(256)) & mask
    let hint = Hint(
      .tos, inside: [value, value | ~mask & 0xff], outside: [value ^ (mask & (~mask &+ 1))])
    return maybe("--tos \(value)/\(mask)", hint, before: "-m tos ")
  }

  private mutating func markMatch(masked: Bool) -> Piece {
    let value = chance.below(3)
    return maybe("--mark \(value)\(masked ? "/5" : "")", nil, before: "-m mark ")
  }

  private mutating func packetType() -> Piece {
    maybe(
      "--pkt-type \(chance.one(of: ["unicast", "broadcast", "multicast"]))", nil,
      before: "-m pkttype ")
  }

  private mutating func addressType() -> Piece {
    let types = chance.one(of: ["LOCAL", "UNICAST", "BROADCAST", "UNICAST,LOCAL", "MULTICAST"])
    return maybe(
      "--\(chance.percent(60) ? "src" : "dst")-type \(types)", nil, before: "-m addrtype ")
  }

  private mutating func mac() -> Piece {
    let last = UInt32(1 + chance.below(4))
    let hint = Hint(.mac, inside: [last], outside: [last + 1])
    return maybe("--mac-source 02:00:00:00:0a:0\(last)", hint, before: "-m mac ")
  }

  // MARK: Anchors

  /// A rule for each feature that no packet meets.
  private func anchors() -> [Firewall.Rule] {
    let never = "-s 203.0.113.77"
    let texts: [(Feature, String)] = [
      (.flags, "\(never) -p tcp -m tcp --tcp-flags SYN,ACK SYN"),
      (.icmp, "\(never) -p icmp -m icmp --icmp-type 8/1"),
      (.length, "\(never) -m length --length 100:200"), (.ttl, "\(never) -m ttl --ttl-eq 9"),
      (.tos, "\(never) -m dscp --dscp 9"), (.mark, "\(never) -m mark ! --mark 7"),
      (.maskedMark, "\(never) -m mark ! --mark 1/5"),
      (.packetType, "\(never) -m pkttype --pkt-type unicast"), (.input, "\(never) -i p1"),
      (.output, "\(never) -o p2"), (.maskedSource, "-s 203.0.0.77/255.0.0.255"),
      (.maskedDestination, "\(never) -d 10.0.0.77/255.0.0.255"),
      (.mac, "\(never) -m mac --mac-source 02:00:00:00:0a:09"),
      (.sourceType, "\(never) -m addrtype --src-type LOCAL"),
      (.marking, "\(never) -j MARK --set-mark 7"),
      (.sets, "\(never) -m set --match-set \(firewall.sets.first?.name ?? "") src"),
    ]
    return texts.filter { look.features.contains($0.0) }.map { _, text in
      var rule = Firewall.Rule(pieces: [Piece(text)])
      rule.isAnchor = true
      return rule
    }
  }
}
