// SPDX-License-Identifier: Apache-2.0

/// An ipset, and what packets that meet its elements have.
struct MadeSet {
  let name: String
  /// `ip`, `net`, `port`; a list has those of its sets.
  let dimensions: [String]
  var addresses: (inside: [UInt32], outside: [UInt32]) = ([], [])
  var ports: (inside: [UInt32], outside: [UInt32]) = ([], [])
  var transports: [UInt32] = []

  init(_ name: String, _ dimensions: [String]) { (self.name, self.dimensions) = (name, dimensions) }
}

extension FirewallMaker {
  private static let kinds = [
    "hash:ip", "hash:net", "hash:ip,port", "hash:net,port", "bitmap:ip", "bitmap:port",
  ]

  /// Some of each kind, and a list of them.
  mutating func makeSets() {
    for _ in 0...(1 + chance.below(4)) {
      let kind = chance.one(of: Self.kinds)
      let dimensions = kind.split(separator: ":")[1].split(separator: ",").map(String.init)
      make(kind, dimensions, of: chance.percent(60) ? sources : destinations)
    }
    if chance.percent(50) {
      var list = MadeSet("\(mark)_l", ["ip", "port"])
      var elements: [String] = []
      for set in made.shuffled(by: &chance).prefix(1 + chance.below(3)) {
        elements.append(set.name)
        list.addresses.inside += set.addresses.inside
        list.addresses.outside += set.addresses.outside
        list.ports.inside += set.ports.inside
        list.transports += set.transports
      }
      firewall.sets.append(.init(name: list.name, kind: "list:set", elements: elements))
      made.append(list)
    }
  }

  private mutating func make(_ kind: String, _ dimensions: [String], of pool: [UInt32]) {
    var set = MadeSet("\(mark)_\(made.count)", dimensions)
    var options = kind
    let base = chance.one(of: pool) & 0xffff_ff00
    if kind == "bitmap:ip" { options += " range \(Self.text(base))-\(Self.text(base | 255))" }
    if kind == "bitmap:port" { options += " range 20-8100" }
    let hasTimeouts = chance.percent(25)
    if hasTimeouts { options += " timeout \(chance.one(of: [0, 100_000]))" }
    if chance.percent(10) { options += " comment" }
    if chance.percent(10) { options += " skbinfo" }
    if chance.percent(strange) { options += " counters" }
    let hostBits = kind == "hash:ip" && chance.percent(25) ? UInt32(chance.one(of: [4, 8, 11])) : 0
    if hostBits > 0 { options += " netmask \(32 - hostBits)" }
    var elements: [String] = []
    for _ in 0..<chance.one(of: [0, 1, 2, 4, 8, 12]) {
      var isException = false
      var words: [String] = []
      for dimension in dimensions {
        switch dimension {
        case "port": words.append(port(kind, &set))
        case "net":
          let length = chance.one(of: [9, 16, 18, 22, 24, 25, 27, 30, 31, 32])
          let hosts = length == 32 ? 0 : ~UInt32(0) >> UInt32(length)
          let first = chance.one(of: pool) & ~hosts
          words.append("\(Self.text(first))/\(length)")
          isException = chance.percent(25)
          let hint = edges(.source, first, first | hosts, upTo: .max)
          set.addresses.inside += hint.inside
          set.addresses.outside += hint.outside
        default:
          var one = chance.one(of: pool)
          if kind == "bitmap:ip" { one = base | one & 255 }
          words.append(Self.text(one))
          one &= ~((1 << hostBits) - 1)
          let hint = edges(.source, one, one | ((1 << hostBits) - 1), upTo: .max)
          set.addresses.inside += hint.inside
          set.addresses.outside += hint.outside
        }
      }
      var element = words.joined(separator: ",")
      if hasTimeouts, chance.percent(40) { element += " timeout \(chance.one(of: [0, 90_000]))" }
      if isException { element += " nomatch" }
      elements.append(element)
    }
    firewall.sets.append(.init(name: set.name, kind: options, elements: elements))
    made.append(set)
  }

  private mutating func port(_ kind: String, _ set: inout MadeSet) -> String {
    if kind == "bitmap:port" {
      let port = chance.one(of: ports.filter { (20...8100).contains($0) })
      set.ports.inside.append(port)
      set.ports.outside.append(port + 1)
      return "\(port)"
    }
    if chance.percent(10) {
      set.transports.append(1)
      return "icmp:8/\(chance.below(2))"
    }
    let (name, number) = chance.one(of: [("tcp", 6), ("udp", 17), ("sctp", 132), ("udplite", 136)])
    let port = chance.one(of: ports)
    set.ports.inside.append(port)
    set.ports.outside.append(port ^ 1)
    set.transports.append(UInt32(number))
    return "\(name):\(port)"
  }

  mutating func setMatch() -> Piece {
    let set = chance.one(of: made)
    let sides = set.dimensions.map { _ in chance.percent(55) }
    var hints: [Hint] = []
    for (dimension, isSource) in zip(set.dimensions, sides) {
      let values = dimension == "port" ? set.ports : set.addresses
      let field: Firewall.Field =
        dimension == "port"
        ? (isSource ? .sourcePort : .destinationPort) : (isSource ? .source : .destination)
      hints.append(Hint(field, inside: values.inside, outside: values.outside))
    }
    if !set.transports.isEmpty { hints.append(Hint(.transport, inside: set.transports)) }
    let isNegated = chance.percent(25)
    let words = sides.map { $0 ? "src" : "dst" }.joined(separator: ",")
    var piece = Piece("-m set \(isNegated ? "! " : "")--match-set \(set.name) \(words)")
    piece.hints = isNegated ? hints.map(\.inverted) : hints
    return piece
  }
}

extension Array {
  fileprivate func shuffled(by chance: inout Chance) -> [Element] {
    var rest = self
    var shuffled: [Element] = []
    while !rest.isEmpty { shuffled.append(rest.remove(at: chance.below(rest.count))) }
    return shuffled
  }
}
