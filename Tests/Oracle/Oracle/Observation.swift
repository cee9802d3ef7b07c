// SPDX-License-Identifier: Apache-2.0
import Glibc
import Introspection
import Lab
import OrderedJSON

/// All that can be seen of a stage from outside.
struct Observation {
  /// Frames by place, each with how often it came.
  var heard: [String: [HeardFrame: Int]] = [:]
  /// What tools said that failed.
  var words: [String] = []
  /// How the kernel's counters of packets it did not forward grew.
  var kernel: [String: Int] = [:]
  /// Tables of the kernel afterwards, by name.
  var tables: [String: [String]] = [:]
}

/// A frame as it is compared, and as it was.
struct HeardFrame: Hashable {
  let bytes: [UInt8]
  let seen: [UInt8]

  static func == (left: HeardFrame, right: HeardFrame) -> Bool { left.bytes == right.bytes }
  func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
}

// MARK: What is tolerated

extension Observation {
  /// The frames as they are compared. What is left out or made alike is told in docs/oracle.md, with its
  /// reason: keep the two the same.
  static func comparable(_ frames: [Frame]) -> [HeardFrame: Int] {
    var counted: [HeardFrame: Int] = [:]
    for frame in frames where !isNoise(frame) && frame.etherType != Bed.barrier {
      let one = HeardFrame(bytes: comparable(frame.bytes), seen: frame.bytes)
      counted[one, default: 0] += 1
    }
    return counted
  }

  /// tolerated: what IPv6 and IGMP say on their own, and messages that are limited by the clock
  private static func isNoise(_ frame: Frame) -> Bool {
    if isRouters(frame), let ip = frame.ipv4, ip.number == 2 { return true }
    if isRouters(frame), frame.etherType == 0x86dd, isNeighbourDiscovery(frame) { return true }
    if let inner = overlaid(frame) { return isNoise(Frame(Array(frame.bytes[inner...]))) }
    return isLimited(frame) || isRequest(frame)
  }

  /// Whether the sender is one of the router's devices.
  private static func isRouters(_ frame: Frame) -> Bool {
    frame.source.map { $0.bytes[0] == 2 && Names.routers.contains($0.bytes[4]) } ?? false
  }

  /// Where the header of a packet of IPv4 begins, and where what is behind it; nil of others.
  private static func places(_ frame: Frame) -> (header: Int, transport: Int)? {
    guard let start = frame.layers?.start, let ip = frame.ipv4, ip.headerLength >= 20,
      frame.bytes.count >= start + 20
    else { return nil }
    return (start, start + ip.headerLength)
  }

  /// Where in a packet of VXLAN the frame begins that it carries; nil of others.
  private static func overlaid(_ frame: Frame) -> Int? {
    guard let (_, transport) = places(frame), frame.ipv4?.number == 17,
      frame.bytes.count > transport + 16, frame.bytes[transport + 2] == 0x12,
      frame.bytes[transport + 3] == 0xb5
    else { return nil }
    return transport + 16
  }

  /// Also what multicast listeners say, which goes no further than a link.
  private static func isNeighbourDiscovery(_ frame: Frame) -> Bool {
    guard let start = frame.layers?.start, frame.bytes.count > start + 40 else { return false }
    let header = Array(frame.bytes[start..<start + 40])
    guard [0, 58].contains(header[6]) else { return false }
    let isForLink = header[24] == 0xff && header[25] == 2
    return header[7] == 255 || header[7] == 1 && isForLink
  }

  /// Redirects, and what says that there is no way: Linux tells a host that only so often.
  static func isLimited(_ frame: Frame) -> Bool {
    guard let (_, message) = places(frame), frame.ipv4?.number == 1,
      frame.bytes.count > message + 1
    else { return false }
    return frame.bytes[message] == 5
      || frame.bytes[message] == 3 && [0, 1, 13].contains(frame.bytes[message + 1])
  }

  /// tolerated: whom the router asks for, as it may be for a message of those
  private static func isRequest(_ frame: Frame) -> Bool {
    frame.etherType == 0x0806 && frame.destination == .broadcast && isRouters(frame)
  }

