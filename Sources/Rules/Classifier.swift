// SPDX-License-Identifier: Apache-2.0
import Introspection

/// Makes of a list of rules what a program needs to find, in about the same time whatever their number,
/// those that a packet meets.
package enum Classifier {
  /// `sets` is where the kernel has the ipsets of the namespace (`KernelSets`); without, packets are the
  /// kernel's that come to a rule about one.
  package static func image(
    of ruleset: FlatRuleset, interfaces: [ClassifierInterface], sets: UInt64? = nil
  ) throws(ClassifierRefusal) -> ClassifierImage {
    guard ruleset.family == .ip else { throw .family }
    guard ruleset.rules.count <= ClassifierLayout.rulesMax else {
      throw .tooManyRules(ruleset.rules.count)
    }
    var stageEnds = [Int](repeating: ruleset.rules.count, count: ruleset.rules.count)
    for stage in ruleset.stages {
      for rule in stage.rules { stageEnds[rule] = stage.rules.upperBound }
    }
    var build = Build(ruleset, ruleset.rules.map(ClassifierRule.init), stageEnds)
    build.sets = sets ?? 0
    build.layRows(interfaces)
    build.layWalk()
    let tracked = ruleset.stages.first { $0.view != .untracked }?.rules.lowerBound
    build.writer.set(UInt32(tracked ?? ruleset.rules.count), at: ClassifierLayout.tracked)
    return try build.image()
  }

  /// An image while it is made.
  struct Build {
    let ruleset: FlatRuleset
    let rules: [ClassifierRule]
    let stageEnds: [Int]
    let summary: Int
    var writer = ClassifierWriter()
    var fields: UInt32 = 0
    var checks: UInt32 = 0
    var counters: [[Int]]
    var sets: UInt64 = 0

    init(_ ruleset: FlatRuleset, _ rules: [ClassifierRule], _ stageEnds: [Int]) {
      (self.ruleset, self.rules, self.stageEnds) = (ruleset, rules, stageEnds)
      switch rules.count {
      case ...64: summary = 0
      case ...4096: summary = 1
      case ...16_384: summary = 4
      default: summary = 16
      }
      counters = ruleset.origins.indices.map { [$0] }
    }

    func image() throws(ClassifierRefusal) -> ClassifierImage {
      let used = writer.end
      guard let size = ClassifierLayout.sizes.first(where: { $0 >= used }) else {
        throw .tooLarge(used)
      }
      guard let room = ClassifierLayout.counterSizes.first(where: { $0 >= counters.count }) else {
        throw .tooManyRules(counters.count)
      }
      let shape = ClassifierShape(
        fields: fields, summary: fields == 0 ? 0 : summary, size: size, counters: room,
        checks: checks, precedesTracking: ruleset.stages.contains { $0.view == .untracked },
        untracks: ruleset.untracks)
      let bytes = [UInt8](unsafeUninitializedCapacity: shape.valueSize) { buffer, count in
        writer.words.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
        for index in used..<shape.valueSize { buffer.initializeElement(at: index, to: 0) }
        count = shape.valueSize
      }
      return ClassifierImage(shape: shape, bytes: bytes, used: used, counters: counters)
    }
  }
}

// MARK: Rows

extension Classifier.Build {
  /// For each field that a rule looks at, the rows, and the way from the packet's value to them.
  mutating func layRows(_ interfaces: [ClassifierInterface]) {
    var sets = [[(rule: Int, set: ValueSet)]](
      repeating: [], count: ClassifierField.allCases.count)
    var isConditional = false
    for (index, rule) in rules.enumerated() where !rule.isImpossible {
      if !rule.isUnconditional { isConditional = true }
      for (field, set) in rule.values {
        sets[field.rawValue].append((index, set))
        fields |= field.bit
      }
      for (input, _) in rule.interfaces {
        fields |= input ? ClassifierField.input.bit : ClassifierField.output.bit
      }
    }
    // Rules that only look at something late are found by a row, too.
    if isConditional { fields = ClassifierShape.rounded(fields) }
    for field in ClassifierField.allCases where fields & field.bit != 0 {
      switch field {
      case .input: layInterfaces(interfaces, input: true)
      case .output: layInterfaces(interfaces, input: false)
      default: lay(field, sets[field.rawValue])
      }
    }
  }

