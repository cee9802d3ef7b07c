// SPDX-License-Identifier: Apache-2.0
import Datapath
import Glibc
import Introspection

/// Has the kernel leave the window of streams alone that programs ask for.
///
/// In two steps: the second forgets that what was sent last has not been acknowledged, and can only be done when the
/// kernel sees no more of it. The entry would end early. The highest acknowledgement stays known: without it any
/// reset would end the connection.
final class Marker {
  /// How long packets that were on their way may take.
  private static let settling = Duration.milliseconds(200)
  /// Requests are heard so often at most: there may be many of them, and marking costs some microseconds.
  private static let pause = Duration.milliseconds(10)
  /// After a failure: the kernel may look for a module at each message.
  private static let longPause = Duration.seconds(30)
  /// A flag of one that is slow in one direction becomes stale all the time.
  private static let rest = Duration.seconds(3)
  /// So many streams are remembered; those that are more are asked for anew.
  private static let memory = 1 << 16

  /// `nil` where the kernel has no ring to ask by.
  let requests: ConnectionRequests?
  /// Why streams stay with the kernel.
  private(set) var complaint: String?
  private let loop: EventLoop
  private let log: Log
  private var netlink: Netlink?
  private var timer: EventLoop.Timer?
  private var isListening = false
  private var marked: Set<TrackedStream> = []
  private typealias Batch = (due: ContinuousClock.Instant, streams: [TrackedStream])
  private var batches: [Batch] = []
  /// What was done, or refused, and is not looked at again for a while.
  private var resting: [Batch] = []

  /// A socket can be lost, and opened again.
  private final class Netlink {
    var marker: StreamMarker
    init() throws { marker = try StreamMarker() }
  }

  init(_ loop: EventLoop, _ log: Log) {
    do { requests = try ConnectionRequests() } catch {
      log.notice("connections over TCP are not marked: \(error)")
      requests = nil
      complaint = String(describing: error)
    }
    (self.loop, self.log) = (loop, log)
  }

  func start() throws(StartError) {
    timer = loop.timer { [unowned self] in goOn() }
    try listen()
  }

  private func listen() throws(StartError) {
    guard let requests, !isListening else { return }
    try loop.watch(requests.descriptor) { [unowned self] in hear(requests) }
    isListening = true
  }

  private func hear(_ requests: ConnectionRequests) {
    loop.unwatch(requests.descriptor)
    isListening = false
    let records = requests.take()
    var streams: [TrackedStream] = []
    for start in stride(from: 0, to: records.count, by: TrackedStream.size) {
      guard let stream = TrackedStream(records[start...].prefix(TrackedStream.size)),
        marked.insert(stream).inserted
      else { continue }
      streams.append(stream)
    }
    if !streams.isEmpty {
      if let refused = set(.liberal, of: .liberal, streams) {
        let taken = refused.isEmpty ? streams : streams.filter { !refused.contains($0) }
        batches.append((.now + Self.settling, taken))
        rest(refused, for: Self.longPause)
      } else {
        marked.subtract(streams)
      }
    }
    timer?.due = .now + (complaint == nil ? Self.pause : Self.longPause)
  }

  private func goOn() {
    let now = ContinuousClock.now
    while let batch = batches.first, batch.due <= now {
      batches.removeFirst()
      _ = set([], of: .unacknowledged, batch.streams)
      rest(batch.streams, for: Self.rest)
    }
    for batch in resting where batch.due <= now { marked.subtract(batch.streams) }
    resting.removeAll { $0.due <= now }
    do {
      try listen()
    } catch {
      complaint = error.description
    }
    timer?.due = ([batches.first?.due] + resting.map(\.due)).compactMap(\.self).min()
  }

  private func rest(_ streams: [TrackedStream], for time: Duration) {
    if marked.count > Self.memory { return marked.subtract(streams) }
    if !streams.isEmpty { resting.append((.now + time, streams)) }
  }

  /// Streams that it was refused for; `nil` where it cannot be done at all.
  private func set(
    _ flags: StreamMarker.Flags, of mask: StreamMarker.Flags, _ streams: [TrackedStream]
  ) -> [TrackedStream]? {
    do {
      let netlink = try netlink ?? Netlink()
      self.netlink = netlink
      let refused = try netlink.marker.set(flags, of: mask, for: streams)
      complaint = nil
      return refused
    } catch {
      netlink = nil
      let words = String(describing: error)
      if complaint == nil {
        log.warning(
          "connections over TCP stay with the kernel: \(words)", .problem("connections"))
      }
      complaint = words
      return nil
    }
  }
}
