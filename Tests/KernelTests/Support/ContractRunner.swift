// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

/// What came of the frames of a case.
struct ContractResult {
  var heard: [String: [Frame]] = [:]
  var words: [String] = []
  var kernel: [String: Int] = [:]
  /// How fpd's counters grew.
  var counters: [String: Int] = [:]

  var atHosts: Int {
    heard.reduce(0) { $0 + ($1.key.hasPrefix("tap") ? 0 : $1.value.count) }
  }
}

/// Runs the cases of a group without fpd and then with it, on each hook, and compares.
///
/// FPD_CONTRACT_GROUP=NAME picks groups, with NAME|NAME several; FPD_CONTRACT_CASE=WORDS picks cases whose name contains the words, or with WORDS|WORDS one of them;
/// FPD_CONTRACT_SHOW=1 prints what Linux did and what fpd counted; FPD_CONTRACT_DRY=1 compares Linux with
/// itself, which is to say that it tests the tests; FPD_CONTRACT_DRY=fpd does so with an fpd beside it that
/// need not accelerate anything.
final class ContractRunner {
  private let group: ContractGroup
  private let cases: [ContractCase]
  private var reference: [String: ContractResult] = [:]

  init(_ group: ContractGroup) {
    self.group = group
    let words = Self.variable("FPD_CONTRACT_CASE").map { $0.split(separator: "|") }
    let names = Self.variable("FPD_CONTRACT_GROUP").map {
      $0.split(separator: "|").map(String.init)
    }
    if let names, !names.contains(group.name) {
      cases = []
      return
    }
    cases = group.cases.filter { row in words.map { $0.contains { row.name.contains($0) } } ?? true
    }
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }
  private static var isDry: Bool { variable("FPD_CONTRACT_DRY") != nil }
  private static var hasFpd: Bool { !isDry || variable("FPD_CONTRACT_DRY") == "fpd" }

  func run() throws {
    if cases.isEmpty { return }
    try runWithout()
    for hook in group.hooks { try run(hook) }
  }

  private func runWithout() throws {
    let bed = try ContractBed(group.topology)
    defer { bed.close() }
    for row in cases {
      do {
        let result = try run(row, in: bed)
        reference[row.name] = result
        if Self.variable("FPD_CONTRACT_SHOW") != nil { show(row, result) }
        if let sees = row.sees, sees != result.atHosts {
          record(row, "without fpd", ["the hosts see \(result.atHosts) frames, not \(sees)"])
        }
      } catch { record(row, "without fpd", ["\(error)"]) }
    }
  }

