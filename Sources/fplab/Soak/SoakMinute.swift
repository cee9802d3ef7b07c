// SPDX-License-Identifier: Apache-2.0
import Lab

/// What was seen in a minute, and what was held at its end, when all changes had been taken back.
struct SoakMinute {
  struct Traffic {
    let tally: LoadSink.Tally
    let bytes: Int
    let requests: Int
  }

  struct Holdings {
    let name: String
    let state: String
    /// Kilobytes.
    let resident: Int
    let descriptors: Int
    let share: Double?
  }

  let number: Int
  let changes: Int
  /// What was done to fpd.
  let event: String
  /// Linux alone, and the others.
  let traffic: [Traffic]
  let holdings: [Holdings]
  /// In the whole kernel.
  let objects: Residue.Objects

  static let header =
    "minute changes fpd         sent        lost             MB of streams    requests         RSS MB      fds    BPF"

  var line: String {
    func all(_ value: (Traffic) -> String) -> String { traffic.map(value).joined(separator: "/") }
    func held(_ value: (Holdings) -> String) -> String {
      holdings.map(value).joined(separator: "/")
    }
    return [
      padded(String(number), 6), padded(String(changes), 7), padded(event, 11),
      padded(String(traffic[0].tally.sent), 11), padded(all { String($0.tally.lost) }, 16),
      padded(all { String($0.bytes >> 20) }, 16), padded(all { String($0.requests) }, 16),
      padded(held { Self.megabytes($0.resident) }, 11), padded(held { String($0.descriptors) }, 6),
      "\(objects.programs)/\(objects.maps)/\(objects.links)",
      holdings.contains { $0.state != "converged" } ? held(\.state) : "",
    ].joined(separator: " ")
  }

  var row: [String] {
    func all(_ value: (Traffic) -> Int) -> String {
      traffic.map { String(value($0)) }.joined(separator: " / ")
    }
    func held(_ value: (Holdings) -> String) -> String {
      holdings.map(value).joined(separator: " / ")
    }
    return [
      String(number), String(changes), event.isEmpty ? "–" : event, all(\.tally.sent),
      all(\.tally.lost),
      all(\.tally.reordered), all { $0.bytes >> 20 }, all(\.requests),
      held { Self.megabytes($0.resident) }, held { String($0.descriptors) },
      "\(objects.programs) / \(objects.maps) / \(objects.links)",
      held { $0.share.map { String(Int($0 * 100)) + " %" } ?? "–" },
    ]
  }

  static let columns = [
    "minute", "changes", "fpd", "sent", "lost", "reordered", "MB", "requests", "RSS, MB",
    "descriptors",
    "programs / maps / links", "fast",
  ]

  private static func megabytes(_ kilobytes: Int) -> String {
    let tenths = kilobytes * 10 / 1024
    return "\(tenths / 10).\(tenths % 10)"
  }

  private func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}

/// What a soak comes to.
struct SoakReport {
  let options: SoakOptions
  let minutes: [SoakMinute]
  let changes: Int

  private struct Verdict {
    let text: String
    let isGood: Bool
  }

  func verdicts(_ residue: [String]) -> [String] {
    judge(residue).map { ($0.isGood ? "ok   " : "FAIL ") + $0.text }
  }

  func isGood(_ residue: [String]) -> Bool { judge(residue).allSatisfy(\.isGood) }

  private func judge(_ residue: [String]) -> [Verdict] {
    let names = ["Linux", "XDP", "TC"]
    var verdicts: [Verdict] = []
    func sum(_ side: Int, _ value: (SoakMinute.Traffic) -> Int) -> Int {
      minutes.reduce(0) { $0 + value($1.traffic[side]) }
    }
    for side in 1...2 {
      for (what, value) in [
        ("lost", { $0.tally.lost }), ("damaged", { $0.tally.damaged }),
        ("duplicated", { $0.tally.duplicated }),
      ] as [(String, (SoakMinute.Traffic) -> Int)] {
        verdicts.append(
          Verdict(
            text:
              "\(names[side]): \(sum(side, value)) of \(sum(side) { $0.tally.sent }) frames \(what), "
              + "by Linux alone \(sum(0, value)) of \(sum(0) { $0.tally.sent })",
            isGood: sum(side, value) <= sum(0, value)))
      }
      verdicts.append(held(side - 1, names[side]))
      verdicts.append(grown(side - 1, names[side]))
    }
    let states = minutes.flatMap(\.holdings).filter { $0.state != "converged" }
    verdicts.append(
      Verdict(
        text: "\(states.count) times not converged at the end of a minute", isGood: states.isEmpty))
    let objects = minutes.dropFirst().map(\.objects)
    let (first, last) = (objects.first ?? minutes[0].objects, objects.last ?? minutes[0].objects)
    verdicts.append(
      Verdict(
        text: "BPF programs, maps and links: \(first) after two minutes, \(last) at the end",
        isGood: last == first))
    verdicts.append(
      Verdict(
        text: residue.isEmpty ? "nothing is left behind" : residue.joined(separator: ", "),
        isGood: residue.isEmpty))
    return verdicts
  }

  private func held(_ place: Int, _ name: String) -> Verdict {
    let counts = minutes.dropFirst().map { $0.holdings[place].descriptors }
    let (first, last) = (counts.first ?? 0, counts.last ?? 0)
    return Verdict(
      text: "\(name): \(first) descriptors after two minutes, \(last) at the end",
      isGood: last <= first)
  }

  /// As long as nothing ended it, between the end of the first quarter of that time and the end of the last.
  private func grown(_ place: Int, _ name: String) -> Verdict {
    let calm = minutes.prefix((options.minutes + 1) / 2).map { $0.holdings[place].resident }
    let (early, late) = (calm[calm.count / 4], calm[calm.count - 1])
    return Verdict(
      text:
        "\(name): \(early) kB resident after \(calm.count / 4 + 1) minutes, \(late) kB after \(calm.count)",
      isGood: late <= early + early / 20 + 512)
  }

  func markdown(_ residue: [String]) -> String {
    let bad = isGood(residue) ? "" : " **It has found something.**"
    return """
      # A soak

      Made by `fplab soak --minutes \(options.minutes) --seed \(options.seed)`.\(bad) \(Machine.line)

      Three routers alike, Linux alone, fpd on XDP and fpd on TC, forward numbered frames (64 flows, untracked, as
      many as their time allows up to 10,000 a second each), a stream over TCP that is masqueraded and compared byte
      for byte, and requests over TCP, behind a stateful firewall. All are changed alike several times a second
      (\(changes) changes): routes, rules of iptables and nftables, sets, bridges, cables, addresses, neighbours,
      queues, settings. In the second half fpd is restarted, killed and started, or told to read its configuration
      again, once a minute. At the end of each minute all changes are taken back, and what is held is counted: of fpd
      its memory and descriptors, and the BPF objects of the whole kernel. Values are those of Linux / XDP / TC.

      \(verdicts(residue).map { "- " + $0 }.joined(separator: "\n"))

      | \(SoakMinute.columns.joined(separator: " | ")) |
      |\(String(repeating: " --- |", count: SoakMinute.columns.count))
      \(minutes.map { "| " + $0.row.joined(separator: " | ") + " |" }.joined(separator: "\n"))

      """
  }
}