  /// tolerated: the number that the kernel gives to each IP packet of its own, and the checksum over it
  private static func comparable(_ bytes: [UInt8]) -> [UInt8] {
    let frame = Frame(bytes)
    guard let ip = frame.ipv4, let (header, transport) = places(frame) else { return bytes }
    let isMessage =
      ip.number == 1 && bytes.count > transport
      && [0, 3, 4, 5, 11, 12, 14].contains(bytes[transport])
    let inner = overlaid(frame)
    if !isMessage && inner == nil { return bytes }
    var bytes = bytes
    for place in [4, 5, 10] { bytes[header + place] = 0 }
    bytes[header + 11] = ip.checksumIsRight ? 1 : 0
    return inner.map { bytes[..<$0] + comparable(Array(bytes[$0...])) } ?? bytes
  }
}

// MARK: Comparing

extension Observation {
  /// What differs, each in some words; nothing when all is as without fpd.
  func problems(without other: Observation) -> [String] {
    var problems = frameProblems(other)
    if words != other.words {
      problems.append("tools said \(words) and without fpd \(other.words)")
    }
    if kernel != other.kernel {
      let names = Set(kernel.keys).union(other.kernel.keys).filter {
        kernel[$0] != other.kernel[$0]
      }
      problems += names.sorted().map {
        "the kernel counted \($0) \(kernel[$0] ?? 0) and without fpd \(other.kernel[$0] ?? 0)"
      }
    }
    for name in Set(tables.keys).union(other.tables.keys).sorted() {
      let (one, two) = (tables[name] ?? [], other.tables[name] ?? [])
      if one == two { continue }
      let more = Self.lines(one, without: two)
      let less = Self.lines(two, without: one)
      problems.append("\(name) with fpd:\n      \(more)\n    and without:\n      \(less)")
    }
    return problems
  }

  private static func lines(_ one: [String], without two: [String]) -> String {
    var rest = one
    for line in two { if let place = rest.firstIndex(of: line) { rest.remove(at: place) } }
    return rest.isEmpty ? "nothing more" : rest.prefix(6).joined(separator: "\n      ")
  }

  private func frameProblems(_ other: Observation) -> [String] {
    var problems: [String] = []
    for place in Set(heard.keys).union(other.heard.keys).sorted() {
      let (one, two) = (heard[place] ?? [:], other.heard[place] ?? [:])
      if one == two { continue }
      problems.append(
        "\(place) heard with fpd:\(Self.surplus(one, two))\n    and without:"
          + Self.surplus(two, one))
    }
    return problems
  }

  private static func surplus(_ one: [HeardFrame: Int], _ two: [HeardFrame: Int]) -> String {
    let lines = one.compactMap { frame, count -> String? in
      let more = count - (two[frame] ?? 0)
      if more <= 0 { return nil }
      return "\n      \(more > 1 ? "\(more) times " : "")\(Frame(frame.seen))"
        + "\n        \(hexadecimal(Array(frame.seen.prefix(80))))"
    }.sorted()
    if lines.isEmpty { return " nothing more" }
    return lines.prefix(6).joined() + (lines.count > 6 ? "\n      … \(lines.count) in all" : "")
  }
}

// MARK: Looking

extension Bed {
  /// The kernel's counters that say what it did with packets it did not forward, and how many it did.
  func counters() throws -> [String: Int] { try router.counters(Self.told) }

  private static let told: Set<String> = [
    "InHdrErrors", "InAddrErrors", "InDiscards", "OutNoRoutes", "ForwDatagrams",
    "FragOKs", "FragFails", "FragCreates", "ReasmReqds", "InUnknownProtos", "InDelivers",
    "OutTimeExcds", "OutParmProbs", "OutEchoReps", "IPReversePathFilter",
    "InNoRoutes", "InTruncatedPkts", "OutRsts", "NoPorts",
  ]

  /// Neighbours, stations, connections, and what rules and devices have counted.
  func tables(
    _ trial: Trial, _ firewalls: Set<String>, heard: Heard
  ) throws -> [String: [String]] {
    var tables: [String: [String]] = [:]
    let neighbours = try router.run("ip neigh show").output
    tables["neighbours"] = Self.lines(neighbours)
      .filter { !$0.hasSuffix("INCOMPLETE") && !$0.hasSuffix("FAILED") }.map(Self.lasting)
    if trial.build.contains(where: { $0.contains(" type bridge") }) {
      // What this answers is in the order of a hash table.
      tables["stations"] = Self.lines(try router.run("bridge fdb show").output)
        .filter { $0.contains("master") }
    }
    if trial.tracksConnections {
      tables["connections"] = try connections()
    }
    if !firewalls.isEmpty { try addRules(firewalls, to: &tables) }
    tables["devices"] = try devices(heard)
    return tables
  }