  private mutating func lay(_ field: ClassifierField, _ sets: [(rule: Int, set: ValueSet)]) {
    let row = indifferent { rule in rule.values.contains { $0.field == field } }
    let intervals = row.intervals(of: sets, upTo: field.last, in: &writer)
    if let table = ClassifierLayout.table(of: field) {
      writer.setTable(intervals, at: table, upTo: field.last)
      return
    }
    let entry =
      field.last > 0xffff ? writer.entry32(intervals) : writer.entry16(intervals[...])
    writer.set(entry, at: ClassifierLayout.roots + field.rawValue * 4)
  }

  /// The row of the rules that can be met and do not look at a field.
  private func indifferent(_ looks: (ClassifierRule) -> Bool) -> ClassifierRow {
    var row = ClassifierRow(rules: rules.count, summary: summary)
    for (index, rule) in rules.enumerated()
    where !rule.isImpossible && !rule.isUnconditional && !looks(rule) {
      row.toggle(index)
    }
    return row
  }

  /// A record of each interface, with its name; an index that is none's leads to one with no name.
  private mutating func layInterfaces(_ interfaces: [ClassifierInterface], input: Bool) {
    let base = indifferent { rule in rule.interfaces.contains { $0.input == input } }
    let selection = InterfaceSelection(rules, interfaces, input: input)
    writer.align(to: 8)
    let unknown = UInt32(
      appendRecord((.max, .max), row: UInt32(ClassifierLayout.headSize)))
    var intervals = [ClassifierInterval(start: 0, place: unknown)]
    for (number, interface) in interfaces.enumerated().sorted(by: {
      $0.element.index < $1.element.index
    }) {
      let index = UInt64(interface.index)
      guard index >= intervals[intervals.count - 1].start || intervals.count == 1 else { continue }
      var row = base
      for rule in selection.rules(of: number) { row.toggle(rule) }
      let place = appendRecord(interface.words, row: row.intern(in: &writer))
      if intervals[intervals.count - 1].start == index { intervals.removeLast() }
      intervals.append(ClassifierInterval(start: index, place: UInt32(place)))
      if index < 0xffff_ffff {
        intervals.append(ClassifierInterval(start: index + 1, place: unknown))
      }
    }
    let field: ClassifierField = input ? .input : .output
    writer.set(
      writer.entry32(intervals), at: ClassifierLayout.roots + field.rawValue * 4)
  }

  private mutating func appendRecord(_ name: (UInt64, UInt64), row: UInt32) -> Int {
    writer.align(to: 8)
    let place = writer.end
    writer.append(name.0)
    writer.append(name.1)
    writer.append(row)
    writer.append(0 as UInt32)
    return place
  }
}

/// Which rules agree with which interface.
private struct InterfaceSelection {
  private var ofAll: [Int: [Int]] = [:]

  init(_ rules: [ClassifierRule], _ interfaces: [ClassifierInterface], input: Bool) {
    var named: [String: [Int]] = [:]
    for (number, interface) in interfaces.enumerated() {
      named[interface.name, default: []].append(number)
    }
    var known: [ClassifierRule.InterfaceCondition: [Bool]] = [:]
    for (index, rule) in rules.enumerated() where !rule.isImpossible {
      let conditions = rule.interfaces.filter { $0.input == input }.map(\.condition)
      // Most rules name one interface.
      if conditions.count == 1, case .name(let name, false, false) = conditions[0] {
        for number in named[name] ?? [] { ofAll[number, default: []].append(index) }
        continue
      }
      if conditions.isEmpty { continue }
      for condition in conditions where known[condition] == nil {
        known[condition] = interfaces.map { condition.holds($0) }
      }
      let held = conditions.compactMap { known[$0] }
      for number in interfaces.indices where held.allSatisfy({ $0[number] }) {
        ofAll[number, default: []].append(index)
      }
    }
  }

  func rules(of number: Int) -> [Int] { ofAll[number] ?? [] }
}
