// SPDX-License-Identifier: Apache-2.0
import Configuration
import Testing
import Usage

@Suite struct DaemonOptionsTests {
  @Test func bothFormsOfAnOptionMeanTheSame() throws {
    var expected = DaemonOptions()
    expected.config = "/a.yaml"
    expected.socket = "/s"
    expected.stateDirectory = "/d"
    expected.cacheDirectory = "/c"
    expected.logLevel = .debug
    let apart = "--config /a.yaml --socket /s --state-dir /d --cache-dir /c --log-level debug"
    let joined = "--config=/a.yaml --socket=/s --state-dir=/d --cache-dir=/c --log-level=debug"
    for line in [apart, joined] {
      let words = line.split(separator: " ").map(String.init)
      #expect(try DaemonInvocation(words, version: "1") == .run(expected))
    }
    #expect(try DaemonInvocation([], version: "1") == .run(DaemonOptions()))
  }

  @Test func showsHelpAndVersion() throws {
    #expect(try DaemonInvocation(["--version"], version: "1.2") == .show("fpd 1.2\n"))
    #expect(try DaemonInvocation(["-h"], version: "1") == .show(DaemonInvocation.help))
    for option in DaemonInvocation.options { #expect(DaemonInvocation.help.contains(option.name)) }
    #expect(DaemonInvocation.help.split(separator: "\n").allSatisfy { $0.count <= 80 })
  }

  @Test(arguments: [
    ("--conifg x", "unknown option --conifg; did you mean '--config'?"),
    ("--config", "--config needs a value: --config FILE"),
    ("--config=", "--config needs a value: --config FILE"),
    ("--config --socket x", "--config needs a value: --config FILE"),
    ("--config a --config b", "--config is given twice"),
    ("--version=2", "--version takes no value"),
    ("start", "unexpected \"start\": fpd takes options only"),
    ("-- --help", "unexpected \"--help\": fpd takes options only"),
    (
      "--log-level loud",
      "--log-level loud: expected error, warning, notice, info, debug"
    ),
    (
      "--log-level=inof",
      "--log-level inof: expected error, warning, notice, info, debug; did you mean 'info'?"
    ),
  ])
  func saysWhatIsWrong(_ line: String, _ expected: String) {
    let words = line.split(separator: " ").map(String.init)
    let error = #expect(throws: UsageError.self) { try DaemonInvocation(words, version: "1") }
    #expect(error?.description == expected)
  }

  @Test(arguments: [
    ("stauts", ["status", "config"], ["status"]), ("graph", ["graph"], ["graph"]),
    ("zzz", ["status", "graph"], []), ("", ["status"], []), ("eth", ["eth0", "wlan0"], ["eth0"]),
    ("teh0", ["eth0"], ["eth0"]),
  ])
  func nearestFindsWhatWasMeant(_ word: String, _ names: [String], _ expected: [String]) {
    #expect(nearest(to: word, among: names) == expected)
  }
}
