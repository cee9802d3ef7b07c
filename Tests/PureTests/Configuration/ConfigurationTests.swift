// SPDX-License-Identifier: Apache-2.0
import Configuration
import Foundation
import OrderedJSON
import Testing

private func parse(_ text: String) throws(ConfigurationError) -> Configuration {
  try Configuration.parse(Array(text.utf8), file: "fpd.yaml")
}

@Suite struct ConfigurationTests {
  static let full = """
    # everything
    defaults:
      hook: tc
    interfaces:
      eth0: {hook: xdp}
      "veth*":
        hook: off
    socket: /run/a.sock
    socket_group: netdev
    state_dir: /run/a
    cache_dir: /var/a
    log_level: debug
    clang: /usr/bin/clang-16
    shadow: true
    connections: follow
    metrics: unix:/run/a/metrics.sock
    """

  @Test func everyValueKnowsItsLine() throws {
    let rows = try parse(Self.full).json.array ?? []
    let table = rows.map {
      let value = $0["value"]?.string ?? $0["value"]?.bool.map { "\($0)" } ?? "-"
      return "\($0["key"]?.string ?? "") \(value) \($0["source"]?.string ?? "")"
    }
    #expect(
      table == [
        "defaults.hook tc fpd.yaml:3", "interfaces.eth0.hook xdp fpd.yaml:5",
        "interfaces.veth*.hook off fpd.yaml:7", "socket /run/a.sock fpd.yaml:8",
        "socket_group netdev fpd.yaml:9", "state_dir /run/a fpd.yaml:10",
        "cache_dir /var/a fpd.yaml:11", "log_level debug fpd.yaml:12",
        "clang /usr/bin/clang-16 fpd.yaml:13", "connections follow fpd.yaml:15",
        "metrics unix:/run/a/metrics.sock fpd.yaml:16", "shadow true fpd.yaml:14",
      ])
  }

  @Test(arguments: ["", "\n\n", "# nothing\n", "---\n", "{}", "defaults:\ninterfaces:\n", "~"])
  func whatSaysNothingIsTheDefaults(_ text: String) throws {
    #expect(try parse(text) == Configuration())
  }

  @Test func theExactNameWinsThenTheFirstPatternThenTheDefault() throws {
    let configuration = try parse(
      """
      defaults: {hook: tc}
      interfaces:
        eth*: {hook: xdp}
        eth0: {hook: off}
        eth[0-3]: {hook: xdp-generic}
        wlan?: {hook: xdp-generic}
        bare0: {}
      """)
    let expected: [(String, HookChoice, Int)] = [
      ("eth0", .off, 4), ("eth1", .xdp, 3), ("eth12.7", .xdp, 3), ("wlan0", .xdpGeneric, 6),
      ("wlan10", .tc, 1), ("xeth0", .tc, 1), ("bare0", .tc, 1),
    ]
    for (name, hook, line) in expected {
      #expect(
        configuration.hook(for: name) == Sourced(hook, from: .file("fpd.yaml", line: line)),
        "\(name)")
    }
    #expect(Configuration().hook(for: "eth0") == Sourced(.auto))
  }

  @Test(
    arguments: [
      ("unix:/m", .unix(path: "/m")), ("127.0.0.1:9469", .ipv4("127.0.0.1", port: 9469)),
      ("127.255.0.9:1", .ipv4("127.255.0.9", port: 1)), ("\"[::1]:65535\"", .ipv6(port: 65535)),
      ("'[0:0::1]:80'", .ipv6(port: 80)),
    ] as [(String, MetricsAddress)])
  func metricsAreServedToThisMachine(_ text: String, _ address: MetricsAddress) throws {
    #expect(
      try parse("metrics: \(text)").metrics == Sourced(address, from: .file("fpd.yaml", line: 1)))
  }

  @Test func theCommandLineWinsOverTheFile() throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    let file = directory.path + "/c.yaml"
    try Self.full.write(toFile: file, atomically: false, encoding: .utf8)
    var options = DaemonOptions()
    options.config = file
    options.logLevel = .error
    options.socket = "x.sock"
    let configuration = try Configuration.load(options)
    #expect(configuration.logLevel == Sourced(.error, from: .option("--log-level")))
    #expect(configuration.socket.source.description == "command line --socket")
    #expect(configuration.cacheDirectory == Sourced("/var/a", from: .file(file, line: 11)))
    #expect(configuration.shadow == Sourced(true, from: .file(file, line: 14)))
    options.shadow = true
    #expect(try Configuration.load(options).shadow == Sourced(true, from: .option("--shadow")))
  }

  @Test func aMissingFileIsAnErrorOnlyWhereItIsNamed() throws {
    var options = DaemonOptions()
    options.config = "/nowhere/fpd.yaml"
    let error = #expect(throws: ConfigurationError.self) { try Configuration.load(options) }
    #expect(
      error?.description == "/nowhere/fpd.yaml: cannot be opened: No such file or directory")
  }

  @Test func refusesWhatIsNoTextFile() throws {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }  // not only until its last use
    var options = DaemonOptions()
    options.config = directory.path
    #expect(throws: ConfigurationError.self) { try Configuration.load(options) }
    options.config = directory.path + "/fifo"
    #expect(mkfifo(directory.path + "/fifo", 0o600) == 0)
    #expect(throws: ConfigurationError.self) { try Configuration.load(options) }
    options.config = "/dev/zero"
    let error = #expect(throws: ConfigurationError.self) { try Configuration.load(options) }
    #expect(error?.description.contains("larger than 1048576 bytes") == true)
    options.config = "/dev/null"
    #expect(try Configuration.load(options) == Configuration())
  }

  @Test func theDocumentedExampleIsValidAndChangesNothing() throws {
    let root = URL(filePath: #filePath).pathComponents.dropLast(4).joined(separator: "/")
    let text = try String(contentsOfFile: root + "/packaging/fpd.yaml", encoding: .utf8)
    #expect(try parse(text) == Configuration())
    // "#key" and "#  key" are settings, "# text" and "#   text" are prose.
    let active = text.split(separator: "\n").map { line in
      let blanks = line.dropFirst().prefix { $0 == " " }.count
      return line.hasPrefix("#") && [0, 2].contains(blanks) ? line.dropFirst() : line
    }
    let uncommented = try parse(active.joined(separator: "\n"))
    #expect(!uncommented.interfaces.isEmpty && uncommented.socketGroup.value != nil)
    #expect(uncommented.metrics.value != nil)
  }
}