  private static func lines(_ text: String) -> [String] {
    text.split(separator: "\n").map { $0.trimmed }.sorted()
  }

  /// tolerated: when a neighbour's state goes over into the next is the clock's to say
  private static func lasting(_ line: String) -> String {
    var words = line.split(separator: " ").map(String.init)
    if let state = words.last, ["REACHABLE", "STALE", "DELAY", "PROBE"].contains(state) {
      words[words.count - 1] = "valid"
    }
    return words.joined(separator: " ")
  }

  /// tolerated: what is left of each connection's time, and how many packets that wait hold it
  private func connections() throws -> [String] {
    let done = try router.attempt(["conntrack", "-L"])
    // One that lies where the table is being read may be told twice.
    // tolerated: the connection of VXLAN's outer packets, in which the router says what it says by itself
    return Set(Self.lines(done.output)).sorted().filter { !$0.contains(" dport=4789 ") }.map {
      line in
      var words = line.split(separator: " ").map(String.init)
      // tolerated: the state after an RST, of connections that get any
      if isTracked, words.count > 3, words[0] == "tcp",
        let port = words.first(where: { $0.hasPrefix("sport=") })?.dropFirst(6).last,
        "02468".contains(port)
      {
        words[3] = "any"
      }
      return words.enumerated().filter { place, word in
        !(place == 2 && Int(word) != nil) && !word.hasPrefix("use=")
      }
      .map(\.element).joined(separator: " ")
    }.sorted()
  }

  private func addRules(_ firewalls: Set<String>, to tables: inout [String: [String]]) throws {
    let told = try rules()
    if firewalls.contains("iptables-legacy") {
      tables["rules of iptables-legacy"] = try router.run("iptables-legacy-save -c").output
        .split(separator: "\n").map(String.init).filter { line in
          // tolerated: what goes to the router and comes from it is not the fast path's
          !line.hasPrefix("#")
            && ![":INPUT", ":OUTPUT", ":POSTROUTING"].contains {
              line.hasPrefix($0)
            } && !line.contains(" -A OUTPUT ")
        }
    }
    if firewalls.contains("nft") {
      // tolerated: the same at output, where messages of the router come by, of which there are so many in a time
      tables["rules of nftables"] =
        try told.map { RuleCounts.told($0, except: "output") }
        ?? RuleCounts.listed(try router.run("nft -a list ruleset").output, except: "output")
    }
  }

  /// Packets that the router's ends of cables have counted: those sent without what was heard at the other
  /// end, which is compared by itself.
  private func devices(_ heard: Heard) throws -> [String] {
    var counts = try counts()
    for name in counts.keys { take(heard[name]?.count ?? 0, heardAt: name) }
    // What a clock has had the kernel say since is heard first.
    if linksAreSteady, counts.contains(where: { $0.value.sent != heardInAll($0.key) }) {
      var late = Heard()
      try listen(&late, patience: .milliseconds(5))
      for name in counts.keys { take(late[name]?.count ?? 0, heardAt: name) }
      counts = try self.counts()
    }
    return counts.map { name, count in
      // tolerated: a host's own kernel sends when it likes
      let received = hasHost(at: name) ? "" : " received \(count.received)"
      var lost = count.sent - heardInAll(name)
      // tolerated: the short way into a container counts at its end only
      if hook == "tc" { lost = max(lost, 0) }
      return name + received + (linksAreSteady ? " sent and not heard \(lost)" : "")
    }.sorted()
  }

  /// How many packets the router's ends of cables have sent.
  func sent() throws -> [String: Int] { try counts().mapValues(\.sent) }

  private func counts() throws -> [String: (received: Int, sent: Int)] {
    let text = try router.inside { try TextFile.read("/proc/thread-self/net/dev") }
    var counts: [String: (received: Int, sent: Int)] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(whereSeparator: { $0 == " " || $0 == ":" })
      guard words.count > 10, words[0].hasPrefix("p"), let received = Int(words[2]),
        let sent = Int(words[10])
      else { continue }
      counts[String(words[0])] = (received, sent)
    }
    return counts
  }
}

extension Substring {
  /// Without blanks at its ends.
  var trimmed: String {
    var text = self
    while text.last == " " { text.removeLast() }
    while text.first == " " { text.removeFirst() }
    return String(text)
  }
}

extension Trial {
  /// Whether there are connections to compare.
  var tracksConnections: Bool {
    (build + stages.flatMap(\.changes)).contains {
      $0.contains("nat") || $0.contains("ct state") || $0.contains("conntrack")
    }
  }
}
