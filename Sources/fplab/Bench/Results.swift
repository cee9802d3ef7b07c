// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Rendering

/// What the benchmark has found: a table to print, JSON and Markdown to keep.
struct Results {
  /// How soon the graph showed one kind of change in one setting.
  struct Reactions {
    let setting: String
    let change: String
    let times: Distribution
    /// Repetitions in which the graph did not show the change in time.
    let missed: Int
  }

  /// How soon programs followed one kind of change in one setting.
  struct Programs {
    let setting: String
    let change: String
    /// Until the modules were live, be it in the general program.
    let live: Distribution
    /// Until the interface had its own.
    let own: Distribution
    let missed: Int
  }

  /// How soon the programs judged by a rule that had changed.
  struct Rules {
    let setting: String
    let change: String
    let live: Distribution
    let missed: Int
  }

  /// What fpd used in one setting.
  struct Cost {
    let setting: String
    let residentKilobytes: Int
    let peakKilobytes: Int
  }

  /// What fpd did while something else changed all the time.
  struct Load {
    let what: String
    let perSecond: Double
    let seconds: Double
    let cpuShare: Double
    let generations: Int64
  }

  var reactions: [Reactions] = []
  var programs: [Programs] = []
  var rules: [Rules] = []
  var costs: [Cost] = []
  var loads: [Load] = []
  var quick = false

  var json: JSON {
    [
      "version": 1, "quick": .bool(quick), "machine": Machine.json, "unit": "milliseconds",
      "reactions": .array(
        reactions.map {
          [
            "setting": .string($0.setting), "change": .string($0.change), "times": $0.times.json,
            "missed": .number($0.missed),
          ]
        }),
      "programs": .array(
        programs.map {
          [
            "setting": .string($0.setting), "change": .string($0.change), "live": $0.live.json,
            "own_program": $0.own.json, "missed": .number($0.missed),
          ]
        }),
      "rules": .array(
        rules.map {
          [
            "setting": .string($0.setting), "change": .string($0.change), "live": $0.live.json,
            "missed": .number($0.missed),
          ]
        }),
      "memory": .array(
        costs.map {
          [
            "setting": .string($0.setting), "resident_kb": .number($0.residentKilobytes),
            "peak_kb": .number($0.peakKilobytes),
          ]
        }),
      "load": .array(
        loads.map {
          [
            "what": .string($0.what), "per_second": .double($0.perSecond.rounded()),
            "seconds": .double(($0.seconds * 10).rounded() / 10),
            "cpu_percent": .double(($0.cpuShare * 100_000).rounded() / 1000),
            "new_generations": .number($0.generations),
          ]
        }),
    ]
  }

  private var reactionTable: Table {
    Table(
      ["setting", "change", "n", "median ms", "p95 ms", "min ms", "max ms", "std dev"],
      reactions.map { row in
        let t = row.times
        return [
          row.setting, row.change, "\(t.count)\(row.missed > 0 ? " (\(row.missed) missed)" : "")",
          t.median.text(), t.quantile(0.95).text(), (t.sorted.first ?? .nan).text(),
          (t.sorted.last ?? .nan).text(), t.deviation.text(),
        ]
      })
  }

  private var programTable: Table {
    Table(
      [
        "programs", "change", "n", "live: median ms", "p95 ms", "max ms", "own: median ms",
        "p95 ms",
      ],
      programs.map { row in
        let missed = row.missed > 0 ? " (\(row.missed) missed)" : ""
        let own = row.own.count > 0
        return [
          row.setting, row.change, "\(row.live.count)\(missed)", row.live.median.text(),
          row.live.quantile(0.95).text(), (row.live.sorted.last ?? .nan).text(),
          own ? row.own.median.text() : "–", own ? row.own.quantile(0.95).text() : "–",
        ]
      })
  }

  private var ruleTable: Table {
    Table(
      ["rules", "change", "n", "live: median ms", "p95 ms", "min ms", "max ms"],
      rules.map { row in
        let missed = row.missed > 0 ? " (\(row.missed) missed)" : ""
        let live = row.live
        return [
          row.setting, row.change, "\(live.count)\(missed)", live.median.text(),
          live.quantile(0.95).text(), (live.sorted.first ?? .nan).text(),
          (live.sorted.last ?? .nan).text(),
        ]
      })
  }

  private var costTable: Table {
    Table(
      ["setting", "RSS MB", "peak RSS MB"],
      costs.map {
        [
          $0.setting, (Double($0.residentKilobytes) / 1024).text(),
          (Double($0.peakKilobytes) / 1024).text(),
        ]
      })
  }

