// SPDX-License-Identifier: Apache-2.0
import Introspection
import Lab
import OrderedJSON

/// A network, what is changed in it by real tools, and what is sent through it after each change.
///
/// A cable's end in the router is `p1`, `p2` …; at the other end of each somebody listens, sends the
/// frames, and says nothing else, unless a host is there, with a kernel's IP of its own.
package struct Trial: Equatable, Sendable {
  /// What kind of network it is, for the reader.
  package var name: String
  package var cables: Int
  /// The cables that end at hosts.
  package var hosts: Set<Int> = []
  /// Whether the router has IPv6.
  package var hasIPv6 = false
  /// Whether fpd is to follow connections.
  package var isTracked = false
  /// Command lines that build the network, before fpd is started.
  package var build: [String]
  package var stages: [Stage] = []

  /// Some changes, and the frames that come when they have been made.
  package struct Stage: Equatable, Sendable {
    package var manner = Manner.settled
    package var changes: [String] = []
    package var shots: [Shot] = []
  }

  /// How fpd meets the changes of a stage.
  package enum Manner: String, Sendable, CaseIterable {
    /// It has come to terms with them before the frames come.
    case settled
    /// The frames come at once.
    case sudden
    /// It is stopped while the changes are made and the frames come.
    case frozen
    /// It has been killed before; a successor comes after the frames.
    case dead
  }

  /// A frame that somebody puts on a cable.
  package struct Shot: Equatable, Sendable {
    package var port: Int
    package var bytes: [UInt8]
    /// Of a frame whose checksum is left to the device, as local senders leave it: what each segment is to
    /// carry that it is cut into; 0 where it is one already.
    package var segment: Int?
    /// Whether what it leads to is waited for before the next is sent.
    package var rests = false
  }

  package var shotCount: Int { stages.reduce(0) { $0 + $1.shots.count } }
}

// MARK: As text

extension Trial {
  package var json: JSON {
    [
      "name": .string(name), "cables": .number(cables),
      "hosts": .array(hosts.sorted().map { .number($0) }), "ipv6": .bool(hasIPv6),
      "tracked": .bool(isTracked),
      "build": .array(build.map { .string($0) }),
      "stages": .array(
        stages.map { stage in
          [
            "manner": .string(stage.manner.rawValue),
            "changes": .array(stage.changes.map { .string($0) }),
            "shots": .array(stage.shots.map { .string($0.text) }),
          ]
        }),
    ]
  }

  /// Reads what `json` wrote; a `note` is for people.
  package init(_ json: JSON) throws {
    func strings(_ value: JSON?, _ what: String) throws -> [String] {
      guard let list = value?.array else { throw LabError("a trial without \(what)") }
      return try list.map {
        guard let text = $0.string else { throw LabError("\(what) has \($0.text())") }
        return text
      }
    }
    guard let name = json["name"]?.string, let cables = json["cables"]?.int else {
      throw LabError("a trial without a name or cables")
    }
    self.name = name
    self.cables = Int(cables)
    hosts = Set((json["hosts"]?.array ?? []).compactMap { $0.int.map { Int($0) } })
    hasIPv6 = json["ipv6"]?.bool ?? false
    isTracked = json["tracked"]?.bool ?? false
    build = try strings(json["build"], "build")
    for stage in json["stages"]?.array ?? [] {
      guard let manner = stage["manner"]?.string.flatMap(Manner.init(rawValue:)) else {
        throw LabError("a stage without a manner")
      }
      stages.append(
        Stage(
          manner: manner, changes: try strings(stage["changes"], "changes"),
          shots: try strings(stage["shots"], "shots").map(Shot.init(text:))))
    }
  }

