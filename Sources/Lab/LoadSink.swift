// SPDX-License-Identifier: Apache-2.0
import CLoad

/// Takes the generator's frames off a device before the host sees them, and counts them. Everything else
/// (ARP, other traffic) passes. It also makes the device one that frames can be redirected to.
public final class LoadSink: @unchecked Sendable {
  // The kernel writes what is read here; a counter read too early is a smaller counter.
  private let arrivals: UnsafeMutablePointer<load_arrivals>
  private let seen: UnsafeMutableBufferPointer<UInt64>
  private let latest: UnsafeMutableBufferPointer<UInt64>
  private let delayed: UnsafeMutableBufferPointer<UInt64>
  let program: LoadProgram
  /// What the payload of the generator's frames begins with, followed by the flow's number (4 bytes) and
  /// the frame's (8 bytes), all in the order of this machine.
  public static let magic = UInt32(LOAD_MAGIC)

  /// How many frames it can tell apart; 0: it only counts.
  public let capacity: Int

  /// Whether it counts how long frames take.
  public let isTimed: Bool

  /// What the sink has counted so far.
  public struct Count: Sendable, Equatable {
    public let frames: Int
    public let bytes: Int
    /// Not the generator's.
    public let others: Int
  }

  /// What became of the frames of one run.
  public struct Tally: Sendable, Equatable, CustomStringConvertible {
    public let sent: Int
    public let arrived: Int
    public let lost: Int
    /// Arrived behind a later frame of their flow.
    public let reordered: Int
    public let duplicated: Int
    /// With a wrong IPv4 checksum or a TTL of 0, or with a number nobody sent.
    public let damaged: Int
    /// The number of the first frame that is missing: about when it happened.
    public let firstLost: Int?

    public var isWhole: Bool { lost == 0 && reordered == 0 && duplicated == 0 && damaged == 0 }

    public var description: String {
      "\(sent) sent, \(arrived) arrived, \(lost) lost\(firstLost.map { " (the first: \($0))" } ?? ""), "
        + "\(reordered) reordered, \(duplicated) duplicated, \(damaged) damaged"
    }
  }

  /// `tracking` frames of `flows` flows, each told apart from every other (an eighth of a byte each); with
  /// 0, frames and bytes are counted, which is cheap. `timed` counts how long each frame takes from a generator
  /// that was made with this sink.
  public init(
    in namespace: Namespace, device: String, tracking frames: Int = 0, flows: Int = 1,
    port: UInt16 = 9, timed: Bool = false
  ) throws {
    guard (0...1 << 30).contains(frames) else { throw LabError("cannot track \(frames) frames") }
    (capacity, isTimed) = (frames, timed)
    let words = (frames + LOAD_WORD_FRAMES - 1) / LOAD_WORD_FRAMES
    program = try LoadProgram("sink") { program in
      try program.set(
        constant: load_sink(
          port: UInt32(port), flows: frames == 0 ? 0 : UInt32(flows), frames: UInt64(frames),
          timed: timed ? 1 : 0))
      try program.set(entries: words, of: "seen")
      try program.set(entries: frames == 0 ? 1 : flows, of: "latest")
      try program.set(entries: timed ? Int(LOAD_DEPARTURES) : 1, of: "departures")
    }
    seen = try program.values(of: "seen", as: UInt64.self)
    latest = try program.values(of: "latest", as: UInt64.self)
    delayed = try program.values(of: "delays", as: UInt64.self)
    guard let first = try program.values(of: "arrivals", as: load_arrivals.self).baseAddress else {
      throw LabError("the sink has no counters")
    }
    arrivals = first
    try program.attach(to: device, in: namespace)
  }

  /// Forgets what has arrived: before a run.
  public func reset() {
    arrivals.pointee = load_arrivals()
    seen.update(repeating: 0)
    latest.update(repeating: 0)
    delayed.update(repeating: 0)
  }

  public var count: Count {
    let now = arrivals.pointee
    return Count(frames: Int(now.frames), bytes: Int(now.bytes), others: Int(now.others))
  }

  /// How long frames took that have come so far.
  public var delays: LoadDelays {
    LoadDelays(counts: Array(delayed), sum: arrivals.pointee.delay)
  }

  /// Waits until no more frames come.
  public func settle(within limit: Duration = .seconds(5)) {
    var before = -1
    _ = eventually(within: limit, every: .milliseconds(20)) {
      defer { before = count.frames }
      return count.frames == before
    }
  }

  /// How many of the frames with these numbers have arrived; of every 64 only those in `places`. The sink
  /// must track that many.
  public func arrived(_ numbers: Range<Int>, places: UInt64 = .max) throws -> Int {
    guard numbers.upperBound <= capacity else {
      throw LabError("the sink tells \(capacity) frames apart, not \(numbers.upperBound)")
    }
    return Self.words(of: numbers).reduce(0) { sum, part in
      sum + (seen[part.word] & part.places & places).nonzeroBitCount
    }
  }

  /// How many numbers there are, of every 64 only those in `places`.
  public static func count(_ numbers: Range<Int>, places: UInt64) -> Int {
    words(of: numbers).reduce(0) { $0 + ($1.places & places).nonzeroBitCount }
  }

  private static func words(of numbers: Range<Int>) -> [(word: Int, places: UInt64)] {
    if numbers.isEmpty { return [] }
    return (numbers.lowerBound / 64...(numbers.upperBound - 1) / 64).map { word in
      let first = max(numbers.lowerBound - word * 64, 0)
      let end = min(numbers.upperBound - word * 64, 64)
      let below = end == 64 ? UInt64.max : (1 << UInt64(end)) - 1
      return (word, below & UInt64.max << UInt64(first))
    }
  }

  /// What became of the frames numbered 0 up to `sent`. The sink must track that many.
  public func tally(sent: Int) throws -> Tally {
    guard sent <= capacity else {
      throw LabError("\(sent) frames were sent, the sink tells \(capacity) apart")
    }
    var arrived = 0
    var firstLost: Int?
    for (place, word) in seen.enumerated() {
      let valid = min(64, max(0, sent - place * 64))
      if valid == 0 { break }
      let wanted = valid == 64 ? UInt64.max : (1 << UInt64(valid)) - 1
      arrived += (word & wanted).nonzeroBitCount
      if firstLost == nil, word & wanted != wanted {
        firstLost = place * 64 + (~word).trailingZeroBitCount
      }
    }
    let now = arrivals.pointee
    return Tally(
      sent: sent, arrived: arrived, lost: sent - arrived, reordered: Int(now.reordered),
      duplicated: Int(now.duplicated), damaged: Int(now.damaged + now.beyond), firstLost: firstLost)
  }
}
