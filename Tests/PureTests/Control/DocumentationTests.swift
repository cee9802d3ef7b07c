// SPDX-License-Identifier: Apache-2.0
import Configuration
import Control
import Foundation
import Testing

/// What is written about the programs, against the programs.
@Suite struct DocumentationTests {
  private func text(_ path: String) throws -> String {
    try String(contentsOfFile: repository + "/" + path, encoding: .utf8)
  }

  @Test(arguments: [
    ("bash", "fpctl.bash"), ("zsh", "_fpctl"), ("fish", "fpctl.fish"),
  ])
  func installedCompletionsAreWhatFpctlPrints(_ shell: String, _ file: String) throws {
    #expect(try run(fpctl, ["completion", shell]).out == text("completions/\(file)"))
  }

  @Test(arguments: [
    (["sta"], "state status stats"), ([""], FpctlTests.commands.sorted().joined(separator: " ")),
    (["graph", "--format", "s"], "svg"), (["graph", "--format", "=", "d"], "dot"),
    (["graph", "l"], "lo"), (["why", "--in", "l"], "lo"), (["--socket", "/x", "wai"], "wait"),
    (["--socket", "=", "/x", "gra"], "graph"), (["why", "--dp"], "--dport"),
    (["completion", "z"], "zsh"), (["wait", "--timeout", ""], ""), (["nonsense", ""], ""),
  ])
  func bashCompletesWhatIsTyped(_ words: [String], _ expected: String) throws {
    let script = """
      source '\(repository)/completions/fpctl.bash'
      COMP_WORDS=(fpctl "$@"); COMP_CWORD=$#; _fpctl; echo "${COMPREPLY[*]}"
      """
    let outcome = try run("/bin/bash", ["-c", script, "bash"] + words)
    let offered = outcome.out.split { $0.isWhitespace }.sorted()
    #expect(offered == expected.split(separator: " ").sorted() && outcome.error.isEmpty)
  }

  @Test func theManualsNameEveryOptionAndCommand() throws {
    let fpd = try text("docs/man/fpd.8")
    for option in DaemonInvocation.options {
      #expect(fpd.contains(option.name.replacing("-", with: "\\-")), "\(option.name)")
    }
    let manual = try text("docs/man/fpctl.8")
    for command in FpctlTests.commands {
      #expect(manual.contains("\n.SS \(command)") || manual.contains(".B \(command)"), "\(command)")
      let help = try run(fpctl, [command, "--help"]).out
      for option in help.matches(of: /(?m)^  (--[a-z-]+)/).map({ String($0.1) }) {
        #expect(manual.contains(option.replacing("-", with: "\\-")), "\(command) \(option)")
      }
    }
  }

  @Test func theManualNamesEveryKeyOfTheConfiguration() throws {
    let manual = try text("docs/man/fpd.yaml.5")
    let keys = Configuration().json.array?.compactMap { $0["key"]?.string } ?? []
    for key in keys.map({ $0.split(separator: ".").first ?? "" }) + ["interfaces"] {
      #expect(manual.contains("\n.B \(key)"), "\(key)")
    }
    for hook in HookChoice.allCases {
      #expect(manual.contains(hook.rawValue.replacing("-", with: "\\-")), "\(hook)")
    }
  }

  @Test func theProtocolsDocumentNamesEveryCommandAndKind() throws {
    let document = try text("docs/control-protocol.md")
    for command in Command.allCases { #expect(document.contains("`\(command.rawValue)`")) }
    for kind in ["usage", "denied", "internal", "negative"] {
      #expect(document.contains("`\(kind)`"))
    }
  }
}