  /// As a person would do it by hand.
  package var listing: String {
    var lines = ["\(name), \(cables) cables"]
    if !hosts.isEmpty { lines.append("hosts at the ends of \(hosts.sorted().map { "p\($0)" })") }
    lines += build.map { "  \($0)" }
    for (number, stage) in stages.enumerated() {
      lines.append("stage \(number), \(stage.manner.rawValue):")
      lines += stage.changes.map { "  \($0)" }
      lines += stage.shots.prefix(12).map {
        "  > p\($0.port): \(Frame($0.bytes))\n      \($0.text)"
      }
      if stage.shots.count > 12 { lines.append("  … \(stage.shots.count) frames in all") }
    }
    return lines.joined(separator: "\n")
  }
}

extension Trial.Shot {
  /// `2 0200…`, with `*` behind the port when it rests, and `/1448` for segments.
  var text: String {
    "\(port)\(segment.map { "/\($0)" } ?? "")\(rests ? "*" : "") \(hexadecimal(bytes))"
  }

  init(text: String) throws {
    let words = text.split(separator: " ")
    guard words.count == 2, let bytes = Self.bytes(words[1]) else {
      throw LabError("'\(text)' is not a frame")
    }
    var head = words[0]
    if head.last == "*" {
      rests = true
      head.removeLast()
    }
    let parts = head.split(separator: "/").map { Int($0) }
    guard let port = parts.first ?? nil, parts.count < 3 else {
      throw LabError("'\(text)' comes from no port")
    }
    self.port = port
    segment = parts.count == 2 ? parts[1] : nil
    self.bytes = bytes
  }

  init(_ port: Int, _ bytes: [UInt8], rests: Bool = false, segment: Int? = nil) {
    (self.port, self.bytes, self.rests, self.segment) = (port, bytes, rests, segment)
  }

  private static func bytes(_ hex: Substring) -> [UInt8]? {
    let digits = hex.compactMap { $0.hexDigitValue.map { UInt8($0) } }
    guard digits.count == hex.count, digits.count % 2 == 0 else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}

// MARK: Made smaller

extension Trial {
  /// Ways to make one smaller that fails: what is left out leaves all before it as it was.
  package static var reductions: [Reduction<Trial>] {
    [stagesLess, shotsLess, changesLess, buildLess, mannersLess, linesLess]
  }

  private static var stagesLess: Reduction<Trial> {
    Reduction {
      $0.stages.count
    } without: { trial, range in
      var trial = trial
      trial.stages.removeSubrange(range)
      return trial
    }
  }

  private static var shotsLess: Reduction<Trial> {
    Reduction {
      $0.stages.map(\.shots.count)
    } remove: {
      $0.stages[$1].shots.removeSubrange($2)
    }
  }

  private static var changesLess: Reduction<Trial> {
    Reduction {
      $0.stages.map(\.changes.count)
    } remove: {
      $0.stages[$1].changes.removeSubrange($2)
    }
  }

  private static var buildLess: Reduction<Trial> {
    Reduction {
      $0.build.count
    } without: { trial, range in
      var trial = trial
      trial.build.removeSubrange(range)
      return trial
    }
  }

  private static var mannersLess: Reduction<Trial> {
    Reduction {
      $0.stages.count
    } without: { trial, range in
      var trial = trial
      for stage in range { trial.stages[stage].manner = .settled }
      return trial
    }
  }

  /// Of commands that are fed a script: its lines.
  private static var linesLess: Reduction<Trial> {
    Reduction {
      $0.scripts.map(\.lines)
    } remove: { trial, place, part in
      let script = trial.scripts[place]
      var lines = trial.stages[script.stage].changes[script.change].split(separator: "\n")
      // The first is the command.
      lines.removeSubrange(part.lowerBound + 1..<part.upperBound + 1)
      trial.stages[script.stage].changes[script.change] = lines.joined(separator: "\n")
    }
  }

  private var scripts: [(stage: Int, change: Int, lines: Int)] {
    stages.enumerated().flatMap { stage, one in
      one.changes.enumerated().compactMap { change, text in
        let lines = text.split(separator: "\n").count
        return lines > 1 ? (stage, change, lines - 1) : nil
      }
    }
  }
}
