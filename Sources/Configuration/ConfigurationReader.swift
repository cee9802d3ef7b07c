// SPDX-License-Identifier: Apache-2.0
import Usage

/// Turns a YAML document into a `Configuration`, noting everything that is wrong on the way.
struct ConfigurationReader {
  let file: String
  private(set) var configuration = Configuration()
  private(set) var problems: [Problem] = []

  private enum Key: String, CaseIterable {
    case defaults, interfaces, socket
    case socketGroup = "socket_group"
    case stateDirectory = "state_dir"
    case cacheDirectory = "cache_dir"
    case logLevel = "log_level"
    case clang, connections, metrics, shadow
  }

  private enum Answer: String, CaseIterable {
    case yes = "true"
    case no = "false"
  }

  private enum InterfaceKey: String, CaseIterable { case hook }

  init(file: String) { self.file = file }

  mutating func read(_ root: YAMLNode) {
    for (key, value) in members(of: root, "the configuration", Key.self) {
      switch key {
      case .defaults:
        for (_, value) in members(of: value, "defaults", InterfaceKey.self) {
          if let hook = word(value, "defaults.hook", HookChoice.self) {
            configuration.defaultHook = hook
          }
        }
      case .interfaces: readInterfaces(value)
      case .socket:
        if let path = path(value, "socket", longest: 107) { configuration.socket = path }
      case .socketGroup:
        if let group = text(value, "socket_group", expected: "the name of a group") {
          configuration.socketGroup = Sourced(group.value, from: group.source)
        }
      case .stateDirectory:
        if let path = path(value, "state_dir") { configuration.stateDirectory = path }
      case .cacheDirectory:
        if let path = path(value, "cache_dir") { configuration.cacheDirectory = path }
      case .logLevel:
        if let level = word(value, "log_level", LogLevel.self) { configuration.logLevel = level }
      case .clang: readClang(value)
      case .connections:
        if let choice = word(value, "connections", ConnectionChoice.self) {
          configuration.connections = choice
        }
      case .metrics: readMetrics(value)
      case .shadow:
        if let answer = word(value, "shadow", Answer.self) {
          configuration.shadow = Sourced(answer.value == .yes, from: answer.source)
        }
      }
    }
  }

  private mutating func readInterfaces(_ node: YAMLNode) {
    for (name, key, value) in named(node, "interfaces") {
      if let complaint = complaint(aboutName: name) {
        note(key, "interfaces: \(key.shown) \(complaint)")
        continue
      }
      var hook: Sourced<HookChoice>?
      for (_, value) in members(of: value, "interfaces.\(name)", InterfaceKey.self) {
        hook = word(value, "interfaces.\(name).hook", HookChoice.self)
      }
      configuration.interfaces.append(.init(pattern: name, hook: hook))
    }
  }

  /// What the kernel would object to in a device's name; a pattern may be longer than what it fits.
  private func complaint(aboutName name: String) -> String? {
    let isPattern = name.contains { "*?[".contains($0) }
    if name.isEmpty { return "is no interface name" }
    if name == "." || name == ".." || name.contains(where: { "/:".contains($0) || $0.isWhitespace })
      || hasControl(name)
    {
      return "is no interface name: '/', ':', blanks and control characters cannot be in one"
    }
    if name.utf8.count > 15 && !isPattern {
      return "is no interface name: they have at most 15 bytes"
    }
    return nil
  }

  private mutating func readClang(_ node: YAMLNode) {
    let expected = "the name or absolute path of clang"
    guard let clang = text(node, "clang", expected: expected) else { return }
    if clang.value.contains("/") && !clang.value.hasPrefix("/") {
      note(node, "clang: found \(node.shown), expected \(expected)")
    } else {
      configuration.clang = clang
    }
  }

