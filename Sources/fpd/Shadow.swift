// SPDX-License-Identifier: Apache-2.0
import Configuration
import Datapath
import Glibc

/// Shadow mode: gathers where the kernel did something else than fpd would have done, describes the first of
/// these and the last, and keeps their frames.
final class Shadow {
  let observer: ShadowObserver
  let capture: CaptureFile
  /// In nanoseconds since 1970.
  let since = wallClock
  /// How many packets have been decided on, and nothing has been seen of them so far.
  private(set) var waiting = 0
  /// The first, and the last that came after them.
  private(set) var first: [ShadowIncident] = []
  private(set) var last: [ShadowIncident] = []
  private var overdue: [Int32: ShadowTally] = [:]
  private let log: Log
  private var hasTold = false
  /// Why frames are not kept.
  private(set) var captureProblem: String?

  private static let keptMax = 64
  /// Within this time the kernel has done with a packet whatever it does.
  private static let patience = Duration.seconds(2)

  /// `nil` where the configuration does not ask for it.
  static func begin(
    _ configuration: Configuration, _ source: ObjectSource, _ log: Log
  ) throws(StartError) -> Shadow? {
    guard configuration.shadow.value else { return nil }
    let observer: ShadowObserver
    do { observer = try ShadowObserver(source, namespace: NamespaceLock.inode()) } catch {
      throw StartError(
        "shadow mode: what the kernel does with packets cannot be seen here: \(error)")
    }
    log.notice("shadow mode: the kernel processes every packet, fpd compares")
    return Shadow(
      observer, CaptureFile(path: "\(configuration.stateDirectory.value)/shadow.pcap"), log)
  }

  private init(_ observer: ShadowObserver, _ capture: CaptureFile, _ log: Log) {
    self.observer = observer
    self.capture = capture
    self.log = log
  }

  /// By the interface where packets came in.
  var tallies: [Int32: ShadowTally] {
    observer.tallies().merging(overdue) { $0 + $1 }
  }

  /// Fetches what has been found since the last call.
  func gather(_ nameOf: (Int32) -> String) {
    waiting = observer.sweep(Self.patience)
    for difference in observer.takeDifferences() {
      if difference.kind == .gone {
        judge(difference.note, nameOf)
      } else {
        enter(difference, nameOf)
      }
    }
  }

  /// Of a packet nothing more will be seen.
  private func judge(_ note: ShadowNote, _ nameOf: (Int32) -> String) {
    var tally = ShadowTally()
    let count = UInt64(note.waiting)
    if note.isMixed {
      tally.mixed = count
    } else if endedOnTheWayOut(note) {
      tally.agreed = count
    } else if note.freed == nil, !note.hasArrived {
      tally.unseen = count
    } else {
      let kind: ShadowDifference.Kind = note.freed == nil ? .gone : .freed
      tally.differences[kind] = count
      enter(ShadowDifference(note, kind, at: ShadowObserver.now), nameOf)
    }
    overdue[note.ingress] = overdue[note.ingress].map { $0 + tally } ?? tally
  }

  /// What TC redirects passes the filters on egress as well.
  private func endedOnTheWayOut(_ note: ShadowNote) -> Bool {
    guard let freed = note.freed, !note.onXDP, freed.on == note.egress else { return false }
    return observer.reason(freed.reason) == "TC_EGRESS"
  }

  private func enter(_ difference: ShadowDifference, _ nameOf: (Int32) -> String) {
    let incident = ShadowIncident(
      difference, at: wallClock &- (ShadowObserver.now &- difference.time), observer, nameOf)
    if first.count < Self.keptMax {
      first.append(incident)
    } else {
      last.append(incident)
      if last.count > Self.keptMax { last.removeFirst() }
    }
    if !hasTold {
      hasTold = true
      log.warning(
        "shadow mode: \(incident.packet): \(incident.decided); \(incident.done)",
        .interface(incident.interface))
    }
    keep(difference)
  }

  private func keep(_ difference: ShadowDifference) {
    let note = difference.note
    let came = wallClock &- (ShadowObserver.now &- note.time)
    let tag = note.frame.count > 16 && note.frame[12] == 0x81 && note.frame[13] == 0 ? 4 : 0
    do {
      try capture.write(note.frame, length: note.leaving.length + tag, time: came)
      captureProblem = nil
    } catch {
      if captureProblem == nil { log.warning("shadow mode: \(error)") }
      captureProblem = error.description
    }
  }
}

/// A difference in words.
struct ShadowIncident {
  /// In nanoseconds since 1970.
  let time: UInt64
  let interface: String
  let kind: ShadowDifference.Kind
  let packet: String
  let decided: String
  let done: String

  init(
    _ difference: ShadowDifference, at time: UInt64, _ observer: ShadowObserver,
    _ nameOf: (Int32) -> String
  ) {
    let note = difference.note
    self.time = time
    interface = nameOf(note.ingress)
    kind = difference.kind
    packet = ShadowHeaders(frame: note.frame, length: note.leaving.length).summary
    let forward = "forward by \(nameOf(note.egress))"
    switch difference.kind {
    case .device:
      decided = forward
      let more = note.leaving.differences(in: difference.sent)
      done =
        "sent by \(nameOf(difference.egress))"
        + (more.isEmpty ? "" : ", with \(more.joined(separator: ", "))")
    case .bytes:
      let own = difference.sent.differences(in: note.leaving).joined(separator: ", ")
      let theirs = note.leaving.differences(in: difference.sent).joined(separator: ", ")
      decided = "\(forward), with \(own)"
      done = "sent by \(nameOf(difference.egress)), with \(theirs)"
    case .sent:
      decided = "drop"
      done = "sent by \(nameOf(difference.egress))"
    case .freed:
      decided = forward
      let reason = note.freed.map { observer.reason($0.reason) } ?? ""
      let device = note.freed.map { nameOf($0.on) } ?? ""
      done = "dropped (\(reason), device \(device))"
    case .gone:
      decided = note.verdict == .drop ? "drop" : forward
      done = "neither sent nor dropped"
    }
  }
}

/// In nanoseconds since 1970.
var wallClock: UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