/// Each file in Fixtures/config/NAME.yaml is wrong, and NAME.errors tells what must be said of it.
@Suite struct BadConfigurationTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/config")
  static let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
    .filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()

  @Test func thereAreSome() { #expect(Self.names.count >= 15) }

  @Test(arguments: names) func isToldWhatIsWrongAndWhere(_ name: String) throws {
    let text = try Data(contentsOf: Self.folder.appending(path: name + ".yaml"))
    let golden = Self.folder.appending(path: name + ".errors")
    let error = #expect(throws: ConfigurationError.self) {
      try Configuration.parse(Array(text), file: name + ".yaml")
    }
    let told = (error?.description ?? "") + "\n"
    if ProcessInfo.processInfo.environment["FPD_UPDATE_GOLDEN"] != nil {
      try told.write(to: golden, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: golden, encoding: .utf8) == told)
  }

  @Test func bottomlessNestingIsRefused() {
    for opening in ["[", "{a: ", "- ", "? "] {
      let text = String(repeating: opening, count: 50_000)
      #expect(throws: ConfigurationError.self) { try parse(text) }
    }
  }

  @Test func binaryGarbageIsRefusedOrHarmless() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<500 {
      let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
        UInt8.random(in: .min ... .max, using: &random)
      }
      _ = try? Configuration.parse(bytes, file: "garbage")
    }
    let error = #expect(throws: ConfigurationError.self) {
      try Configuration.parse([0x61, 0x0a, 0x00, 0x01], file: "garbage")
    }
    #expect(error?.description.hasPrefix("garbage:2:1: not YAML") == true)
  }

  @Test func mutatedConfigurationsNeverTrap() {
    var random = SystemRandomNumberGenerator()
    let good = Array(ConfigurationTests.full.utf8)
    for _ in 0..<2000 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        if Bool.random(using: &random) {
          bytes[place] = UInt8.random(in: .min ... .max, using: &random)
        } else {
          bytes.remove(at: place)
        }
      }
      _ = try? Configuration.parse(bytes, file: "mutated")
    }
  }
}