  private mutating func readMetrics(_ node: YAMLNode) {
    guard let text = text(node, "metrics", expected: MetricsAddress.expected) else { return }
    do throws(MetricsAddress.Refusal) {
      configuration.metrics = Sourced(try MetricsAddress(text.value), from: text.source)
    } catch {
      note(node, "metrics: \(error.text)")
    }
  }
}

// What mappings, words and paths look like, and what is said when they do not.
extension ConfigurationReader {
  private mutating func note(_ node: YAMLNode, _ text: String) {
    problems.append(Problem(file: file, place: node.place, text: text))
  }

  /// The members of a mapping whose keys are known beforehand.
  private mutating func members<Key: RawRepresentable<String> & CaseIterable>(
    of node: YAMLNode, _ what: String, _ keys: Key.Type
  ) -> [(Key, YAMLNode)] {
    let known = Key.allCases.map(\.rawValue)
    var found: [(Key, YAMLNode)] = []
    for (name, keyNode, value) in named(node, what) {
      if let key = Key(rawValue: name) {
        found.append((key, value))
        continue
      }
      let close = suggestion(for: name, among: known)
      note(keyNode, "unknown key \(keyNode.shown) in \(what), expected \(list(known))\(close)")
    }
    return found
  }

  /// The members of a mapping, each key once; a mapping left empty has none.
  private mutating func named(
    _ node: YAMLNode, _ what: String
  ) -> [(name: String, key: YAMLNode, value: YAMLNode)] {
    if case .scalar(_, isNull: true) = node.content { return [] }
    guard case .mapping(let members) = node.content else {
      note(node, "\(what): found \(node.shown), expected a mapping (\"key: value\")")
      return []
    }
    var first: [String: Int] = [:]
    var found: [(name: String, key: YAMLNode, value: YAMLNode)] = []
    for (key, value) in members {
      guard case .scalar(let name, _) = key.content else {
        note(key, "\(what): found \(key.shown) as a key, expected plain text")
        continue
      }
      if let line = first[name] {
        note(key, "duplicate key \(key.shown) in \(what), first on line \(line)")
        continue
      }
      first[name] = key.place.line
      found.append((name, key, value))
    }
    return found
  }

  private mutating func word<Word: RawRepresentable<String> & CaseIterable>(
    _ node: YAMLNode, _ what: String, _ words: Word.Type
  ) -> Sourced<Word>? {
    let known = Word.allCases.map(\.rawValue)
    guard case .scalar(let text, _) = node.content, let word = Word(rawValue: text) else {
      var close = ""
      if case .scalar(let text, isNull: false) = node.content {
        close = suggestion(for: text, among: known)
      }
      note(node, "\(what): found \(node.shown), expected \(list(known))\(close)")
      return nil
    }
    return Sourced(word, from: .file(file, line: node.place.line))
  }

  private mutating func text(
    _ node: YAMLNode, _ what: String, expected: String
  ) -> Sourced<String>? {
    guard case .scalar(let text, isNull: false) = node.content, !text.isEmpty, !hasControl(text)
    else {
      note(node, "\(what): found \(node.shown), expected \(expected)")
      return nil
    }
    return Sourced(text, from: .file(file, line: node.place.line))
  }

  private mutating func path(
    _ node: YAMLNode, _ what: String, longest: Int = 4095
  ) -> Sourced<String>? {
    let expected = "an absolute path"
    guard let path = text(node, what, expected: expected) else { return nil }
    if !path.value.hasPrefix("/") {
      note(node, "\(what): found \(node.shown), expected \(expected)")
      return nil
    }
    if path.value.utf8.count > longest {
      note(node, "\(what): found \(path.value.utf8.count) bytes, expected at most \(longest)")
      return nil
    }
    return path
  }

  private func hasControl(_ text: String) -> Bool {
    text.unicodeScalars.contains { $0.properties.generalCategory == .control }
  }

  private func list(_ words: [String]) -> String {
    guard words.count > 1, let last = words.last else { return words.joined() }
    return words.dropLast().joined(separator: ", ") + " or " + last
  }
}
