// SPDX-License-Identifier: Apache-2.0
import Configuration
import Control
import Foundation
import OrderedJSON
import Testing

/// The role for Ansible: what it writes is what fpd reads.
@Suite struct AnsibleTests {
  static let role = "packaging/ansible/roles/fpd"
  private let defaults: JSON.Object
  private let options: JSON.Object

  init() throws {
    defaults = try #require(YAMLText.file("\(Self.role)/defaults/main.yml").object)
    let specification = try YAMLText.file("\(Self.role)/meta/argument_specs.yml")
    options = try #require(specification["argument_specs"]?["main"]?["options"]?.object)
  }

  private func text(_ path: String) throws -> String {
    try String(contentsOfFile: "\(repository)/\(Self.role)/\(path)", encoding: .utf8)
  }

  /// The file that the role writes with these variables changed.
  private func configuration(_ changes: [String: JSON] = [:]) throws -> Configuration {
    var values: [String: JSON] = ["ansible_managed": "Ansible managed"]
    for (name, value) in defaults.members { values[name] = value }
    for (name, value) in changes {
      #expect(values[name] != nil, "\(name) is no variable")
      values[name] = value
    }
    let written = try SmallTemplate(text("templates/fpd.yaml.j2")).rendered(values)
    return try Configuration.parse(Array(written.utf8), file: "fpd.yaml")
  }

  private func plain(_ configuration: Configuration) -> [JSON] {
    (configuration.json.array ?? []).map { [$0["key"] ?? .null, $0["value"] ?? .null] }
  }

  @Test func asItComesItLooksAndDoesNothingElse() throws {
    var expected = Configuration()
    expected.shadow = Sourced(true)
    #expect(try plain(configuration()) == plain(expected))
  }

  @Test func everyVariableComesToWhatFpdReads() throws {
    let found = try configuration([
      "fpd_shadow": false, "fpd_default_hook": "tc", "fpd_socket_group": "netdev",
      "fpd_interfaces": ["eth3": ["hook": "off"], "*": ["hook": "xdp"]], "fpd_log_level": "debug",
      "fpd_clang": "/usr/bin/clang-19", "fpd_connections": "exact",
    ])
    #expect(found.shadow.value == false && found.defaultHook.value == .tc)
    #expect(found.hook(for: "eth3").value == .off && found.hook(for: "eth4").value == .xdp)
    #expect(found.socketGroup.value == "netdev" && found.logLevel.value == .debug)
    #expect(found.clang.value == "/usr/bin/clang-19" && found.connections.value == .exact)
    for (name, value) in [
      ("fpd_default_hook", "of"), ("fpd_log_level", "warn"), ("fpd_connections", ""),
      ("fpd_clang", "../clang"), ("fpd_shadow", "maybe"),
    ] {
      #expect(throws: ConfigurationError.self, "\(name)") {
        try configuration([name: .string(value)])
      }
    }
  }

  @Test func theChoicesAreThoseOfFpd() throws {
    func choices(_ name: String) -> [String] {
      (options["fpd_\(name)"]?["choices"]?.array ?? []).compactMap(\.string).sorted()
    }
    #expect(choices("default_hook") == HookChoice.allCases.map(\.rawValue).sorted())
    #expect(choices("log_level") == LogLevel.allCases.map(\.rawValue).sorted())
    #expect(choices("connections") == ConnectionChoice.allCases.map(\.rawValue).sorted())
    let tasks = try text("tasks/main.yml")
    let hooks = HookChoice.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
    #expect(tasks.contains("in [\(hooks)]"))
  }

  @Test func theSpecificationAndTheReadmeHaveEveryVariableWithItsDefault() throws {
    #expect(Set(options.keys) == Set(defaults.keys))
    let readme = try text("README.md")
    for (name, value) in defaults.members {
      #expect(options[name]?["default"] == value, "\(name)")
      let shown = value.text()
      #expect(
        readme.contains("| `\(name)` | `\(shown)` |")
          || readme.contains("| `\(name)` | `\(value.string ?? shown)` |"), "\(name)")
    }
  }

  /// A variable or a handler that nobody has is found by Ansible when it is too late.
  @Test func tasksUseWhatThereIs() throws {
    let files = try ["tasks/main.yml", "handlers/main.yml", "templates/fpd.yaml.j2"].map(text)
    let all = files.joined(separator: "\n")
    var known = Set(defaults.keys)
    for made in all.matches(of: /(?m)^ *(?:register: )?(fpd_[a-z_]+)(?::|$)/) {
      known.insert(String(made.1))
    }
    for used in all.matches(of: /\bfpd_[a-z_]+/) {
      #expect(known.contains(String(used.0)), "\(used.0)")
    }
    for name in defaults.keys { #expect(all.contains(name), "\(name) is not used") }
    let heard = Set(files[1].matches(of: /listen: (.+)/).map { String($0.1) })
    let told = Set(files[0].matches(of: /notify: (.+)/).map { String($0.1) })
    #expect(heard == told && told.count == 1)
  }

  @Test func theExampleGoesByGroupsAndInstallsThisVersion() throws {
    let path = "packaging/ansible/playbook.yml"
    let play = try #require(YAMLText.file(path)[0])
    #expect(play["serial"] == [1, "20%"] && play["max_fail_percentage"] == 0)
    let variables = try #require(play["roles"]?[0]?["vars"]?.object)
    for name in variables.keys { #expect(defaults[name] != nil, "\(name)") }
    #expect(variables["fpd_shadow"] == true)
    #expect(variables["fpd_package_file"]?.string?.contains("fpd_\(version)_") == true)
  }

  @Test(arguments: ["{% if x == 1 %}\n", "{{ x + 1 }}\n", "{{ y }}\n", "{% endif %}\nx\n"])
  func templatesThatCannotBeRenderedHereAreRefused(_ words: String) {
    #expect(throws: SmallTemplate.Problem.self) {
      try SmallTemplate(words).rendered(["x": 1])
    }
  }
}