  private var loadTable: Table {
    Table(
      ["load", "changes/s", "for s", "fpd's share of a core", "new graphs"],
      loads.map {
        [
          $0.what, $0.perSecond.text(0), $0.seconds.text(), ($0.cpuShare * 100).text(2) + " %",
          "\($0.generations)",
        ]
      })
  }

  func printTables() {
    for table in [reactionTable, programTable, ruleTable, costTable, loadTable]
    where !table.rows.isEmpty {
      Terminal.line()
      Terminal.text(table.plain)
    }
  }

  var markdown: String {
    """
    # How soon the graph follows

    From a command's return to the graph that shows its change, heard on `fpctl`'s monitor stream:
    nothing asks fpd to look. 0 means that the graph was there before the command had returned.
    Made by `make bench`\(quick ? " (quick: few repetitions)" : "").

    Machine: \(Machine.line)

    \(reactionTable.markdown)
    ## Programs

    From a command's return to the program that does what it says, as `fpctl status` tells it: *live* is
    when a program with the modules in question runs, which is the general one while clang is at work;
    *own* is when the interface has the one made for it. A link that goes down and a bridge that comes
    and goes have no program; there it is the interface's slot that is empty, or the graph that follows.

    \(programTable.markdown)
    ## Rules

    One rule is added to so many, and deleted again: from the tool's return until both ports of a router have
    the program that judges by the new rules. Looked at is which program stands in each port's slot, ten times
    a millisecond at most and without asking fpd; that it is the right one is known as it is still there when
    `fpctl wait` has returned, which is asked afterwards. Meanwhile no packet is judged by old rules: the old
    program sees that they are others and leaves its packets to the kernel. What is added to an ipset is no
    change of rules: programs look into the kernel's sets, and the next packet meets it.

    \(ruleTable.markdown)
    ## Memory

    \(costTable.markdown)
    ## Load

    What comes and goes is added and deleted with the real tool, and is no news to the graph. A look
    through a million routes takes some tenths of a second of a core and at most one part in 300 of the
    time; one may fall into a window.

    \(loadTable.markdown)
    """
  }
}

/// Rows under a head.
struct Table {
  let head: [String]
  let rows: [[String]]

  init(_ head: [String], _ rows: [[String]]) {
    self.head = head
    self.rows = rows
  }

  var plain: String {
    let widths = head.indices.map { column in
      ([head] + rows).map { $0[column].count }.max() ?? 0
    }
    func line(_ cells: [String]) -> String {
      zip(cells, widths).enumerated().map { column, cell in
        let space = String(repeating: " ", count: cell.1 - cell.0.count)
        return column < 1 || isText(column) ? cell.0 + space : space + cell.0
      }.joined(separator: "  ") + "\n"
    }
    return Terminal.bold(line(head)) + rows.map(line).joined()
  }

  private func isText(_ column: Int) -> Bool {
    rows.contains { $0[column].first.map { $0.isLetter || $0 == "-" } ?? false }
  }

  var markdown: String {
    func line(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |\n" }
    return line(head) + line(head.map { _ in "---" }) + rows.map(line).joined()
  }
}

/// Where it was measured.
enum Machine {
  static var json: JSON {
    [
      "processor": .string(processor), "cores": .number(cores), "memory_mb": .number(memory),
      "kernel": .string(kernel), "load_average": .string(loadAverage),
    ]
  }

  static var line: String {
    """
    \(cores) × \(processor), \(memory / 1024) GB, Linux \(kernel); load average at the start \(loadAverage).
    """
  }

  private static var cores: Int { sysconf(Int32(_SC_NPROCESSORS_ONLN)) }
  private static var memory: Int {
    sysconf(Int32(_SC_PHYS_PAGES)) / 1024 * sysconf(Int32(_SC_PAGESIZE)) / 1024
  }
  private static var kernel: String {
    (try? TextFile.read("/proc/sys/kernel/osrelease"))?.split(separator: "\n").first
      .map { String($0.prefix { $0 != "-" }) } ?? "?"
  }
  /// What else kept the machine busy when the program began.
  private static let loadAverage =
    (try? TextFile.read("/proc/loadavg"))?.split(separator: " ").first.map(String.init) ?? "?"
  private static var processor: String {
    let text = (try? TextFile.read("/proc/cpuinfo")) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    return line?.split(separator: ":", maxSplits: 1).last.map { String($0.dropFirst()) }
      ?? "unknown"
  }
}