  private func run(_ hook: String) throws {
    let bed = try ContractBed(group.topology)
    defer { bed.close() }
    if Self.hasFpd {
      let fpd = try Fpd(in: bed.router, configuration: "defaults:\n  hook: \(hook)\n")
      bed.fpd = fpd
      let devices = group.topology.hosts.map(\.port)
      let missing = try accelerationMissing(devices, hook, fpd, within: .seconds(5))
      if !missing.isEmpty {
        Issue.record("\(group.name) on \(hook): no case was run: \(missing)")
        return
      }
    }
    let started = Instant.now
    for row in cases {
      guard let without = reference[row.name] else { continue }
      do {
        let result = try run(row, in: bed, hook: hook, wanted: without.atHosts)
        if Self.variable("FPD_CONTRACT_SHOW") != nil {
          print("@ \(group.name)|\(hook)|\(row.name)|\(row.fate(on: hook))|\(result.counters)")
        }
        record(row, hook, problems(row, hook, result, without))
      } catch { record(row, hook, ["\(error)"]) }
    }
    print("\(group.name) on \(hook): \(cases.count) cases in \(Instant.now - started)")
    bed.fpd?.process.signal(SIGCONT)
    if let fpd = bed.fpd { #expect(try fpd.stop() == 0) }
  }

  private func record(_ row: ContractCase, _ half: String, _ problems: [String]) {
    if problems.isEmpty { return }
    Issue.record("\(group.name): \(row.name), \(half): \(problems.joined(separator: "\n  "))")
  }

  // MARK: One case

  private func run(
    _ row: ContractCase, in bed: ContractBed, hook: String? = nil, wanted: Int? = nil
  ) throws -> ContractResult {
    var undo: [String] = []
    // Whatever happens, the next case finds the network as it was.
    var isBack = false
    defer {
      if !isBack { takeBack(row.undo + undo, bed) }
      bed.fpd?.process.signal(SIGCONT)
    }
    for line in row.setup { if let back = try bed.run(line) { undo.insert(back, at: 0) } }
    try bed.greet()
    try bed.send(row.learn)
    _ = try bed.listen([:], wanted: 0, patience: .milliseconds(3))
    if let fpd = bed.fpd, let hook {
      try fpd.wait()
      // It has come to terms with the setup; what is not accelerated now hardly will be.
      let missing = try accelerationMissing(row.ingress, hook, fpd, within: .milliseconds(300))
      if !missing.isEmpty, !Self.explains(missing, row.fate(on: hook)) { throw LabError(missing) }
      // What comes at once meets the program that was made for what was there before, not a stopgap.
      if missing.isEmpty, !row.sudden.isEmpty { try waitForOwnPrograms(row.ingress, fpd) }
      // That may have taken longer than a bridge's entries go without being refreshed.
      try bed.greet()
      _ = try bed.listen([:], wanted: 0, patience: .milliseconds(3))
    }

    var result = ContractResult()
    let before = try bed.fpd.map(Self.stats) ?? [:]
    let kernel = try bed.counters()
    if !row.sudden.isEmpty, let fpd = bed.fpd { try fpd.freeze() }
    for line in row.sudden { if let back = try bed.run(line) { undo.insert(back, at: 0) } }
    let taps = try Dictionary(
      uniqueKeysWithValues: row.taps.map {
        ($0, try Tap($0 == "any" ? nil : $0, in: bed.router))
      })
    try bed.send(row.frames)
    result.words = try row.action?(bed) ?? []
    result.heard = try bed.listen(
      taps, wanted: wanted ?? row.sees ?? 0, patience: row.patience)
    if !row.comparesFrames { result.heard = [:] }
    result.words += try row.observe.map(bed.output)
    let after = try bed.counters()
    if row.comparesFrames {
      result.kernel = after.merging(kernel) { $0 - $1 }.filter { $0.value != 0 }
    }
    // An fpd that was stopped wakes to a network as it knew it, and its counters are still there.
    if !row.sudden.isEmpty {
      takeBack(row.undo + undo, bed)
      isBack = true
    }
    if let fpd = bed.fpd {
      fpd.process.signal(SIGCONT)
      result.counters = try Self.stats(fpd).merging(before) { $0 - $1 }.filter { $0.value != 0 }
    }
    return result
  }

  private func takeBack(_ lines: [String], _ bed: ContractBed) {
    for line in lines where line != "restore" {
      do { try bed.takeBack(line) } catch { Issue.record("taking back: \(error)") }
    }
    do {
      if lines.contains("restore") { try bed.restore() }
      let links = [" up", "restore", " master ", "nomaster", "br9", " state "]
      if lines.contains(where: { line in links.contains { line.contains($0) } }) {
        try bed.settle()
      }
      _ = try bed.listen([:], wanted: 0, patience: .milliseconds(1))
    } catch { Issue.record("restoring: \(error)") }
  }

  // MARK: What fpd says

  /// What is missing before all of the devices are accelerated on `hook`; empty when nothing is.
  private func accelerationMissing(
    _ devices: [String], _ hook: String, _ fpd: Fpd, within limit: Duration
  ) throws -> String {
    if Self.isDry { return "" }
    var missing: [String] = []
    _ = try eventually(within: limit, every: .milliseconds(5)) {
      let interfaces = try fpd.status()["interfaces"]?.array ?? []
      missing = devices.compactMap { device in
        guard let one = interfaces.first(where: { $0["name"]?.string == device }) else {
          return "fpd does not know \(device)"
        }
        if one["accelerated"]?.bool == true && one["hook"]?.string == hook { return nil }
        return "\(device) is not accelerated on \(hook): \(one.text())"
      }
      return missing.isEmpty
    }
    return missing.joined(separator: "; ")
  }

  private func waitForOwnPrograms(_ devices: [String], _ fpd: Fpd) throws {
    if Self.isDry { return }
    let there = try eventually(within: .seconds(8), every: .milliseconds(5)) {
      let interfaces = try fpd.status()["interfaces"]?.array ?? []
      return interfaces.allSatisfy { one in
        !devices.contains(one["name"]?.string ?? "") || one["program"]?.string == "own"
      }
    }
    if !there { throw LabError("fpd still runs a general program on one of \(devices)") }
  }

  /// An interface that is not accelerated for the reason its packets would be punted for is as good.
  private static func explains(_ missing: String, _ fate: Fate) -> Bool {
    switch fate {
    case .punted(let reasons): reasons.split(separator: "|").contains { missing.contains($0) }
    case .slow, .either: true
    case .fast, .dropped, .counts, .grows, .growsWithout: false
    }
  }

  /// Packets by what became of them, over all interfaces, as fpctl tells.
  private static func stats(_ fpd: Fpd) throws -> [String: Int] {
    let document = try JSON(parsing: fpd.fpctl(["stats", "--json"]).check().output)
    var sums: [String: Int] = [:]
    for interface in document["interfaces"]?.array ?? [] {
      for name in ["forwarded", "dropped"] {
        sums[name, default: 0] += Int(interface[name]?["packets"]?.int ?? 0)
      }
      for (reason, count) in interface["punted"]?.object?.members ?? [] {
        sums[reason, default: 0] += Int(count["packets"]?.int ?? 0)
      }
    }
    return sums
  }

  // MARK: Comparing

  private func problems(
    _ row: ContractCase, _ hook: String, _ result: ContractResult, _ without: ContractResult
  ) -> [String] {
    let fate = row.fate(on: hook)
    var problems = ContractComparison.problems(result, without, of: fate)
    if !Self.isDry {
      problems += ContractComparison.problems(
        counters: result.counters, frames: row.frames.count, fate)
    }
    return problems
  }

  private func show(_ row: ContractCase, _ result: ContractResult) {
    print("# \(group.name): \(row.name): the hosts see \(result.atHosts)")
    for shot in row.frames.prefix(4) { print("    \(shot.host.name) sends \(Frame(shot.bytes))") }
    for (place, frames) in result.heard.sorted(by: { $0.key < $1.key }) {
      for frame in frames.prefix(4) { print("    \(place) sees \(frame)") }
    }
    for word in result.words { print("    \(word)") }
    if !result.kernel.isEmpty { print("    kernel: \(result.kernel)") }
  }
}
