// SPDX-License-Identifier: Apache-2.0
import Lab

extension TrialMaker {
  /// A connection over TCP from its beginning to an end, as two hosts would have it: each segment is there when the
  /// next is sent.
  mutating func conversation() -> [Trial.Shot] {
    number &+= 1
    let ends = ends()
    // What Linux makes of an RST depends on what it has seen of the connection: even ports are known for it.
    let isReset = ends.asked.sourcePort % 2 == 0
    var talk = Talk(ends: ends, seed: number)
    switch chance.below(10) {
    case 0: halfOpen(&talk, isReset)
    default:
      open(&talk)
      for _ in 0..<2 + chance.below(6) { exchange(&talk) }
      let wasReset = close(&talk, isReset)
      if !wasReset, chance.percent(30) {
        // The same ports once more.
        talk.begin(number)
        open(&talk)
        exchange(&talk)
      }
    }
    return talk.shots
  }

  /// Two hosts, and what each sees of the other where the rules of the world are still there.
  private mutating func ends() -> Flow {
    let translates = world.build.contains { $0.lowercased().contains("masquerade") }
    let client = chance.below(4)
    var server = (client + 1 + chance.below(3)) % 4
    let isPublished = translates && client != 2 && chance.percent(35)
    if isPublished { server = 2 }
    let (near, far) = (world.doors[client], world.doors[server])
    var asked = Flow.Way(
      source: near.address, destination: far.address, sourcePort: 9000 &+ number % 2000,
      destinationPort: 80)
    var answers = asked
    if isPublished {
      asked.destination = near.own ?? near.address
      asked.destinationPort = 8080
    }
    if translates, server == 3 { answers.source = far.own ?? far.address }
    return Flow(isStream: true, client: client, server: server, asked: asked, answers: answers)
  }

  private mutating func halfOpen(_ talk: inout Talk, _ isReset: Bool) {
    send(&talk, .client, .syn)
    if chance.percent(50) { send(&talk, .client, .syn, again: true) }
    guard chance.percent(70) else { return }
    if isReset, chance.percent(50) { return send(&talk, .server, [.rst, .ack]) }
    send(&talk, .server, [.syn, .ack])
    if chance.percent(50) { send(&talk, .server, [.syn, .ack], again: true) }
    if isReset { send(&talk, .client, .rst) }
  }

  private mutating func open(_ talk: inout Talk) {
    send(&talk, .client, .syn)
    send(&talk, .server, [.syn, .ack])
    send(&talk, .client, .ack)
  }

  /// Some bytes one way and their acknowledgement, with what goes wrong on the way.
  private mutating func exchange(_ talk: inout Talk) {
    let side: Talk.Side = chance.percent(50) ? .client : .server
    let count = 1 + chance.below(300)
    send(&talk, side, [.ack, .psh], count)
    switch chance.below(12) {
    case 0: send(&talk, side, [.ack, .psh], count, again: true)
    case 1: send(&talk, side, .ack, 20, off: 1 << 20)
    case 2: send(&talk, side, .ack, 20, off: -50_000)
    case 3: send(&talk, side.other, .ack, 0, off: -1)
    default: break
    }
    send(&talk, side.other, .ack)
    if chance.percent(15) { send(&talk, side.other, .ack) }
  }

  /// Whether it ended by an RST.
  private mutating func close(_ talk: inout Talk, _ isReset: Bool) -> Bool {
    let side: Talk.Side = chance.percent(50) ? .client : .server
    switch chance.below(isReset ? 5 : 4) {
    case 0: break
    case 1:
      // Both at once: neither has seen the other's.
      send(&talk, side, [.fin, .ack], heeds: false)
      send(&talk, side.other, [.fin, .ack], heeds: false)
      talk.hear()
      send(&talk, side, .ack)
      send(&talk, side.other, .ack)
    case 2:
      // One half stays open for a while.
      send(&talk, side, [.fin, .ack])
      send(&talk, side.other, .ack)
      exchange(&talk)
      send(&talk, side.other, [.fin, .ack])
      send(&talk, side, .ack)
    case 3:
      send(&talk, side, [.fin, .ack])
      send(&talk, side.other, [.fin, .ack])
      send(&talk, side, .ack)
      if chance.percent(40) { send(&talk, side.other, [.fin, .ack], again: true) }
    default:
      send(&talk, side, [.rst, .ack])
      return true
    }
    return false
  }

  /// `again`: what was sent last once more; `off`: from another place than it should; `heeds`: the other side hears
  /// it before it says something.
  private mutating func send(
    _ talk: inout Talk, _ side: Talk.Side, _ flags: Transport.TCP.Flags, _ count: Int = 0,
    again: Bool = false, off: Int32 = 0, heeds: Bool = true
  ) {
    let door = world.doors[side == .client ? talk.ends.client : talk.ends.server]
    let way = side == .client ? talk.ends.asked : talk.ends.answers.back
    let length = UInt32(count) &+ (flags.contains(.syn) || flags.contains(.fin) ? 1 : 0)
    let next = talk.next[side.rawValue]
    let sequence = again ? next &- length : next &+ UInt32(bitPattern: off)
    number &+= 1
    let identification = number
    let acknowledgement = flags.contains(.ack) ? talk.heard[side.rawValue] : 0
    var packet = IPv4(
      from: IPv4Address(way.source), to: IPv4Address(way.destination),
      .tcp(
        Transport.TCP(from: way.sourcePort, to: way.destinationPort, flags) {
          $0.sequence = sequence
          $0.acknowledgement = acknowledgement
          if count > 0 { $0.payload = filler(count) }
        }))
    packet.identification = identification
    var frame = Packet(from: Names.hostMAC(door.port), to: door.gateway, .ipv4(packet))
    if chance.percent(30) { frame.paddedTo = 60 }
    talk.shots.append(Trial.Shot(door.port, frame.bytes))
    if again || off != 0 { return }
    talk.next[side.rawValue] = next &+ length
    if heeds { talk.hear() }
  }
}

/// What both sides of a connection know.
private struct Talk {
  enum Side: Int {
    case client, server
    var other: Side { self == .client ? .server : .client }
  }

  let ends: Flow
  var shots: [Trial.Shot] = []
  /// What each sends next, and what it has heard of the other; of the client, and of the server.
  var next: [UInt32] = [0, 0]
  var heard: [UInt32] = [0, 0]

  init(ends: Flow, seed: UInt16) {
    self.ends = ends
    begin(seed)
  }

  /// Numbers that have not been there yet, the server's close to where they begin anew.
  mutating func begin(_ seed: UInt16) {
    next = [UInt32(seed) << 16 &+ 1 << 24, 0xffff_ff00 &- UInt32(seed)]
    heard = [0, 0]
  }

  mutating func hear() { heard = [next[1], next[0]] }
}
