// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON
import Testing

/// A router or a bridge with an fpd that only decides.
final class ShadowLine {
  let line: Kernel.LoadTests.Line
  let hook: String
  private(set) var fpd: Fpd
  /// Lives as long as what is started from it.
  private let spoilt: SpoiltFpd?

  var middle: Namespace { line.middle }

  /// `spoil` changes a line of what programs are made of: the decisions are wrong then.
  init(
    _ kind: FastLine.Kind, hook: String, tracking frames: Int = 20_000,
    spoil: SpoiltFpd.Change? = nil, prepare: (Namespace) throws -> Void = { _ in }
  ) throws {
    self.hook = hook
    line = try FastLine.network(kind, tracking: frames)
    try prepare(line.middle)
    spoilt = try spoil.map { try SpoiltFpd($0) }
    fpd = try Fpd(
      in: line.middle, configuration: Self.configuration(hook),
      binary: spoilt?.binary ?? Binaries.fpd)
    try fpd.wait()
    try expectShadow()
  }

  static func configuration(_ hook: String) -> String {
    FastLine.configuration(hook) + "shadow: true\n"
  }

  /// A successor, which acts or decides.
  func restart(acting: Bool) throws {
    let configuration =
      acting ? FastLine.configuration(hook) : Self.configuration(hook)
    fpd = try Fpd(in: middle, configuration: configuration, reusing: fpd)
    try fpd.wait()
  }

  func expectShadow() throws {
    let status = try fpd.status()
    #expect(status["shadow"] == true, "\(status.text())")
    let seen = try fpd.interface("p1")
    #expect(
      seen["accelerated"] == false && seen["hook"]?.string == hook
        && seen["reason"] == "shadow", "\(seen.text())")
  }

  /// Sends frames through; how they arrived.
  func send(_ frames: Int, rate: Int = 20_000) throws -> LoadSink.Tally {
    try line.send(.init(frames: frames, time: .seconds(30), rate: rate, window: 192))
  }

  /// What `shadow` answers when nothing waits any more.
  func report() throws -> ShadowReport {
    var report = try ShadowReport(fpd)
    let isDone = try eventually(within: .seconds(8), every: .milliseconds(100)) {
      report = try ShadowReport(fpd)
      return report.waiting == 0
    }
    #expect(isDone, "\(report.json.text())")
    return report
  }
}

struct ShadowReport {
  let json: JSON

  init(_ fpd: Fpd) throws { json = try fpd.connect().ask("shadow") }

  private func count(_ path: String) -> Int { Int(json.at(path)?.int ?? -1) }
  var forwarded: Int { count("decided.forwarded") }
  var dropped: Int { count("decided.dropped") }
  var left: Int { count("decided.left") }
  var agreed: Int { count("compared.agreed") }
  var differing: Int { count("compared.differing") }
  var waiting: Int { count("compared.waiting") }
  var unseen: Int { count("compared.unseen") }
  var uncompared: Int { count("compared.uncompared") }
  var capture: String { json.at("pcap.path")?.string ?? "" }
  var differences: [JSON] { json["differences"]?.array ?? [] }

  /// Differences by kind of what came in by an interface.
  func kinds(_ interface: String) -> [String: Int] {
    let all = json["interfaces"]?.array ?? []
    let members = all.first { $0["name"]?.string == interface }?["differences"]?.object?.members
    return (members ?? []).reduce(into: [:]) { $0[$1.key] = Int($1.value.int ?? -1) }
  }

  /// A kernel may run no tracepoints in the context of some of its tasks; most packets are seen.
  func expectSight() {
    #expect(unseen >= 0 && unseen * 4 <= forwarded + dropped, "\(json.text())")
  }

  /// Everything that was decided on and could be seen has been compared, and Linux did the same.
  func expectAgreement(_ frames: Int) {
    #expect(forwarded + dropped >= frames, "\(json.text())")
    #expect(agreed + unseen == forwarded + dropped, "\(json.text())")
    #expect(differing == 0 && uncompared == 0, "\(json.text())")
    expectSight()
    #expect(differences.isEmpty)
    #expect(access(capture, F_OK) != 0)
  }
}

/// An fpd beside a copy of what it makes programs of, in which a line is another.
final class SpoiltFpd {
  struct Change: Sendable, CustomTestStringConvertible {
    let file: String
    let line: String
    let by: String
    var testDescription: String { "\(file): \(by)" }
  }

  let binary: String
  private let directory: TemporaryDirectory

  init(_ change: Change) throws {
    directory = try TemporaryDirectory("spoilt")
    binary = try directory.takeFpd()
    let text = try TextFile.read("fpm/\(change.file)")
    let spoilt = text.replacing(change.line, with: change.by)
    guard spoilt != text else { throw LabError("\(change.file) has no line \(change.line)") }
    try directory.write("fpm/\(change.file)", spoilt)
  }
}

extension TemporaryDirectory {
  /// Puts an fpd here with all that it makes programs of: its path.
  func takeFpd() throws -> String {
    try Command.run(["cp", "-r", Binaries.fpd, "fpm", "templates", path]).check()
    return "\(path)/fpd"
  }
}
